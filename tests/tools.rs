//! The commands that look at a configuration without running it: `eval`.

mod support;

use support::Folder;

#[test]
fn eval_prints_values_as_python_does() {
    let cases = [
        ("1 + 1", "2\n"),
        (
            "7 // -2, 7 % -2, 2 ** 100",
            "(-4, -1, 1267650600228229401496703205376)\n",
        ),
        ("'it\\'s' + \" ä\"", "\"it's ä\"\n"),
        (
            "[x for x in 'ab'], {'a': 1.0}, {1}, b'\\xff', None",
            "(['a', 'b'], {'a': 1.0}, {1}, b'\\xff', None)\n",
        ),
        (
            "commands.Alias(command=['true'])",
            "commands.Alias(command=['true'])\n",
        ),
        ("config.lookup('runner.workers.max')", "4\n"),
        ("file_name", "''\n"),
        (
            "os.path.basename(file_dir) == os.path.basename(os.path.abspath('.'))",
            "True\n",
        ),
        ("(1,\n # a comment\n2)", "(1, 2)\n"),
    ];
    for (expression, value) in cases {
        Folder::new()
            .runner(["eval", expression])
            .run()
            .is(0, value, "");
    }
    Folder::new()
        .runner(["eval", "--", "-7 // 2"])
        .run()
        .is(0, "-4\n", "");
}

#[test]
fn eval_reads_settings() {
    let folder = Folder::new()
        .file("a.ini", "my.port = 8000\nmy.host = 'a'\n")
        .file("b.ini", "my.host = 'b'\n");
    let expression = "f\"{config.lookup('my.host')}:{config.lookup('my.port')}\"";
    for arguments in [
        &["eval", "-c", "a.ini", "-c", "b.ini", expression][..],
        &["eval", expression, "-c", "a.ini", "--config=b.ini"],
        &["-c", "a.ini", "eval", expression, "-cb.ini"],
    ] {
        folder.runner(arguments).run().is(0, "'b:8000'\n", "");
    }
}

#[test]
fn eval_says_what_is_wrong() {
    let folder = Folder::new().file("broken.ini", "a = (\n");
    folder.runner(["eval", "1 +"]).run().is(
        1,
        "",
        "\
error: expected an expression, found the end of the value
  ┌─ the expression:1:3
  │
1 │ 1 +
  │   ^
",
    );
    folder.runner(["eval", "lenn('a')"]).run().is(
        1,
        "",
        "\
error: there is no name `lenn`
  ┌─ the expression:1:1
  │
1 │ lenn('a')
  │ ^^^^
  │
  = hint: did you mean `len`?
",
    );
    let outcome = folder.runner(["eval", "-c", "broken.ini", "1"]).run();
    assert_eq!((outcome.status, outcome.stdout.as_str()), (1, ""));
    assert!(
        outcome.stderr.contains("broken.ini:1:5"),
        "{}",
        outcome.stderr
    );
    let usage = "\nUsage: runner eval [-c FILE]... EXPR\n\nFor more information, try '--help'.\n";
    for (arguments, message) in [
        (&["eval"][..], "error: EXPR is missing\n"),
        (
            &["eval", "1", "+", "1"],
            "error: unexpected argument `+`\n = hint: an expression with blanks stands in quotes\n",
        ),
    ] {
        folder
            .runner(arguments)
            .run()
            .is(2, "", &format!("{message}{usage}"));
    }
}
