//! Compressed responses: which are compressed, and their bodies, piece by piece. Compressing takes the processor for long
//! compared with anything else that the thread of all connections does, so other threads do it for all but the smallest
//! pieces.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use std::thread::available_parallelism;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::gateway::body::held_pieces::HeldPieces;
use crate::gateway::body::response_body::{Body, FilePart, known_length, log_misfit};
use crate::interface::{ResponseBody, Truncated};
use crate::protocol::content_coding::{Compressor, ContentCoding, preferred};

/// Shorter bodies hardly get shorter, and fit a packet as they are, in bytes.
const SHORTEST: u64 = 1024;

/// The largest piece that this thread compresses itself, which takes it some 50 µs, in bytes.
const SMALL: usize = 4096;

/// Fields that say something about the bytes of a body as they are, which would be wrong of the compressed ones.
const ABOUT_BYTES: [HeaderName; 4] = [
    CONTENT_RANGE,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// The coding for the response to a request, if it is compressed at all.
pub(crate) fn negotiated(headers: &HeaderMap, offered: &[ContentCoding]) -> Option<ContentCoding> {
    if offered.is_empty() {
        return None;
    }
    // A list may be written in several fields (RFC 9110 §5.3).
    let values = headers.get_all(ACCEPT_ENCODING).iter();
    let accept: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    preferred(&accept.join(","), offered)
}

/// Whether the response depends on `Accept-Encoding`: it is worth compressing, and may be. The length is in bytes, if known.
fn is_compressible(headers: &HeaderMap, length: Option<u64>) -> bool {
    let may_change = !headers
        .get_all(CACHE_CONTROL)
        .iter()
        .any(|value| has_directive(value, b"no-transform"));
    headers.get(CONTENT_TYPE).is_some_and(is_text)
        && may_change
        && !headers.contains_key(CONTENT_ENCODING)
        && !ABOUT_BYTES.iter().any(|name| headers.contains_key(name))
        && length.is_none_or(|length| length >= SHORTEST)
}

/// Whether bodies of a type get much shorter. An event stream would, but each event is sent alone, and proxies and libraries
/// of clients are known to hold compressed ones back.
fn is_text(content_type: &HeaderValue) -> bool {
    let kind = content_type.as_bytes();
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
    let kind = kind.trim_ascii().to_ascii_lowercase();
    match &*kind {
        b"text/event-stream" => false,
        b"application/javascript"
        | b"application/json"
        | b"application/manifest"
        | b"application/vnd.ms-fontobject"
        | b"application/wasm"
        | b"application/x-javascript"
        | b"application/x-ndjson"
        | b"application/xml"
        | b"application/yaml"
        | b"font/otf"
        | b"font/ttf"
        | b"image/bmp"
        | b"image/vnd.microsoft.icon"
        | b"image/x-icon" => true,
        other => {
            other.starts_with(b"text/") || other.ends_with(b"+json") || other.ends_with(b"+xml")
        }
    }
}

fn has_directive(value: &HeaderValue, directive: &[u8]) -> bool {
    let mut directives = value.as_bytes().split(|byte| *byte == b',');
    directives.any(|one| one.trim_ascii().eq_ignore_ascii_case(directive))
}

/// Prepares a response of a server that compresses, where the status allows a body. The coding is that which was negotiated
/// with its client; `announced` is its `Content-Length`. Returns the body, which may be compressed already, and what
/// compresses it on its way. `has_body` if the client gets it, too, and not only the head.
pub(crate) fn encode(
    coding: Option<ContentCoding>,
    headers: &mut HeaderMap,
    announced: &mut Option<u64>,
    body: ResponseBody,
    has_body: bool,
) -> (ResponseBody, Option<Compressor>) {
    let length = announced.or_else(|| known_length(&body));
    if !is_compressible(headers, length) {
        return (body, None);
    }
    add_vary(headers);
    // Without memory for a compressor it goes as it is.
    let Some((coding, Ok(compressor))) = coding.map(|coding| (coding, Compressor::new(coding)))
    else {
        return (body, None);
    };
    let (body, compressor) = match body {
        ResponseBody::Bytes(bytes)
            if has_body && bytes.len() <= SMALL && length == Some(bytes.len() as u64) =>
        {
            match whole(compressor, &bytes) {
                Ok(whole) if whole.len() < bytes.len() => {
                    *announced = None;
                    (ResponseBody::Bytes(whole), None)
                }
                _ => return (ResponseBody::Bytes(bytes), None),
            }
        }
        body => (body, Some(compressor)),
    };
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    // Both are about the bytes before: parts of the compressed ones cannot be asked for.
    headers.remove(CONTENT_LENGTH);
    headers.remove(ACCEPT_RANGES);
    weaken_tag(headers);
    (body, compressor)
}

fn whole(mut compressor: Compressor, body: &[u8]) -> io::Result<Bytes> {
    let begin = compressor.add(body)?;
    let end = compressor.finish()?;
    Ok([begin, end].concat().into())
}

/// Caches keep responses apart by what they depend on (RFC 9110 §12.5.5).
fn add_vary(headers: &mut HeaderMap) {
    let is_there = headers.get_all(VARY).iter().any(|value| {
        has_directive(value, b"*") || has_directive(value, ACCEPT_ENCODING.as_str().as_bytes())
    });
    if !is_there {
        headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    }
}

/// A strong tag would say that the bytes are the same with each coding (RFC 9110 §8.8.1).
fn weaken_tag(headers: &mut HeaderMap) {
    if let Some(tag) = headers.get(ETAG)
        && tag.as_bytes().starts_with(b"\"")
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat())
    {
        headers.insert(ETAG, weak);
    }
}

/// As many pieces are compressed at a time as there are processors: more would only take turns.
static TURNS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let processors = available_parallelism().map_or(1, usize::from);
    Arc::new(Semaphore::new(processors))
});

/// A body on its way out, which may be compressed there.
pub(crate) enum EncodedBody {
    /// As it is.
    Plain(Body),
    /// While it is sent.
    Compressed(Box<CompressedBody>),
}

impl EncodedBody {
    /// The body, with what compresses it.
    pub(crate) fn new(body: Body, compressor: Option<Compressor>) -> Self {
        match compressor {
            None => Self::Plain(body.pass_on()),
            Some(compressor) => Self::Compressed(Box::new(CompressedBody {
                source: body,
                stage: CompressionStage::Ready(compressor),
                pending: 0,
                made: HeldPieces::default(),
            })),
        }
    }

    /// The number of bytes still to come, where it is known.
    pub(crate) fn left(&self) -> Option<u64> {
        match self {
            Self::Plain(body) => body.left(),
            Self::Compressed(_) => None,
        }
    }

    /// Takes a part of a file, as [`Body::take_cached_part`].
    pub(crate) fn take_cached_part(&mut self, longest: u64) -> Option<FilePart> {
        match self {
            Self::Plain(body) => body.take_cached_part(longest),
            Self::Compressed(_) => None,
        }
    }

    /// The next piece, never empty; `None` at the end.
    pub(crate) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Truncated>>> {
        match self {
            Self::Plain(body) => body.poll_next(context),
            Self::Compressed(body) => body.poll_next(context),
        }
    }
}

/// A body that is compressed while it is sent.
pub(crate) struct CompressedBody {
    source: Body,
    stage: CompressionStage,
    /// How many bytes of the source may not have been given on.
    pending: usize,
    /// What was given on and is not sent.
    made: HeldPieces,
}

enum CompressionStage {
    Ready(Compressor),
    Working(JoinHandle<Stepped>),
    Ended,
}

/// What is to be done next.
enum CompressionStep {
    Add(Bytes),
    Flush,
    Finish,
}

/// What it has made, and the compressor, if that was not the end.
type Stepped = io::Result<(Bytes, Option<Compressor>)>;

impl CompressionStep {
    fn take(self, mut compressor: Compressor) -> Stepped {
        Ok(match self {
            Self::Add(piece) => (compressor.add(&piece)?, Some(compressor)),
            Self::Flush => (compressor.flush()?, Some(compressor)),
            Self::Finish => (compressor.finish()?, None),
        })
    }

    /// Takes the step on another thread.
    fn take_elsewhere(self, compressor: Compressor) -> JoinHandle<Stepped> {
        tokio::spawn(async move {
            let turn = TURNS.acquire().await;
            let stepped = spawn_blocking(|| self.take(compressor)).await;
            drop(turn);
            stepped?
        })
    }
}

impl CompressedBody {
    /// The next piece, never empty; `None` at the end. When the source is waited for, all that it has given so far is given
    /// on: a client sees each part of a stream as soon as it is there.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Truncated>>> {
        ready!(self.made.poll_room(context));
        loop {
            let stepped = match std::mem::replace(&mut self.stage, CompressionStage::Ended) {
                CompressionStage::Ended => return Poll::Ready(None),
                CompressionStage::Working(mut working) => {
                    match Pin::new(&mut working).poll(context) {
                        Poll::Pending => {
                            self.stage = CompressionStage::Working(working);
                            return Poll::Pending;
                        }
                        Poll::Ready(stepped) => stepped.unwrap_or_else(|failed| Err(failed.into())),
                    }
                }
                CompressionStage::Ready(compressor) => {
                    let step = match self.source.poll_next(context) {
                        Poll::Ready(Some(Ok(piece))) => CompressionStep::Add(piece),
                        Poll::Ready(Some(Err(Truncated))) => {
                            return Poll::Ready(Some(Err(Truncated)));
                        }
                        Poll::Ready(None) => CompressionStep::Finish,
                        Poll::Pending if self.pending > 0 => CompressionStep::Flush,
                        Poll::Pending => {
                            self.stage = CompressionStage::Ready(compressor);
                            return Poll::Pending;
                        }
                    };
                    // What is pending is compressed by a later step.
                    let work = self.pending;
                    self.pending = match &step {
                        CompressionStep::Add(piece) => self.pending.saturating_add(piece.len()),
                        CompressionStep::Flush | CompressionStep::Finish => 0,
                    };
                    if work.max(self.pending) > SMALL {
                        self.stage = CompressionStage::Working(step.take_elsewhere(compressor));
                        continue;
                    }
                    step.take(compressor)
                }
            };
            match stepped {
                Ok((made, compressor)) => {
                    self.stage =
                        compressor.map_or(CompressionStage::Ended, CompressionStage::Ready);
                    if !made.is_empty() {
                        return Poll::Ready(Some(Ok(self.made.hold(made))));
                    }
                }
                Err(error) => {
                    let what = format_args!("cannot compress the response: {error}");
                    log_misfit(self.source.about(), what);
                    return Poll::Ready(Some(Err(Truncated)));
                }
            }
        }
    }
}
