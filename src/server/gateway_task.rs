//! A listening socket with the task of the gateway that serves it.

use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::sync::{oneshot, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::acme;
use crate::gateway::fastcgi::{self, FastCgiOptions};
use crate::gateway::graceful_stop::{Manner, Stop};
use crate::gateway::http::{self, HttpOptions};
use crate::gateway::socket::listener::Listener;
use crate::gateway::socket::server_url::ServerUrl;
use crate::gateway::socket::tls::TlsSetup;
use crate::gateway::uwsgi::{self, UwsgiOptions};
use crate::interface::master_status::CertificateStatus;
use crate::interface::{Application, Scheme};
use crate::panics::spawn_vital;
use crate::plan::gateway::{Endpoint, Gateway, Protocol};
use crate::server::expiry_watch;

/// Names the task in the report of a panic.
const GATEWAY: &str = "the task that accepts connections";

/// A listening socket and its gateway, which runs until it is told to end.
#[derive(Debug)]
pub struct GatewayTask {
    endpoint: Endpoint,
    shown: String,
    /// Kept for handing duplicates to a successor.
    sockets: Vec<OwnedFd>,
    tuning: Tuning,
    stop: Stop,
    /// Warns of its certificates, if it serves https.
    _expiry: Option<AbortOnDropHandle<()>>,
    /// Resolves when nothing is accepted any more; `None` once it has.
    closing: Option<oneshot::Receiver<Infallible>>,
    task: AbortOnDropHandle<()>,
}

/// Sends new options to the gateway.
#[derive(Debug)]
enum Tuning {
    Http(watch::Sender<HttpOptions>),
    FastCgi(watch::Sender<FastCgiOptions>),
    Uwsgi(watch::Sender<UwsgiOptions>),
}

impl GatewayTask {
    /// Begins to serve. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn open(
        url: &ServerUrl,
        mut listener: Listener,
        gateway: Gateway,
        application: Arc<dyn Application>,
    ) -> io::Result<Self> {
        let sockets = listener
            .sockets()
            .map(|socket| socket.try_clone_to_owned())
            .collect::<io::Result<_>>()?;
        let protocol = gateway.protocol();
        let shown = match protocol {
            Protocol::Http => listener.web_url(),
            Protocol::FastCgi | Protocol::Uwsgi => listener.tcp_url(),
        };
        let shown = shown.unwrap_or_else(|| url.to_string());
        let stop = Stop::new();
        let closing = Some(listener.closing());
        let mut expiry = None;
        let (tuning, task) = match gateway {
            Gateway::Http(options) => {
                keep_certificate(&options);
                let (sender, options) = watch::channel(options);
                if url.scheme == Scheme::Https {
                    expiry = Some(expiry_watch::watch(options.clone()));
                }
                let serving = http::serve(listener, application, options, stop.clone());
                (Tuning::Http(sender), spawn_vital(GATEWAY, serving))
            }
            Gateway::FastCgi(options) => {
                let (sender, options) = watch::channel(options);
                let serving = fastcgi::serve(listener, application, options, stop.clone());
                (Tuning::FastCgi(sender), spawn_vital(GATEWAY, serving))
            }
            Gateway::Uwsgi(options) => {
                let (sender, options) = watch::channel(options);
                let serving = uwsgi::serve(listener, application, options, stop.clone());
                (Tuning::Uwsgi(sender), spawn_vital(GATEWAY, serving))
            }
        };
        Ok(Self {
            endpoint: Endpoint {
                url: url.clone(),
                protocol,
            },
            shown,
            sockets,
            tuning,
            stop,
            _expiry: expiry,
            closing,
            task: AbortOnDropHandle::new(task),
        })
    }

    /// Its address: a URL for browsers, or that of the socket where browsers cannot use it.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The URL as configured.
    #[must_use]
    pub fn url(&self) -> &ServerUrl {
        &self.endpoint.url
    }

    /// The URL as configured, and the protocol.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The certificates by which it serves https, if it does.
    #[must_use]
    pub fn certificates(&self) -> Option<Vec<CertificateStatus>> {
        match &self.tuning {
            Tuning::Http(options) if self.endpoint.url.scheme == Scheme::Https => {
                options.borrow().tls.as_ref().map(TlsSetup::certificates)
            }
            Tuning::Http(_) | Tuning::FastCgi(_) | Tuning::Uwsgi(_) => None,
        }
    }

    /// Changes the options for new connections. Options of another protocol are ignored.
    pub fn tune(&self, gateway: Gateway) {
        match (&self.tuning, gateway) {
            (Tuning::Http(sender), Gateway::Http(options)) => {
                keep_certificate(&options);
                sender.send_replace(options);
            }
            (Tuning::FastCgi(sender), Gateway::FastCgi(options)) => {
                sender.send_replace(options);
            }
            (Tuning::Uwsgi(sender), Gateway::Uwsgi(options)) => {
                sender.send_replace(options);
            }
            (Tuning::Http(_), Gateway::FastCgi(_) | Gateway::Uwsgi(_))
            | (Tuning::FastCgi(_), Gateway::Http(_) | Gateway::Uwsgi(_))
            | (Tuning::Uwsgi(_), Gateway::Http(_) | Gateway::FastCgi(_)) => {}
        }
    }

    /// Duplicates of its sockets, for a process or a gateway that takes over.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn sockets(&self) -> io::Result<Vec<OwnedFd>> {
        self.sockets.iter().map(OwnedFd::try_clone).collect()
    }

    /// Begins to end, and returns what can speed that up. Returns when this gateway accepts nothing any more:
    /// connections from then on reach a gateway that has duplicates of the sockets, or are refused.
    pub async fn end(&mut self, manner: Manner) -> Stop {
        // A socket stays open, and clients wait in its backlog for ever, while any descriptor of it exists.
        self.sockets.clear();
        self.stop.begin(manner);
        if let Some(closing) = self.closing.take() {
            let _ = closing.await;
        }
        self.stop.clone()
    }

    /// Waits until it has ended. Cancel-safe; dropping the task itself breaks off all requests.
    pub async fn ended(&mut self) {
        if let Err(error) = (&mut self.task).await {
            crate::log_error!("a gateway failed: {error}");
        }
    }
}

/// Has a certificate asked for, where the options say so.
fn keep_certificate(options: &HttpOptions) {
    if let Some(store) = options.tls.as_ref().and_then(TlsSetup::acme) {
        acme::keep(store);
    }
}
