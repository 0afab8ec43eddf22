//! One request on one connection: its body is sent while the answer is received, so that an application may answer before
//! it has read all, and neither side waits for the other for ever.

use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use crate::interface::RequestBody;
use crate::interface::body_file::BodyFile;
use crate::protocol::fastcgi::requester::{
    Answered, BadAnswerRecord, put_begin, put_body, put_body_end, take_answer,
};
use crate::upstream::exchange_phase::{ExchangePhase, ExchangeProgress};

/// How much is received at a time, in bytes: all of what PHP sends of a short response.
const READ: usize = 16 * 1024;

/// Why an exchange has ended before the end of its answer.
#[derive(Debug)]
pub(super) enum ExchangeFailure {
    /// The other side has closed the connection.
    Closed,
    /// The connection is broken.
    Broken(io::Error),
    /// What came is not FastCGI.
    BadAnswer(BadAnswerRecord),
    /// The body of the request cannot be read from its file.
    BodyLost(io::Error),
}

impl fmt::Display for ExchangeFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => formatter.write_str("it has closed the connection"),
            Self::Broken(error) => write!(formatter, "the connection broke: {error}"),
            Self::BadAnswer(bad) => write!(formatter, "its answer is not FastCGI: {bad}"),
            Self::BodyLost(error) => {
                write!(formatter, "the body of the request cannot be read: {error}")
            }
        }
    }
}

/// A request under way on a connection.
#[derive(Debug)]
pub(super) struct FastCgiExchange<S> {
    stream: S,
    /// Received, but not taken.
    received: BytesMut,
    /// Not sent yet.
    outgoing: BytesMut,
    /// What is not in there yet.
    body: UnsentBody,
    progress: ExchangeProgress,
    /// The application leaves the connection open.
    keep: bool,
    /// Nothing more can be sent. The answer may have come all the same.
    is_deaf: bool,
    /// The connection has taken a byte of the request.
    has_sent: bool,
    /// A byte of the answer has come.
    has_answer: bool,
    /// The answer is complete.
    is_over: bool,
}

/// The part of a body that is to be sent.
enum UnsentBody {
    /// Nothing, and its end was written.
    Ended,
    /// A part of a file.
    File {
        file: BodyFile,
        offset: u64,
        left: u64,
        reading: Option<BodyPieceRead>,
    },
}

type BodyPieceRead = Pin<Box<dyn Future<Output = io::Result<Bytes>> + Send>>;

impl fmt::Debug for UnsentBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("UnsentBody")
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> FastCgiExchange<S> {
    /// Begins a request with these variables. `keep`: the application is to leave the connection open.
    pub(super) fn new(
        stream: S,
        keep: bool,
        params: &[u8],
        body: &RequestBody,
        progress: ExchangeProgress,
    ) -> Self {
        progress.enter(ExchangePhase::Send);
        let mut outgoing = BytesMut::new();
        put_begin(&mut outgoing, keep, params);
        let body = match body {
            RequestBody::Empty => UnsentBody::Ended,
            RequestBody::Bytes(bytes) => {
                put_body(&mut outgoing, &bytes[..]);
                UnsentBody::Ended
            }
            RequestBody::File { file, length } => UnsentBody::File {
                file: file.clone(),
                offset: 0,
                left: *length,
                reading: None,
            },
        };
        if matches!(body, UnsentBody::Ended) {
            put_body_end(&mut outgoing);
        }
        Self {
            stream,
            received: BytesMut::new(),
            outgoing,
            body,
            progress,
            keep,
            is_deaf: false,
            has_sent: false,
            has_answer: false,
            is_over: false,
        }
    }

    /// Whether the application may have got anything of the request.
    pub(super) fn has_sent(&self) -> bool {
        self.has_sent
    }

    /// Whether a byte of the answer has come: the request was begun.
    pub(super) fn has_answer(&self) -> bool {
        self.has_answer
    }

    /// What the application sends next. Nothing is lost if the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Answered, ExchangeFailure> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// The same, as far as it has come.
    pub(super) fn try_next(&mut self) -> Result<Option<Answered>, ExchangeFailure> {
        let answered = take_answer(&mut self.received).map_err(ExchangeFailure::BadAnswer)?;
        self.is_over |= matches!(answered, Some(Answered::End(_)));
        Ok(answered)
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Answered, ExchangeFailure>> {
        loop {
            if let Some(answered) = self.try_next()? {
                return Poll::Ready(Ok(answered));
            }
            if !self.is_deaf
                && let Poll::Ready(Err(error)) = self.poll_send(context)
            {
                match error {
                    // It may have answered before it has read all.
                    ExchangeFailure::Broken(_) => self.is_deaf = true,
                    error => return Poll::Ready(Err(error)),
                }
            }
            self.received.reserve(READ);
            let read = ready!(pin!(self.stream.read_buf(&mut self.received)).poll(context));
            match read {
                Ok(0) => return Poll::Ready(Err(ExchangeFailure::Closed)),
                Ok(_) => self.has_answer = true,
                Err(error) => return Poll::Ready(Err(ExchangeFailure::Broken(error))),
            }
        }
    }

    /// Sends what is to be sent.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ExchangeFailure>> {
        loop {
            while self.outgoing.has_remaining() {
                let stream = Pin::new(&mut self.stream);
                let sent = ready!(stream.poll_write(context, &self.outgoing));
                match sent {
                    Ok(0) => {
                        let error = io::ErrorKind::WriteZero.into();
                        return Poll::Ready(Err(ExchangeFailure::Broken(error)));
                    }
                    Ok(count) => {
                        self.has_sent = true;
                        self.outgoing.advance(count);
                    }
                    Err(error) => return Poll::Ready(Err(ExchangeFailure::Broken(error))),
                }
            }
            match &mut self.body {
                UnsentBody::Ended => {
                    self.progress.enter(ExchangePhase::Head);
                    return Poll::Ready(Ok(()));
                }
                UnsentBody::File { left: 0, .. } => {
                    self.body = UnsentBody::Ended;
                    put_body_end(&mut self.outgoing);
                }
                UnsentBody::File {
                    file,
                    offset,
                    left,
                    reading,
                } => {
                    let read = reading.get_or_insert_with(|| Box::pin(file.read(*offset, *left)));
                    let piece = ready!(read.as_mut().poll(context));
                    *reading = None;
                    let piece = piece.map_err(ExchangeFailure::BodyLost)?;
                    *offset += piece.len() as u64;
                    *left -= piece.len() as u64;
                    put_body(&mut self.outgoing, piece);
                }
            }
        }
    }

    /// The connection for another request, if this one is over on both sides.
    pub(super) fn into_reusable(self) -> Option<S> {
        let is_sent = matches!(self.body, UnsentBody::Ended) && self.outgoing.is_empty();
        let is_open = self.keep && !self.is_deaf;
        let is_reusable = self.is_over && is_sent && is_open && self.received.is_empty();
        is_reusable.then_some(self.stream)
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::{ExchangeFailure, ExchangeProgress, FastCgiExchange};
    use crate::interface::RequestBody;
    use crate::interface::body_file::BodyFile;
    use crate::protocol::fastcgi::record::{ProtocolStatus, RecordKind, put_records, take_record};
    use crate::protocol::fastcgi::requester::Answered;

    fn exchange(body: &RequestBody) -> (FastCgiExchange<DuplexStream>, DuplexStream) {
        let (ours, theirs) = duplex(1000);
        (
            FastCgiExchange::new(ours, true, b"", body, ExchangeProgress::default()),
            theirs,
        )
    }

    fn answer(parts: &[&[u8]]) -> BytesMut {
        let mut answer = BytesMut::new();
        for part in parts {
            put_records(&mut answer, RecordKind::Stdout, 1, *part);
        }
        ProtocolStatus::Complete.put_end(&mut answer, 1);
        answer
    }

    async fn file(length: usize) -> RequestBody {
        let file = BodyFile::in_memory().unwrap();
        file.write(0, vec![b'x'; length].into()).await.unwrap();
        let length = length as u64;
        RequestBody::File { file, length }
    }

    /// The body that an application receives.
    async fn received(theirs: &mut DuplexStream) -> usize {
        let mut bytes = BytesMut::new();
        let mut length = 0;
        loop {
            while let Some(record) = take_record(&mut bytes).unwrap() {
                if record.kind == RecordKind::Stdin as u8 {
                    if record.content.is_empty() {
                        return length;
                    }
                    length += record.content.len();
                }
            }
            theirs.read_buf(&mut bytes).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_large_body_is_sent_while_the_answer_comes() {
        let (mut exchange, mut theirs) = exchange(&file(300_000).await);
        let echo = tokio::spawn(async move {
            theirs.write_all(&answer(&[b"early"])[..16]).await.unwrap();
            let length = received(&mut theirs).await;
            theirs.write_all(&answer(&[b"early"])[16..]).await.unwrap();
            (length, theirs)
        });
        let early = Answered::Output(Bytes::from_static(b"early"));
        assert_eq!(exchange.next().await.unwrap(), early);
        assert!(matches!(exchange.next().await.unwrap(), Answered::End(_)));
        let (length, _theirs) = echo.await.unwrap();
        assert_eq!(length, 300_000);
        assert!(exchange.into_reusable().is_some());
    }

    #[tokio::test]
    async fn an_application_may_answer_without_reading_the_body() {
        let (mut exchange, mut theirs) = exchange(&file(300_000).await);
        theirs.write_all(&answer(&[b"413"])).await.unwrap();
        drop(theirs);
        let early = Answered::Output(Bytes::from_static(b"413"));
        assert_eq!(exchange.next().await.unwrap(), early);
        assert!(matches!(exchange.next().await.unwrap(), Answered::End(_)));
        assert!(exchange.into_reusable().is_none(), "the body is not sent");
    }

    #[tokio::test]
    async fn a_connection_with_more_behind_the_end_is_not_used_again() {
        let (mut exchange, mut theirs) = exchange(&RequestBody::Empty);
        theirs.write_all(&answer(&[])).await.unwrap();
        theirs.write_all(b"x").await.unwrap();
        assert!(matches!(exchange.next().await.unwrap(), Answered::End(_)));
        assert!(exchange.into_reusable().is_none());
    }

    #[tokio::test]
    async fn an_answer_may_end_anywhere() {
        let whole = answer(&[b"abc"]);
        for end in 0..whole.len() {
            let (mut exchange, mut theirs) = exchange(&RequestBody::Empty);
            theirs.write_all(&whole[..end]).await.unwrap();
            drop(theirs);
            let failure = loop {
                match exchange.next().await {
                    Ok(Answered::End(_)) => panic!("no end after {end} bytes"),
                    Ok(_) => {}
                    Err(failure) => break failure,
                }
            };
            assert!(matches!(failure, ExchangeFailure::Closed), "{failure}");
            assert_eq!(exchange.has_answer(), end > 0);
        }
    }
}
