//! `fmt`: the layout it writes, that it changes no meaning, and how it treats the files.

mod support;

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::Arc;

use proptest::prelude::*;
use runner::syntax::file::{self, Line};
use runner::syntax::{Source, expression, layout};
use support::{Folder, project};

/// Everything that is laid out, as somebody in a hurry writes it.
const UNTIDY: &str = "\u{feff}#!/usr/bin/env -S runner runIni  \r


# What this is.\t
app:commands.Alias(command=[  \t
 'serve',   'WSGI',
  ])
url = = \"tcp://localhost:8000\"
rem a comment
rem:1
# about the workers
[ runner.workers ] # how many
min=2


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
    'serve',   'WSGI',
    ])
url = \"tcp://localhost:8000\"
rem a comment
rem= 1

# about the workers
[runner.workers]  # how many
min = 2

# how many at most
max = (1 +   # at least one

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
        // As `decode` does with what it reads.
        text: text.trim_start_matches('\u{feff}').to_owned(),
    })
}

/// What a file means: its sections and settings with the trees of their values, wherever they stand; and its
/// comments in column 1.
fn meaning(text: &str) -> String {
    let source = source(text);
    let (lines, mistakes) = file::parse(&source);
    assert!(mistakes.is_empty(), "{mistakes:?} in\n{text}");
    let mut out = String::new();
    for line in &lines {
        match line {
            Line::Section { name, .. } => writeln!(out, "[{name}]"),
            Line::Setting { name, value, .. } => {
                let tree = expression::parse(&source, value).expect("no mistakes");
                writeln!(out, "{name} = {}", without_spans(&format!("{tree:?}")))
            }
        }
        .expect("writing to a string");
    }
    out
}

fn without_spans(tree: &str) -> String {
    let mut parts = tree.split("span: Span {");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(part.split_once('}').expect("the end of a span").1);
    }
    out
}

/// What in a file is comment: lines in column 1, in their order.
fn comments(text: &str) -> Vec<String> {
    let text = text.trim_start_matches('\u{feff}');
    let comment = |line: &&str| {
        line.starts_with(['#', ';']) || line.trim_end() == "rem" || line.starts_with("rem ")
    };
    let trimmed = |line: &str| line.trim_end().to_owned();
    text.split('\n').filter(comment).map(trimmed).collect()
}

/// The promise of `fmt`, for one file; whether it has no mistakes.
fn holds(text: &str) -> bool {
    let Some(once) = tidy(text) else {
        return false;
    };
    assert_eq!(meaning(&once), meaning(text), "{text:?}\n→ {once:?}");
    assert_eq!(comments(&once), comments(text), "{text:?}\n→ {once:?}");
    assert_eq!(tidy(&once).as_ref(), Some(&once), "{text:?}");
    assert!(!once.starts_with('\n') && !once.ends_with("\n\n"));
    assert!(once.is_empty() || once.ends_with('\n'));
    true
}

/// White space within a value: indented lines follow its line ends.
fn gap() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => Just(" ".to_owned()),
        2 => "[ \t]{0,3}\r?\n(# c'[ \r]?\n|;\"\n|[ \t]{0,2}\r?\n){0,3}[ \t]{1,9}",
        1 => " # '[({\\[]\n[ \t]{1,3}",
        1 => Just(" \\\n ".to_owned()),
    ]
}

/// One token that is whole in itself.
fn atom() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c]",
        "[0-9]{1,3}",
        "'[a-z#\\[ ]{0,4}'",
        r#"[rfb]?"(\\"|\\\\|[a-z# ]){0,4}""#,
        r"'(a|\\\n ){0,3}'",
        "'''([a-z#)' ]| ?\n ?\n?[\t ]{1,4}|\n# c\n |\n {1,3}#){0,6}[a-z]'''",
        "\"\"\"(a|  \r?\n {1,3}|\\\\\"){0,4}z\"\"\"",
        Just("f'''{a!r:\n  >10}'''".to_owned()),
        Just("lambda x: x".to_owned()),
    ]
}

fn value() -> impl Strategy<Value = String> {
    (gap(), atom())
        .prop_map(|(gap, atom)| format!("{gap}{atom}"))
        .prop_recursive(4, 40, 4, |inner| {
            let inner = || inner.clone();
            prop_oneof![
                (inner(), gap(), inner()).prop_map(|(a, gap, b)| format!("{a}{gap}+{b}")),
                (prop::collection::vec(inner(), 0..4), gap(), gap())
                    .prop_map(|(items, a, b)| format!("{a}[{}{b}]", items.join(","))),
                (inner(), gap()).prop_map(|(a, gap)| format!(" ({a}{gap},)")),
                (inner(), inner()).prop_map(|(a, b)| format!(" {{{a}:{b}}}")),
                (inner(), gap()).prop_map(|(a, gap)| format!(" f({a}{gap})")),
            ]
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

    /// Whatever it is, it is laid out or refused.
    #[test]
    fn anything_goes(text in "[ab=:#;'\"\\[\\](){}\\\\, \t\r\n\u{a0}\u{feff}]{0,40}|(?s).{0,30}") {
        holds(&text);
    }
}

/// The generator makes what it is for.
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
        (
            "a = 1\n# b\n\n# c\n[d]\n\n\ne=1",
            "a = 1\n# b\n\n# c\n[d]\n\ne = 1\n",
        ),
    ] {
        assert_eq!(tidy(text).as_deref(), Some(expected), "{text:?}");
    }
}

#[test]
fn the_examples_are_laid_out() {
    for name in ["hello/hello.ini", "flask/pages.ini", "django/guestbook.ini"] {
        let path = project("examples").join(name);
        let check = [
            std::ffi::OsStr::new("fmt"),
            "--check".as_ref(),
            path.as_ref(),
        ];
        Folder::new().runner(check).run().is(0, "", "");
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
        "error: `)` closes nothing\n  ┌─ <stdin>:1:5\n  │\n1 │ a = )\n  │     ^\n",
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
