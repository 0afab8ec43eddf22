//! `fmt`: the layout that it writes, that it keeps the meaning, and how it treats the files.

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::Arc;

use proptest::prelude::*;
use runner::syntax::{Source, layout};
use support::Folder;

#[path = "../fuzz/targets.rs"]
mod targets;

/// Everything that is laid out, as somebody in a hurry writes it.
const UNTIDY: &str = "\u{feff}#!/usr/bin/env -S runner runIni  \r


# What this is.\t
app:commands . Alias( command = [  \t
 'serve' ,   'WSGI',
  ] )
url = = \"tcp://localhost:8000\"
rem a comment
rem:1
# about the workers
[ runner.workers ] # how many
min=2#now
most = 10   # later


   \t
# how many at most
max : (1 +   # at least one

# in between


 (1,
   2)[0] +
        {'a': [
          1]}['a'][
            0
                ])
[Load Settings From];nothing
text = '''one
\x20
\x20
 two  \x20
\x20three'''  \x20
    \x20'four' \\
 'five'


# the end


";

/// The same afterwards.
const TIDY: &str = "\
#!/usr/bin/env -S runner runIni

# What this is.
app = commands.Alias(command=[
    'serve', 'WSGI',
    ])
url = \"tcp://localhost:8000\"
rem a comment
rem= 1

# about the workers
[runner.workers]  # how many
min = 2    #now
most = 10  # later

# how many at most
max = (1 +  # at least one

# in between

    (1,
        2)[0] +
    {'a': [
        1]}['a'][
            0
    ])

[Load Settings From]  ;nothing
text = '''one


    two  \x20
    three'''
    'four' \\
    'five'

# the end
";

fn tidy(text: &str) -> Option<String> {
    layout(&source(text), 1 << 20).ok()
}

fn source(text: &str) -> Arc<Source> {
    Arc::new(Source {
        name: "x.ini".to_owned(),
        // As `decode` does with its input.
        text: text.trim_start_matches('\u{feff}').to_owned(),
    })
}

/// The comments of a file: the lines that have one in column 1, in order.
fn comments(text: &str) -> Vec<String> {
    let text = text.trim_start_matches('\u{feff}');
    let comment = |line: &&str| {
        line.starts_with(['#', ';']) || line.trim_end() == "rem" || line.starts_with("rem ")
    };
    let trimmed = |line: &str| line.trim_end().to_owned();
    text.split('\n').filter(comment).map(trimmed).collect()
}

/// The promise of `fmt` for one file; returns whether the file has no mistakes.
fn holds(text: &str) -> bool {
    let Some(once) = tidy(text) else {
        return false;
    };
    let meaning = |text| targets::meaning(&source(text));
    assert_eq!(meaning(&once), meaning(text), "{text:?}\n→ {once:?}");
    assert_eq!(comments(&once), comments(text), "{text:?}\n→ {once:?}");
    assert_eq!(tidy(&once).as_ref(), Some(&once), "{text:?}");
    assert!(!once.starts_with('\n') && !once.ends_with("\n\n"));
    assert!(once.is_empty() || once.ends_with('\n'));
    true
}

/// White space within a value: line ends are followed by an indent.
fn gap() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => Just(" ".to_owned()),
        2 => "[ \t]{0,3}\r?\n(# c'[ \r]?\n|;\"\n|[ \t]{0,2}\r?\n){0,3}[ \t]{1,9}",
        1 => " # '[({\\[]\n[ \t]{1,3}",
        1 => Just(" \\\n ".to_owned()),
    ]
}

/// A single token, or a small complete expression.
fn atom() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c]",
        "[0-9]{1,3}|1_0\\.5e-3|0x1e|0x1E-1|\\.5|1\\.|1e9",
        "'[a-z#\\[ ]{0,4}'",
        r#"[rfb]?"(\\"|\\\\|[a-z# ]){0,4}""#,
        r"'(a|\\\n ){0,3}'",
        "'''([a-z#)' ]| ?\n ?\n?[\t ]{1,4}|\n# c\n |\n {1,3}#){0,6}[a-z]'''",
        "\"\"\"(a|  \r?\n {1,3}|\\\\\"){0,4}z\"\"\"",
        Just("f'''{a!r:\n  >10}'''".to_owned()),
        Just("None".to_owned()),
    ]
}

/// Shapes made of values (`_`), one per word. Blanks may be at `·` and must be at `␣`.
const SHAPES: &str = "
    _·+·_ _·-·_ _·*·_ _·**·_ _·//·_ _·<·_ _·<<·_ _·==·_ _·!=·_ _·&·_ _·%·_ _·-·-·_ _·*·+·~·_ (·-·_·)
    _␣in␣_ _␣not␣in␣_ _␣is␣not␣_ _␣and␣_ _␣or␣not␣_ _␣if␣_␣else␣_ (·_␣if·(·_·)·else·-·_·) not␣_ not·(·_·)
    (·_·) (·_·,·) (·) [·] [·_·,·_·] [·_·,·_·,·] {·} {·_·,·_·} {·_·:·_·} {·_·:·_·,·**·a·} [·*·(·_·)·,·_·]
    f·(·_·) f·(·a·=·_·,·b·=·-·_·) f·(·*·_·,·**·_·) f·(·_·)·(·) f·.·b·(·)·.·c (·_·)·.·real 1·.·real 1.5␣.·real
    a·[·_·] a·[·_·:·_·] a·[·:·-·_·:·] a·[·1·,·_·] a·[·lambda·:·_·] a·[·(·lambda␣a·:·_·)·:·_·] a·[·{·a·:·_·}·:·]
    (·lambda·:·_·) (·lambda␣a·,·b·=·_·:·_·) (·lambda␣a·,·/·,·*·,·c·=·lambda·:·1·:·_·) (·lambda·*·a·,·**·b·:·_·)
    [·_␣for␣a␣in␣_·] {·a·:·_␣for␣a·,·b␣in·(·_·,·)·if␣not·(·_·)·} f·(·_␣for·(·a·,·b·)·in·[·_·]·)
    'a'·'b' 'a'·in·'b' (·_␣in·'b'·) 'a'·if·'b'·else·'c' 'a'·.·join·(·_·)";

/// A shape with its blanks and values.
fn filled(shape: &str, gaps: &[String], values: &[String]) -> String {
    let mut gaps = gaps.iter().cycle().map(String::as_str);
    let mut values = values.iter().cycle().map(String::as_str);
    let mut text = String::new();
    for c in shape.chars() {
        match c {
            '·' => text.push_str(gaps.next().unwrap_or_default()),
            '␣' => text.push_str(gaps.next().filter(|gap| !gap.is_empty()).unwrap_or(" ")),
            '_' => text.push_str(values.next().unwrap_or_default()),
            other => text.push(other),
        }
    }
    text
}

fn value() -> impl Strategy<Value = String> {
    let shapes: Vec<&str> = SHAPES.split_whitespace().collect();
    let gaps = prop::collection::vec(prop_oneof![3 => Just(String::new()), 2 => gap()], 7);
    atom().prop_recursive(4, 40, 3, move |inner| {
        let shape = prop::sample::select(shapes.clone());
        let values = prop::collection::vec(inner, 2);
        (shape, gaps.clone(), values)
            .prop_map(|(shape, gaps, values)| filled(shape, &gaps, &values))
    })
}

/// A piece of a file: a section, a comment, blank lines, a setting.
fn piece() -> impl Strategy<Value = String> {
    let delimiter = "[ \t]{0,2}[=:][ \t]{0,2}|[ \t]?= ?= ?";
    prop_oneof![
        1 => "\\[[ ]?[a-c.]{1,4}[ ]?\\][ \t]{0,3}([#;] ?[a-c]{0,3})?[ \t]?\r?\n",
        1 => "(#|;|rem|REM )([ \t][a-z'\\[]{0,4})?[ \t]{0,2}\r{0,2}\n",
        1 => "([ \t]{0,3}\r?\n){1,3}",
        4 => ("rem|[a-c.*?+]{1,4}", delimiter, value(), "[ \t]{0,3}\r?\n")
            .prop_map(|(name, delimiter, value, end)| format!("{name}{delimiter}{value}{end}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// parse(fmt(x)) == parse(x) and fmt(fmt(x)) == fmt(x).
    #[test]
    fn files_keep_their_meaning(pieces in prop::collection::vec(piece(), 0..8), mark in "\u{feff}?") {
        let text = format!("{mark}{}", pieces.concat());
        holds(&text);
        holds(text.trim_end_matches('\n'));
    }

    /// Any text is formatted or refused.
    #[test]
    fn anything_goes(text in "[ab=:#;'\"\\[\\](){}\\\\, \t\r\n\u{a0}\u{feff}]{0,40}|(?s).{0,30}") {
        holds(&text);
    }
}

/// The generator makes mostly files without mistakes.
#[test]
fn most_generated_files_have_no_mistakes() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let good = (0..500).filter(|_| {
        let tree = value()
            .prop_map(|value| format!("a ={value}\n"))
            .new_tree(&mut runner)
            .expect("a piece");
        tidy(&tree.current()).is_some()
    });
    let good = good.count();
    assert!(good > 300, "only {good} of 500");
}

#[test]
fn the_layout() {
    assert_eq!(tidy(UNTIDY).as_deref(), Some(TIDY));
    assert!(holds(UNTIDY) && holds(TIDY));
    for (text, expected) in [
        ("", ""),
        ("\n \n", ""),
        ("a=1", "a = 1\n"),
        ("# c\r\n[a]\r\nb:2\r\n", "# c\n[a]\nb = 2\n"),
        ("a=\n 1", "a =\n    1\n"),
        ("a= # b\n 1", "a =  # b\n    1\n"),
        (
            "a=[1,  # b\n 20, # c\n # d\n 300#e\n ]\nb=1 # f\n\nc=2   # g",
            "a = [1,  # b\n    20,  # c\n    # d\n    300  #e\n    ]\nb = 1    # f\n\nc = 2  # g\n",
        ),
        (
            "a = 1\n# b\n\n# c\n[d]\n\n\ne=1",
            "a = 1\n# b\n\n# c\n[d]\n\ne = 1\n",
        ),
    ] {
        assert_eq!(tidy(text).as_deref(), Some(expected), "{text:?}");
    }
}

/// A blank around operators and after commas, none inside brackets; strings and numbers unchanged.
#[test]
fn the_blanks_of_expressions() {
    for (untidy, expected) in [
        ("[1,2 ,3]  +b", "[1, 2, 3] + b"),
        ("( 1,)", "(1,)"),
        ("[ ]+{ }", "[] + {}"),
        ("{ 'a' :1,'b':[ 2 ] , }", "{'a': 1, 'b': [2],}"),
        ("'a'if b>=- 2 else'c'", "'a' if b >= -2 else 'c'"),
        ("not(a)and(b)", "not (a) and (b)"),
        ("a in(1,2)", "a in (1, 2)"),
        ("a  not   in b is  not c", "a not in b is not c"),
        ("2**- 1-~ 3//4", "2 ** -1 - ~3 // 4"),
        ("- - a", "--a"),
        ("f (a = 1,* b,** c) [0] . d( )", "f(a=1, *b, **c)[0].d()"),
        ("a [1 : - 1 :2] [ : ] [1: ]", "a[1:-1:2][:][1:]"),
        (
            "a[ {1 :2}[1]:(lambda :3)( ) ]",
            "a[{1: 2}[1]:(lambda: 3)()]",
        ),
        ("a[lambda:1:2]", "a[lambda: 1:2]"),
        (
            "lambda a,b = 1,* c,** d:a+b",
            "lambda a, b=1, *c, **d: a + b",
        ),
        ("lambda a , / , * , b:a", "lambda a, /, *, b: a"),
        ("lambda*a:a", "lambda *a: a"),
        ("{a:b for a,b in c}", "{a: b for a, b in c}"),
        ("1 . real+1.5 .real", "1 .real + 1.5 .real"),
        ("0x1e-5+1e-5-1E+5", "0x1e - 5 + 1e-5 - 1E+5"),
        ("R'a'  \"b\"%(c)", "R'a' \"b\" % (c)"),
        ("f'{a+b}'+rb'  '", "f'{a+b}' + rb'  '"),
        ("1<<2>>3&4|5^6", "1 << 2 >> 3 & 4 | 5 ^ 6"),
        ("1==2!=3<=4", "1 == 2 != 3 <= 4"),
        ("'a.ini','b.*'", "'a.ini', 'b.*'"),
        ("ä.ö [ 'ü' ]", "ä.ö['ü']"),
    ] {
        let untidy = format!("a = {untidy}\n");
        let expected = format!("a = {expected}\n");
        assert_eq!(tidy(&untidy), Some(expected), "{untidy}");
        assert!(holds(&untidy));
    }
}

#[test]
fn a_file_that_would_be_too_large_is_refused() {
    let deep = format!("a = {}\n 1{}\n", "[".repeat(30), "]".repeat(30));
    let mistakes = layout(&source(&deep), 40).expect_err("more than 40 bytes");
    assert_eq!(mistakes.0[0].code, "limit/file");
    // Indents end somewhere.
    let steep = format!("a = {}1{}\n", "[\n ".repeat(150), "]".repeat(150));
    assert!(tidy(&steep).is_some_and(|text| text.len() < 10_000));
}

#[test]
fn a_file_is_written_whole_with_its_mode_through_its_links() {
    let folder = Folder::new()
        .file("real/app.ini", UNTIDY)
        .file("other.ini", "a=1\n")
        .file("tidy.ini", TIDY);
    let path = folder.path("real/app.ini");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o751)).expect("a mode");
    symlink("real/app.ini", folder.path("link.ini")).expect("a link");
    let untouched = fs::metadata(folder.path("tidy.ini")).expect("a file").ino();
    folder
        .runner(["fmt", "link.ini", "tidy.ini", "--", "other.ini"])
        .run()
        .is(0, "", "");
    assert_eq!(folder.read("real/app.ini"), TIDY);
    assert_eq!(folder.read("other.ini"), "a = 1\n");
    assert!(folder.path("link.ini").is_symlink());
    let mode = fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o7777, 0o751);
    let same = fs::metadata(folder.path("tidy.ini")).expect("a file").ino();
    assert_eq!(same, untouched, "what is tidy is not written");
    let left = fs::read_dir(folder.path("real")).expect("a folder").count();
    assert_eq!(left, 1, "no temporary file is left");
}

#[test]
fn files_with_mistakes_are_shown_and_left_alone() {
    let folder = Folder::new()
        .file("bad.ini", "a=1\nb=[2\nc\n")
        .file("good.ini", "a=1");
    let message = "\
error: `[` is never closed
  ┌─ bad.ini:2:3
  │
2 │ b=[2
  │   ^

error: expected `NAME = VALUE`, found `c`
  ┌─ bad.ini:3:1
  │
3 │ c
  │ ^
  │
  = hint: begin a comment with `#`, indent what continues a value
error: cannot read `none.ini`: there is no such file
";
    folder
        .runner(["fmt", "bad.ini", "none.ini", "good.ini"])
        .run()
        .is(1, "", message);
    assert_eq!(folder.read("bad.ini"), "a=1\nb=[2\nc\n");
    assert_eq!(folder.read("good.ini"), "a = 1\n");
}

#[test]
fn check_shows_what_would_change() {
    let text = "# one\n# two\n# three\n# four\n# five\na=1\n[b]\nc = 2\n";
    let difference = "\
--- a.ini
+++ a.ini (formatted)
@@ -3,6 +3,7 @@
 # three
 # four
 # five
-a=1
+a = 1
+
 [b]
 c = 2
";
    let folder = Folder::new().file("a.ini", text).file("tidy.ini", TIDY);
    for arguments in [["fmt", "--check", "a.ini"], ["fmt", "a.ini", "--check"]] {
        folder.runner(arguments).run().is(1, difference, "");
    }
    assert_eq!(folder.read("a.ini"), text);
    folder
        .runner(["fmt", "--check", "tidy.ini"])
        .run()
        .is(0, "", "");
    let without_end = "\
--- <stdin>
+++ <stdin> (formatted)
@@ -1 +1 @@
-a=1
\\ No newline at end of file
+a = 1
";
    folder
        .runner(["fmt", "--check", "-"])
        .stdin("a=1")
        .run()
        .is(1, without_end, "");
}

#[test]
fn standard_input_goes_to_standard_output() {
    let folder = Folder::new();
    let run = |text: &str| folder.runner(["fmt", "-"]).stdin(text).run();
    run(UNTIDY).is(0, TIDY, "");
    run("").is(0, "", "");
    run("a = )").is(
        1,
        "",
        "error: unmatched `)`\n  ┌─ <stdin>:1:5\n  │\n1 │ a = )\n  │     ^\n",
    );
    let too_large = "#".repeat((16 << 20) + 1);
    run(&too_large).is(1, "", "error: standard input has more than 16 MiB\n");
}

#[test]
fn fmt_alone_is_wrong_usage() {
    Folder::new().runner(["fmt"]).run().is(
        2,
        "",
        "error: FILE is missing\n\nUsage: runner fmt [--check] FILE...\n",
    );
}
