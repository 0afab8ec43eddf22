//! FastCGI servers, of which PHP-FPM is the usual one.
//!
//! - A connection has one request at a time, as PHP-FPM and the others want it: no application in use multiplexes.
//! - Connections are kept, but a process of PHP waits for the next request on a connection that is kept, and serves no other
//!   meanwhile. So none is kept while another of ours to that server has got no answer yet, which may wait for that
//!   process ([`unanswered_connections`] says why no number is learnt); and none for long.
//! - A request that changes something (RFC 9110 §9.2.1) goes out on a connection of its own, which no process can have left
//!   in between. Any other is sent again, twice at most, if its connection breaks before a byte of the answer has come; and
//!   this one, too, if no byte of it was sent.
//! - A process of a program that ends without having accepted the connection of a request refuses it, and another one gets it,
//!   whatever it is ([`programs`](super::programs)).
//! - A server that is being started again is waited for a moment.

mod ask_failure;
pub mod fastcgi_client_options;
mod fastcgi_exchange;
mod headed_answer;
mod stderr_lines;
mod unanswered_connections;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::io::Errno;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::interface::RequestName;
use crate::interface::master_status::{QueueStatus, Status};
use crate::interface::{BlockSender, Blocks, Depot, Errors, RequestBody, Response, ResponseBody};
use crate::log::LogKind;
use crate::protocol::cgi::program_head::ProgramHead;
use crate::protocol::fastcgi::requester::Answered;
use crate::upstream::exchange_phase::{ExchangePhase, ExchangeProgress};
use crate::upstream::fastcgi::ask_failure::AskFailure;
use crate::upstream::fastcgi::fastcgi_exchange::{ExchangeFailure, FastCgiExchange};
use crate::upstream::fastcgi::headed_answer::{
    HeadedAnswer, ServerExchange, is_endless, receive_head,
};
use crate::upstream::fastcgi::stderr_lines::StderrLines;
use crate::upstream::fastcgi::unanswered_connections::{
    UnansweredConnection, UnansweredConnections,
};
use crate::upstream::ongoing_responses::OngoingResponses;
use crate::upstream::servers::lease::Lease;
use crate::upstream::servers::{NoServer, Servers, UpstreamServer};
use crate::upstream::upstream_failures::UpstreamFailures;
use crate::upstream::upstream_options::UpstreamOptions;
use crate::upstream::upstream_stream::UpstreamStream;

/// How long a connection is kept: long enough for the next request of a busy server, and a process that waits for it is
/// soon free for others.
const KEPT: Duration = Duration::from_secs(2);

/// How long a connection may take. A Unix socket whose queue is full is waited for as long as the request has time.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a server may be away: it is being started again.
const RESTART: Duration = Duration::from_secs(1);

/// The pause before a server that is away is tried again.
const PAUSE: Duration = Duration::from_millis(20);

type FastCgiLease = Lease<UpstreamStream>;

/// The FastCGI servers of one application.
#[derive(Debug)]
pub struct FastCgiServers {
    servers: Arc<Servers<UpstreamStream>>,
    /// What they are in words.
    shown: String,
    /// Zero is no limit.
    request_timeout: Duration,
    drain: Duration,
    depot: Arc<Depot>,
    failures: UpstreamFailures,
    ongoing: OngoingResponses,
    /// Requests that have not ended.
    requests: TaskTracker,
    unanswered: UnansweredConnections,
}

/// A request to a FastCGI application.
#[derive(Debug)]
pub struct FastCgiRequest {
    /// Its variables, in the form of [`put_pair`](crate::protocol::fastcgi::record::put_pair).
    pub params: Bytes,
    /// Its body.
    pub body: RequestBody,
    /// Whether it changes nothing (RFC 9110 §9.2.1), so that it may be sent again.
    pub is_safe: bool,
    /// How the log names it.
    pub name: RequestName,
    /// Where goes what the application says about it.
    pub errors: Errors,
}

impl FastCgiServers {
    /// Those of an application.
    #[must_use]
    pub fn new(servers: Arc<Servers<UpstreamStream>>, options: &UpstreamOptions) -> Arc<Self> {
        let depot =
            Depot::new(options.folder.clone(), options.max_buffer).with_total(options.max_buffers);
        let depot = depot.with_waiting(servers.waiting_counter());
        Arc::new(Self {
            servers,
            shown: options.name.as_written(),
            request_timeout: options.request_timeout,
            drain: options.drain,
            depot: Arc::new(depot),
            failures: UpstreamFailures::default(),
            ongoing: OngoingResponses::default(),
            requests: TaskTracker::new(),
            unanswered: UnansweredConnections::default(),
        })
    }

    /// Asks a server. The body of the answer may go on when this returns.
    ///
    /// # Errors
    /// What the client gets where there is no answer; the log has the reason.
    pub async fn ask(
        self: &Arc<Self>,
        request: FastCgiRequest,
    ) -> Result<(ProgramHead, ResponseBody), Response> {
        let token = self.requests.token();
        self.failures.request();
        let mut lease = match Lease::of(&self.servers, request.name.waiting_client()).await {
            Ok(lease) => lease,
            Err(why) => return Err(self.no_server(&request.name, why)),
        };
        let mut errors = StderrLines::new(request.name.clone(), request.errors.clone());
        let limit = self.request_timeout;
        let progress = ExchangeProgress::default();
        let asked = async {
            let begun = self.begin(&mut lease, &request, &mut errors, &progress);
            match limit.is_zero() {
                true => Some(begun.await),
                false => timeout(limit, begun).await.ok(),
            }
        };
        let begun = tokio::select! {
            begun = asked => begun,
            () = self.ongoing.ended() => {
                let reason = "the server is being stopped (runner.stop_timeout)";
                self.log(&request.name, 504, reason);
                return Err(self.failures.gateway_timeout());
            }
        };
        match begun {
            Some(Ok(begun)) => Ok(self.answer(begun, lease, errors, &request.name, token)),
            Some(Err(failure)) => Err(self.failed(&request.name, &lease, &failure)),
            None => {
                let seconds = limit.as_secs_f64();
                let server = shown(lease.server());
                let what = progress.phase().overdue();
                let reason =
                    format!("{server}: it {what} within {seconds} s (runner.request.timeout)");
                self.log(&request.name, 504, &reason);
                Err(self.failures.gateway_timeout())
            }
        }
    }

    /// Sends a request and receives the head of its answer.
    async fn begin(
        &self,
        lease: &mut FastCgiLease,
        request: &FastCgiRequest,
        errors: &mut StderrLines,
        progress: &ExchangeProgress,
    ) -> Result<HeadedAnswer, AskFailure> {
        // A process that dies may close its connections before its socket, so that at once is too early for one of them.
        let mut pauses = [Duration::ZERO, PAUSE].iter();
        loop {
            progress.enter(ExchangePhase::Connect);
            let (stream, unanswered) = self.connection(lease, request.is_safe).await?;
            let keep = !self.is_wanted(lease, unanswered.as_ref());
            let (params, body) = (&request.params, &request.body);
            let mut exchange = FastCgiExchange::new(stream, keep, params, body, progress.clone());
            let head = receive_head(&mut exchange, unanswered, errors, progress);
            let failure = match head.await {
                Ok((head, body)) => {
                    return Ok(HeadedAnswer {
                        head,
                        body,
                        exchange,
                    });
                }
                Err(failure) => failure,
            };
            if failure.is_refusal() && lease.is_over() {
                progress.enter(ExchangePhase::Connect);
                match lease.renew().await {
                    true => continue,
                    false => return Err(AskFailure::Ended),
                }
            }
            if failure.is_break() {
                lease.broken_off();
            }
            let may_be_sent_again =
                !exchange.has_sent() || request.is_safe && !exchange.has_answer();
            match pauses.next() {
                Some(pause) if failure.is_break() && may_be_sent_again => sleep(*pause).await,
                Some(_) | None => return Err(failure),
            }
        }
    }

    /// A connection for a request: one that was kept, or one on which nothing has come yet.
    async fn connection(
        &self,
        lease: &mut FastCgiLease,
        is_safe: bool,
    ) -> Result<(UpstreamStream, Option<UnansweredConnection>), AskFailure> {
        if lease.is_over() {
            // If there is none in time, the attempt to connect fails below.
            lease.renew().await;
        }
        let mut tried = Vec::new();
        loop {
            while let Some(kept) = lease.take_kept(KEPT) {
                if kept.is_quiet() {
                    if is_safe {
                        return Ok((kept, None));
                    }
                    // Its process is free for the connection that is made instead.
                    break;
                }
            }
            let unanswered = self.unanswered.add();
            let error = match lease.connect(self.connect_timeout()).await {
                Ok(stream) => return Ok((stream, Some(unanswered))),
                Err(error) => error,
            };
            tried.push(Arc::clone(lease.server()));
            if lease.move_on(&tried) {
                continue;
            }
            if lease.renew().await {
                tried.clear();
                continue;
            }
            let since = lease.server().counts().failing_since;
            if !is_away(&error) || since.is_none_or(|since| since.elapsed() > RESTART) {
                return Err(AskFailure::Unreachable(error));
            }
            sleep(PAUSE).await;
        }
    }

    fn connect_timeout(&self) -> Duration {
        match self.request_timeout {
            Duration::ZERO => CONNECT,
            limit => limit.min(CONNECT),
        }
    }

    /// The answer whose head has come. Goes on receiving its body, if that is not whole.
    fn answer(
        self: &Arc<Self>,
        begun: HeadedAnswer,
        lease: FastCgiLease,
        mut errors: StderrLines,
        name: &RequestName,
        token: TaskTrackerToken,
    ) -> (ProgramHead, ResponseBody) {
        let HeadedAnswer {
            head,
            mut body,
            mut exchange,
        } = begun;
        // All of what PHP sends of a short response is there.
        let broken = loop {
            match exchange.try_next() {
                Ok(Some(Answered::Output(part))) => body.extend_from_slice(&part),
                Ok(Some(Answered::Errors(text))) => errors.add(text),
                Ok(Some(Answered::End(_))) => {
                    self.give_back(exchange, lease);
                    return (head, ResponseBody::Bytes(body.freeze()));
                }
                Ok(None) => break None,
                Err(failure) => break Some(failure),
            }
        };
        let (sender, blocks) = Blocks::of(&self.depot, Some(name));
        // The client cannot have left: its end is here.
        let _ = sender.push(body.freeze());
        let body = BodyPump {
            servers: Arc::clone(self),
            exchange,
            lease,
            errors,
            name: name.clone(),
            ends_with_version: is_endless(&head),
            _token: token,
        };
        match broken {
            Some(failure) => body.broken(&failure),
            None => self.ongoing.spawn(body.run(sender)),
        }
        (head, ResponseBody::Stream(blocks))
    }

    /// Whether a request on another connection may wait for the process of this one.
    fn is_wanted(&self, lease: &FastCgiLease, own: Option<&UnansweredConnection>) -> bool {
        self.unanswered.are_there(own) && lease.server().counts().outstanding > 1
    }

    /// Keeps the connection of an exchange for the next request, if it can be used, and no other may wait for its process.
    fn give_back(&self, exchange: ServerExchange, lease: FastCgiLease) {
        if let Some(stream) = exchange.into_reusable()
            && !self.is_wanted(&lease, None)
            && !self.requests.is_closed()
        {
            lease.give_back(stream, KEPT);
        }
    }

    fn no_server(&self, name: &RequestName, why: NoServer) -> Response {
        let reason = why.reason(&self.shown);
        crate::log_of!(
            LogKind::Refused,
            about = name.subject(),
            "503 for {name}: {reason}"
        );
        self.failures.unavailable()
    }

    fn failed(&self, name: &RequestName, lease: &FastCgiLease, failure: &AskFailure) -> Response {
        let response = match failure.is_overload() {
            true => self.failures.unavailable(),
            false if failure.is_slow() => self.failures.gateway_timeout(),
            false => self.failures.bad_gateway(),
        };
        let server = shown(lease.server());
        self.log(
            name,
            response.status.as_u16(),
            &format!("{server}: {failure}"),
        );
        response
    }

    fn log(&self, name: &RequestName, status: u16, reason: &str) {
        let line = format!("{status} for {name}: {reason}");
        crate::log_of!(LogKind::InvalidAnswer, about = name.subject(), "{line}");
        self.failures.note(line);
    }

    /// Asks streams of events to end after a time; `returns` if clients may come back at once.
    pub fn drain(&self, returns: bool) {
        self.ongoing.drain(self.drain, returns);
    }

    /// Waits until all requests have ended, and breaks off those that have not after the time `within`.
    pub async fn stop(&self, within: Duration) {
        self.requests.close();
        self.servers.close_kept();
        if timeout(within, self.requests.wait()).await.is_err() {
            self.ongoing.end();
            self.requests.wait().await;
        }
    }

    /// What there is to show of the servers.
    #[must_use]
    pub fn status(&self) -> Status {
        let mut status = Status {
            queue: QueueStatus {
                length: self.servers.waiting(),
                oldest: None,
            },
            servers: self.servers.status(),
            delivering: self.depot.delivering(),
            ..Status::default()
        };
        self.failures.show(&mut status);
        status
    }
}

/// A server as messages name it.
fn shown(server: &UpstreamServer<UpstreamStream>) -> String {
    format!("`{}`", server.address())
}

/// Whether nobody listens at an address now.
fn is_away(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::CONNREFUSED | Errno::NOENT))
}

/// A response whose body goes on.
struct BodyPump {
    servers: Arc<FastCgiServers>,
    exchange: ServerExchange,
    lease: FastCgiLease,
    errors: StderrLines,
    name: RequestName,
    /// It has no end of its own: it ends with the version of the application that began it.
    ends_with_version: bool,
    _token: TaskTrackerToken,
}

impl BodyPump {
    /// Passes the body on until its end, or until the client has gone away: then the connection is closed, by which the
    /// application learns of it.
    async fn run(mut self, sender: BlockSender) {
        let drained = self.servers.ongoing.drained();
        let ends = self.ends_with_version;
        let drained = async move {
            match ends {
                true => _ = drained.await,
                false => std::future::pending().await,
            }
        };
        tokio::pin!(drained);
        loop {
            let answered = tokio::select! {
                answered = self.exchange.next() => answered,
                () = sender.gone() => return,
                () = &mut drained => return sender.end(),
            };
            match answered {
                Ok(Answered::Output(part)) => {
                    if sender.send(part).await.is_err() {
                        return;
                    }
                }
                Ok(Answered::Errors(text)) => self.errors.add(text),
                Ok(Answered::End(_)) => {
                    sender.end();
                    return self.servers.give_back(self.exchange, self.lease);
                }
                Err(failure) => return self.broken(&failure),
            }
        }
    }

    /// The client learns that the body is cut off from its sender, which is dropped.
    fn broken(self, failure: &ExchangeFailure) {
        self.lease.broken_off();
        let server = shown(self.lease.server());
        let line = format!(
            "the response to {} was broken off: {server}: {failure}",
            self.name
        );
        crate::log_of!(
            LogKind::InvalidAnswer,
            about = self.name.subject(),
            "{line}"
        );
        self.servers.failures.note(line);
    }
}
