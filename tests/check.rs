//! `check`: all mistakes that can be found without running the files.

mod support;

use support::Folder;

/// Checks one file, and expects these complete messages.
fn check(text: &str, status: i32, problems: &str) {
    Folder::new()
        .file("app.ini", text)
        .runner(["check", "app.ini"])
        .run()
        .is(status, problems, "");
}

#[test]
fn nothing_wrong() {
    let text = "\
#!/usr/bin/env -S runner runIni
app = commands.Alias(command=['web', 'demo'])
[Import on Demand]
my_app = 'package.my_app'
[a]
port = config.lookup(targetObj, 'a.other', 80)
function = lambda x, *rest, y=file_name, **more: [x, rest, y, more, [z for z in x if z]]
text = f'{ruleName:>{10}} {os.path.join(file_dir, \"x\")}'
module = my_app.sub.thing if my_app else None
* = (rulePrefix, ruleSuffix, propertyName, {k: v for k, v in Items({})})
[peak.running.shortcuts]
web = commands.Alias(command=['serve'])
off = None
";
    check(text, 0, "1 file: no problems\n");
}

#[test]
fn all_problems_of_all_files() {
    let folder = Folder::new()
        .file(
            "one.ini",
            "a = (\n[Load Settings From]\nfile = 'gone.ini'\n[runner]\nworker.max = 1\n",
        )
        .file(
            "two.ini",
            "app = commands.Alias(command=['serv', 'demo'])\n",
        );
    folder
        .runner(["check", "one.ini", "two.ini", "three.ini"])
        .run()
        .is(
            1,
            "\
error: `(` is never closed
  ┌─ one.ini:1:5
  │
1 │ a = (
  │     ^

error: cannot read `gone.ini`: there is no such file
  ┌─ one.ini:3:8
  │
3 │ file = 'gone.ini'
  │        ^^^^^^^^^^

error: there is no setting `runner.worker.max`
  ┌─ one.ini:5:1
  │
5 │ worker.max = 1
  │ ^^^^^^^^^^
  │
  = hint: did you mean `runner.workers.max`?

error: unknown name `serv`
  ┌─ two.ini:1:31
  │
1 │ app = commands.Alias(command=['serv', 'demo'])
  │                               ^^^^^^
  │
  = hint: did you mean `serve`?

error: cannot read `three.ini`: there is no such file

3 files: 5 errors, 0 warnings
",
            "",
        );
}

#[test]
fn unknown_names_that_nothing_reads() {
    check(
        "\
a = 1 if True else lenn('a')
b.* = os.path.jion('a') + [y for x in 'a' if z]
c = lambda q: q(w=unknown)[0:f'{missing}']
",
        1,
        "\
error: there is no name `lenn`
  ┌─ app.ini:1:20
  │
1 │ a = 1 if True else lenn('a')
  │                    ^^^^
  │
  = hint: did you mean `len`?

error: `os.path` has no `jion`
  ┌─ app.ini:2:14
  │
2 │ b.* = os.path.jion('a') + [y for x in 'a' if z]
  │              ^^^^^
  │
  = hint: did you mean `os.path.join`?

error: there is no name `y`
  ┌─ app.ini:2:28
  │
2 │ b.* = os.path.jion('a') + [y for x in 'a' if z]
  │                            ^
  │
  = hint: did you mean `x`?

error: there is no name `z`
  ┌─ app.ini:2:46
  │
2 │ b.* = os.path.jion('a') + [y for x in 'a' if z]
  │                                              ^
  │
  = hint: did you mean `x`?

error: there is no name `unknown`
  ┌─ app.ini:3:19
  │
3 │ c = lambda q: q(w=unknown)[0:f'{missing}']
  │                   ^^^^^^^
  │
  = hint: put text in quotes: `'unknown'`; another setting is read by `config.lookup(targetObj, 'unknown')`

error: there is no name `missing`
  ┌─ app.ini:3:33
  │
3 │ c = lambda q: q(w=unknown)[0:f'{missing}']
  │                                 ^^^^^^^
  │
  = hint: put text in quotes: `'missing'`; another setting is read by `config.lookup(targetObj, 'missing')`

1 file: 6 errors, 0 warnings
",
    );
}

#[test]
fn commands_that_do_not_resolve() {
    check(
        "\
app = commands.Alias(command=['serve'])
[peak.running.shortcuts]
one = commands.Alias(command=['one'])
option = commands.Alias(command=['serve', '--prot', '1', 'demo'])
lacking = commands.Alias(command=['serve', 'WSGI', 'nothing'])
number = 3
[runner]
tmp = '/there/is/no/such/folder'
python = '/there/is/no/python'
",
        1,
        "\
warning: NAME_OR_URL is missing
  ┌─ app.ini:1:31
  │
1 │ app = commands.Alias(command=['serve'])
  │                               ^^^^^^^

error: `one` stands for itself: `one` → `one`
  ┌─ app.ini:3:1
  │
3 │ one = commands.Alias(command=['one'])
  │ ^^^

error: there is no option `--prot`
  ┌─ app.ini:4:43
  │
4 │ option = commands.Alias(command=['serve', '--prot', '1', 'demo'])
  │                                           ^^^^^^^^
  │
  = hint: did you mean `--port`?

error: unknown name `nothing`
  ┌─ app.ini:5:52
  │
5 │ lacking = commands.Alias(command=['serve', 'WSGI', 'nothing'])
  │                                                    ^^^^^^^^^
  │
  = hint: `runner help` lists all names

error: the value of `peak.running.shortcuts.number` cannot be run
  ┌─ app.ini:6:1
  │
6 │ number = 3
  │ ^^^^^^
  │
  = hint: write `commands.Alias(command=['serve', 'WSGI', 'import:package.module.object'])`

error: there is no folder `/there/is/no/such/folder`
  ┌─ app.ini:8:1
  │
8 │ tmp = '/there/is/no/such/folder'
  │ ^^^

error: there is no program `/there/is/no/python`
  ┌─ app.ini:9:1
  │
9 │ python = '/there/is/no/python'
  │ ^^^^^^

1 file: 6 errors, 1 warning
",
    );
}

#[test]
fn warnings_are_no_errors() {
    check(
        "\
url = = 'tcp://localhost:80'
[a]
x = 1
y? = 1
y = 2
x = 2
z = config.lookup('no.such')
",
        0,
        "\
warning: the `=` is doubled
  ┌─ app.ini:1:5
  │
1 │ url = = 'tcp://localhost:80'
  │     ^^^
  │
  = hint: one is enough

warning: the setting `a.x` is overridden further down
  ┌─ app.ini:3:1
  │
3 │ x = 1
  │ ^
  ·
6 │ x = 2
  │ - this one is used

warning: the default `a.y?` never applies
  ┌─ app.ini:4:1
  │
4 │ y? = 1
  │ ^^
5 │ y = 2
  │ - this one is used

warning: setting `no.such` is not set
  ┌─ app.ini:7:5
  │
7 │ z = config.lookup('no.such')
  │     ^^^^^^^^^^^^^^^^^^^^^^^^

1 file: 0 errors, 4 warnings
",
    );
}

/// Layers and included files exist to be overridden.
#[test]
fn other_files_may_be_overridden() {
    Folder::new()
        .file("low.ini", "a.x = 1\na.y? = 1\n")
        .file(
            "app.ini",
            "[Load Settings From]\nfile = 'low.ini'\n[a]\nx = 2\ny = 2\n",
        )
        .runner(["-c", "low.ini", "check", "app.ini", "low.ini"])
        .run()
        .is(0, "2 files: no problems\n", "");
}

#[test]
fn a_problem_of_several_files_is_reported_once() {
    let outcome = Folder::new()
        .file("low.ini", "é = 1 + 'a'\n")
        .file("one.ini", "[Load Settings From]\nfile = 'low.ini'\n")
        .file("two.ini", "[Load Settings From]\nfile = 'low.ini'\n")
        .runner(["check", "one.ini", "two.ini", "low.ini"])
        .run();
    assert_eq!(outcome.status, 1);
    assert!(
        outcome.stdout.ends_with("\n3 files: 1 error, 0 warnings\n"),
        "{}",
        outcome.stdout
    );
}

#[test]
fn json_for_editors() {
    Folder::new()
        .file("app.ini", "a = 'é' + lenn(\n   1)\nx = 1\nx = 2\n")
        .runner(["check", "app.ini", "--format=json"])
        .run()
        .is(
            1,
            r#"{
  "problems": [
    {
      "code": "name/unknown",
      "severity": "error",
      "file": "app.ini",
      "line": 1,
      "column": 11,
      "end_line": 1,
      "end_column": 15,
      "message": "there is no name `lenn`",
      "hint": "did you mean `len`?",
      "related": []
    },
    {
      "code": "setting/overridden",
      "severity": "warning",
      "file": "app.ini",
      "line": 3,
      "column": 1,
      "end_line": 3,
      "end_column": 2,
      "message": "the setting `x` is overridden further down",
      "hint": null,
      "related": [
        {
          "file": "app.ini",
          "line": 4,
          "column": 1,
          "end_line": 4,
          "end_column": 2,
          "message": "this one is used"
        }
      ]
    }
  ]
}
"#,
            "",
        );
    let none = Folder::new()
        .file("app.ini", "")
        .runner(["check", "--format", "json", "app.ini"])
        .run();
    none.is(0, "{\n  \"problems\": []\n}\n", "");
}

/// A file may define a name that checks the file itself.
#[test]
fn a_check_within_a_check_ends() {
    let text = "peak.running.shortcuts.self = commands.Alias(command=['check', 'app.ini'])\napp = naming.LinkRef('self')\n";
    check(text, 0, "1 file: no problems\n");
}

#[test]
fn wrong_usage() {
    let outcome = Folder::new().runner(["check"]).run();
    assert_eq!((outcome.status, outcome.stdout.as_str()), (2, ""));
    assert!(
        outcome.stderr.starts_with("error: FILE is missing\n"),
        "{}",
        outcome.stderr
    );
    let outcome = Folder::new()
        .runner(["check", "--format", "xml", "x"])
        .run();
    assert_eq!(outcome.status, 2);
}

#[test]
fn load_on_demand_is_checked() {
    Folder::new()
        .file(
            "app.ini",
            "[Load on Demand]\na.* = 5\nb.* = {'x': 1 // 0}\nc.* = {'x': 1}\n",
        )
        .runner(["check", "app.ini"])
        .run()
        .is(
            1,
            "\
error: `a.*` loads a dict or a namespace but got a whole number
  ┌─ app.ini:2:1
  │
2 │ a.* = 5
  │ ^^^

error: division by zero
  ┌─ app.ini:3:13
  │
3 │ b.* = {'x': 1 // 0}
  │             ^^^^^^

1 file: 2 errors, 0 warnings
",
            "",
        );
}

#[test]
fn an_unprintable_result_is_an_error() {
    let folder = Folder::new().file("a.ini", "a = 1\n");
    let full = std::fs::File::create("/dev/full").expect("/dev/full");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_runner"))
        .args(["check".as_ref(), folder.path("a.ini").as_os_str()])
        .stdout(full)
        .output()
        .expect("runner");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        (output.status.code(), &*said),
        (
            Some(1),
            "error: cannot write to standard output: No space left on device\n"
        )
    );
}

#[test]
fn a_file_whose_name_begins_with_a_dash() {
    let folder = Folder::new().file("-a.ini", "a = 1\n");
    let check = folder.runner(["check", "--", "-a.ini"]).run();
    check.is(0, "1 file: no problems\n", "");
    let show = folder.runner(["show", "--", "-a.ini", "a"]).run();
    show.is(0, "a = 1  # -a.ini:1, the file\n", "");
}

#[test]
fn a_file_with_countless_mistakes_is_answered_soon() {
    let lines = |line: &dyn Fn(usize) -> String| (0..5000).map(line).collect::<String>();
    let values = lines(&|number| format!("a{number} = 1 + ''\n"));
    let names = format!("a = [{}]\n", "nothing, ".repeat(5000));
    let lookups = lines(&|number| format!("a{number} = config.lookup('b{number}')\n"));
    let aliases = lines(&|number| format!("a{number} = commands.Alias(command=['b{number}'])\n"));
    let aliases = format!("[peak.running.shortcuts]\n{aliases}");
    for (text, counted) in [
        (values, "1000 errors, 0 warnings"),
        (names, "200 errors, 0 warnings"),
        (lookups, "0 errors, 5000 warnings"),
        (aliases, "1000 errors, 0 warnings"),
    ] {
        let folder = Folder::new().file("app.ini", &text);
        let outcome = folder.runner(["check", "app.ini"]).run();
        let last = outcome.stdout.lines().last().unwrap_or_default();
        assert_eq!(last, format!("1 file: {counted}"));
    }
}

/// Whatever is wrong in a file with lines of any length, what is printed stays readable.
#[test]
fn a_line_of_any_length_is_shown_in_part() {
    let long = "x".repeat(1 << 18);
    let folders = "x/".repeat(1 << 17);
    let text = format!(
        "a = '{long}' + nme\nb = 1\nc = '{long}'\nb = 2\n{long} = 1\n[{long} x]\nd = {long}\n\
         [Load Settings From]\nfile = '{long}'\n[runner]\npython = '{folders}'\ngroup = '{long}'\n\
         status.url = '{long}'\nsupervise.pid_file = '{folders}'\nsupervise.pid_lock = '{long}'\n\
         [peak.running.shortcuts]\na1 = commands.Alias(command=['{long}'])\n\
         a2 = commands.Alias(command=['serve', 'WSGI', 'import:{long}'])\n\
         a3 = commands.Alias(command=['serve', '--{long}'])\n\
         a4 = commands.Alias(command=['runIni', '{folders}'])\n"
    );
    let folder = Folder::new().file("app.ini", &text);
    let outcome = folder.runner(["check", "app.ini"]).run();
    assert!(
        outcome.stdout.contains("xxx' + nme\n"),
        "{}",
        outcome.stdout
    );
    let problems = outcome.stdout.matches("┌─ app.ini:").count();
    assert!(problems >= 12, "{}", outcome.stdout);
    for line in outcome.stdout.lines() {
        assert!(line.chars().count() < 650, "{line}");
    }
}
