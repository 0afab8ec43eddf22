//! What is to be written to the client of a WebSocket, and what of it the application is told when it is written.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWrite;

/// From so many bytes on, nothing more is taken from the application, and nothing is read that may have to be answered.
const FULL: usize = 64 * 1024;

/// Payloads up to this size in bytes are copied behind what comes before them: that costs less than a part of its own.
const COPIED: usize = 2048;

/// The most parts in one write.
const PARTS: usize = 16;

/// Room for so many entries is kept while nothing is to be written.
const KEPT: usize = 4;

/// Frames in their order, as parts that are written together.
#[derive(Debug, Default)]
pub(super) struct Outflow {
    parts: VecDeque<Bytes>,
    /// What follows them.
    last: BytesMut,
    /// The bytes in all of them.
    waiting: usize,
    /// The bytes that were written since the beginning.
    written: u64,
    /// Where messages end, counted as `written` is, and what each of them costs.
    costs: VecDeque<(u64, usize)>,
}

impl Outflow {
    /// Whether more may be put in.
    pub(super) fn has_room(&self) -> bool {
        self.waiting < FULL
    }

    /// Whether all is written.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// The bytes that were written since the beginning.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Puts a frame in: its header, and its payload.
    pub(super) fn push(&mut self, header: &[u8], payload: Bytes) {
        self.waiting += header.len() + payload.len();
        self.last.extend_from_slice(header);
        if payload.len() <= COPIED {
            self.last.extend_from_slice(&payload);
        } else {
            self.close_last();
            self.parts.push_back(payload);
        }
    }

    /// The frames up to here are a message that costs so much.
    pub(super) fn end_message(&mut self, cost: usize) {
        let end = self.written + self.waiting as u64;
        self.costs.push_back((end, cost));
    }

    /// Writes as much as the client takes. Ready when all is written; `taken` is told what the messages cost of which the
    /// last byte was written.
    pub(super) fn poll_write(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        context: &mut Context<'_>,
        taken: impl FnOnce(usize),
    ) -> Poll<io::Result<()>> {
        self.close_last();
        let result = loop {
            if self.waiting == 0 {
                break Poll::Ready(Ok(()));
            }
            match self.poll_write_once(stream, context) {
                Poll::Ready(Ok(count)) => self.advance(count),
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
        };
        let mut cost = 0;
        while let Some((end, one)) = self.costs.front()
            && *end <= self.written
        {
            cost += one;
            self.costs.pop_front();
        }
        if cost > 0 {
            taken(cost);
        }
        if result.is_ready() {
            self.parts.shrink_to(KEPT);
            self.costs.shrink_to(KEPT);
        }
        result
    }

    fn close_last(&mut self) {
        if !self.last.is_empty() {
            self.parts
                .push_back(std::mem::take(&mut self.last).freeze());
        }
    }

    fn poll_write_once(
        &self,
        stream: &mut (impl AsyncWrite + Unpin),
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); PARTS];
        let mut count = 0;
        for (slice, part) in slices.iter_mut().zip(&self.parts) {
            *slice = IoSlice::new(part);
            count += 1;
        }
        let written = ready!(Pin::new(stream).poll_write_vectored(context, &slices[..count]))?;
        match written {
            0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            _ => Poll::Ready(Ok(written)),
        }
    }

    fn advance(&mut self, mut count: usize) {
        self.written += count as u64;
        self.waiting -= count;
        while let Some(part) = self.parts.front_mut() {
            if count < part.len() {
                part.advance(count);
                break;
            }
            count -= part.len();
            self.parts.pop_front();
        }
    }
}
