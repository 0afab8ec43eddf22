//! The system's log (syslog(3)): a datagram a line to the Unix socket `/dev/log`, in the form that all its readers take
//! (RFC 3164): `<PRIORITY>NAME[PID]: TEXT`. The reader adds the time (§4.3.2).

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The socket.
const PATH: &str = "/dev/log";

/// The most bytes of a line. Longer ones are cut.
const LONGEST: usize = 8 * 1024;

/// The longest time that a reader may take to make room.
const PATIENCE: Duration = Duration::from_secs(1);

/// The severity of all lines: informational (RFC 3164 §4.1.1).
const INFORMATIONAL: u8 = 6;

/// Facilities for programs, with their numbers (RFC 3164 §4.1.1).
const FACILITIES: [(&str, u8); 10] = [
    ("user", 1),
    ("daemon", 3),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

/// A part of the system's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facility(u8);

impl Default for Facility {
    /// That of servers, `daemon`.
    fn default() -> Self {
        Self(3)
    }
}

impl Facility {
    /// The facility with a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let found = FACILITIES.iter().find(|(known, _)| *known == name);
        found.map(|(_, number)| Self(*number))
    }
}

/// A connection to the system's log, made when it is first needed and again when its reader was restarted.
#[derive(Debug)]
pub(super) struct Syslog {
    path: PathBuf,
    facility: Facility,
    name: String,
    socket: Option<UnixDatagram>,
}

impl Syslog {
    /// Lines with the name of this program.
    pub(super) fn new(facility: Facility, name: String) -> Self {
        Self {
            path: PATH.into(),
            facility,
            name,
            socket: None,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Sends a line. Waits for its reader for a second at most.
    pub(super) fn send(&mut self, line: &str) -> io::Result<()> {
        let priority = self.facility.0 * 8 + INFORMATIONAL;
        let (name, pid) = (&self.name, std::process::id());
        let mut text = format!("<{priority}>{name}[{pid}]: {}", line.trim_end());
        let mut end = text.len().min(LONGEST);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        let is_new = self.socket.is_none();
        match self.socket()?.send(text.as_bytes()) {
            // Its reader may have been restarted.
            Err(error) if !is_new && error.kind() != io::ErrorKind::WouldBlock => {
                self.socket = None;
                self.socket()?.send(text.as_bytes())?;
            }
            sent => drop(sent?),
        }
        Ok(())
    }

    fn socket(&mut self) -> io::Result<&UnixDatagram> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(&self.path)?;
                socket.set_write_timeout(Some(PATIENCE))?;
                socket
            }
        };
        Ok(self.socket.insert(socket))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::time::Duration;

    use super::{Facility, LONGEST, Syslog};

    #[test]
    fn a_line_is_a_datagram_and_a_reader_may_be_restarted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let listen = || {
            let _ = std::fs::remove_file(&path);
            let reader = UnixDatagram::bind(&path).unwrap();
            reader
                .set_read_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            reader
        };
        let read = |reader: &UnixDatagram| {
            let mut buffer = vec![0; 2 * LONGEST];
            let length = reader.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        };
        let facility = Facility::named("local0").unwrap();
        let mut syslog = Syslog {
            path: path.clone(),
            ..Syslog::new(facility, "shop".to_owned())
        };
        assert!(syslog.send("nobody listens\n").is_err());
        let reader = listen();
        syslog.send("one\n").unwrap();
        let pid = std::process::id();
        assert_eq!(read(&reader), format!("<134>shop[{pid}]: one"));
        drop(reader);
        let reader = listen();
        syslog.send(&"é".repeat(LONGEST)).unwrap();
        let long = read(&reader);
        assert!(
            (LONGEST - 1..=LONGEST).contains(&long.len()),
            "{}",
            long.len()
        );
    }

    #[test]
    fn a_reader_that_does_not_read_is_not_waited_for_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let _reader = UnixDatagram::bind(&path).unwrap();
        let mut syslog = Syslog {
            path,
            ..Syslog::new(Facility::default(), "shop".to_owned())
        };
        // The queue of a socket is short (unix(7), max_dgram_qlen), and its buffer bounded.
        let refused = (0..10_000).find_map(|_| syslog.send(&"x".repeat(8000)).err());
        assert_eq!(refused.unwrap().kind(), std::io::ErrorKind::WouldBlock);
    }
}
