//! No command shows a secret that it was not asked for.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use support::{Folder, Waits};

mod support;

/// Each of these is shown if its setting is not taken for a secret.
const FILE: &str = "\
app = commands.Alias(command=['true'])

[db]
passwd = 'hush-1'
db_pass = 'hush-2'
passphrase = 'hush-3'
credentials = ('me', 'hush-4')
auth = ['me', 'hush-5']
bearer = b'hush-6'
dbPassword = 'hush-7'
dsn = 'host=db user=me password=hush-8'
url = 'postgres://me:hush-9@host/db'
options = {'user': 'me', 'nested': [{'token': 'hush-10'}, ('secret', 'hush-11')]}
command = ['load', '--password', 'hush-12', '--user', 'me', '--api-key=hush-13']
alias = commands.Alias(command=['exec:load', '--password', 'hush 14', '--token=hush 15'])
header = 'Authorization: Bearer hush-16-of-a-header'
raw = b'x?token=hush-17&y=1'
again = 'it is hush-10, as above'
pin.* = connect('hush-18', password='hush-19')

[plain]
monkey = 'George'
keyboard = 'de'
passenger = 'Ann'
author = 'Bob'
tokenizer = 'words'
proxy_pass = 'http://host/'
auth.enabled = True
names = sorted(['b', 'a'], key=len)
";

#[test]
fn show_hides_what_names_and_texts_tell() {
    let folder = Folder::new().file("app.ini", FILE);
    for format in ["text", "json"] {
        let words = ["show", "--format", format, "app.ini"];
        let outcome = folder.runner(words).run();
        assert!(outcome.stdout.contains("********"), "{outcome:?}");
        assert!(!outcome.stdout.contains("hush"), "{}", outcome.stdout);
        assert!(!outcome.stderr.contains("hush"), "{}", outcome.stderr);
    }
    let shown = folder.runner(["show", "app.ini", "plain"]).run();
    let value = |line: &str| line.split_once("  # ").unwrap().0.to_owned();
    let lines: Vec<String> = shown.success().lines().map(value).collect();
    assert_eq!(
        lines,
        [
            "plain.auth.enabled = True",
            "plain.author = 'Bob'",
            "plain.keyboard = 'de'",
            "plain.monkey = 'George'",
            "plain.names = ['b', 'a']",
            "plain.passenger = 'Ann'",
            "plain.proxy_pass = 'http://host/'",
            "plain.tokenizer = 'words'",
        ]
    );
}

/// Its value is no secret, and would be replaced wherever another value has it.
#[test]
fn the_current_folder_is_no_secret() {
    let folder = Folder::new().file("app.ini", "app = commands.Alias(command=['true'])\n");
    let shown = folder
        .runner(["show", "app.ini", "environ.PWD"])
        .env("PWD", folder.path(""))
        .run();
    shown.is(0, "environ.PWD = '[folder]'  # the environment\n", "");
}

#[test]
fn messages_and_the_lines_below_them_have_no_secrets() {
    let file = "\
app = commands.Alias(command=['run', '--password', 'hush-1'])
db.password = 'hush-2' + 5
db.url = 'a://me:hush-3@host' + 5
runner.workers.max = {'token': 'hush-4'}
runner.supervise.programs = [\"load --password 'hush-5\"]
";
    let folder = Folder::new().file("app.ini", file);
    for words in [
        &["check", "app.ini"][..],
        &["check", "--format", "json", "app.ini"],
        &["show", "app.ini"],
        &["runIni", "app.ini"],
    ] {
        let outcome = folder.runner(words).run();
        assert_eq!(outcome.status, 1, "{outcome:?}");
        for text in [&outcome.stdout, &outcome.stderr] {
            assert!(!text.contains("hush"), "{text}");
        }
    }
}

/// The path of a private key is none, by whichever name it is written: the message is about it.
#[test]
fn the_path_of_a_key_is_no_secret() {
    let folder = Folder::new();
    let words =
        "req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -keyout used.pem -out cert.pem";
    folder.program("openssl", words.split(' ')).run().success();
    for file in [
        "[runner.tls]\ncert = 'cert.pem'\nkey = 'gone.pem'\n",
        "runner.tls.cert = 'cert.pem'\nrunner.tls.key = 'gone.pem'\n",
        "[runner]\ntls.cert = 'cert.pem'\ntls.key = ['gone.pem']\n",
    ] {
        let url = "url = 'https://localhost:8443'\n";
        let text = format!("{url}{file}[api]\nkey = 'hush-1'\n");
        let folder = folder.clone().file("app.ini", text);
        let check = folder.runner(["check", "app.ini"]).run();
        let message = "/gone.pem`: No such file or directory";
        assert!(check.stdout.contains(message), "{check:?}");
        let excerpt = |line: &str| line.contains(" │ ") && line.contains("'gone.pem'");
        assert!(check.stdout.lines().any(excerpt), "{check:?}");
        let show = folder.runner(["show", "app.ini"]).run();
        assert!(show.stdout.contains("gone.pem"), "{show:?}");
        assert!(!show.stdout.contains("hush"), "{show:?}");
    }
}

#[test]
fn programs_are_shown_without_secrets() {
    let folder = Folder::new().file(
        "app.ini",
        "\
app = commands.Alias(command=['supervise', 'serve', 'unix:socket', 'demo'])

[runner.supervise]
pid_file = 'app.pid'
programs = ['sh -c \"exec tail -f /dev/null\" --password hush-1 --token=hush-2 db://me:hush-3@host',
    'sh -c \"exit 3\" --db-pass hush-4']
",
    );
    for format in ["tree", "dot", "json", "svg"] {
        let graph = folder
            .runner(["graph", "--format", format, "app.ini"])
            .run();
        assert!(!graph.success().contains("hush"), "{}", graph.stdout);
    }
    let server = folder.runner(["runIni", "app.ini"]).start();
    server.wait_for_log(|log| log.contains("it is started again"));
    for format in ["text", "json"] {
        let words = ["status", "--format", format, "app.ini"];
        let shown = || folder.runner(words).run().success().to_owned();
        Waits::until(|| shown().contains("--db-pass"), shown);
        assert!(
            shown().contains("--password") && !shown().contains("hush"),
            "{}",
            shown()
        );
    }
    let log = server.stop().stderr;
    assert!(log.contains("--db-pass") && !log.contains("hush"), "{log}");
}
