//! Hostile files: whatever they contain, there is an answer, soon and in bounded memory.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, prop_oneof, proptest};
use proptest::strategy::{Just, Strategy};
use runner::config::{Configuration, Layer};
use runner::eval::{Repr, Value};
use runner::syntax::{Diagnostics, render};

fn load(path: &Path) -> Result<Configuration, Diagnostics> {
    Configuration::load(&[Layer::File(path.to_owned())])
}

/// Reads a file with these bytes and evaluates each property; returns the rendered diagnostics.
fn read(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("x.ini");
    fs::write(&path, bytes).expect("the file");
    let said = match load(&path) {
        Err(mistakes) => render(&mistakes.0, false),
        Ok(configuration) => {
            let mut said = String::new();
            for name in configuration.names("") {
                match configuration.get(&name) {
                    Ok(value) => said.push_str(&value.map_or(String::new(), |value| value.repr())),
                    Err(mistake) => said.push_str(&render(&[mistake], false)),
                }
            }
            said
        }
    };
    said.replace(&format!("{}/", folder.path().display()), "")
}

/// The first line of the diagnostics of a file.
fn first_line(bytes: &[u8]) -> String {
    let started = Instant::now();
    let said = read(bytes);
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "it took {:?}",
        started.elapsed()
    );
    assert!(said.len() < 1 << 20, "it says {} bytes", said.len());
    said.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn bytes_that_are_not_text() {
    assert_eq!(
        first_line(b"a = 1\n\x7fELF\x00\x00"),
        "error: byte 0x00 is not text"
    );
    assert_eq!(
        first_line(b"a = 1\nb = '\xff'\n"),
        "error: byte 0xff is not UTF-8 text"
    );
    assert!(read(b"a = 1\nb = '\xff'\n").contains("x.ini:2:6"));
    assert!(read(b"\xff\xfea\x00").contains("hint: the file is UTF-16; save it as UTF-8"));
    assert_eq!(first_line(b""), "");
    assert_eq!(first_line(b"\xef\xbb\xbf"), "");
}

#[test]
fn paths_that_are_not_files() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (path, message) in [
        (folder.path().to_owned(), "it is a folder"),
        (folder.path().join("no.ini"), "there is no such file"),
    ] {
        let mistakes = load(&path).expect_err("no file");
        let wanted = format!("cannot read `{}`: {message}", path.display());
        assert_eq!(
            mistakes.0[0].message.replace('…', ""),
            wanted
                .chars()
                .take(mistakes.0[0].message.replace('…', "").chars().count())
                .collect::<String>()
        );
    }
}

#[test]
fn deep_nests() {
    let deep = "error: nested more than 200 deep";
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("{1:", "}"),
        ("f(", ")"),
        ("x[", "]"),
        ("lambda: ", ""),
    ] {
        let text = format!("a = {}1{}\n", open.repeat(10_000), close.repeat(10_000));
        assert_eq!(first_line(text.as_bytes()), deep, "{open}");
    }
    // The deepest permitted nesting is read, in the stack of a test's thread.
    for (open, close) in [("(", ")"), ("[", "]"), ("[1, (not (-", "))]"), ("{1:", "}")] {
        let count = 190 / open.matches(['(', '[', '{']).count();
        let text = format!("a = {}1{}\n", open.repeat(count), close.repeat(count));
        assert!(!read(text.as_bytes()).contains("200 deep"), "{open}");
    }
}

#[test]
fn long_chains() {
    for (part, last) in [
        ("1 + ", "1"),
        ("not ", "1"),
        ("-", "1"),
        ("2 ** ", "1"),
        ("1 if 0 else ", "1"),
        ("1 or ", "1"),
        ("1 < ", "2"),
        ("'a' ", "'b'"),
        ("1, ", "2"),
    ] {
        first_line(format!("a = {}{last}\n", part.repeat(20_000)).as_bytes());
    }
    for part in [".a", "[0]", "()"] {
        first_line(format!("a = x{}\n", part.repeat(20_000)).as_bytes());
    }
    first_line(format!("a{} = 1\n", ".a".repeat(200_000)).as_bytes());
    first_line(format!("a = config.lookup('a{}')\n", ".a".repeat(200_000)).as_bytes());
    first_line("[".repeat(1 << 20).as_bytes());
    first_line("x\n".repeat(1 << 18).as_bytes());
    first_line(" \n".repeat(1 << 18).as_bytes());
}

#[test]
fn rules_that_wait_for_one_another() {
    let mut text = String::new();
    for rule in 0..500 {
        writeln!(text, "a{rule} = [config.lookup('a{}')]", rule + 1).expect("a string");
    }
    text.push_str("a500 = 1\n");
    let said = read(text.as_bytes());
    assert!(
        said.contains("expressions are nested more than 400 deep"),
        "{said}"
    );
}

#[test]
fn values_that_grow_from_rule_to_rule() {
    // Each value contains the one before it twice: 2^60 elements, if they were visited one by one.
    let mut text = "a00 = [1]\nb00 = [1]\n".to_owned();
    for rule in 1..60 {
        for chain in ["a", "b"] {
            writeln!(
                text,
                "{chain}{rule:02} = [config.lookup('{chain}{:02}')] * 2",
                rule - 1
            )
            .expect("a string");
        }
    }
    text.push_str(
        "same = config.lookup('a59') == config.lookup('b59')\nlong = repr(config.lookup('a59'))\n",
    );
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("x.ini");
    fs::write(&path, text).expect("the file");
    let configuration = load(&path).expect("no mistake yet");
    let started = Instant::now();
    assert!(configuration.get("same").is_err());
    assert!(configuration.get("long").is_err());
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "it took {:?}",
        started.elapsed()
    );
}

#[test]
fn long_texts_that_are_looked_at_again_and_again() {
    for text in [
        "[s == t for x in range(50000)]",
        "[s < t for x in range(50000)]",
        "[s is t for x in range(50000)]",
        "[[s] * 1000] * 1000 == [[t] * 1000] * 1000",
        "set([s] * 100000)",
        "{s: 1 for x in range(50000)}",
        "sorted([s, t] * 10000)",
        "['%.1s' % s for x in range(50000)]",
        "[97 in n for n in [bytes(10 ** 7)] * 50000]",
        "[float(n) for n in ['1' * 10 ** 6] * 50000]",
        "[n == n for n in [1 << 10 ** 6] * 100000]",
        "(lambda n: [n for x in range(100000)])(1 << 10 ** 6)",
        "(lambda n: [n[0] for x in range(100000)])([1 << 10 ** 6])",
        "dict.fromkeys(range(100000), 1 << 10 ** 6)",
        "[int(n) for n in ['1' * 4000] * 50000]",
        "[os.path.join(s, 'a') for x in range(50000)]",
        "[os.path.normpath(s) for x in range(50000)]",
        "[os.path.dirname(s) for x in range(50000)]",
        "[os.path.isdir(s) for x in range(50000)]",
    ] {
        let rule = format!("x = (lambda s, t: {text})('a/../' * 10 ** 6, 'a/../' * 10 ** 6)\n");
        let said = first_line(rule.as_bytes());
        assert!(said.contains("to compute"), "{text}: {said}");
    }
    assert_eq!(
        first_line(b"x = sorted(range(700000))\n"),
        "error: the value takes more than 64 MiB to compute"
    );
}

#[test]
fn texts_that_become_long_or_many() {
    for text in [
        "('x' * 10**7).split('x')",
        "('x ' * 10**7).split()",
        "('\\n' * 10**7).splitlines()",
        "'{:100000000,}'.format(1)",
    ] {
        let said = first_line(format!("x = {text}\n").as_bytes());
        assert!(said.contains("to compute"), "{text}: {said}");
    }
    // Zeros in groups are not counted one by one.
    let grouped = b"x = [len(f'{1:0{width},}') for width in (6, 7, 8, 10**7)]\n";
    assert_eq!(first_line(grouped), "[6, 7, 9, 10000001]");
}

#[test]
fn values_that_hold_one_another_too_deep() {
    let mut text = "a000 = 1\n".to_owned();
    for rule in 1..300 {
        writeln!(text, "a{rule:03} = [config.lookup('a{:03}')]", rule - 1).expect("a string");
    }
    assert!(read(text.as_bytes()).contains("values are nested more than 100 deep"));
}

#[test]
fn files_that_include_one_another_twice_each() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for file in 0..20 {
        let next = file + 1;
        let text = format!("[Load Settings From]\nfile = '{next}.ini'\nfile = '{next}.ini'\n");
        fs::write(folder.path().join(format!("{file}.ini")), text).expect("a file");
    }
    let started = Instant::now();
    let mistakes = load(&folder.path().join("0.ini")).expect_err("too deep");
    assert_eq!(mistakes.0[0].code, "limit/include");
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "it took {:?}",
        started.elapsed()
    );
}

#[test]
fn a_large_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("x.ini");
    fs::write(&path, " ".repeat((16 << 20) + 1)).expect("the file");
    assert_eq!(load(&path).expect_err("too large").0[0].code, "limit/file");
}

#[test]
fn options_are_settings_too() {
    let option = |name: &str, value: Value, origin: &str| Layer::Option {
        name: name.to_owned(),
        value,
        origin: origin.to_owned(),
    };
    let good = option("runner.workers.min", Value::from(3u64), "--workers 3");
    let configuration = Configuration::load(&[good]).expect("no mistake");
    assert_eq!(configuration.integer("runner.workers.min"), 3);
    let bad = option("runner.workers.min", Value::from("x"), "--workers x");
    let mistakes = Configuration::load(&[bad]).expect_err("no number");
    assert_eq!(
        render(&mistakes.0, false),
        "error: setting `runner.workers.min` takes a whole number from 0 to 10000 but got `'x'` (a string)\n"
    );
}

/// Parts of files, so that random sequences of them come close to meaningful files.
fn piece() -> impl Strategy<Value = String> {
    let pieces = [
        "a",
        "b",
        ".",
        "*",
        "?",
        " = ",
        ": ",
        "\n",
        "\r\n",
        "\n  ",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        ",",
        "'",
        "\"",
        "'''",
        "\\",
        "#",
        ";",
        "rem ",
        "lambda ",
        "x",
        "for ",
        " in ",
        " if ",
        " else ",
        " not ",
        " and ",
        "**",
        "//",
        "%",
        "<<",
        "f'",
        "r'",
        "b'",
        "{a",
        "!r",
        ":>9",
        "0x",
        "1_0",
        "1.5e",
        "'%s' % ",
        ".format(",
        "config.lookup(",
        "'a'",
        "[Load Settings From]\n",
        "[Import on Demand]\n",
        "[a b]\n",
        "file = ",
        "runner.",
        "workers.",
        "min",
        "ä",
        "\u{feff}",
        "\0",
        "range(9)",
        "sorted(",
        "'ab'[",
        "1:",
        ".join(",
        "len(",
        "*",
        "-",
    ];
    prop_oneof![
        10 => proptest::sample::select(pieces.to_vec()).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => Just(String::new()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..300)) {
        read(&bytes);
    }

    #[test]
    fn no_file_makes_it_panic(pieces in vec(piece(), 0..40)) {
        read(pieces.concat().as_bytes());
    }

    #[test]
    fn no_expression_makes_it_panic(pieces in vec(piece(), 0..20)) {
        read(format!("a = {}", pieces.concat().replace('\n', " ")).as_bytes());
    }
}
