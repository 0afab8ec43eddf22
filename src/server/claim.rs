//! How a server becomes the master and gets its sockets: from the master before it, or by binding new ones.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};

use crate::gateway::socket::activation;
use crate::gateway::socket::listener::{InUse, Listener};
use crate::gateway::socket::server_url::ServerUrl;
use crate::gateway::socket::url::{ALL_PASSED, SocketUrl};
use crate::own_file::folder_of;
use crate::permission;
use crate::plan::Plan;
use crate::plan::gateway::Endpoint;
use crate::plan::seating::Seating;
use crate::supervisor::control::order::{HandedSocket, Handover};
use crate::supervisor::control::{BindMode, ReceivedOrder};
use crate::supervisor::identity::Identity;
use crate::supervisor::programs::parent_link;
use crate::supervisor::seat::predecessor_link;
use crate::supervisor::seat::{Claim, Seat};
use crate::supervisor::stop_flag::StopFlag;

/// Time between two attempts to bind an address that is in use.
const PAUSE: Duration = Duration::from_millis(5);

/// The right to be the master, before it is used.
#[derive(Debug)]
pub enum Claimed {
    /// There is no master.
    Nowhere,
    /// The control socket will be at this path.
    Reachable(PathBuf),
    /// The control socket is there, and that is all.
    Seated(Box<Seat>),
    /// The seat of a master, perhaps of one that is running.
    Supervised(Box<Claim>),
}

/// The handed-over socket that belongs to a URL, which may be the only one.
fn meant(
    handed: &mut Vec<HandedSocket>,
    url: &SocketUrl,
    is_only: bool,
) -> anyhow::Result<Option<HandedSocket>> {
    let name = url.to_string();
    if let Some(place) = handed.iter().position(|handed| handed.url == name) {
        return Ok(Some(handed.swap_remove(place)));
    }
    // Sockets that a service manager passed to the process before this one take the place of the URL.
    let passed = ALL_PASSED.to_string();
    let Some(place) = handed.iter().position(|handed| handed.url == passed) else {
        return Ok(None);
    };
    if is_only {
        return Ok(Some(handed.swap_remove(place)));
    }
    let mut descriptors = Vec::new();
    for socket in &handed[place].descriptors {
        let socket = socket.try_clone()?;
        if Listener::check(url, std::slice::from_ref(&socket)).is_ok() {
            descriptors.push(socket);
        }
    }
    Ok((!descriptors.is_empty()).then_some(HandedSocket {
        url: name,
        descriptors,
    }))
}

impl Claimed {
    /// Claims the seat. The present master goes on as before. May wait for some seconds.
    ///
    /// # Errors
    /// The pid file cannot be made, another process is about to become the master, or the present master does not answer.
    pub fn new(plan: &Plan) -> anyhow::Result<Self> {
        plan.check_pid_folder()?;
        Ok(match plan.seating.clone() {
            Seating::Nowhere => Self::Nowhere,
            Seating::Reachable(path) => Self::Reachable(path),
            Seating::Supervised(options) => Self::Supervised(Box::new(Claim::new(options)?)),
        })
    }

    /// The sockets from the master that is running, or from the process that started this one as its successor. Empty
    /// if there is neither.
    ///
    /// # Errors
    /// The master does not hand over.
    pub fn handover(&mut self) -> anyhow::Result<Handover> {
        let handover = match self {
            Self::Nowhere | Self::Reachable(_) | Self::Seated(_) => None,
            Self::Supervised(claim) => claim.handover()?,
        };
        Ok(handover.unwrap_or_else(predecessor_link::handover))
    }

    /// Whether another process serves now and goes on if this one fails.
    #[must_use]
    pub fn is_succession(&self) -> bool {
        match self {
            Self::Nowhere | Self::Reachable(_) | Self::Seated(_) => {
                predecessor_link::is_successor()
            }
            Self::Supervised(claim) => claim.has_predecessor() || predecessor_link::is_successor(),
        }
    }

    /// Opens the control socket, before anything is served: the server can be asked what it does, and stopped. To be called
    /// where there is no process to succeed, within a tokio runtime.
    ///
    /// # Errors
    /// The control socket cannot be made.
    pub fn open(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Nowhere | Self::Seated(_) => Ok(()),
            Self::Reachable(path) => {
                let seat = Seat::with_socket(path, BindMode::Free)?;
                *self = Self::Seated(Box::new(seat));
                Ok(())
            }
            Self::Supervised(claim) => claim.open(),
        }
    }

    /// The next order. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> ReceivedOrder {
        match self {
            Self::Nowhere | Self::Reachable(_) => std::future::pending().await,
            Self::Seated(seat) => seat.next().await,
            Self::Supervised(claim) => claim.next().await,
        }
    }

    /// Takes the seat and has the old master retire. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The pid file or the control socket cannot be made; the old master stays.
    pub fn take(self) -> anyhow::Result<Option<Seat>> {
        match self {
            Self::Nowhere => Ok(None),
            Self::Reachable(path) => {
                let place = match predecessor_link::is_successor() {
                    true => BindMode::Succession,
                    false => BindMode::Free,
                };
                Seat::with_socket(&path, place).map(Some)
            }
            Self::Seated(seat) => Ok(Some(*seat)),
            Self::Supervised(claim) => claim.take().map(Some),
        }
    }
}

/// Listens on each of the sockets, and becomes the user for good. A port below 1024 may need root, so ports are bound first;
/// the file of a Unix socket is made by the user that has to remove it.
///
/// # Errors
/// An address cannot be bound, or the system refuses the identity.
pub fn in_turn<T>(
    identity: &Identity,
    urls: &[ServerUrl],
    mut listen: impl FnMut(&ServerUrl) -> anyhow::Result<T>,
) -> anyhow::Result<Vec<T>> {
    let is_file = |url: &ServerUrl| matches!(url.socket, SocketUrl::Unix(_));
    let mut listeners = Vec::new();
    for files in [false, true] {
        if files {
            identity.assume()?;
        }
        let numbered = urls.iter().enumerate();
        for (number, url) in numbered.filter(|(_, url)| is_file(url) == files) {
            listeners.push((number, listen(url)?));
        }
    }
    listeners.sort_by_key(|(number, _)| *number);
    Ok(listeners
        .into_iter()
        .map(|(_, listener)| listener)
        .collect())
}

/// Listens on all addresses of a plan, and becomes its user for good: those for requests, and the one for the pages of the
/// master, if they have one. Must be called within a tokio runtime with I/O.
///
/// # Errors
/// An address cannot be bound, or the system refuses the identity.
pub fn listen_all(
    plan: &Plan,
    handed: &mut Vec<HandedSocket>,
) -> anyhow::Result<(Vec<Listener>, Option<Listener>)> {
    let all = plan.all_urls();
    let is_first = handed.is_empty();
    let mut listeners = in_turn(&plan.identity, &all, |url| {
        // Alone, an address gets all sockets that a service manager has passed. The pages are never alone.
        let urls = match plan.pages.as_ref() == Some(url) {
            true => &all,
            false => &plan.urls,
        };
        listen(handed, &url.socket, urls)
    })?;
    if is_first {
        warn_of_others(&listeners);
    }
    let pages = plan.pages.as_ref().and_then(|_| listeners.pop());
    Ok((listeners, pages))
}

/// Says which sockets of the service manager nobody accepts connections of: their clients would wait without a word.
fn warn_of_others(listeners: &[Listener]) {
    let taken = listeners.iter().flat_map(Listener::inherited).copied();
    let others = activation::others(&taken.collect::<Vec<_>>());
    if !others.is_empty() {
        crate::log_warning!(
            "systemd passes sockets that no address of this server is for, so that their clients get no answer: {}",
            others.join(", ")
        );
    }
}

/// Binds the address of one of the URLs. Of the sockets that a service manager passes, each of several URLs gets those that
/// listen there.
///
/// # Errors
/// The address cannot be bound.
pub fn bind(url: &SocketUrl, urls: &[ServerUrl]) -> anyhow::Result<Listener> {
    match url {
        SocketUrl::Tcp { .. } | SocketUrl::Unix(_) if urls.len() > 1 => {
            if let Some(passed) = Listener::passed_at(url)? {
                return Ok(passed);
            }
        }
        SocketUrl::Tcp { .. } | SocketUrl::Unix(_) => {}
        SocketUrl::Descriptor(_) | SocketUrl::Passed(_) => {}
    }
    Listener::bind(url).map_err(|error| explained(error, url))
}

/// The error, with a hint if the port may need the rights that were given up, or with what refuses to hold a socket.
fn explained(error: anyhow::Error, url: &SocketUrl) -> anyhow::Error {
    match url {
        SocketUrl::Tcp { port: 1..1024, .. } if permission::has_changed() => anyhow!(
            "{error:#}\n = hint: it may need root's rights, which were given up (runner.user): start it again"
        ),
        SocketUrl::Unix(path) if !error.is::<InUse>() => {
            match permission::no_writing(folder_of(path)) {
                Some(refusal) => anyhow!(
                    "cannot listen on `{url}`: {} {refusal}",
                    permission::present_user()
                ),
                None => error,
            }
        }
        SocketUrl::Tcp { .. }
        | SocketUrl::Unix(_)
        | SocketUrl::Descriptor(_)
        | SocketUrl::Passed(_) => error,
    }
}

/// Binds an address that another process may still use: if the supervising master has just replaced another, the old
/// program ends soon. Waits until then.
///
/// # Errors
/// The address cannot be bound, or a signal told this process to end while it waited.
fn when_free(
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
                    "waiting for another program to leave `{url}`: {}",
                    error.root_cause()
                );
                told = Some(StopFlag::listen()?);
            }
            Some(told) if told.is_set() => bail!("interrupted"),
            // No event reports that another process has closed a listening socket.
            Some(_) => thread::sleep(PAUSE),
        }
    }
}

/// Listens on the sockets that were handed over for the URL, or else binds new ones. Must be called within a tokio
/// runtime with I/O.
///
/// # Errors
/// The address cannot be bound.
pub fn listen(
    handed: &mut Vec<HandedSocket>,
    url: &SocketUrl,
    urls: &[ServerUrl],
) -> anyhow::Result<Listener> {
    let bind = |url| when_free(url, || bind(url, urls));
    let Some(handed) = meant(handed, url, urls.len() == 1)? else {
        return bind(url);
    };
    // Checks that the sockets are what the process before this one says.
    let said = match handed.url == url.to_string() {
        true => url,
        false => &ALL_PASSED,
    };
    Listener::check(said, &handed.descriptors)
        .with_context(|| format!("cannot take over `{}`", handed.url))?;
    match url {
        SocketUrl::Unix(_) if Listener::is_lost(url, &handed.descriptors) => {
            bind(url)?.with_connections_of(handed.descriptors)
        }
        SocketUrl::Tcp { .. } | SocketUrl::Unix(_) => Listener::take_over(url, handed.descriptors),
        // A process manager hands over a socket at each start. When started by hand, there is none.
        SocketUrl::Descriptor(_) | SocketUrl::Passed(_) => match bind(url) {
            Ok(listener) => listener.with_connections_of(handed.descriptors),
            Err(_) => Listener::take_over(url, handed.descriptors),
        },
    }
}

/// What the gateways of the next version need for addresses that are served already.
pub struct Neighbours(pub Vec<Neighbour>);

/// An address that is served already.
pub struct Neighbour {
    /// The address, and the protocol there.
    pub endpoint: Endpoint,
    /// Its sockets.
    pub sockets: Vec<OwnedFd>,
}

impl Neighbours {
    /// The listeners for the URLs of a plan; `None` where the present gateway can stay.
    ///
    /// # Errors
    /// An address cannot be bound.
    pub fn listen(mut self, plan: &Plan) -> anyhow::Result<Vec<Option<Listener>>> {
        let protocol = plan.gateway.protocol();
        let is_new = |url: &ServerUrl| self.place_of(url).is_none();
        let is_any_new = plan.urls.iter().any(is_new);
        let mut listen = |url: &ServerUrl| {
            let url = url.clone();
            self.listen_on(&Endpoint { url, protocol }, &plan.urls)
        };
        match is_any_new {
            true => in_turn(&plan.identity, &plan.urls, listen),
            false => plan.urls.iter().map(&mut listen).collect(),
        }
    }

    fn place_of(&self, url: &ServerUrl) -> Option<usize> {
        let mut all = self.0.iter();
        all.position(|one| one.endpoint.url.socket == url.socket)
    }

    fn listen_on(
        &mut self,
        wanted: &Endpoint,
        urls: &[ServerUrl],
    ) -> anyhow::Result<Option<Listener>> {
        let socket = &wanted.url.socket;
        let Some(place) = self.place_of(&wanted.url) else {
            return bind(socket, urls).map(Some);
        };
        let Neighbour { endpoint, sockets } = self.0.swap_remove(place);
        Ok(match () {
            () if Listener::is_lost(socket, &sockets) => {
                Some(bind(socket, urls)?.with_connections_of(sockets)?)
            }
            () if *wanted == endpoint => None,
            () => Some(Listener::take_over(socket, sockets)?),
        })
    }
}
