//! `invoke`, the interpreter of `#!invoke runner runIni` lines.

mod support;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use support::Folder;

#[test]
fn the_first_argument_is_split_at_spaces_and_the_others_are_kept_whole() {
    let cases: &[(&[&str], &str)] = &[
        (&["printf %s| a", "b c", "", "d"], "a|b c||d|"),
        (&["printf  %s|\t a "], "a|"),
        (&["printf", "%s|", "a b"], "a b|"),
        (&["/usr/bin/env printf %s|", "a"], "a|"),
        // Files with CRLF line ends.
        (&["printf %s|\r", "a\r"], "a\r|"),
        (&["printf %s| a \r", "b"], "a|b|"),
        // Only at the end.
        (&["printf %s| a\rb"], "a\rb|"),
    ];
    for (arguments, expected) in cases {
        Folder::new().invoke(*arguments).run().is(0, expected, "");
    }
}

#[test]
fn the_exit_status_is_that_of_the_command() {
    for status in [0, 1, 42] {
        let arguments = ["sh -c".to_owned(), format!("exit {status}")];
        Folder::new().invoke(arguments).run().is(status, "", "");
    }
}

#[test]
fn arguments_need_not_be_utf_8() {
    let arguments = [
        OsStr::new("od -An -tx1"),
        OsStr::new("--"),
        OsStr::from_bytes(b"\xff"),
    ];
    Folder::new()
        .file(OsStr::from_bytes(b"\xff"), "ab")
        .invoke(arguments)
        .run()
        .is(0, " 61 62\n", "");
}

#[test]
fn wrong_use_is_status_2() {
    let usage = "invoke: usage: #!invoke COMMAND [ARGUMENT]...  \
                 (as the first line of an executable file)\n";
    let cases: &[&[&str]] = &[&[], &[""], &["  "], &["\r"], &[" \t\r"]];
    for arguments in cases {
        Folder::new().invoke(*arguments).run().is(2, "", usage);
    }
}

#[test]
fn a_command_that_is_not_there_is_status_127() {
    let cases = [
        (
            "no-such-command-anywhere runIni",
            "invoke: cannot run `no-such-command-anywhere`: no command of that name in PATH\n",
        ),
        (
            "/no/such/file runIni",
            "invoke: cannot run `/no/such/file`: no such file\n",
        ),
    ];
    for (line, message) in cases {
        Folder::new().invoke([line, "x"]).run().is(127, "", message);
    }
}

#[test]
fn a_command_that_cannot_be_executed_is_status_126() {
    let folder = Folder::new().file("plain", "echo never\n");
    for name in ["./plain", "plain"] {
        let message = format!("invoke: cannot run `{name}`: Permission denied (os error 13)\n");
        folder
            .invoke([name, "x"])
            .env("PATH", folder.path(""))
            .run()
            .is(126, "", &message);
    }
}

#[test]
fn the_kernel_runs_a_file_through_it_whatever_its_line_ends() {
    let folder = Folder::new()
        .executable("lf", "#!invoke printf %s|\nanything\n")
        .executable("crlf", "#!invoke printf %s|\r\nanything\r\n");
    // Linux resolves `#!invoke` against the current folder.
    symlink(env!("CARGO_BIN_EXE_invoke"), folder.path("invoke")).unwrap();
    for name in ["./lf", "./crlf"] {
        folder.program(name, ["one", "two words"]).run().is(
            0,
            &format!("{name}|one|two words|"),
            "",
        );
    }
}

#[test]
fn help_says_how_it_is_used() {
    let usage =
        "usage: #!invoke COMMAND [ARGUMENT]...  (as the first line of an executable file)\n";
    for option in ["--help", "-h"] {
        Folder::new().invoke([option]).run().is(0, usage, "");
    }
}
