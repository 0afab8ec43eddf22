//! `status --watch`: a text that is updated on the terminal's alternate screen. The normal screen comes back however the
//! command ends.

use std::io::{self, IsTerminal, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// Time between updates.
const INTERVAL: Duration = Duration::from_secs(1);

/// To the alternate screen, without a cursor, and back (DEC private modes 1049 and 25).
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// Moves to the top left corner; clears from the cursor on (ECMA-48, CUP and ED).
const TOP: &str = "\x1b[H";
const CLEAR: &str = "\x1b[J";

/// Returns the text for a terminal of this width, in characters.
type Render = dyn Fn(Option<usize>) -> anyhow::Result<String> + Send + Sync;

/// Shows the text of `render` until `q` or Ctrl-C is pressed or a signal ends the command. An error is shown as a text,
/// since the server may be back a second later.
///
/// # Errors
/// Standard output is not a terminal.
pub fn run(
    render: impl Fn(Option<usize>) -> anyhow::Result<String> + Send + Sync + 'static,
) -> anyhow::Result<ExitCode> {
    if !io::stdout().is_terminal() {
        bail!("`--watch` needs a terminal");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    let ended = runtime.block_on(watch(Arc::new(render)));
    // An answer that is still awaited does not delay the end.
    runtime.shutdown_background();
    ended.map(|()| ExitCode::SUCCESS)
}

async fn watch(render: Arc<Render>) -> anyhow::Result<()> {
    let of = |kind| signal(kind).context("cannot receive signals");
    let mut interrupt = of(SignalKind::interrupt())?;
    let mut terminate = of(SignalKind::terminate())?;
    let mut hangup = of(SignalKind::hangup())?;
    let mut quit = of(SignalKind::quit())?;
    let mut resized = of(SignalKind::window_change())?;
    let screen = Screen::enter()?;
    let ended = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            _ = quit.recv() => {}
            () = quit_typed() => {}
        }
    };
    let shown = async {
        loop {
            let render = Arc::clone(&render);
            let rendering = tokio::task::spawn_blocking(move || render(Some(width())));
            let text = match rendering.await {
                Ok(Ok(text)) => text,
                Ok(Err(error)) => format!("{error:#}\n"),
                Err(_) => continue,
            };
            screen.show(&text)?;
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                _ = resized.recv() => {}
            }
        }
    };
    tokio::select! {
        () = ended => Ok(()),
        failed = shown => failed,
    }
}

/// The terminal's width in characters.
fn width() -> usize {
    size().map_or(80, |(width, _)| width)
}

/// The terminal's columns and rows.
fn size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then(|| (size.ws_col.into(), size.ws_row.into()))
}

/// The alternate screen. Dropping it restores the normal one.
struct Screen {
    /// The terminal's input modes from before.
    before: Option<Termios>,
}

impl Screen {
    fn enter() -> io::Result<Self> {
        let input = rustix::stdio::stdin();
        let before = rustix::termios::tcgetattr(input).ok();
        if let Some(before) = &before {
            let mut quiet = before.clone();
            // Keys are neither echoed nor kept for the next program. Ctrl-Z would leave the alternate screen on.
            quiet.local_modes -= LocalModes::ECHO | LocalModes::ICANON;
            quiet.special_codes[SpecialCodeIndex::VSUSP] = 0;
            // If this fails, keys are echoed into the picture, no more.
            let _ = rustix::termios::tcsetattr(input, OptionalActions::Now, &quiet);
        }
        let screen = Self { before };
        write(ENTER)?;
        Ok(screen)
    }

    /// Shows the lines of a text that fit.
    fn show(&self, text: &str) -> anyhow::Result<()> {
        let rows = size().map_or(24, |(_, rows)| rows);
        let mut picture = TOP.to_owned();
        for (number, line) in text.lines().take(rows).enumerate() {
            if number > 0 {
                picture.push_str("\r\n");
            }
            picture.push_str(line);
            // Clears the rest of the old line (ECMA-48, EL).
            picture.push_str("\x1b[K");
        }
        picture.push_str(CLEAR);
        write(&picture).context("cannot write to the terminal")
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // If the terminal is gone, there is nothing to restore.
        let _ = write(LEAVE);
        if let Some(before) = &self.before {
            let input = rustix::stdio::stdin();
            let _ = rustix::termios::tcsetattr(input, OptionalActions::Flush, before);
        }
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Waits for `q` or the end of input; forever if standard input is not a terminal.
async fn quit_typed() {
    let mut input = io::stdin();
    if !input.is_terminal() {
        return std::future::pending().await;
    }
    let (tell, told) = oneshot::channel();
    // A thread that still reads does not delay the end of the process.
    let reader = std::thread::Builder::new().name("keys".to_owned());
    let started = reader.spawn(move || {
        let mut typed = [0; 64];
        while let Ok(count @ 1..) = input.read(&mut typed) {
            if typed[..count].contains(&b'q') {
                break;
            }
        }
        // The receiver is gone if the command ends for another reason.
        let _ = tell.send(());
    });
    match started {
        Ok(_) => drop(told.await),
        // Without the thread, Ctrl-C still works.
        Err(_) => std::future::pending().await,
    }
}
