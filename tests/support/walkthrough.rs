//! A page of documentation, tried out as a reader would: its files are written, its commands run in order, and what they
//! say is compared.
//!
//! - A block whose file is named before it (`` `hello.py`: ``) is written, and is executable if it begins with `#!`. So is
//!   what `$ cat FILE` shows.
//! - `console`: commands that run. One that says `runner: serving` is a server, which runs until the end of the page or until a
//!   command ends it. Any other must say what the page says. With `<!-- numbers vary -->` before the block, numbers, units of
//!   time and blanks do not count.
//! - `log`: lines that the latest server writes, whatever their numbers are.
//! - Ports are others, and the folder is shown as `/srv/hello`.
//!
//! Blocks of other languages are the caller's affair.

use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};

use super::markdown::{Block, blocks, commands};
use super::{Folder, Program, Server, project, without_times};

/// The ports that pages name. Others are used here, which are as long: what is shown has columns.
const PORTS: [&str; 6] = ["8000", "8001", "8002", "8080", "3000", "9090"];

/// The folder of a page, in what its programs say.
const HERE: &str = "/srv/hello";

/// What a page has done so far.
pub struct Walkthrough {
    pub folder: Folder,
    /// How many commands were run.
    pub tried: usize,
    servers: Vec<Server>,
}

impl Walkthrough {
    /// Tries out a page; `other` gets the blocks of other languages, with the folder.
    #[track_caller]
    pub fn of(page: &str, mut other: impl FnMut(&Self, &Block)) -> Self {
        let serves = page.contains("runner: serving ");
        let ports = PORTS.iter().filter(|port| serves && page.contains(**port));
        let page = ports.fold(page.to_owned(), |page, port| {
            page.replace(port, &free_port_of_four_digits().to_string())
        });
        let mut walkthrough = Self {
            folder: Folder::new().file(".curlrc", "silent\nshow-error\nnoproxy = *\n"),
            tried: 0,
            servers: Vec::new(),
        };
        for block in blocks(&page) {
            match (block.language.as_str(), &block.file) {
                ("console", _) => walkthrough.run(&block),
                ("log", _) => walkthrough.read_log(&block),
                (_, Some(name)) => walkthrough.write(name, &block.text),
                (_, None) => other(&walkthrough, &block),
            }
        }
        walkthrough
    }

    /// Stops the servers that still run; all must end well.
    #[track_caller]
    pub fn stop(self) {
        for server in self.servers {
            let outcome = server.stop();
            assert_eq!(outcome.status, 0, "{outcome:#?}");
        }
    }

    #[track_caller]
    fn write(&self, name: &str, text: &str) {
        let folder = self.folder.clone();
        // An editor of a reader makes no folders.
        let path = folder.path(name);
        let is_there = path.parent().is_some_and(Path::is_dir);
        assert!(is_there, "no step makes the folder of {name}");
        match text.starts_with("#!") {
            true => folder.executable(name, text),
            false => folder.file(name, text),
        };
    }

    /// A command of a shell, with the Python of the tests as the active virtual environment.
    fn shell(&self, command: &str) -> Program {
        let venv = project("target/venv");
        let line = format!("PATH=$VIRTUAL_ENV/bin:$PATH\n{command}");
        self.folder
            .program("sh", ["-c", &line])
            .env("VIRTUAL_ENV", venv)
            // `launch` opens nothing, and says nothing about that.
            .env("BROWSER", "true")
    }

    #[track_caller]
    fn run(&mut self, block: &Block) {
        let shape = match block.is("numbers vary") {
            true => without_numbers,
            false => without_times,
        };
        for (command, said) in commands(&block.text) {
            self.tried += 1;
            if let Some(name) = command.strip_prefix("cat ") {
                self.write(name, &said);
            } else if without_times(&said).contains("runner: serving ") {
                let server = self.shell(&format!("exec env {command}")).start();
                let lines = said.lines().count();
                let is_whole = |log: &str| log.ends_with('\n') && log.lines().count() >= lines;
                let log = server.wait_for_log(is_whole);
                assert_eq!(shape(&log), shape(&said), "{command}");
                self.servers.push(server);
            } else {
                let outcome = self.shell(&format!("({command}) 2>&1")).run();
                let found = outcome.stdout.replace("[folder]", HERE);
                // A page shows no difference between an answer that ends its line and one that does not.
                let (found, said) = (shape(&found), shape(&said));
                assert_eq!(
                    found.trim_end(),
                    said.trim_end(),
                    "{command}\n{}",
                    self.logs()
                );
            }
        }
    }

    #[track_caller]
    fn read_log(&self, block: &Block) {
        let server = self.servers.last().expect("a server that writes a log");
        let folder = self.folder.path("").to_string_lossy().into_owned();
        for line in block.text.lines() {
            let wanted = without_numbers(line);
            server.wait_for_log(|log| {
                let log = log.replace(&folder, HERE);
                log.lines().any(|line| without_numbers(line) == wanted)
            });
        }
    }

    fn logs(&self) -> String {
        self.servers.iter().map(Server::log).collect()
    }
}

/// Lines without their times, with `0` for each number and `s` for each unit of time, and without blanks that align them:
/// `  PID 4711  idle  8 ms` is `PID 0 idle 0 s`.
fn without_numbers(text: &str) -> String {
    let mut shape = String::new();
    for line in without_times(text).lines() {
        for word in line.split_whitespace() {
            let mut last = ' ';
            for character in word.chars() {
                let is_number = character.is_ascii_digit() || (character == '.' && last == '0');
                match is_number {
                    true if last == '0' => (),
                    true => shape.push('0'),
                    false => shape.push(character),
                }
                last = if is_number { '0' } else { character };
            }
            if matches!(word, "ms" | "µs" | "min" | "h") {
                shape.truncate(shape.len() - word.len());
                shape.push('s');
            }
            shape.push(' ');
        }
        shape.push('\n');
    }
    shape
}

/// A free port that no other page of this program gets.
fn free_port_of_four_digits() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(8100);
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(port < 10_000, "no port is free");
        if TcpListener::bind(("127.0.0.1", port)).is_ok()
            && TcpListener::bind(("::1", port)).is_ok()
        {
            return port;
        }
    }
}
