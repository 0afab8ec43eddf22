//! One request at servers, up to the head of its response: on a connection that is kept, or on a new one.
//!
//! A request that fails before anything of an answer has come is sent again, if no byte of it was sent, or if its method may be
//! repeated (RFC 9110 §9.2.2):
//! - A kept connection may be closed by the server at the moment at which a request is sent on it. The next one is new. A
//!   request that may not be repeated takes only a connection that was used just now.
//! - A server that takes a new connection and breaks it off may be ending or starting. The request is sent once more: to another
//!   server if there is one, as by nginx (`proxy_next_upstream error`), else to the same. Not after that: the request may be
//!   what breaks servers.
//! - Where the server is a process of a program that is about to end, the request goes to another or to the next one.
//!
//! What has run out of time is not sent again: none is left for it.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Incoming;

use crate::interface::RequestName;
use crate::log::LogKind;
use crate::log_of;
use crate::protocol::websocket::client_handshake::ClientOffer;
use crate::upstream::exchange_phase::{ExchangePhase, ExchangeProgress};
use crate::upstream::http::http_connection::{HttpConnection, SendFailure};
use crate::upstream::http::http_failure::HttpFailure;
use crate::upstream::http::request_content::RequestContent;
use crate::upstream::servers::lease::Lease;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// One part in so many of the time that a request has left is the most that a connection may take: another server can be
/// tried then.
const CONNECT_SHARE: u32 = 3;

/// How long a connection is kept, unless the server says how long it does.
pub(super) const KEEP: Duration = Duration::from_secs(30);

/// How long ago the connection was used at most on which a request is sent that may not be repeated.
const JUST_NOW: Duration = Duration::from_secs(1);

/// A request that is to be sent.
pub(super) struct HttpExchange<'a> {
    pub(super) name: &'a RequestName,
    /// When its time is over.
    pub(super) deadline: Instant,
    pub(super) progress: &'a ExchangeProgress,
}

/// What is sent, and the WebSocket that it offers.
type OutgoingRequest = (http::Request<RequestContent>, Option<ClientOffer>);

/// A response that has begun, and its connection.
pub(super) struct BegunResponse(http::Response<Incoming>, HttpConnection);

/// The same, with the request's place at the server.
pub(super) struct BegunAnswer {
    pub(super) head: http::response::Parts,
    pub(super) body: Incoming,
    pub(super) connection: HttpConnection,
    pub(super) lease: Lease<HttpConnection>,
}

impl HttpExchange<'_> {
    /// Sends the request, which `to_send` makes as often as it is wanted, and waits for the head of its response. The lease is
    /// that on the server which has answered.
    ///
    /// # Errors
    /// No server can be reached, or the one that was has broken off.
    pub(super) async fn run(
        &self,
        to_send: impl Fn() -> OutgoingRequest,
        lease: &mut Lease<HttpConnection>,
    ) -> Result<(BegunResponse, Option<ClientOffer>), HttpFailure> {
        let longest = match self.name.is_idempotent() {
            true => KEEP,
            false => JUST_NOW,
        };
        if let Some(mut connection) = usable(lease, longest).await {
            let (request, upgrade) = to_send();
            match connection.send(request).await {
                Ok(response) => return Ok((BegunResponse(response, connection), upgrade)),
                Err(failure) => {
                    lease.broken_off();
                    if !self.may_be_sent_again(&failure) {
                        return Err(self.told(&failure, lease));
                    }
                }
            }
        }
        // It is seldom needed, and its future is much larger than all others.
        Box::pin(self.run_anew(to_send, lease)).await
    }

    /// The same on a new connection, or on a second one.
    async fn run_anew(
        &self,
        to_send: impl Fn() -> OutgoingRequest,
        lease: &mut Lease<HttpConnection>,
    ) -> Result<(BegunResponse, Option<ClientOffer>), HttpFailure> {
        let mut is_last = false;
        loop {
            self.progress.enter(ExchangePhase::Connect);
            let mut connection = self.connect(lease).await?;
            let (request, upgrade) = to_send();
            let failure = match connection.send(request).await {
                Ok(response) => return Ok((BegunResponse(response, connection), upgrade)),
                Err(failure) => failure,
            };
            lease.broken_off();
            if !failure.has_begun {
                // It would have the fewest requests, and get all of them.
                lease.rest();
            }
            let told = self.told(&failure, lease);
            if is_last || !self.may_be_sent_again(&failure) {
                return Err(told);
            }
            is_last = true;
            let (name, why) = (self.name, told.reason());
            log_of!(
                LogKind::Unreachable,
                about = name.subject(),
                "{name}: {why}; it is sent once more"
            );
            if !lease.is_over() {
                let broken = Arc::clone(lease.server());
                lease.move_on(&[broken]);
            }
        }
    }

    /// Whether a failed request may be sent again: the server has got nothing of it, or it may be repeated and nothing of an
    /// answer has come.
    fn may_be_sent_again(&self, failure: &SendFailure) -> bool {
        failure.is_unsent || self.name.is_idempotent() && !failure.has_begun
    }

    fn told(&self, failure: &SendFailure, lease: &Lease<HttpConnection>) -> HttpFailure {
        failure.told(lease.server().address(), self.progress.phase())
    }

    /// Makes a connection to the server, or else to another one.
    async fn connect(
        &self,
        lease: &mut Lease<HttpConnection>,
    ) -> Result<HttpConnection, HttpFailure> {
        if lease.is_over() {
            // If there is none in time, the attempt to connect fails below.
            lease.renew().await;
        }
        let name = self.name;
        let mut tried = Vec::new();
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let within = CONNECT.min(left / CONNECT_SHARE);
            let error = match lease.connect(within).await {
                Ok(stream) => match HttpConnection::new(stream).await {
                    Ok(connection) => return Ok(connection),
                    Err(error) => io::Error::other(error),
                },
                Err(error) => error,
            };
            tried.push(Arc::clone(lease.server()));
            let is_slow = error.kind() == io::ErrorKind::TimedOut;
            let address = lease.server().address();
            let why = match is_slow {
                true => format!(
                    "no connection to {address} within {:.1} s",
                    within.as_secs_f64()
                ),
                false => format!("{address} cannot be reached: {error}"),
            };
            if !lease.move_on(&tried) {
                if lease.renew().await {
                    tried.clear();
                    continue;
                }
                return Err(match is_slow {
                    true => HttpFailure::TooSlow(why),
                    false => HttpFailure::Broken(why),
                });
            }
            log_of!(
                LogKind::Unreachable,
                about = name.subject(),
                "{name}: {why}; another server is tried"
            );
        }
    }
}

/// A kept connection that the server has not closed.
async fn usable(lease: &Lease<HttpConnection>, longest: Duration) -> Option<HttpConnection> {
    let mut was_closed = false;
    while let Some(mut connection) = lease.take_kept(longest) {
        if connection.is_usable().await {
            return Some(connection);
        }
        was_closed = true;
    }
    if was_closed {
        lease.broken_off();
    }
    None
}

impl BegunResponse {
    /// With the request's place at the server.
    pub(super) fn of(self, lease: Lease<HttpConnection>) -> BegunAnswer {
        let Self(response, connection) = self;
        let (head, body) = response.into_parts();
        BegunAnswer {
            head,
            body,
            connection,
            lease,
        }
    }
}
