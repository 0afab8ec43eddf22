//! What the system refuses to the user of a server: messages name the user, the folder or link, and the setting.

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use rustix::process::geteuid;
use support::Folder;

/// What a server says that becomes `nobody`. Only root may enter the folder `secret` or write to the folder `run`.
fn refuses(command: &str, settings: &str, refused: &str) {
    let folder = Folder::new()
        .file(
            "app.ini",
            format!(
                "app = commands.Alias(command=['serve', 'WSGI', 'import:app.application'])\n\
                 url = 'unix:app.sock'\nrunner.user = 'nobody'\n{settings}"
            ),
        )
        .executable("secret/python", "#!/bin/sh\n")
        .file("run/keep", "");
    let mode = |name: &str, mode| {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(folder.path(name), mode).expect("our own folder");
    };
    mode("", 0o777);
    mode("secret", 0o700);
    symlink(folder.path("secret/python"), folder.path("python")).expect("a link");
    let said = folder.runner([command, "app.ini"]).run();
    said.is(1, "", &format!("error: {refused}\n"));
}

#[test]
fn messages_name_the_user_and_what_is_in_the_way() {
    if !geteuid().is_root() {
        return;
    }
    refuses(
        "runIni",
        "runner.python = './python'\n",
        "user `nobody` (runner.user) cannot run `[folder]/./python` (runner.python, app.ini:4): \
         it may not enter the folder `[folder]/secret`, where the link `[folder]/python` leads",
    );
    refuses(
        "supervise",
        "runner.python = '/usr/bin/python3'\nrunner.supervise.pid_file = 'run/app.pid'\n",
        "user `nobody` (runner.user) cannot make the pid file `[folder]/run/app.pid` \
         (runner.supervise.pid_file, app.ini:5): it may not write to the folder `[folder]/run`",
    );
}
