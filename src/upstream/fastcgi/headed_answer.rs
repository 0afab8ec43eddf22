//! An answer up to the head of its response, and what the head says of the rest.

use bytes::BytesMut;
use http::header;

use crate::protocol::cgi::program_head::{HeadReader, ProgramHead};
use crate::protocol::fastcgi::record::{ProtocolStatus, RequestEnd};
use crate::protocol::fastcgi::requester::Answered;
use crate::upstream::exchange_phase::ExchangeProgress;
use crate::upstream::fastcgi::ask_failure::AskFailure;
use crate::upstream::fastcgi::fastcgi_exchange::FastCgiExchange;
use crate::upstream::fastcgi::stderr_lines::StderrLines;
use crate::upstream::fastcgi::unanswered_connections::UnansweredConnection;
use crate::upstream::upstream_stream::UpstreamStream;

/// A request under way at a server.
pub(super) type ServerExchange = FastCgiExchange<UpstreamStream>;

/// An answer whose head has come.
pub(super) struct HeadedAnswer {
    pub(super) head: ProgramHead,
    /// The part of the body that came with it.
    pub(super) body: BytesMut,
    pub(super) exchange: ServerExchange,
}

/// Receives until the head of a response is complete. The part of the body that came with it follows.
pub(super) async fn receive_head(
    exchange: &mut ServerExchange,
    unanswered: Option<UnansweredConnection>,
    errors: &mut StderrLines,
    progress: &ExchangeProgress,
) -> Result<(ProgramHead, BytesMut), AskFailure> {
    let mut reader = HeadReader::default();
    let mut first = exchange.next().await;
    // A process has it.
    drop(unanswered);
    loop {
        match first.map_err(|failure| AskFailure::Broken(failure, progress.phase()))? {
            Answered::Output(part) => match reader.push(&part) {
                Ok(Some((head, body))) => return Ok((head, BytesMut::from(body))),
                Ok(None) => {}
                Err(bad) => return Err(AskFailure::Headless(bad)),
            },
            Answered::Errors(text) => errors.add(text),
            Answered::End(RequestEnd { protocol, .. })
                if protocol != ProtocolStatus::Complete as u8 =>
            {
                return Err(AskFailure::Refused(protocol));
            }
            Answered::End(_) => return Err(AskFailure::Headless(reader.ended())),
        }
        first = exchange.next().await;
    }
}

/// Whether a response has no end of its own.
pub(super) fn is_endless(head: &ProgramHead) -> bool {
    let kind = head.headers.get(header::CONTENT_TYPE);
    let kind = kind.map_or(&b""[..], |kind| kind.as_bytes());
    [&b"text/event-stream"[..], b"multipart/x-mixed-replace"]
        .iter()
        .any(|endless| {
            let begin = kind.get(..endless.len());
            begin.is_some_and(|begin| begin.eq_ignore_ascii_case(endless))
        })
}
