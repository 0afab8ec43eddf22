//! What ends the processes of programs if runner is killed: a shell that waits for that, and has the numbers of their groups.
//!
//! The system tells the first process of a group when runner is gone ([`unix::lead_group`](crate::unix::lead_group)), by SIGTERM. That is
//! not enough for a program that ignores it, nor for what it has started.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::pipe::{PipeFlags, pipe_with};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::children::mark::Mark;
use crate::children::{self, Awaited};

/// Reads which groups there are, until runner has closed the pipe, or is gone. Then those that are left are told to end, and
/// killed when they had the tenths of a second of the first argument; and the folder of sockets is removed that the second names.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
tenths=$1
folder=$2
groups=
while read -r sign group; do
    case $sign in
        +) groups="$groups $group" ;;
        -)
            others=
            for one in $groups; do
                [ "$one" = "$group" ] || others="$others $one"
            done
            groups=$others
            ;;
    esac
done
for group in $groups; do
    kill -TERM "-$group"
    kill -CONT "-$group"
done
for group in $groups; do
    while kill -0 "-$group"; do
        [ "$tenths" -gt 0 ] || { kill -KILL "-$group"; break; }
        tenths=$((tenths - 1))
        sleep 0.1
    done
done
[ -z "$folder" ] || { rm -f "$folder"/*.socket; rmdir "$folder"; }
"#;

/// How long the shell may take to end.
const PATIENCE: Duration = Duration::from_secs(1);

/// The shell, if it could be started. Without it the system still tells the first process of each group.
#[derive(Debug)]
pub(super) struct ProgramGuard(Option<GuardShell>);

#[derive(Debug)]
struct GuardShell {
    child: Child,
    groups: File,
    _awaited: Option<Awaited>,
}

impl ProgramGuard {
    /// Starts it. After the end of runner, programs have this long to end. Then the folder of their sockets is removed, which
    /// runner does itself where it can.
    pub(super) fn start(stop_timeout: Duration, sockets: Option<&Path>) -> Self {
        let shell = GuardShell::start(stop_timeout, sockets).inspect_err(|error| {
            crate::log_warning!(
                "cannot run `sh`: {error}; a program that ignores SIGTERM stays if runner is killed"
            );
        });
        Self(shell.ok())
    }

    /// A group is there.
    pub(super) fn add(&mut self, group: i32) {
        self.tell('+', group);
    }

    /// It is not any more.
    pub(super) fn forget(&mut self, group: i32) {
        self.tell('-', group);
    }

    fn tell(&mut self, sign: char, group: i32) {
        if let Some(shell) = &mut self.0 {
            // A shell that has ended, or was stopped, is as good as none.
            let _ = shell
                .groups
                .write_all(format!("{sign} {group}\n").as_bytes());
        }
    }

    /// Ends it, when there is nothing left to guard.
    pub(super) async fn end(self) {
        if let Some(GuardShell {
            mut child, groups, ..
        }) = self.0
        {
            drop(groups);
            if timeout(PATIENCE, child.wait()).await.is_err() {
                let _ = child.kill().await;
            }
        }
    }
}

impl GuardShell {
    fn start(stop_timeout: Duration, sockets: Option<&Path>) -> std::io::Result<Self> {
        let (read, groups) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&groups, true)?;
        let tenths = stop_timeout.as_millis() / 100 + 1;
        let mut command = Command::new("sh");
        command
            .args(["-c", SCRIPT, "runner-guard", &tenths.to_string()])
            .arg(sockets.unwrap_or(Path::new("")))
            .stdin(Stdio::from(read))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            // It is no process of a program that has started this runner.
            .env_remove(Mark::VARIABLE)
            .process_group(0);
        let (child, awaited) = children::start(|| command.spawn(), Child::id)?;
        Ok(Self {
            child,
            groups: File::from(groups),
            _awaited: awaited,
        })
    }
}
