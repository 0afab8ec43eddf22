//! Handshakes, on threads of their own. A signature by an RSA key takes about a millisecond, the rest of a handshake a tenth
//! of that: on the thread that owns all connections, a crowd of new clients would stop those that are served. A connection
//! moves to such a thread for its handshake, and comes back as a stream of clear text.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use crate::gateway::socket::stream::{Peer, Stream};
use crate::gateway::socket::tls::{TlsSetup, handshake_fault, session_variables};
use crate::interface::TlsConnection;

/// The threads for handshakes, and the handshakes that are under way.
#[derive(Debug)]
pub struct Handshakes {
    /// `None` once it is being dropped.
    runtime: Option<Runtime>,
    /// Those that were begun, the oldest first, and some that have ended since.
    begun: Mutex<VecDeque<AbortHandle>>,
}

/// What a client speaks.
#[derive(Debug)]
pub enum Spoken {
    /// TLS: a stream of clear text, and what is known of the session.
    Tls(Stream, Option<Arc<TlsConnection>>),
    /// Something that begins like a request of HTTP in clear text. Nothing of it has been read.
    ClearText(Stream),
}

/// The limits of handshakes.
#[derive(Clone, Copy, Debug)]
pub struct HandshakeLimits {
    /// The longest time that one takes.
    pub time: Duration,
    /// How many may be under way. Beyond it, the oldest is given up for each new one: clients that stall displace one
    /// another.
    pub number: usize,
}

impl Handshakes {
    /// Starts the threads: one for two processors.
    ///
    /// # Errors
    /// The system does not allow it.
    pub fn start() -> io::Result<Self> {
        let processors = available_parallelism().map_or(1, usize::from);
        let runtime = Builder::new_multi_thread()
            .worker_threads(processors.div_ceil(2))
            .thread_name("handshakes")
            .enable_all()
            .build()?;
        Ok(Self {
            runtime: Some(runtime),
            begun: Mutex::default(),
        })
    }

    /// Finds out what the client speaks, and does the handshake of TLS. It is given up if the future is dropped. Must be
    /// called within the runtime that is to own the connection.
    ///
    /// # Errors
    /// The client has left, speaks something else, or was given up.
    pub async fn shake(
        &self,
        stream: Stream,
        peer: Peer,
        setup: &TlsSetup,
        limits: HandshakeLimits,
    ) -> io::Result<Spoken> {
        let Some(runtime) = &self.runtime else {
            return Err(ErrorKind::ConnectionAborted.into());
        };
        let setup = setup.clone();
        let moved = stream.duplicate_descriptor()?;
        drop(stream);
        let task = runtime.spawn(timeout(limits.time, async move {
            negotiate(Stream::new(moved, peer)?, setup).await
        }));
        self.note(task.abort_handle(), limits.number);
        let spoken = match AbortOnDropHandle::new(task).await {
            Ok(Ok(spoken)) => spoken?,
            Ok(Err(_)) => {
                return Err(io::Error::new(
                    ErrorKind::TimedOut,
                    "the handshake took too long (runner.tls.handshake_timeout)",
                ));
            }
            Err(_) => {
                return Err(io::Error::other(
                    "there are too many handshakes (runner.tls.max_handshakes)",
                ));
            }
        };
        Ok(match spoken {
            Spoken::Tls(mut stream, session) => {
                stream.move_here()?;
                Spoken::Tls(stream, session)
            }
            Spoken::ClearText(mut stream) => {
                stream.move_here()?;
                Spoken::ClearText(stream)
            }
        })
    }

    fn note(&self, handshake: AbortHandle, most: usize) {
        // No operation under the lock leaves it half done.
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.push_back(handshake);
        if begun.len() > most {
            begun.retain(|one| !one.is_finished());
        }
        while begun.len() > most.max(1) {
            if let Some(oldest) = begun.pop_front() {
                oldest.abort();
            }
        }
    }
}

impl Drop for Handshakes {
    fn drop(&mut self) {
        // The threads may not be waited for within another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn negotiate(stream: Stream, TlsSetup(setup): TlsSetup) -> io::Result<Spoken> {
    // A record of TLS begins with 22 (RFC 8446 §5.1), a request of HTTP with its method.
    if stream.first_byte().await?.is_ascii_uppercase() {
        return Ok(Spoken::ClearText(stream));
    }
    let accepted = TlsAcceptor::from(Arc::clone(&setup.config))
        .accept(stream)
        .await
        .map_err(handshake_fault::explained)?;
    let session = session_variables::describe(accepted.get_ref().1, setup.exports_certificates);
    let stream = Stream::Tls(Box::new(accepted));
    Ok(Spoken::Tls(stream, Some(Arc::new(session))))
}
