//! The other end of the control socket: gives a master orders, and knows for certain which process it is.

use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use rustix::io::Errno;
use rustix::net;

use super::address::{Haste, SILENCE, connect, is_socket};
use super::order::{Answer, HEARTBEAT, Order, decode};
use super::peer::PeerProcess;
use crate::supervisor::trust::Trust;
use crate::unix::{MOST_DESCRIPTORS, receive_descriptors};

const _: () = assert!(SILENCE.as_secs() > 2 * HEARTBEAT.as_secs());

/// The longest answer, in bytes: thousands of workers with many threads each.
const LONGEST_ANSWER: usize = 64 << 20;

/// A connection to a master.
#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
    peer: Option<PeerProcess>,
}

impl Client {
    /// Connects to the master that listens at a path; `None` if there is none: no such file, or nobody
    /// listens. At most waits for some seconds.
    ///
    /// # Errors
    /// There is one, but it does not answer, or may not be spoken to; it, or its socket, is that of a user who is not
    /// believed.
    pub fn connect(path: &Path, trust: Trust) -> anyhow::Result<Option<Self>> {
        let context = || format!("cannot connect to the control socket `{}`", path.display());
        if !is_socket(path, trust).with_context(context)? {
            return Ok(None);
        }
        let socket = match connect(path, Haste::Waits) {
            Ok(socket) => socket,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::CONNREFUSED) => return Ok(None),
            // No room in its queue: it has not accepted anybody for a while.
            Err(Errno::AGAIN) => return Err(hangs()).with_context(context),
            Err(Errno::ACCESS) => {
                return Err(anyhow!("it belongs to another user")).with_context(context);
            }
            Err(Errno::NAMETOOLONG) => {
                return Err(anyhow!("the name is too long for a socket")).with_context(context);
            }
            Err(Errno::PROTOTYPE) => {
                return Err(anyhow!("it is a socket of another kind")).with_context(context);
            }
            Err(error) => return Err(error).with_context(context),
        };
        let peer = PeerProcess::of(&socket, trust).with_context(context)?;
        Ok(Some(Self { socket, peer }))
    }

    /// Gives an order and waits for its answer. `None` if the connection was closed instead, as it is when the
    /// process ends.
    ///
    /// # Errors
    /// The master is silent for some seconds, or talks nonsense.
    pub fn ask(&mut self, order: Order) -> anyhow::Result<Option<Answer>> {
        self.ask_patiently(order, || Ok(()))
    }

    /// The same for somebody who does something while there is no answer yet, and perhaps gives up: each
    /// time that the master says that it is still there, and when there was a signal.
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
                // Where the time that a call takes is bounded, signals end it (signal(7)).
                Err(error) if error.kind() == ErrorKind::Interrupted => {
                    meanwhile()?;
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(hangs()),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error).context("cannot hear the master"),
            };
            if count == 0 {
                return Ok(None);
            }
            descriptors.extend(received);
            text.extend_from_slice(&buffer[..count]);
            // Empty lines say that it is still there.
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

    /// Gives an order and does not wait for its answer; `false` if nobody is there to hear it.
    ///
    /// # Errors
    /// The master does not listen for some seconds.
    pub fn tell(&mut self, order: Order) -> anyhow::Result<bool> {
        let line = order.line();
        // So short a line is written whole or not at all.
        match net::send(&self.socket, line.as_bytes(), net::SendFlags::NOSIGNAL) {
            Ok(_) => Ok(true),
            Err(Errno::PIPE | Errno::CONNRESET) => Ok(false),
            Err(error) => Err(error).context("cannot speak with the master"),
        }
    }

    /// The master's process. To be believed once it has answered; `None` if it is not visible from here (another
    /// container).
    #[must_use]
    pub fn peer(&self) -> Option<&PeerProcess> {
        self.peer.as_ref()
    }

    /// The same, to be kept beyond the connection.
    #[must_use]
    pub fn take_peer(&mut self) -> Option<PeerProcess> {
        self.peer.take()
    }
}

fn hangs() -> anyhow::Error {
    anyhow!("the master does not answer; it may be stopped or overloaded")
}
