//! The client's side of the control socket: it gives a master orders, and knows for certain which process the master is.

use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use rustix::io::Errno;
use rustix::net;

use super::connect::{connect, is_socket};
use super::order::{Answer, Order, decode};
use super::peer::PeerProcess;
use crate::supervisor::trust::Trust;
use crate::unix::{MOST_DESCRIPTORS, receive_descriptors};

/// The longest answer, in bytes: thousands of workers with many threads each.
const LONGEST_ANSWER: usize = 64 << 20;

/// A connection to a master.
#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
    /// The master's process, certain once it has answered; `None` if it is not visible from here (another container).
    pub peer: Option<PeerProcess>,
}

impl Client {
    /// Connects to the master that listens at a path; `None` if no process does. Waits for some seconds at most.
    ///
    /// # Errors
    /// The master does not accept connections, or not ours; it, or its socket, belongs to a user who is not trusted.
    pub fn connect(path: &Path, trust: Trust) -> anyhow::Result<Option<Self>> {
        let connect = || {
            if !is_socket(path, trust)? {
                return Ok(None);
            }
            let socket = match connect(path, true) {
                Ok(socket) => socket,
                Err(Errno::NOENT | Errno::NOTDIR | Errno::CONNREFUSED) => return Ok(None),
                // The queue is full: the master has not accepted connections for a while.
                Err(Errno::AGAIN) => return Err(silent()),
                Err(Errno::ACCESS) => bail!("it belongs to another user"),
                Err(Errno::NAMETOOLONG) => bail!("the name is too long for a socket"),
                Err(Errno::PROTOTYPE) => bail!("it is a socket of another kind"),
                Err(error) => return Err(error.into()),
            };
            let peer = PeerProcess::of(&socket, trust)?;
            Ok(Some(Self { socket, peer }))
        };
        connect()
            .with_context(|| format!("cannot connect to the control socket `{}`", path.display()))
    }

    /// Gives an order and waits for its answer; `None` if the connection is closed instead, as when the master ends.
    ///
    /// # Errors
    /// The master is silent for some seconds, or its answer is malformed.
    pub fn ask(&mut self, order: Order) -> anyhow::Result<Option<Answer>> {
        self.ask_patiently(order, || Ok(()))
    }

    /// Like [`Client::ask`], and calls `meanwhile`, which can give up, each time that the master reports that it still
    /// works on the order, and after a signal.
    ///
    /// # Errors
    /// As [`Client::ask`], or those of `meanwhile`.
    pub fn ask_patiently(
        &mut self,
        order: Order,
        mut meanwhile: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<Answer>> {
        if !self.tell(order)? {
            return Ok(None);
        }
        let mut text = Vec::new();
        let mut descriptors = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let (count, received) = match receive_descriptors(self.socket.as_fd(), &mut buffer) {
                Ok(received) => received,
                // A signal ends a call whose time is bounded (signal(7)).
                Err(error) if error.kind() == ErrorKind::Interrupted => {
                    meanwhile()?;
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(silent()),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error).context("cannot hear the master"),
            };
            if count == 0 {
                return Ok(None);
            }
            descriptors.extend(received);
            text.extend_from_slice(&buffer[..count]);
            // An empty line means that the master still works on the order.
            let blank = text.iter().take_while(|byte| **byte == b'\n').count();
            if blank > 0 {
                meanwhile()?;
            }
            text.drain(..blank);
            if text.last() == Some(&b'\n') {
                return decode(&text, descriptors).map(Some);
            }
            if text.len() > LONGEST_ANSWER || descriptors.len() > MOST_DESCRIPTORS {
                bail!("the master's answer has no end");
            }
        }
    }

    /// Gives an order without waiting for its answer; `false` if the master has ended.
    ///
    /// # Errors
    /// The master does not read for some seconds.
    pub fn tell(&mut self, order: Order) -> anyhow::Result<bool> {
        let line = order.line();
        // A line as short as this is sent whole or not at all.
        match net::send(&self.socket, line.as_bytes(), net::SendFlags::NOSIGNAL) {
            Ok(_) => Ok(true),
            Err(Errno::PIPE | Errno::CONNRESET) => Ok(false),
            Err(error) => Err(error).context("cannot speak with the master"),
        }
    }
}

fn silent() -> anyhow::Error {
    anyhow!("the master does not answer; it may be stopped or overloaded")
}
