//! The commands that look at a configuration without running it: `show`, `eval`, the formats of `graph`.

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
    let usage = "\nUsage: runner eval [-c FILE]... EXPR\n";
    for (arguments, message) in [
        (&["eval"][..], "error: EXPR is missing\n"),
        (
            &["eval", "1", "+", "1"],
            "error: unexpected argument `+`\n = hint: an expression with spaces needs quotes around it\n",
        ),
    ] {
        folder
            .runner(arguments)
            .run()
            .is(2, "", &format!("{message}{usage}"));
    }
}

/// A file with secrets in several places.
const SECRETS: &str = "\
[Load Settings From]
file = 'below.ini'
[db]
password = 'hunter22'
url = 'postgres://me:' + config.lookup('db.password') + '@host/db'
dsn = 'x=' + config.lookup('db.password')
options = {'api_key': 'abc', 'b': [1, 2.5, None, (True,)]}
kind? = 'unused'
kind = 'big'
[many]
* = (ruleSuffix,
   1)
";

#[test]
fn show_lists_settings_with_their_places_and_without_secrets() {
    let folder = Folder::new()
        .file("app.ini", SECRETS)
        .file("below.ini", "[db]\nport? = 5432\n")
        .file("low.ini", "runner.workers.max = 8\n");
    folder.runner(["show", "app.ini", "db.*"]).run().is(
        0,
        "\
db.dsn = 'x=********'  # app.ini:6, the file
db.kind = 'big'  # app.ini:9, the file
db.options = {'api_key': '********', 'b': [1, 2.5, None, (True,)]}  # app.ini:7, the file
db.password = '********'  # app.ini:4, the file
db.port = 5432  # below.ini:2, the file
db.url = 'postgres://me:********@host/db'  # app.ini:5, the file
",
        "",
    );
    folder.runner(["show", "app.ini", "many"]).run().is(
        0,
        "many.* = (ruleSuffix,\n    1)  # app.ini:11, the file\n",
        "",
    );
    let shows = |shown: &str, layer: &str| {
        let set = format!("runner.workers.max = 8  # low.ini:1, {layer}\n");
        assert!(shown.contains(&set), "{shown}");
        assert!(
            shown.contains("runner.workers.preload = 'auto'  # built in\n"),
            "{shown}"
        );
        let mut lines = shown.lines();
        assert!(
            lines.all(|line| line.starts_with("runner.workers.")),
            "{shown}"
        );
    };
    let line = ["-c", "low.ini", "show", "app.ini", "runner.workers"];
    shows(folder.runner(line).run().success(), "-c");
    let program = folder.runner(["show", "app.ini", "runner.workers."]);
    let program = program.env("PEAK_CONFIG", "low.ini");
    shows(program.run().success(), "PEAK_CONFIG");
    folder
        .runner(["show", "app.ini", "environ.MY_TOKEN"])
        .env("MY_TOKEN", "1")
        .run()
        .is(0, "environ.MY_TOKEN = '********'  # the environment\n", "");
    let everything = folder.runner(["show", "app.ini"]).run();
    assert!(
        !everything.success().contains("hunter22"),
        "{everything:#?}"
    );
    assert!(!everything.stdout.contains("environ."), "{everything:#?}");
}

#[test]
fn show_writes_json() {
    let folder = Folder::new().file("app.ini", "url = 'tcp://localhost:80'\na.é = 1\na.* = 2\n");
    folder
        .runner(["show", "app.ini", "url", "--format", "json"])
        .run()
        .is(
            0,
            r#"{
  "settings": [
    {
      "name": "peak.tools.server.url",
      "value": "tcp://localhost:80",
      "repr": "'tcp://localhost:80'",
      "hidden": false,
      "layer": "file",
      "file": "app.ini",
      "line": 1,
      "column": 1,
      "end_line": 1,
      "end_column": 4
    }
  ]
}
"#,
            "",
        );
    let all = folder
        .runner(["show", "--format=json", "app.ini", "a"])
        .run();
    let all: serde_json::Value = serde_json::from_str(all.success()).expect("JSON");
    assert_eq!(all["settings"][0]["expression"], "2");
    assert_eq!(all["settings"][1]["end_column"], 4);
}

#[test]
fn show_hides_what_is_made_of_a_secret() {
    let text = "a.key = 'hunter2!'\nc = int(config.lookup('a.key'))\n";
    let folder = Folder::new().file("app.ini", text);
    folder.runner(["show", "app.ini", "c"]).run().is(
        1,
        "# c: error: the value of `c` cannot be computed  # app.ini:2, the file\n",
        "error: the value of `c` cannot be computed\n",
    );
}

#[test]
fn show_tells_which_settings_have_no_value() {
    Folder::new()
        .file("app.ini", "a.b = 1 + 'x'\na.key = 'secret' + 1\n")
        .runner(["show", "app.ini", "a"])
        .run()
        .is(
            1,
            "\
# a.b: error: `+` does not work with a whole number and a string  # app.ini:1, the file
# a.key: error: the value of `a.key` cannot be computed  # app.ini:2, the file
",
            "\
error: `+` does not work with a whole number and a string
  ┌─ app.ini:1:7
  │
1 │ a.b = 1 + 'x'
  │       ^^^^^^^
  │
  = hint: `str(…)` makes a string of anything

error: the value of `a.key` cannot be computed
",
        );
}

/// A file that runs another one.
fn graphs() -> Folder {
    Folder::new()
        .file(
            "outer.ini",
            "app = commands.Alias(command=['runIni', 'a<b>.ini'])\n",
        )
        .file(
            "a<b>.ini",
            "url = 'tcp://localhost:80'\napp = commands.Alias(command=['serve', 'demo'])\n",
        )
}

#[test]
fn graph_writes_dot() {
    let folder = graphs();
    let dot = "\
digraph {
  rankdir=LR node [shape=box] edge [tailport=e headport=w]
  n0 [label=\"a<b>.ini\"]
  n1 [label=\"serve\"]
  n2 [label=\"HTTP on tcp://localhost:80\\na<b>.ini:1\"]
  n3 [label=\"demo\\na<b>.ini:2\"]
  n0 -> n1
  n1 -> n2
  n2 -> n3
}
";
    for arguments in [
        &["graph", "--format", "dot", "a<b>.ini"][..],
        &["graph", "a<b>.ini", "--format=dot"],
        &["graph", "a<b>.ini", "--format", "dot"],
        &["graph", "--format=svg", "a<b>.ini", "--format", "dot"],
    ] {
        folder.runner(arguments).run().is(0, dot, "");
    }
    // Words after it belong to the file.
    let line = ["graph", "a<b>.ini", "--format", "dot", "-p", "81"];
    let outcome = folder.runner(line).run();
    assert!(
        outcome
            .success()
            .contains("localhost:81\\n(the command line)"),
        "{outcome:#?}"
    );
}

#[test]
fn graph_writes_json() {
    let outcome = graphs()
        .runner(["graph", "outer.ini", "--format=json"])
        .run();
    let graph: serde_json::Value = serde_json::from_str(outcome.success()).expect("JSON");
    let nodes = graph["nodes"].as_array().expect("nodes");
    let texts: Vec<_> = nodes
        .iter()
        .filter_map(|node| node["text"].as_str())
        .collect();
    assert_eq!(texts[..2], ["outer.ini", "runIni"]);
    assert_eq!(texts[3..], ["serve", "HTTP on tcp://localhost:80", "demo"]);
    let edges = graph["edges"].as_array().expect("edges");
    for (number, edge) in edges.iter().enumerate() {
        assert_eq!(
            (edge["from"].as_u64(), edge["to"].as_u64()),
            (Some(number as u64), Some(number as u64 + 1))
        );
    }
    assert_eq!((nodes.len(), edges.len()), (6, 5));
    assert!(nodes[0]["origin"].is_null());
    assert!(
        nodes[4]["origin"]
            .as_str()
            .expect("a place")
            .ends_with("a<b>.ini:1")
    );
}

#[test]
fn graph_draws_svg() {
    let folder = graphs();
    let outcome = folder
        .runner(["graph", "a<b>.ini", "--format", "svg"])
        .run();
    let picture = outcome.success().to_owned();
    // Python's XML parser finds every text of the graph, in order.
    let read = "import sys, xml.dom.minidom as dom\n\
                svg = dom.parse(sys.stdin)\n\
                print(*[t.firstChild.data for t in svg.getElementsByTagName('tspan')], sep='\\n')\n\
                print(len(svg.getElementsByTagName('rect')), len(svg.getElementsByTagName('path')))\n";
    folder
        .program("python3", ["-c", read])
        .stdin(picture)
        .run()
        .is(
            0,
            "a<b>.ini\nserve\nHTTP on tcp://localhost:80\na<b>.ini:1\ndemo\na<b>.ini:2\n4 3\n",
            "",
        );
}

#[test]
fn graph_knows_its_formats() {
    let usage = "\nUsage: runner graph FILE [--format FORMAT] [ARGS]...\n";
    for (arguments, message) in [
        (
            &["graph", "a<b>.ini", "--format"][..],
            "error: FORMAT is missing\n",
        ),
        (
            &["graph", "a<b>.ini", "--format", "png"],
            "error: there is no format `png`\n = hint: the formats are `tree`, `dot`, `json`, `svg`\n",
        ),
    ] {
        graphs()
            .runner(arguments)
            .run()
            .is(2, "", &format!("{message}{usage}"));
    }
}
