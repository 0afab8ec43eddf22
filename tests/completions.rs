//! `completions`: what the shells get, and what bash offers.

mod support;

use runner::commands::COMMANDS;
use runner::graph::entry::EntryKind;
use support::Folder;

const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];

/// bash's sorted suggestions for the last word.
#[track_caller]
fn offered(words: &[&str]) -> String {
    let script = r#"
        source <(runner completions bash)
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        _runner runner "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        echo "${COMPREPLY[*]}"
    "#;
    let folder = Folder::new().file("a.ini", "").file("b.txt", "");
    let arguments = ["--norc", "-c", script, "bash"];
    let bash = folder.program("bash", arguments).arguments(words).run();
    bash.success().trim_end().to_owned()
}

#[test]
fn bash_completes_names_options_and_applications() {
    let cases: &[(&[&str], &str)] = &[
        (&["runner", "ser"], "serve"),
        (&["runner", "comp"], "completions"),
        (&["runner", "--"], "--config --help --version"),
        (&["runner", "-c", "a."], "a.ini"),
        (&["runner", "serve", "--p"], "--port"),
        (&["runner", "serve", "W"], "WSGI"),
        (&["runner", "fmt", "--c"], "--check"),
        // `runner` suggests nothing here, since bash suggests files itself.
        (&["runner", "runIni", "a"], ""),
        (&["runner", "completions", "z"], "zsh"),
        (&["runner", "help", "ru"], "runIni"),
        (&["runner", "sup"], "supervise"),
    ];
    for (words, expected) in cases {
        assert_eq!(offered(words), *expected, "{words:?}");
    }
}

#[test]
fn each_command_and_option_is_completed_in_each_shell() {
    let commands = COMMANDS
        .entries
        .iter()
        .filter_map(|entry| match entry.kind {
            EntryKind::Command { .. } => Some(entry.name),
            EntryKind::Adapter(_) | EntryKind::Application { .. } => None,
        });
    let commands: Vec<&str> = commands.collect();
    for shell in SHELLS {
        let outcome = Folder::new().runner(["completions", shell]).run();
        let script = outcome.success();
        for word in commands.iter().chain(&["config", "port", "check"]) {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
    }
}

#[test]
fn unknown_shells() {
    let usage = "\n\nUsage: runner completions SHELL\n";
    let cases: &[(&[&str], &str)] = &[
        (&["completions"], "error: SHELL is missing"),
        (
            &["completions", "fihs"],
            "error: unknown shell `fihs`\n = hint: did you mean `fish`?",
        ),
        (
            &["completions", "cmd.exe"],
            "error: unknown shell `cmd.exe`\n = hint: the shells are `bash`, `elvish`, `fish`, `powershell`, `zsh`",
        ),
        (
            &["completions", "zsh", "x"],
            "error: unexpected argument `x`",
        ),
    ];
    for (arguments, message) in cases {
        let message = format!("{message}{usage}");
        Folder::new().runner(*arguments).run().is(2, "", &message);
    }
}
