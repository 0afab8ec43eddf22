//! One FastCGI connection, on which requests are multiplexed: they come in side by side, are answered at the same time, and
//! their records go out in turn.

use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Method;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use crate::gateway::body::cgi_response::CgiResponse;
use crate::gateway::body::spool::Spool;
use crate::gateway::connection_limit::Permit;
use crate::gateway::fastcgi::gateway_state::FastCgiState;
use crate::gateway::fastcgi::outbox::Outbox;
use crate::gateway::fastcgi::received_request::{ReceivedRequest, too_large};
use crate::gateway::fastcgi::respond::{AnswerEnd, respond};
use crate::gateway::graceful_stop::{CROSSED, Manner};
use crate::gateway::refusal::Refusal;
use crate::gateway::request_ids;
use crate::gateway::slow_client::{Pace, PacedStream};
use crate::gateway::socket::connection_handover::HandoverSender;
use crate::gateway::socket::stream::Stream;
use crate::interface::measurements::EndedRequest;
use crate::interface::{Errors, Request, Response};
use crate::log::{LogKind, LogSubject};
use crate::protocol::cgi::response_head::HeadForm;
use crate::protocol::fastcgi::record::{
    MalformedRecord, ProtocolStatus, RecordKind, put_records, take_record,
};
use crate::protocol::fastcgi::responder::{Responder, ResponderEvent, ResponderLimits};

/// The size of a read, in bytes; a longer record is read whole.
const READ: usize = 16 * 1024;

/// The most texts that wait for a slow web server of those that an application reports about a request.
const REPORTS: usize = 1000;

/// How long a web server that is still sending may take to read why its request is refused: closing the connection at once
/// would take the answer away.
const LINGER: Duration = Duration::from_secs(2);

/// Why a connection was closed while it was in use.
#[derive(Debug)]
pub(super) enum Broken {
    /// The web server has closed it.
    Gone,
    /// Reading or writing failed, or the web server did not read.
    Io(io::Error),
    /// The web server does not send the rest of a request.
    Stalled,
    /// What came in is not FastCGI.
    Malformed(MalformedRecord),
}

impl From<MalformedRecord> for Broken {
    fn from(malformed: MalformedRecord) -> Self {
        Self::Malformed(malformed)
    }
}

/// Serves a connection until it ends; requests that are under way then are given up. Or until it is to be handed over:
/// the stream, on which nothing is under way, and the sender to hand it over with.
///
/// # Errors
/// [`Broken`].
pub(super) async fn serve(
    stream: Stream,
    gateway: &FastCgiState,
    permit: &Permit,
) -> Result<Option<(Stream, HandoverSender)>, Broken> {
    // The web server decides how quickly clients must take their responses.
    let pace = Pace::new(gateway.options.write_timeout, 0);
    let (mut reader, mut writer) = tokio::io::split(PacedStream::new(stream, pace));
    let outbox = Arc::new(Outbox::new());
    let mut conversation = Conversation::new(gateway, Arc::clone(&outbox));
    let handover = {
        let mut writing = pin!(outbox.drain(&mut writer));
        let handover = tokio::select! {
            biased;
            handover = conversation.receive(&mut reader, permit) => handover?,
            // Writing goes on until the outbox is closed, or fails.
            failed = &mut writing => return failed.map(|()| None).map_err(Broken::Io),
        };
        outbox.close();
        writing.await.map_err(Broken::Io)?;
        handover
    };
    if let Some(handover) = handover {
        return Ok(Some((reader.unsplit(writer).stream, handover)));
    }
    let linger = match (conversation.cut_off, conversation.stopping) {
        (true, _) => Some(LINGER),
        (false, Some(_)) => Some(CROSSED),
        (false, None) => None,
    };
    if let Some(linger) = linger {
        let _ = writer.shutdown().await;
        let mut rest = BytesMut::new();
        let discard = async {
            while let Ok(1..) = reader.read_buf(&mut rest).await {
                rest.clear();
            }
        };
        let _ = timeout(linger, discard).await;
    }
    Ok(None)
}

struct Conversation<'a> {
    gateway: &'a FastCgiState,
    outbox: Arc<Outbox>,
    responder: Responder,
    /// Requests whose bodies are coming in.
    incoming: HashMap<u16, ReceivedRequest>,
    /// Requests that are being answered.
    running: HashMap<u16, AbortHandle>,
    answers: JoinSet<(u16, AnswerEnd)>,
    /// The connection's own permit counts for one request; each that is under way beside it takes another one.
    permits: HashMap<u16, Permit>,
    /// A request was answered before all of it was received.
    cut_off: bool,
    /// Set once the gateway is to stop.
    stopping: Option<GracefulEnd>,
}

/// How a connection ends because the gateway does: never in the middle of a request, nor while others are answered; at best
/// at once after an answer, when the web server has not sent anything else yet.
struct GracefulEnd {
    manner: Manner,
    since: Instant,
    /// A request was answered since.
    answered: bool,
    /// The connection was idle for as long as the manner grants: no request is accepted any more.
    overdue: bool,
}

impl GracefulEnd {
    /// Whether there is time that could still be cut.
    fn can_hurry(&self) -> bool {
        self.manner != Manner::Drain && !self.overdue
    }
}

impl<'a> Conversation<'a> {
    fn new(gateway: &'a FastCgiState, outbox: Arc<Outbox>) -> Self {
        let options = &gateway.options;
        Self {
            gateway,
            outbox,
            responder: Responder::new(ResponderLimits {
                connections: options.connections,
                requests: options.requests,
                params: options.params,
            }),
            incoming: HashMap::new(),
            running: HashMap::new(),
            answers: JoinSet::new(),
            permits: HashMap::new(),
            cut_off: false,
            stopping: None,
        }
    }

    /// Receives requests and starts their answers, until the last one is answered, or the connection is to be handed over.
    async fn receive(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        permit: &Permit,
    ) -> Result<Option<HandoverSender>, Broken> {
        let mut buffer = BytesMut::new();
        let mut asked = pin!(permit.close_asked());
        let stop = self.gateway.stop.clone();
        let mut begun = pin!(stop.begun());
        loop {
            while let Some(record) = take_record(&mut buffer)? {
                if let Some(event) = self.responder.receive(record)? {
                    self.act(event, permit).await?;
                }
            }
            if let Some(handover) = self.stop_soon(buffer.is_empty()) {
                return Ok(Some(handover));
            }
            if self.responder.is_last() && self.responder.is_idle() {
                return Ok(None);
            }
            if buffer.is_empty() && buffer.capacity() > 2 * READ {
                // An idle connection should not keep the memory that one large record took.
                buffer = BytesMut::new();
            }
            buffer.reserve(READ);
            let owed = self.responder.is_receiving() || !buffer.is_empty();
            let usual = self.gateway.options.read_timeout;
            let stopping = self.stopping.as_ref();
            let read_timeout = stopping.map_or(usual, |it| it.manner.read_timeout(usual));
            let deadline = stopping.filter(|it| !it.overdue);
            let deadline = deadline.map(|it| it.since + it.manner.linger());
            let working = !self.running.is_empty();
            match working {
                true => permit.set_working(),
                false => permit.set_waiting(),
            }
            tokio::select! {
                biased;
                Some(ended) = self.answers.join_next_with_id(), if !self.answers.is_empty() => {
                    self.answer_ended(ended);
                }
                read = reader.read_buf(&mut buffer) => match read {
                    Ok(0) => return Err(Broken::Gone),
                    Ok(_) => (),
                    Err(error) => return Err(Broken::Io(error)),
                },
                manner = &mut begun, if self.stopping.is_none() => {
                    self.stopping = Some(GracefulEnd {
                        manner,
                        since: Instant::now(),
                        answered: false,
                        overdue: false,
                    });
                }
                () = stop.draining(), if self.stopping.as_ref().is_some_and(GracefulEnd::can_hurry) => {
                    self.stopping.iter_mut().for_each(|it| it.manner = Manner::Drain);
                }
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    self.stopping.iter_mut().for_each(|it| it.overdue = true);
                }
                () = &mut asked, if !working => match owed {
                    true => return Err(Broken::Stalled),
                    false => return Ok(None),
                },
                () = tokio::time::sleep(read_timeout), if owed => return Err(Broken::Stalled),
            }
        }
    }

    /// Refuses further requests if the gateway is to stop and this is a good moment; or returns the sender to hand the
    /// connection over with.
    fn stop_soon(&mut self, nothing_half_read: bool) -> Option<HandoverSender> {
        let stopping = self.stopping.as_ref()?;
        if !nothing_half_read || self.responder.is_receiving() || self.responder.is_last() {
            return None;
        }
        let idle = self.responder.is_idle();
        if idle
            && stopping.manner == Manner::HandOver
            && let Some(handover) = &self.gateway.handover
        {
            return Some(handover.clone());
        }
        if stopping.overdue || stopping.answered && idle {
            self.responder.refuse_further();
        }
        None
    }

    async fn act(&mut self, event: ResponderEvent, permit: &Permit) -> Result<(), Broken> {
        match event {
            ResponderEvent::Begin { id, params } => {
                if !self.incoming.is_empty() || !self.running.is_empty() {
                    match permit.another() {
                        Some(permit) => drop(self.permits.insert(id, permit)),
                        None => {
                            self.end_with(id, ProtocolStatus::Overloaded);
                            return Ok(());
                        }
                    }
                }
                let body = Spool::new(&self.gateway.options.spool, None);
                self.incoming.insert(id, ReceivedRequest { params, body });
            }
            ResponderEvent::Body { id, part } => {
                if let Some(request) = self.incoming.get_mut(&id)
                    && let Err(error) = request.body.push(part).await
                {
                    self.cut_off = true;
                    self.refuse(id, &error.into()).await;
                }
            }
            ResponderEvent::BodyEnd { id } => {
                if let Some(request) = self.incoming.remove(&id) {
                    let (sender, reports) = channel(REPORTS);
                    match request.complete(Errors::Gateway(sender)).await? {
                        Ok(mut request) => {
                            if self.gateway.options.request_id {
                                request_ids::assign_behind_server(&mut request);
                            }
                            self.start(id, request, reports);
                        }
                        Err(refusal) => self.refuse(id, &refusal).await,
                    }
                }
            }
            ResponderEvent::TooLarge { id } => {
                self.cut_off = true;
                self.refuse(id, &too_large()).await;
            }
            ResponderEvent::Abort { id } => match self.running.get(&id) {
                Some(answer) => answer.abort(),
                None => {
                    self.incoming.remove(&id);
                    self.finish(id);
                }
            },
            ResponderEvent::Reply(reply) => self.outbox.reply(reply).await,
        }
        Ok(())
    }

    fn start(&mut self, id: u16, request: Request, reports: Receiver<Bytes>) {
        let application = Arc::clone(&self.gateway.application);
        let outbox = Arc::clone(&self.outbox);
        let began = self.gateway.options.measures.then(Instant::now);
        let answer = self.answers.spawn(async move {
            let responding = respond(Arc::clone(&application), request, reports, id, &outbox);
            let (end, sent) = responding.await;
            if let Some(began) = began {
                let took = began.elapsed();
                application.note_ended(EndedRequest { took, sent });
            }
            (id, end)
        });
        self.running.insert(id, answer);
    }

    /// Ends a request whose answer has ended.
    fn answer_ended(&mut self, answer: Result<(tokio::task::Id, (u16, AnswerEnd)), JoinError>) {
        let (id, is_whole) = match answer {
            Ok((_, (id, AnswerEnd::Whole))) => (id, true),
            Ok((_, (id, AnswerEnd::Truncated))) => (id, false),
            Err(error) => {
                let mut running = self.running.iter();
                match running.find(|(_, answer)| answer.id() == error.id()) {
                    Some((&id, _)) => (id, error.is_cancelled()),
                    None => return,
                }
            }
        };
        self.running.remove(&id);
        match is_whole {
            true => self.finish(id),
            false => self.break_off(id),
        }
    }

    /// Makes sure that the web server does not take an answer for whole. It would if there were an `FCGI_END_REQUEST`,
    /// whatever the status in that; nginx, where it does not buffer, even if the connection closed without one. No web
    /// server expects an `FCGI_ABORT_REQUEST`: nginx then breaks off its own response, others ignore it and do so when the
    /// connection closes.
    fn break_off(&mut self, id: u16) {
        self.outbox
            .put_end(|records| put_records(records, RecordKind::AbortRequest, id, Bytes::new()));
        self.permits.remove(&id);
        self.responder.end(id);
        self.responder.refuse_further();
    }

    fn finish(&mut self, id: u16) {
        if let Some(stopping) = &mut self.stopping {
            stopping.answered = true;
        }
        self.end_with(id, ProtocolStatus::Complete);
    }

    fn end_with(&mut self, id: u16, status: ProtocolStatus) {
        self.outbox.put_end(|records| status.put_end(records, id));
        self.permits.remove(&id);
        self.responder.end(id);
    }

    /// Answers a request that is not passed on to the application.
    async fn refuse(&mut self, id: u16, refusal: &Refusal) {
        crate::log_of!(
            LogKind::Refused,
            about = LogSubject::CONNECTION,
            "refused a FastCGI request: {refusal}"
        );
        self.incoming.remove(&id);
        let mut text = BytesMut::new();
        let response = Response::plain(refusal.status);
        let form = HeadForm::StatusField;
        let mut response = CgiResponse::new(&Method::GET, response, form, &mut text);
        while let Some(Ok(piece)) = response.next().await {
            text.extend_from_slice(&piece);
        }
        self.outbox
            .send(RecordKind::Stdout, id, text.freeze())
            .await;
        self.outbox
            .put_end(|records| put_records(records, RecordKind::Stdout, id, Bytes::new()));
        self.finish(id);
    }
}
