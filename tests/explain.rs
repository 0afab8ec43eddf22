//! `explain`: every name of the tables, and the search for other words.

mod support;

use runner::commands::COMMANDS;
use runner::config::{KEYS, SETTINGS, SPECIAL};
use runner::eval::{CONSTANTS, FUNCTIONS};
use runner::syntax::KEYWORDS;
use support::Folder;

#[test]
fn explain_says_what_a_name_is() {
    let setting = "\
setting `runner.request.timeout`

The time that the application may take to begin its response. After it, the
request is answered with status 504, and the log shows where the application
was. The worker of a WSGI application is replaced; the limit also covers code
that runs after the response, when it delays the next request. The worker of an
ASGI application cancels the task of the request and goes on with the others; it
is replaced only if its event loop does not run either. 0 is no limit. Raise it
for requests that take long by design.

takes:   a duration: seconds as a number, or `'1.5s'`, `'500ms'`, `'2 min'`,
         `'1h 30m'`, `'1d'`
default: 60 s
example: runner.request.timeout = '2m'
";
    let function = "\
function `os.path.join(path, *others)`

Paths joined; an absolute one drops those before it.

example: os.path.join('/a', 'b', 'c.txt')
is:      '/a/b/c.txt'
";
    let command = "\
command `true`

Does nothing, with exit status 0

Usage: runner true [ARGS]...

Options:
  -h, --help  Print help

For files that only hold settings, and for trying out aliases.
";
    let section = "\
section `[Import on Demand]`

Gives Python modules short names for expressions. They hold in this file and in
those that it reads. A module is imported only when a Python process uses it.

example: [Import on Demand]
         models = 'my_app.models'
";
    let word = "\
`or` in expressions

The first value that counts as true, or else the last one.

example: '' or 'b'
is:      'b'
";
    let defined = "command `web`\n\nStands for `serve demo`\n";
    let folder = Folder::new().file(
        "names.ini",
        "peak.running.shortcuts.web = commands.Alias(command=['serve', 'demo'])\n",
    );
    for (name, text) in [
        ("runner.request.timeout", setting),
        ("os.path.join", function),
        ("join", function),
        ("true", command),
        ("[import on demand]", section),
        ("or", word),
        ("web", defined),
    ] {
        let line = ["-c", "names.ini", "explain", name];
        folder.runner(line).run().is(0, text, "");
    }
}

#[test]
fn explain_knows_every_row_of_the_tables() {
    let folder = Folder::new();
    let list = folder.runner(["explain"]).run();
    let settings = SETTINGS.iter().map(|row| ("setting", row.name));
    let keys = KEYS.iter().map(|row| ("key", row.name));
    let functions = FUNCTIONS.iter().map(|row| ("function", row.name));
    let constants = CONSTANTS.iter().map(|row| ("name", row.name));
    let commands = COMMANDS.entries.iter().map(|row| ("command", row.name));
    let words = KEYWORDS.iter().map(|row| ("", row.name));
    let sections = SPECIAL.iter().map(|row| ("section [", row.name));
    let rows = settings
        .chain(keys)
        .chain(functions)
        .chain(constants)
        .chain(commands);
    for (kind, name) in rows.chain(words).chain(sections) {
        let outcome = folder.runner(["explain", name]).run();
        let text = outcome.success();
        let plain = text.replace('`', "").replace("[", "[ ");
        // A name may be that of several things.
        let title = format!("\n{}", format!("{kind} {name}").trim_start());
        assert!(format!("\n{plain}").contains(&title), "{text}");
        let listed = format!("\n  {name} ");
        assert!(list.success().contains(&listed), "{name}");
    }
    for line in list.success().lines() {
        assert!(line.chars().count() <= 80 && !line.contains('…'), "{line}");
    }
}

#[test]
fn explain_suggests_what_was_meant() {
    let cases = [
        ("runner.worker.max", "did you mean `runner.workers.max`?"),
        ("tmeout", "did you mean `runner.request.timeout`?"),
        ("Config.lookup", "did you mean `config.lookup`?"),
        ("nonsense", "`runner explain` lists all names"),
        ("", "`runner explain` lists all names"),
        ("proxy nonsense", "`runner explain` lists all names"),
    ];
    for (name, hint) in cases {
        let message = format!("error: nothing is called `{name}`\n = hint: {hint}\n");
        Folder::new()
            .runner(["explain", name])
            .run()
            .is(1, "", &message);
    }
}

/// The names that are listed, under their headings.
fn listed(word: &str) -> Vec<String> {
    let outcome = Folder::new().runner(["explain", word]).run();
    let lines = outcome.success().lines();
    let lines = lines.filter(|line| line.starts_with("  ") || line.ends_with(':'));
    let name = |line: &str| {
        line.split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    lines.map(name).collect()
}

#[test]
fn words_are_searched_in_names_and_texts() {
    assert_eq!(
        listed("proxy"),
        [
            "Settings:",
            "runner.http.proxy_protocol",
            "runner.http.forwarded",
            "runner.http.max_connections",
            "runner.http.max_per_address",
            "runner.http.request_id",
            "runner.http.trusted_proxies",
            "runner.tls.redirect",
            "Commands:",
            "serve",
            "uwsgi",
        ]
    );
    // Names first, then texts: a worker is mentioned where requests wait.
    let workers = listed("workers");
    let place = |name: &str| {
        let found = workers.iter().position(|one| one == name);
        found.unwrap_or_else(|| panic!("{name}: {workers:?}"))
    };
    assert!(place("runner.workers.threads") < place("runner.group"));
    assert!(place("runner.request.queue_length") < place("MaxProcesses"));
    assert!(place("MaxProcesses") < place("status"));
    assert_eq!(workers.iter().filter(|one| *one == "Settings:").count(), 1);
    assert_eq!(workers, listed("WORKER"));
    // What people look for behind another name.
    for (word, name) in [
        ("nginx", "FastCGI"),
        ("nginx", "serve"),
        ("static", "serve"),
        ("folder", "files"),
        ("django", "WSGI"),
    ] {
        assert!(listed(word).contains(&name.to_owned()), "{word}");
    }
    let log = listed("log");
    assert!(log.contains(&"runner.log.access".to_owned()), "{log:?}");
    assert!(log.contains(&"runner.request.slow".to_owned()), "{log:?}");
    // All words must be there.
    let both = listed("slow client");
    assert!(
        both.contains(&"runner.http.min_rate".to_owned()),
        "{both:?}"
    );
    assert!(
        !both.contains(&"runner.request.slow".to_owned()),
        "{both:?}"
    );
}

/// The only name with this last part is explained, and the list follows.
#[test]
fn a_last_part_comes_before_what_is_found_elsewhere() {
    let outcome = Folder::new().runner(["explain", "timeout"]).run();
    let text = outcome.success();
    assert!(
        text.starts_with("setting `runner.request.timeout`\n"),
        "{text}"
    );
    assert!(
        text.contains("\n\nSettings:\n  runner.http.body_timeout "),
        "{text}"
    );
    assert_eq!(
        listed("lookup")[..3],
        ["Functions:", "config.lookup", "naming.lookup"]
    );
}
