//! The pages of the master and the socket that they are served on. They are served from the start of the process to its end;
//! in a succession, from when this process takes over until another one does.

use std::future::pending;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use anyhow::Context;
use tokio::sync::mpsc::Receiver;

use crate::gateway::graceful_stop::Manner;
use crate::gateway::socket::listener::Listener;
use crate::gateway::socket::server_url::ServerUrl;
use crate::gateway::socket::url::{Host, SocketUrl};
use crate::interface::Application;
use crate::pages::{AllowedHosts, MOST_CONNECTIONS, Pages, SnapshotRequest};
use crate::plan::Plan;
use crate::plan::gateway::Gateway;
use crate::plan::pages;
use crate::server::claim::bind;
use crate::server::gateway_task::GatewayTask;
use crate::supervisor::control::order::HandedSocket;

/// The pages of a master.
#[derive(Debug)]
pub enum StatusPages {
    /// There are none, or not any more.
    Nowhere,
    /// They have a socket, on which another process serves its own as yet.
    Bound(ServerUrl, Box<Listener>),
    /// They are served.
    Open(Box<OpenPages>),
}

/// Pages that are served.
#[derive(Debug)]
pub struct OpenPages {
    gateway: GatewayTask,
    pages: Arc<Pages>,
    requests: Receiver<SnapshotRequest>,
}

/// What a reload needs to know of the pages that are served: their address and sockets.
#[derive(Debug)]
pub struct PresentPages(Option<(ServerUrl, Vec<OwnedFd>)>);

impl PresentPages {
    /// The listener for the pages of a plan; `None` if there are none, or the present one stays.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn listen(&self, plan: &Plan) -> anyhow::Result<Option<Listener>> {
        let Some(url) = &plan.pages else {
            return Ok(None);
        };
        let bind = || bind(&url.socket, &plan.all_urls()).map(Some);
        match &self.0 {
            Some((present, sockets)) if present == url => {
                match Listener::is_lost(&url.socket, sockets) {
                    false => Ok(None),
                    true => bind(),
                }
            }
            Some(_) | None => bind(),
        }
    }
}

impl StatusPages {
    /// Pages that have a socket, but are not served yet.
    #[must_use]
    pub fn bound(url: Option<&ServerUrl>, listener: Option<Listener>) -> Self {
        match url.zip(listener) {
            Some((url, listener)) => Self::Bound(url.clone(), Box::new(listener)),
            None => Self::Nowhere,
        }
    }

    /// Serves them from now on, and logs their address. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn open(&mut self) -> anyhow::Result<()> {
        match std::mem::replace(self, Self::Nowhere) {
            Self::Bound(url, listener) => {
                let (pages, requests) = Pages::new(allowed_hosts(&url));
                let pages = Arc::new(pages);
                let options = Gateway::Http(pages::options(MOST_CONNECTIONS));
                let application: Arc<dyn Application> = Arc::clone(&pages) as _;
                let gateway = GatewayTask::open(&url, *listener, options, application)
                    .context("cannot serve the status pages")?;
                crate::log!("status pages on {}", gateway.shown());
                *self = Self::Open(Box::new(OpenPages {
                    gateway,
                    pages,
                    requests,
                }));
            }
            other => *self = other,
        }
        Ok(())
    }

    /// The next request of a page; none comes while none are served. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> SnapshotRequest {
        match self {
            Self::Open(open) => match open.requests.recv().await {
                Some(request) => request,
                None => pending().await,
            },
            Self::Nowhere | Self::Bound(..) => pending().await,
        }
    }

    /// What a reload needs to know of them.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn present(&self) -> anyhow::Result<PresentPages> {
        Ok(PresentPages(match self {
            Self::Open(open) => {
                let sockets = open.gateway.sockets();
                let sockets = sockets.context("cannot duplicate a socket")?;
                Some((open.gateway.url().clone(), sockets))
            }
            Self::Nowhere | Self::Bound(..) => None,
        }))
    }

    /// Their socket, for a successor.
    ///
    /// # Errors
    /// As with [`StatusPages::present`].
    pub fn handed(&self) -> anyhow::Result<Option<HandedSocket>> {
        let present = self.present()?.0;
        Ok(present.map(|(url, descriptors)| HandedSocket {
            url: url.socket.to_string(),
            descriptors,
        }))
    }

    /// Changes them to those of a new version: none, those on a new listener, or the present ones.
    ///
    /// # Errors
    /// The process has no descriptors left; there are none then.
    pub async fn change(
        &mut self,
        url: Option<&ServerUrl>,
        listener: Option<Listener>,
    ) -> anyhow::Result<()> {
        if url.is_none() || listener.is_some() {
            self.end(Manner::Retire).await;
            *self = Self::bound(url, listener);
        }
        self.open()
    }

    /// Ends them. Pages that stay up to date end, too; their clients come back to where they are served then.
    pub async fn end(&mut self, manner: Manner) {
        if let Self::Open(open) = self {
            open.pages.drain(true);
            open.gateway.end(manner).await;
        }
        *self = Self::Nowhere;
    }
}

/// By which names the pages at a URL may be asked for.
fn allowed_hosts(url: &ServerUrl) -> AllowedHosts {
    match &url.socket {
        SocketUrl::Tcp { host, .. } => AllowedHosts::Known(match host {
            Host::Name(name) => name.clone(),
            Host::Any | Host::Ipv6(_) => String::new(),
        }),
        SocketUrl::Unix(_) | SocketUrl::Descriptor(_) | SocketUrl::Passed(_) => AllowedHosts::Any,
    }
}
