//! Opens a web browser.

use std::env;
use std::path::Path;

use crate::children;

/// Opens a browser, without waiting for it. Failures are only logged, since the application is served all the same.
pub fn open(url: &str) {
    if !could_open() {
        crate::log!("open {url} in a browser (there is no display here, and BROWSER is not set)");
        return;
    }
    if let Some(named) = browsers_that_are_none() {
        crate::log_warning!(
            "cannot open a browser (BROWSER names no program that exists: `{named}`); open {url} in a browser"
        );
        return;
    }
    let url = url.to_owned();
    // Some programs that open a browser run as long as the browser does.
    let thread = std::thread::Builder::new().name("browser".to_owned());
    let opened = thread.spawn(move || {
        if let Err(error) = webbrowser::open(&url) {
            crate::log_warning!("cannot open a browser ({error}); open {url} yourself");
        }
    });
    if let Err(error) = opened {
        crate::log_warning!("cannot open a browser: {error}");
    }
}

/// The value of BROWSER (command lines with `:` between them) if it is set and none of its programs exists. The user
/// asked for one of these and for no other.
fn browsers_that_are_none() -> Option<String> {
    let named = env::var("BROWSER").ok().filter(|named| !named.is_empty())?;
    let exists = |line: &str| {
        let Some(program) = line.split_ascii_whitespace().next() else {
            return false;
        };
        // `%c` stands for `:`, `%%` for `%`.
        let program = program.replace("%c", ":").replace("%%", "%");
        match program.contains('/') {
            true => children::is_program(Path::new(&program)),
            false => children::on_path(&program).next().is_some(),
        }
    };
    (!named.split(':').any(exists)).then_some(named)
}

/// Whether a browser could open a window. Without this check, a text browser would start in the terminal that shows
/// the log.
fn could_open() -> bool {
    let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    let has_display = ["DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"]
        .into_iter()
        .any(set);
    set("BROWSER") || has_display || cfg!(target_vendor = "apple")
}
