//! What ends the programs of this process if it is killed: a shell that waits for that. The system tells the program that this
//! process has started, if that was wished ([`crate::unix::lead_group`]), but not what the program has started itself.
//!
//! The programs are known by the variable in their environment ([`Mark`]), which costs nothing as long as all is well. Without
//! `sh` and `grep`, and elsewhere than on Linux, programs are left alone.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::children::mark::Mark;
use crate::children::{self, Awaited};

/// Reads by which values the programs are known, until this process is gone. Those that are left then are told to end, each
/// once, and killed when they had the tenths of a second of the second argument. The first one is the name of the variable.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
name=$1
tenths=$2
values=' '
while read -r sign value; do
    case $sign in
        +) values="$values$value " ;;
        -) values="${values%% $value *} ${values#* $value }" ;;
    esac
done
pattern=
for value in $values; do
    pattern="$pattern${pattern:+\\|}${value%.*}[.]${value#*.}"
done
[ -n "$pattern" ] || exit
told=' '
round=0
while [ "$round" -le "$((tenths + 50))" ]; do
    files=$(grep -lzs "^$name=\\($pattern\\)\\([.]\\|\$\\)" /proc/[0-9]*/environ)
    [ -n "$files" ] || exit
    for file in $files; do
        pid=${file#/proc/}
        pid=${pid%/environ}
        case $told in
            *" $pid "*) [ "$round" -lt "$tenths" ] || kill -KILL "$pid" ;;
            *)
                kill -TERM "$pid"
                kill -CONT "$pid"
                told="$told$pid "
                ;;
        esac
    done
    round=$((round + 1))
    sleep 0.1
done
"#;

/// How long programs have from SIGTERM to SIGKILL, in tenths of a second.
static TENTHS: AtomicU64 = AtomicU64::new(50);

/// The shell, once there is something to guard.
static GUARD: Mutex<Option<OrphanGuard>> = Mutex::new(None);

#[derive(Debug)]
struct OrphanGuard {
    shell: Child,
    values: ChildStdin,
    _awaited: Option<Awaited>,
}

fn guard() -> MutexGuard<'static, Option<OrphanGuard>> {
    GUARD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says how long programs have to end, before there is one.
pub(crate) fn set_grace(time: Duration) {
    let tenths = u64::try_from(time.as_millis() / 100).unwrap_or(u64::MAX);
    TENTHS.store(tenths.saturating_add(1), Relaxed);
}

/// Has the processes of a mark ended if this process is killed. Starts the shell the first time.
///
/// # Errors
/// There is no shell, or it has ended.
pub(crate) fn protect(mark: &Mark) -> io::Result<()> {
    if cfg!(not(target_os = "linux")) {
        return Ok(());
    }
    let mut guard = guard();
    let running = match &mut *guard {
        Some(running) => running,
        none => none.insert(OrphanGuard::start()?),
    };
    running.tell('+', mark)
}

/// Nothing is left of the processes of a mark, nor will there be.
pub(crate) fn forget(mark: &Mark) {
    if let Some(running) = &mut *guard() {
        // A shell that has ended guards nothing.
        let _ = running.tell('-', mark);
    }
}

/// Ends it: this process has ended all that it wants to.
pub(crate) fn end() {
    if let Some(mut guard) = guard().take() {
        let _ = guard.shell.kill();
        let _ = guard.shell.wait();
    }
}

impl OrphanGuard {
    fn tell(&mut self, sign: char, mark: &Mark) -> io::Result<()> {
        let line = format!("{sign} {}\n", mark.of(None));
        self.values.write_all(line.as_bytes())
    }

    fn start() -> io::Result<Self> {
        let mut command = Command::new("sh");
        command
            .args(["-c", SCRIPT, "runner-guard", Mark::VARIABLE])
            .arg(TENTHS.load(Relaxed).to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            // It is no process of a program that has started this one, and needs nothing of its environment.
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .process_group(0);
        let (mut shell, awaited) = children::start(|| command.spawn(), |child| Some(child.id()))?;
        let values = shell.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self {
            shell,
            values,
            _awaited: awaited,
        })
    }
}
