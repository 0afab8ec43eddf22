//! A text that is shown again and again: on the terminal's second screen, which is left as it was found,
//! however that ends.

use std::io::{self, IsTerminal, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// How often it is shown.
const INTERVAL: Duration = Duration::from_secs(1);

/// The second screen, without a cursor; and the first one with it. (DEC private modes 1049 and 25)
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// Back to the top left corner; and from there on nothing. (ECMA-48, CUP and ED)
const TOP: &str = "\x1b[H";
const CLEAR: &str = "\x1b[J";

/// What makes the text, for a terminal that is so many characters wide.
type Render = dyn Fn(Option<usize>) -> anyhow::Result<String> + Send + Sync;

/// Shows what `render` gives, until `q` or Ctrl-C is pressed or a signal says to end. What it cannot give is shown as
/// that: it may be back a second later.
///
/// # Errors
/// Standard output is no terminal.
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
    // Nobody waits for an answer that is still under way.
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

/// How many characters the terminal is wide.
fn width() -> usize {
    size().map_or(80, |(width, _)| width)
}

/// The terminal's columns and rows.
fn size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then(|| (size.ws_col.into(), size.ws_row.into()))
}

/// The second screen. Dropping it gives the first one back.
struct Screen {
    /// How the terminal treated what was typed.
    before: Option<Termios>,
}

impl Screen {
    fn enter() -> io::Result<Self> {
        let input = rustix::stdio::stdin();
        let before = rustix::termios::tcgetattr(input).ok();
        if let Some(before) = &before {
            let mut quiet = before.clone();
            // What is typed is neither shown nor kept for the next program; Ctrl-Z would leave this screen behind.
            quiet.local_modes -= LocalModes::ECHO | LocalModes::ICANON;
            quiet.special_codes[SpecialCodeIndex::VSUSP] = 0;
            // Where that is refused, keys disturb the picture, and no more.
            let _ = rustix::termios::tcsetattr(input, OptionalActions::Now, &quiet);
        }
        let screen = Self { before };
        write(ENTER)?;
        Ok(screen)
    }

    /// Shows as many lines of a text as there is room for.
    fn show(&self, text: &str) -> anyhow::Result<()> {
        let rows = size().map_or(24, |(_, rows)| rows);
        let mut picture = TOP.to_owned();
        for (number, line) in text.lines().take(rows).enumerate() {
            if number > 0 {
                picture.push_str("\r\n");
            }
            picture.push_str(line);
            // What was there before. (ECMA-48, EL)
            picture.push_str("\x1b[K");
        }
        picture.push_str(CLEAR);
        write(&picture).context("cannot write to the terminal")
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that has gone away needs nothing.
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

/// Waits for a `q`, or the end of the terminal; for ever where standard input is none.
async fn quit_typed() {
    let mut input = io::stdin();
    if !input.is_terminal() {
        return std::future::pending().await;
    }
    let (tell, told) = oneshot::channel();
    // It may still read when all is over, which keeps nobody from leaving.
    let reader = std::thread::Builder::new().name("keys".to_owned());
    let started = reader.spawn(move || {
        let mut typed = [0; 64];
        while let Ok(count @ 1..) = input.read(&mut typed) {
            if typed[..count].contains(&b'q') {
                break;
            }
        }
        // Nobody listens once all is over.
        let _ = tell.send(());
    });
    match started {
        Ok(_) => drop(told.await),
        // Ctrl-C has to do.
        Err(_) => std::future::pending().await,
    }
}
