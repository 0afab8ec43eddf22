//! `invoke`, the interpreter of `#!invoke runner runIni` lines.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

/// Runs `invoke ARGUMENTS…`.
fn invoke(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_invoke"))
        .args(arguments)
        .output()
        .unwrap()
}

/// What a run printed, where it printed it, and its exit status.
fn result(output: &Output) -> (String, String, Option<i32>) {
    (
        String::from_utf8(output.stdout.clone()).unwrap(),
        String::from_utf8(output.stderr.clone()).unwrap(),
        output.status.code(),
    )
}

/// Writes a file with the given permissions.
fn write(path: &Path, mode: u32, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

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
        // Only a trailing one, and only one.
        (&["printf %s| a\rb"], "a\rb|"),
    ];
    for (arguments, expected) in cases {
        let outcome = result(&invoke(arguments));
        let expected = ((*expected).to_owned(), String::new(), Some(0));
        assert_eq!(outcome, expected, "{arguments:?}");
    }
}

#[test]
fn the_exit_status_is_that_of_the_command() {
    for status in [0, 1, 42] {
        let outcome = invoke(&["sh -c", &format!("exit {status}")]);
        assert_eq!(outcome.status.code(), Some(status));
    }
}

#[test]
fn arguments_need_not_be_utf_8() {
    let output = Command::new(env!("CARGO_BIN_EXE_invoke"))
        .arg("printf %s")
        .arg(std::ffi::OsString::from_vec(vec![b'a', 0xff, b'b']))
        .output()
        .unwrap();
    assert_eq!(output.stdout, [b'a', 0xff, b'b']);
}

#[test]
fn wrong_use_is_status_2() {
    let usage = "invoke: usage: #!invoke COMMAND [ARGUMENT]...  (as the first line of an executable file)\n";
    let cases: &[&[&str]] = &[&[], &[""], &["  "], &["\r"], &[" \t\r"]];
    for arguments in cases {
        let outcome = result(&invoke(arguments));
        let expected = (String::new(), usage.to_owned(), Some(2));
        assert_eq!(outcome, expected, "{arguments:?}");
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
        let outcome = result(&invoke(&[line, "x"]));
        assert_eq!(outcome, (String::new(), message.to_owned(), Some(127)));
    }
}

#[test]
fn a_command_that_cannot_be_executed_is_status_126() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("plain"), 0o644, "echo never\n");
    for name in ["./plain", "plain"] {
        let output = Command::new(env!("CARGO_BIN_EXE_invoke"))
            .args([name, "x"])
            .current_dir(&folder)
            .env("PATH", folder.path())
            .output()
            .unwrap();
        let message = format!("invoke: cannot run `{name}`: Permission denied (os error 13)\n");
        assert_eq!(result(&output), (String::new(), message, Some(126)));
    }
}

#[test]
fn the_kernel_runs_a_file_through_it_whatever_its_line_ends() {
    let folder = tempfile::tempdir().unwrap();
    // Linux resolves `#!invoke` against the current directory.
    symlink(env!("CARGO_BIN_EXE_invoke"), folder.path().join("invoke")).unwrap();
    for (name, text) in [
        ("lf", "#!invoke printf %s|\nanything\n"),
        ("crlf", "#!invoke printf %s|\r\nanything\r\n"),
    ] {
        write(&folder.path().join(name), 0o755, text);
        let output = Command::new(format!("./{name}"))
            .args(["one", "two words"])
            .current_dir(&folder)
            .output()
            .unwrap();
        let expected = format!("./{name}|one|two words|");
        assert_eq!(result(&output), (expected, String::new(), Some(0)));
    }
}
