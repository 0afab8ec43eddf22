//! A stream that is a WebSocket, as bytes that go both ways (RFC 8441 §5).

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

use crate::gateway::http::connection_state::ConnectionState;
use crate::gateway::http::http2::frame_meter::{self, FrameMeter};
use crate::gateway::http::websocket::carrier::Carrier;
use crate::gateway::slow_client::Pace;

/// Both directions of a stream.
pub(super) struct Tunnel {
    pub receive: RecvStream,
    pub send: SendStream<Bytes>,
    /// What has come and is not read.
    pub rest: Bytes,
    /// How slowly the client may take what is sent.
    pub pace: Pace,
    pub meter: Arc<Mutex<FrameMeter>>,
    pub state: Arc<ConnectionState>,
}

fn broken(_: h2::Error) -> io::Error {
    ErrorKind::ConnectionReset.into()
}

impl Tunnel {
    /// How many bytes of so many may be sent.
    fn poll_room(&mut self, wanted: usize, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.send.reserve_capacity(wanted);
        let room = match self.send.capacity() {
            0 => self.send.poll_capacity(context),
            room => Poll::Ready(Some(Ok(room))),
        };
        match room {
            Poll::Ready(Some(room)) => {
                let room = room.map_err(broken)?.min(wanted);
                self.pace.moved(room as u64);
                Poll::Ready(Ok(room))
            }
            Poll::Ready(None) => Poll::Ready(Err(ErrorKind::BrokenPipe.into())),
            Poll::Pending => {
                ready!(self.pace.poll_late(context));
                self.state.log_slow_client("a stream");
                self.send.send_reset(Reason::CANCEL);
                Poll::Ready(Err(ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(self.receive.poll_data(context)) {
                Some(part) => self.rest = part.map_err(broken)?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..count]);
        self.rest.advance(count);
        // Fails where the stream has ended.
        let _ = self.receive.flow_control().release_capacity(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let room = ready!(self.poll_room(bytes.len(), context))?;
        frame_meter::lock(&self.meter).sent(room);
        let part = Bytes::copy_from_slice(&bytes[..room]);
        self.send.send_data(part, false).map_err(broken)?;
        Poll::Ready(Ok(room))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.send.send_data(Bytes::new(), true).map_err(broken))
    }
}

impl Carrier for Tunnel {
    fn poll_passed_on(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn has_gone(&mut self, context: &mut Context<'_>) -> bool {
        self.send.poll_reset(context).is_ready()
    }

    async fn linger(mut self, limit: Duration) {
        if self.send.send_data(Bytes::new(), true).is_err() {
            return;
        }
        let ended = poll_fn(|context| {
            while let Some(Ok(part)) = ready!(self.receive.poll_data(context)) {
                let _ = self.receive.flow_control().release_capacity(part.len());
            }
            Poll::Ready(())
        });
        // Whatever comes of it, the stream ends.
        let _ = timeout(limit, ended).await;
    }

    fn reset(mut self) {
        self.send.send_reset(Reason::CANCEL);
    }
}
