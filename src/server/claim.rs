//! How a server becomes the master, and how it comes by its sockets: those of the master before it, or new ones.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::gateway::socket::listener::{InUse, Listener};
use crate::gateway::socket::url::{ALL_PASSED, SocketUrl};
use crate::plan::seating::Seating;
use crate::supervisor::control::BindMode;
use crate::supervisor::control::order::{HandedSocket, Handover};
use crate::supervisor::programs::parent_link;
use crate::supervisor::seat::successor;
use crate::supervisor::seat::{Claim, Seat, StopFlag};

/// How often it is looked whether an address is free.
const PAUSE: Duration = Duration::from_millis(5);

/// The right to be the master, before it is made use of.
#[derive(Debug)]
pub enum Claimed {
    /// None is needed.
    Nowhere,
    /// This socket.
    Reachable(PathBuf),
    /// The place of a master, perhaps of one that is running.
    Supervised(Box<Claim>),
}

/// The one of these sockets that a URL means.
fn meant(mut handed: Vec<HandedSocket>, url: &SocketUrl) -> Option<HandedSocket> {
    let find = |url: &SocketUrl| {
        let name = url.to_string();
        handed.iter().position(|handed| handed.url == name)
    };
    // Sockets of a service manager take the place of the URL; it has not passed them to us but to the one before us.
    let place = find(url).or_else(|| find(&ALL_PASSED))?;
    Some(handed.swap_remove(place))
}

impl Claimed {
    /// Claims it. Whoever has it goes on as before. May wait for some seconds.
    ///
    /// # Errors
    /// Another one is about to be the master, or the present one does not answer.
    pub fn new(seating: Seating) -> anyhow::Result<Self> {
        Ok(match seating {
            Seating::Nowhere => Self::Nowhere,
            Seating::Reachable(path) => Self::Reachable(path),
            Seating::Supervised(options) => Self::Supervised(Box::new(Claim::new(options)?)),
        })
    }

    /// What the one before us hands over: the master that is running, or the process that has started us to take its
    /// place. Nothing where there is none.
    ///
    /// # Errors
    /// The master does not hand over.
    pub fn handover(&mut self) -> anyhow::Result<Handover> {
        let handover = match self {
            Self::Nowhere | Self::Reachable(_) => None,
            Self::Supervised(claim) => claim.handover()?,
        };
        Ok(handover.unwrap_or_else(successor::handover))
    }

    /// Whether somebody else serves, and will go on if we do not.
    #[must_use]
    pub fn is_succession(&self) -> bool {
        match self {
            Self::Nowhere | Self::Reachable(_) => successor::is_expected(),
            Self::Supervised(claim) => claim.has_predecessor() || successor::is_expected(),
        }
    }

    /// Takes the place, and has the master that had it retire. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// What belongs to it cannot be made; all stays as it was.
    pub fn take(self) -> anyhow::Result<Option<Seat>> {
        match self {
            Self::Nowhere => Ok(None),
            Self::Reachable(path) => {
                let place = match successor::is_expected() {
                    true => BindMode::Succession,
                    false => BindMode::Free,
                };
                Seat::with_socket(&path, place).map(Some)
            }
            Self::Supervised(claim) => claim.take().map(Some),
        }
    }
}

/// Listens where another process may do so that is about to end, since the master that keeps this one running has taken
/// the place of another: waits until it does.
///
/// # Errors
/// Nothing can listen there; or a signal told us to end while we waited.
pub fn when_free(
    url: &SocketUrl,
    bind: impl Fn() -> anyhow::Result<Listener>,
) -> anyhow::Result<Listener> {
    let until = Instant::now() + parent_link::patience();
    let mut told = None;
    loop {
        let result = bind();
        let error = match result {
            Err(error) if error.is::<InUse>() && Instant::now() < until => error,
            result => return result,
        };
        match &told {
            None => {
                crate::log!(
                    "waiting for the program that ends at `{url}`: {}",
                    error.root_cause()
                );
                told = Some(StopFlag::listen()?);
            }
            Some(told) if told.is_set() => bail!("interrupted"),
            Some(_) => thread::sleep(PAUSE),
        }
    }
}

/// Listens: with the sockets that were handed over where they are the ones. Must be called within a tokio runtime with
/// I/O.
///
/// # Errors
/// Nothing can listen there.
pub fn listen(
    handed: Vec<HandedSocket>,
    url: &SocketUrl,
    bind: impl FnOnce(&SocketUrl) -> anyhow::Result<Listener>,
) -> anyhow::Result<Listener> {
    let Some(handed) = meant(handed, url) else {
        return bind(url);
    };
    // What the one before us has said of them is compared with what they are.
    let said = match handed.url == url.to_string() {
        true => url,
        false => &ALL_PASSED,
    };
    Listener::check(said, &handed.descriptors)
        .with_context(|| format!("cannot take over `{}`", handed.url))?;
    match url {
        SocketUrl::Unix(_) if Listener::is_lost(url, &handed.descriptors) => {
            bind(url)?.succeed(handed.descriptors)
        }
        SocketUrl::Tcp { .. } | SocketUrl::Unix(_) => Listener::take_over(url, handed.descriptors),
        // Where a process manager hands over a socket, it does so each time. By hand, there is none.
        SocketUrl::Descriptor(_) | SocketUrl::Passed(_) => match bind(url) {
            Ok(listener) => listener.succeed(handed.descriptors),
            Err(_) => Listener::take_over(url, handed.descriptors),
        },
        SocketUrl::Nowhere => bind(url),
    }
}
