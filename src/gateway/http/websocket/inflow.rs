//! What the client of a WebSocket sends, as the decoder finds it. There is a buffer only while a frame is incomplete.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, ReadBuf};

use crate::gateway::http::http_options::HttpOptions;
use crate::gateway::slow_client::Pace;
use crate::protocol::websocket::decoder::{Decoder, WebSocketEvent};
use crate::protocol::websocket::frame_head::WebSocketFault;

/// The most that is read at once, in bytes.
const READ: usize = 64 * 1024;

thread_local! {
    /// What is read comes here first, so that no connection has room for more than it needs.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
}

/// The bytes of a client, and what they mean.
#[derive(Debug)]
pub(super) struct Inflow {
    decoder: Decoder,
    /// What has come in and is not decoded.
    bytes: BytesMut,
    /// Of a frame that is incomplete.
    pace: Pace,
    /// The bytes that were read since the beginning.
    read: u64,
}

/// Why nothing more comes in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Interrupted {
    /// The connection has ended.
    Broken,
    /// The rest of a frame comes too slowly.
    TooSlow,
    /// The client has done something wrong.
    Fault(WebSocketFault),
}

impl Inflow {
    /// Decodes what a client sends, beginning with these bytes.
    pub(super) fn new(decoder: Decoder, early: &[u8], options: &HttpOptions) -> Self {
        Self {
            decoder,
            bytes: BytesMut::from(early),
            pace: Pace::new(options.body_timeout, options.min_rate),
            read: 0,
        }
    }

    /// The bytes that were read since the beginning.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// Nothing is read for a while: that is not the client's time.
    pub(super) fn pause(&mut self) {
        if self.pace.is_waiting() {
            self.pace.moved(0);
        }
    }

    /// Polls for what the client sends next.
    pub(super) fn poll_next(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        context: &mut Context<'_>,
    ) -> Poll<Result<WebSocketEvent, Interrupted>> {
        loop {
            match self.decoder.next(&mut self.bytes) {
                // Decompressing takes its time.
                Ok(Some(WebSocketEvent::Progress)) => {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Ok(Some(event)) => return Poll::Ready(Ok(event)),
                Ok(None) => {}
                Err(fault) => return Poll::Ready(Err(Interrupted::Fault(fault))),
            }
            if self.bytes.is_empty() {
                // Its memory with it.
                self.bytes = BytesMut::new();
            }
            match self.poll_read(stream, context) {
                Poll::Ready(Some(count)) => {
                    self.read += count;
                    self.pace.moved(count);
                }
                Poll::Ready(None) => return Poll::Ready(Err(Interrupted::Broken)),
                Poll::Pending if self.bytes.is_empty() && self.decoder.is_between_frames() => {
                    return Poll::Pending;
                }
                Poll::Pending => {
                    ready!(self.pace.poll_late(context));
                    return Poll::Ready(Err(Interrupted::TooSlow));
                }
            }
        }
    }

    /// Reads what is there: the number of bytes; `None` at the end of the connection.
    fn poll_read(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        context: &mut Context<'_>,
    ) -> Poll<Option<u64>> {
        BUFFER.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            let read = ready!(Pin::new(stream).poll_read(context, &mut buffer));
            let bytes = buffer.filled();
            self.bytes.extend_from_slice(bytes);
            let is_open = read.is_ok() && !bytes.is_empty();
            Poll::Ready(is_open.then_some(bytes.len() as u64))
        })
    }
}
