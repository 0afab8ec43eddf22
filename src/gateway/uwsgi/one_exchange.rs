//! One uwsgi connection: its request, and the answer.

use std::fmt;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::{Method, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::gateway::body::cgi_response::CgiResponse;
use crate::gateway::body::spool::{Spool, SpoolError};
use crate::gateway::connection_limit::Permit;
use crate::gateway::graceful_stop::{Manner, Stop};
use crate::gateway::refusal::Refusal;
use crate::gateway::request_ids;
use crate::gateway::slow_client::{Pace, PacedStream};
use crate::gateway::socket::stream::Stream;
use crate::gateway::uwsgi::uwsgi_options::UwsgiOptions;
use crate::interface::{Application, Errors, Request, Response, Truncated};
use crate::log::{LogKind, LogSubject};
use crate::protocol::cgi::environ::{self, content_length};
use crate::protocol::cgi::response_head::HeadForm;
use crate::protocol::uwsgi::request_packet::{
    HEAD, MalformedPacket, PacketVariables, size_of_variables,
};

/// The size of a read of a body, in bytes.
const READ: usize = 64 * 1024;

/// How long a web server that is still sending may take to read why its request is refused: closing the connection at once
/// would take the answer away.
const LINGER: Duration = Duration::from_secs(2);

/// What all connections of a gateway share.
#[derive(Clone)]
pub(super) struct UwsgiState {
    pub application: Arc<dyn Application>,
    pub options: UwsgiOptions,
    pub stop: Stop,
}

/// Why a connection was closed before its answer was complete.
#[derive(Debug)]
pub(super) enum BrokenExchange {
    /// The web server has closed it, or does not take the answer.
    Gone,
    /// The web server takes nothing of the answer.
    NotTaken,
    /// The web server does not send the rest of its request.
    Stalled,
    /// What came in is no request.
    Malformed(MalformedPacket),
}

impl fmt::Display for BrokenExchange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => formatter.write_str("the web server has closed it"),
            Self::NotTaken => formatter.write_str("nothing was read for too long"),
            Self::Stalled => formatter.write_str("the rest of a request did not come"),
            Self::Malformed(malformed) => write!(formatter, "{malformed}"),
        }
    }
}

impl From<MalformedPacket> for BrokenExchange {
    fn from(malformed: MalformedPacket) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<io::Error> for BrokenExchange {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::NotTaken,
            _ => Self::Gone,
        }
    }
}

/// Serves a connection to its end.
///
/// # Errors
/// [`BrokenExchange`].
pub(super) async fn serve(
    stream: Stream,
    state: &UwsgiState,
    permit: &Permit,
) -> Result<(), BrokenExchange> {
    let pace = Pace::new(state.options.write_timeout, 0);
    let mut stream = PacedStream::new(stream, pace);
    permit.set_waiting();
    let received = {
        let mut incoming = IncomingRequest {
            reader: &mut stream,
            state,
        };
        tokio::select! {
            biased;
            received = incoming.receive() => received?,
            // It is closed for a new one; its web server has sent nothing for a while.
            () = permit.close_asked() => return Err(BrokenExchange::Stalled),
        }
    };
    permit.set_working();
    let (method, response, is_cut_off) = match received {
        Received::None => return Ok(()),
        Received::Request(request) => {
            let (method, ids) = (request.method.clone(), request.ids.clone());
            let mut response = answered(&mut stream, &state.application, *request).await?;
            request_ids::put(&mut response.headers, ids.as_deref());
            (method, response, false)
        }
        Received::Refused(refusal, is_cut_off) => {
            crate::log_of!(
                LogKind::Refused,
                about = LogSubject::CONNECTION,
                "refused a uwsgi request: {refusal}"
            );
            (Method::GET, Response::plain(refusal.status), is_cut_off)
        }
    };
    if send(&mut stream, &method, response).await? == AnswerEnding::Truncated {
        // A web server takes a body without a length for whole when the connection ends in any other way.
        stream.stream.end_with_reset();
        return Ok(());
    }
    stream.shutdown().await?;
    if is_cut_off {
        let mut rest = BytesMut::new();
        let discard = async {
            while let Ok(1..) = stream.read_buf(&mut rest).await {
                rest.clear();
            }
        };
        let _ = timeout(LINGER, discard).await;
    }
    Ok(())
}

/// What came in on a connection.
enum Received {
    /// Nothing.
    None,
    /// A complete request.
    Request(Box<Request>),
    /// One that is not passed on, and whether some of it may still come.
    Refused(Refusal, bool),
}

/// A connection on which a request comes in.
struct IncomingRequest<'a> {
    reader: &'a mut PacedStream,
    state: &'a UwsgiState,
}

impl IncomingRequest<'_> {
    async fn receive(&mut self) -> Result<Received, BrokenExchange> {
        let mut buffer = BytesMut::new();
        if !self.begins(&mut buffer).await? {
            return Ok(Received::None);
        }
        self.fill(&mut buffer, HEAD).await?;
        let mut head = [0; HEAD];
        buffer.copy_to_slice(&mut head);
        let size = size_of_variables(head)?;
        self.fill(&mut buffer, size).await?;
        let packet = buffer.split_to(size).freeze();
        let variables: Vec<(&[u8], &[u8])> =
            PacketVariables::new(&packet).collect::<Result<_, _>>()?;
        let value = |name: &[u8]| {
            let mut named = variables.iter().rev();
            let found = named.find(|(found, _)| *found == name);
            found.map_or(&b""[..], |(_, value)| value)
        };
        let length = match content_length(value(b"CONTENT_LENGTH")) {
            Ok(length) => length,
            Err(error) => return Ok(Received::Refused(error.into(), true)),
        };
        if length == 0 && !value(b"HTTP_TRANSFER_ENCODING").is_empty() {
            let reason =
                "its body has no length; the web server is to buffer it (uwsgi_request_buffering)";
            let refusal = Refusal::new(StatusCode::LENGTH_REQUIRED, reason);
            return Ok(Received::Refused(refusal, true));
        }
        if length > self.state.options.spool.limit {
            return Ok(Received::Refused(SpoolError::TooLarge.into(), true));
        }
        let body = match self.body(buffer, length).await? {
            Ok(spool) => spool.finish().await,
            Err(error) => Err(error),
        };
        let body = match body {
            Ok(body) => body,
            Err(error) => return Ok(Received::Refused(error.into(), true)),
        };
        Ok(
            match environ::request(variables.into_iter(), body, Errors::Log) {
                Ok(mut request) => {
                    if self.state.options.request_id {
                        request_ids::assign_behind_server(&mut request);
                    }
                    Received::Request(Box::new(request))
                }
                Err(error) => Received::Refused(error.into(), false),
            },
        )
    }

    /// Waits for the first bytes. False if none come: the web server has closed the connection, or the gateway ends.
    async fn begins(&mut self, buffer: &mut BytesMut) -> Result<bool, BrokenExchange> {
        buffer.reserve(READ / 4);
        let linger = async {
            let manner = self.state.stop.begun().await;
            // What was sent before the stop began arrives within this time.
            tokio::time::sleep(manner.linger()).await;
        };
        let limit = self.state.options.read_timeout;
        tokio::select! {
            biased;
            read = self.reader.read_buf(buffer) => Ok(read? > 0),
            () = linger => Ok(false),
            () = tokio::time::sleep(limit) => Err(BrokenExchange::Stalled),
        }
    }

    /// Reads until there are so many bytes.
    async fn fill(&mut self, buffer: &mut BytesMut, length: usize) -> Result<(), BrokenExchange> {
        while buffer.len() < length {
            buffer.reserve(length - buffer.len());
            self.read(buffer).await?;
        }
        Ok(())
    }

    /// The rest of the request, and not a byte more, of which a part has been read.
    async fn body(
        &mut self,
        mut buffer: BytesMut,
        length: u64,
    ) -> Result<Result<Spool, SpoolError>, BrokenExchange> {
        let mut spool = Spool::new(&self.state.options.spool, None);
        let mut left = length;
        while left > 0 {
            if buffer.is_empty() {
                buffer.reserve(READ);
                self.read(&mut buffer).await?;
            }
            // Not more than the length of the buffer, which is a usize.
            let part = buffer.split_to(left.min(buffer.len() as u64) as usize);
            left -= part.len() as u64;
            if let Err(error) = spool.push(part.freeze()).await {
                return Ok(Err(error));
            }
        }
        Ok(Ok(spool))
    }

    /// Reads more of a request that has begun.
    async fn read(&mut self, buffer: &mut BytesMut) -> Result<(), BrokenExchange> {
        let usual = self.state.options.read_timeout;
        let stop = &self.state.stop;
        let limit = stop
            .manner()
            .map_or(usual, |manner| manner.read_timeout(usual));
        let hurried = async {
            stop.draining().await;
            tokio::time::sleep(Manner::Drain.read_timeout(usual)).await;
        };
        let read = tokio::select! {
            biased;
            read = self.reader.read_buf(buffer) => read?,
            () = hurried => return Err(BrokenExchange::Stalled),
            () = tokio::time::sleep(limit) => return Err(BrokenExchange::Stalled),
        };
        match read {
            0 => Err(BrokenExchange::Gone),
            _ => Ok(()),
        }
    }
}

/// The answer of the application, unless the web server closes the connection before that: then nobody wants it.
async fn answered(
    reader: &mut (impl AsyncRead + Unpin),
    application: &Arc<dyn Application>,
    request: Request,
) -> Result<Response, BrokenExchange> {
    let mut answer = Arc::clone(application).respond(request);
    let mut more = BytesMut::new();
    loop {
        more.clear();
        more.reserve(HEAD);
        tokio::select! {
            biased;
            response = &mut answer => return Ok(response),
            // More than the request is nothing to us.
            read = reader.read_buf(&mut more) => if read? == 0 {
                return Err(BrokenExchange::Gone);
            },
        }
    }
}

/// How an answer ended.
#[derive(Debug, PartialEq, Eq)]
enum AnswerEnding {
    Whole,
    Truncated,
}

/// Sends an answer.
async fn send(
    stream: &mut PacedStream,
    method: &Method,
    response: Response,
) -> Result<AnswerEnding, BrokenExchange> {
    let mut head = BytesMut::new();
    let mut body = CgiResponse::new(method, response, HeadForm::StatusLine, &mut head);
    let mut unsent = head;
    loop {
        let next = {
            let mut gone = pin!(is_gone(stream));
            tokio::select! {
                biased;
                next = body.next() => next,
                // The head goes out together with a piece that is there already, but does not wait for one.
                () = std::future::ready(()), if !unsent.is_empty() => Some(Ok(Bytes::new())),
                gone = &mut gone => return Err(gone),
            }
        };
        match next {
            Some(Ok(piece)) if unsent.is_empty() => write(stream, piece).await?,
            Some(Ok(piece)) => {
                unsent.extend_from_slice(&piece);
                write(stream, unsent.split()).await?;
            }
            Some(Err(Truncated)) => {
                write(stream, unsent).await?;
                return Ok(AnswerEnding::Truncated);
            }
            None => {
                write(stream, unsent).await?;
                return Ok(AnswerEnding::Whole);
            }
        }
    }
}

/// Waits until the web server has closed the connection.
async fn is_gone(reader: &mut (impl AsyncRead + Unpin)) -> BrokenExchange {
    let mut more = BytesMut::new();
    loop {
        more.clear();
        more.reserve(HEAD);
        match reader.read_buf(&mut more).await {
            Ok(0) => return BrokenExchange::Gone,
            Ok(_) => {}
            Err(error) => return error.into(),
        }
    }
}

async fn write(writer: &mut (impl AsyncWrite + Unpin), mut bytes: impl Buf) -> io::Result<()> {
    while bytes.has_remaining() {
        if writer.write_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    writer.flush().await
}
