//! Values that are read without the grammar have the tree that the grammar gives.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::proptest;
use proptest::sample::select;

use super::{Fragment, Source, by_grammar, plain::value};

/// Whether a text is plain; if it is, the grammar must agree.
fn plain(lines: &str) -> bool {
    let source = Arc::new(Source {
        name: "x.ini".to_owned(),
        text: lines.to_owned(),
    });
    // As in a file, further lines are not at the same offset in the source as in the value.
    let mut offset = 7;
    let mut fragment = Fragment::default();
    for (index, line) in lines.split('\n').enumerate() {
        match index {
            0 => fragment = Fragment::new(line, offset),
            _ => fragment.push_line(line, offset),
        }
        offset += line.len() + 5;
    }
    let found = value(&fragment);
    if let Some(tree) = &found {
        let full = by_grammar(&source, &fragment);
        assert_eq!(tree, &full.expect(lines), "{lines:?}");
    }
    found.is_some()
}

const PIECES: &[&str] = &[
    "[", "]", "(", ")", "{", "}", ",", ", ", ":", ": ", "\n", " ", "# c\n", "*", " * ", "'a'",
    "\"it's\"", "'ä☃'", "''", "1", "20", "0", "1.5", "07", "1e5", "True", "None", "x", "'", "\\",
    "r", "-", ".", "\t",
];

proptest! {
    #[test]
    fn what_is_plain_is_what_the_grammar_says(pieces in vec(select(PIECES), 1..9)) {
        plain(pieces.concat().trim());
    }
}

#[test]
fn what_is_plain() {
    for text in [
        "None",
        "True",
        "False",
        "''",
        "\"it's\"",
        "'ä☃ # x'",
        "'{a}'",
        "0",
        "1",
        "12345",
        "123456789012345678",
        "1.5",
        "00.25",
        "1.5 * 60  # a minute and a half",
        "64*1024 * 2",
        "[]",
        "()",
        "{}",
        "[1]",
        "(1)",
        "(1,)",
        "((1))",
        "[1, 2,]",
        "['a' , \"b\",3]",
        "[[1], (2, 3)]",
        "'a.ini', 'prefix.*'",
        "1,2 # c",
        "{'a': 1, 'b': [True, None]}",
        "{1: {2: 3},}",
        "[\n1,  # one\n# two\n2]",
        "{\n'a': 64 * 1024,\n# between\n'b': ('x', 'y'),\n}",
    ] {
        assert!(plain(text), "{text}");
    }
}

#[test]
fn what_is_left_to_the_grammar() {
    for text in [
        "",
        "none",
        "x",
        "'a' 'b'",
        "'a'b'",
        "'a",
        "'''a'''",
        r"'a\n'",
        "r'a'",
        "b'a'",
        "f'{1}'",
        "07",
        "1_000",
        "1e5",
        ".5",
        "5.",
        "1234567890123456789",
        "-1",
        "+1",
        "1 ** 2",
        "1 + 1",
        "'a' * 2",
        "2 * 'a'",
        "[1][0]",
        "(1)(2)",
        "[1, x]",
        "[1,,2]",
        "[, 1]",
        "[1",
        "1,",
        "{1}",
        "{1, 2}",
        "{'a'}",
        "{**{}}",
        "[*()]",
        "[1 2]",
        "[1)",
        "1 if 1 else 2",
        "[[[[[[[[[]]]]]]]]]",
    ] {
        assert!(!plain(text), "{text}");
    }
}
