//! One FastCGI connection: requests in, answered all at the same time, their records out in turn.

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

use crate::gateway::body::cgi_response::Outgoing;
use crate::gateway::body::spool::Spool;
use crate::gateway::connection_limit::Seat;
use crate::gateway::fastcgi::FastCgiOptions;
use crate::gateway::fastcgi::outbox::Outbox;
use crate::gateway::fastcgi::received_request::{Refusal, Upload, request};
use crate::gateway::graceful_stop::{CROSSED, Manner, Stop};
use crate::gateway::slow_client::Pace;
use crate::gateway::slow_client::Patient;
use crate::gateway::socket::connection_handover::Passer;
use crate::gateway::socket::stream::Stream;
use crate::interface::{Application, Errors, Request, Response};
use crate::log;
use crate::protocol::fastcgi::record::{End, Kind, Malformed, put_records, take_record};
use crate::protocol::fastcgi::responder::{Event, Limits, Responder};

/// How much is read at once, in bytes; a longer record is read whole.
const READ: usize = 16 * 1024;

/// How many texts that an application reports about a request may wait for a slow web server.
const REPORTS: usize = 1000;

/// How long a web server that is still sending gets to read why we are not listening, before the
/// connection is closed: closing it at once would take the answer away.
const LINGER: Duration = Duration::from_secs(2);

/// What all connections have in common.
#[derive(Clone)]
pub struct Service {
    /// Answers the requests.
    pub application: Arc<dyn Application>,
    /// As they were given.
    pub options: FastCgiOptions,
    /// Ends the connections once their requests are answered.
    pub stop: Stop,
    /// Passes connections on to a successor.
    pub passer: Option<Passer>,
}

/// Why a connection was closed before its time.
#[derive(Debug)]
pub enum Broken {
    /// The web server has closed it.
    Gone,
    /// Reading or writing failed, or the web server did not read.
    Io(io::Error),
    /// The web server does not send the rest of a request.
    Stalled,
    /// What came in is not FastCGI.
    Malformed(Malformed),
}

impl From<Malformed> for Broken {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// Serves a connection until it ends; requests that are under way then are given up. Or until it is to be passed
/// on: the stream, on which nothing is under way, and who passes it on.
///
/// # Errors
/// [`Broken`].
pub async fn converse(
    stream: Stream,
    service: &Service,
    seat: &Seat,
) -> Result<Option<(Stream, Passer)>, Broken> {
    // How quickly clients take their responses is the web server's affair.
    let pace = Pace::new(service.options.write_timeout, 0);
    let (mut reader, mut writer) = tokio::io::split(Patient::new(stream, pace));
    let outbox = Arc::new(Outbox::new());
    let mut conversation = Conversation::new(service, Arc::clone(&outbox));
    let passer = {
        let mut writing = pin!(outbox.drain(&mut writer));
        let passer = tokio::select! {
            biased;
            passer = conversation.receive(&mut reader, seat) => passer?,
            // It goes on until the outbox is closed, or fails.
            failed = &mut writing => return failed.map(|()| None).map_err(Broken::Io),
        };
        outbox.close();
        writing.await.map_err(Broken::Io)?;
        passer
    };
    if let Some(passer) = passer {
        return Ok(Some((reader.unsplit(writer).stream, passer)));
    }
    let linger = match (conversation.cut_off, conversation.ending) {
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
    service: &'a Service,
    outbox: Arc<Outbox>,
    responder: Responder,
    /// Requests whose bodies are coming in.
    uploads: HashMap<u16, Upload>,
    /// Requests that are being answered.
    running: HashMap<u16, AbortHandle>,
    answers: JoinSet<(u16, Ended)>,
    /// The connection's own place serves one request; each that is under way beside it takes another one.
    places: HashMap<u16, Seat>,
    /// A request was answered before all of it was received.
    cut_off: bool,
    /// The gateway is to end.
    ending: Option<Ending>,
}

/// How a connection ends because the gateway does. It is never closed in the middle of a request, nor while
/// others are answered; best at once after an answer, when the web server has not sent anything else yet.
struct Ending {
    manner: Manner,
    since: Instant,
    /// An answer was given since.
    answered: bool,
    /// It was idle for as long as the manner grants: nothing is begun any more.
    overdue: bool,
}

impl Ending {
    /// Whether there is time that could still be cut.
    fn is_patient(&self) -> bool {
        self.manner != Manner::Drain && !self.overdue
    }
}

/// How an answer ended.
enum Ended {
    Whole,
    Truncated,
}

impl<'a> Conversation<'a> {
    fn new(service: &'a Service, outbox: Arc<Outbox>) -> Self {
        let FastCgiOptions {
            connections,
            requests,
            params,
            ..
        } = service.options;
        Self {
            service,
            outbox,
            responder: Responder::new(Limits {
                connections,
                requests,
                params,
            }),
            uploads: HashMap::new(),
            running: HashMap::new(),
            answers: JoinSet::new(),
            places: HashMap::new(),
            cut_off: false,
            ending: None,
        }
    }

    /// Takes in requests and starts their answers, until the last one is answered, or the connection is to be passed
    /// on.
    async fn receive(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        seat: &Seat,
    ) -> Result<Option<Passer>, Broken> {
        let mut buffer = BytesMut::new();
        let mut asked = pin!(seat.asked());
        let stop = self.service.stop.clone();
        let mut begun = pin!(stop.begun());
        loop {
            while let Some(record) = take_record(&mut buffer)? {
                if let Some(event) = self.responder.receive(record)? {
                    self.act(event, seat).await?;
                }
            }
            if let Some(passer) = self.end_soon(buffer.is_empty()) {
                return Ok(Some(passer));
            }
            if self.responder.is_last() && self.responder.is_idle() {
                return Ok(None);
            }
            if buffer.is_empty() && buffer.capacity() > 2 * READ {
                // A connection may be idle for long and should not hold what one large record took.
                buffer = BytesMut::new();
            }
            buffer.reserve(READ);
            let owed = self.responder.is_receiving() || !buffer.is_empty();
            let patience = match &self.ending {
                Some(ending) => ending.manner.patience(self.service.options.read_timeout),
                None => self.service.options.read_timeout,
            };
            let working = !self.running.is_empty();
            match working {
                true => seat.works(),
                false => seat.waits(),
            }
            let deadline = match &self.ending {
                Some(ending) if !ending.overdue => Some(ending.since + ending.manner.linger()),
                Some(_) | None => None,
            };
            tokio::select! {
                biased;
                Some(ended) = self.answers.join_next_with_id(), if !self.answers.is_empty() => {
                    self.end(ended);
                }
                read = reader.read_buf(&mut buffer) => match read {
                    Ok(0) => return Err(Broken::Gone),
                    Ok(_) => (),
                    Err(error) => return Err(Broken::Io(error)),
                },
                manner = &mut begun, if self.ending.is_none() => {
                    self.ending = Some(Ending {
                        manner,
                        since: Instant::now(),
                        answered: false,
                        overdue: false,
                    });
                }
                () = stop.draining(), if self.ending.as_ref().is_some_and(Ending::is_patient) => {
                    self.ending.iter_mut().for_each(|ending| ending.manner = Manner::Drain);
                }
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    self.ending.iter_mut().for_each(|ending| ending.overdue = true);
                }
                () = &mut asked, if !working => match owed {
                    true => return Err(Broken::Stalled),
                    false => return Ok(None),
                },
                () = tokio::time::sleep(patience), if owed => return Err(Broken::Stalled),
            }
        }
    }

    /// Takes no more requests if the gateway is to end and this is a good moment; or says that the connection is to
    /// be passed on.
    fn end_soon(&mut self, nothing_half_read: bool) -> Option<Passer> {
        let ending = self.ending.as_ref()?;
        if !nothing_half_read || self.responder.is_receiving() || self.responder.is_last() {
            return None;
        }
        let idle = self.responder.is_idle();
        if idle
            && ending.manner == Manner::HandOver
            && let Some(passer) = &self.service.passer
        {
            return Some(passer.clone());
        }
        if ending.overdue || ending.answered && idle {
            self.responder.take_no_more();
        }
        None
    }

    async fn act(&mut self, event: Event, seat: &Seat) -> Result<(), Broken> {
        match event {
            Event::Begin { id, params } => {
                if !self.uploads.is_empty() || !self.running.is_empty() {
                    match seat.beside() {
                        Some(place) => drop(self.places.insert(id, place)),
                        None => {
                            self.end_with(id, End::OVERLOADED);
                            return Ok(());
                        }
                    }
                }
                let body = Spool::new(&self.service.options.spool);
                self.uploads.insert(id, Upload { params, body });
            }
            Event::Body { id, part } => {
                if let Some(upload) = self.uploads.get_mut(&id)
                    && let Err(error) = upload.body.push(part).await
                {
                    self.cut_off = true;
                    self.refuse(id, &Refusal::Body(error)).await;
                }
            }
            Event::BodyEnd { id } => {
                if let Some(upload) = self.uploads.remove(&id) {
                    let (sender, errors) = channel(REPORTS);
                    match request(upload, Errors::Gateway(sender)).await {
                        Ok(request) => self.start(id, request, errors),
                        Err(Refusal::Malformed(malformed)) => return Err(malformed.into()),
                        Err(refusal) => self.refuse(id, &refusal).await,
                    }
                }
            }
            Event::TooLarge { id } => {
                self.cut_off = true;
                self.refuse(id, &Refusal::Params).await;
            }
            Event::Abort { id } => match self.running.get(&id) {
                Some(answer) => answer.abort(),
                None => {
                    self.uploads.remove(&id);
                    self.finish(id);
                }
            },
            Event::Reply(reply) => self.outbox.reply(reply).await,
        }
        Ok(())
    }

    fn start(&mut self, id: u16, request: Request, errors: Receiver<Bytes>) {
        let application = Arc::clone(&self.service.application);
        let outbox = Arc::clone(&self.outbox);
        let answer = self.answers.spawn(async move {
            let ended = answer(&*application, request, errors, id, &outbox).await;
            (id, ended)
        });
        self.running.insert(id, answer);
    }

    /// Ends a request whose answer has ended.
    fn end(&mut self, answer: Result<(tokio::task::Id, (u16, Ended)), JoinError>) {
        match answer {
            Ok((_, (id, Ended::Whole))) => {
                self.running.remove(&id);
                self.finish(id);
            }
            Ok((_, (id, Ended::Truncated))) => {
                self.running.remove(&id);
                self.break_off(id);
            }
            Err(error) => {
                let found = self
                    .running
                    .iter()
                    .find(|(_, running)| running.id() == error.id());
                if let Some((&id, _)) = found {
                    self.running.remove(&id);
                    if error.is_cancelled() {
                        self.finish(id);
                    } else {
                        self.break_off(id);
                    }
                }
            }
        }
    }

    /// Makes sure that nobody takes an answer for whole. Web servers do so if it has an
    /// `FCGI_END_REQUEST`, whatever the status in that; nginx, where it does not buffer, even if the connection
    /// closes without one. None expects an `FCGI_ABORT_REQUEST` from us: nginx then breaks off its own
    /// response, others pass over it and do so when the connection closes.
    fn break_off(&mut self, id: u16) {
        self.outbox
            .put_end(|records| put_records(records, Kind::AbortRequest, id, Bytes::new()));
        self.places.remove(&id);
        self.responder.end(id);
        self.responder.take_no_more();
    }

    fn finish(&mut self, id: u16) {
        if let Some(ending) = &mut self.ending {
            ending.answered = true;
        }
        self.end_with(id, End::COMPLETE);
    }

    fn end_with(&mut self, id: u16, end: End) {
        self.outbox.put_end(|records| end.put(records, id));
        self.places.remove(&id);
        self.responder.end(id);
    }

    /// Answers a request that no application gets to see.
    async fn refuse(&mut self, id: u16, refusal: &Refusal) {
        crate::log_of!(
            log::LogKind::Refused,
            "refused a FastCGI request: {refusal}"
        );
        self.uploads.remove(&id);
        let mut text = BytesMut::new();
        let response = Response::plain(refusal.status());
        let mut outgoing = Outgoing::new(&Method::GET, response, &mut text);
        while let Some(Ok(piece)) = outgoing.next().await {
            text.extend_from_slice(&piece);
        }
        self.outbox.send(Kind::Stdout, id, text.freeze()).await;
        self.outbox
            .put_end(|records| put_records(records, Kind::Stdout, id, Bytes::new()));
        self.finish(id);
    }
}

/// Has a request answered and sends the answer, all but the [`End`]. What the application reports
/// meanwhile is sent as it comes.
async fn answer(
    application: &dyn Application,
    request: Request,
    mut errors: Receiver<Bytes>,
    id: u16,
    outbox: &Outbox,
) -> Ended {
    let method = request.method.clone();
    let mut reported = false;
    let mut reporting = true;
    let mut head = BytesMut::new();
    let mut outgoing = {
        let mut responding = application.respond(request);
        let response = loop {
            tokio::select! {
                biased;
                response = &mut responding => break response,
                report = errors.recv(), if reporting => match report {
                    Some(report) => {
                        reported = true;
                        outbox.send(Kind::Stderr, id, report).await;
                    }
                    None => reporting = false,
                },
            }
        };
        Outgoing::new(&method, response, &mut head)
    };
    outbox.send(Kind::Stdout, id, head.freeze()).await;
    let ended = loop {
        tokio::select! {
            biased;
            piece = outgoing.next() => match piece {
                Some(Ok(piece)) => outbox.send(Kind::Stdout, id, piece).await,
                Some(Err(_)) => break Ended::Truncated,
                None => break Ended::Whole,
            },
            report = errors.recv(), if reporting => match report {
                Some(report) => {
                    reported = true;
                    outbox.send(Kind::Stderr, id, report).await;
                }
                None => reporting = false,
            },
        }
    };
    while let Ok(report) = errors.try_recv() {
        reported = true;
        outbox.send(Kind::Stderr, id, report).await;
    }
    if let Ended::Whole = ended {
        outbox.put_end(|records| {
            put_records(records, Kind::Stdout, id, Bytes::new());
            if reported {
                put_records(records, Kind::Stderr, id, Bytes::new());
            }
        });
    }
    ended
}
