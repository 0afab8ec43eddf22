//! The requests that an ASGI worker has begun, by their numbers: what of each response its client was given, and how far
//! the application may go ahead of its client. Pure.

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use crate::interface::{BlockSender, CloseReason, Gone, WebSocketMessage, WebSocketSender};
use crate::protocol::worker::frame::RESPONSE_WINDOW;
use crate::workers::options::LoopLimits;
use crate::workers::pending_request::PendingRequest;
use crate::workers::pool::lane::in_flight::Violation;

/// So many bytes that a client has taken are told to the application at once. Fewer than the window: while less is to be
/// told than that, the client has more to take, or the application may send.
const CREDIT_STEP: usize = RESPONSE_WINDOW / 2;

/// The longest message of an application, in bytes. Peers that have a limit allow as much.
pub(crate) const LONGEST_MESSAGE: usize = 64 << 20;

/// All requests that one worker has begun and not ended.
#[derive(Debug)]
pub(crate) struct BegunRequests {
    pub(crate) limits: LoopLimits,
    all: BTreeMap<u32, BegunRequest>,
    web_sockets: usize,
    /// How many are no WebSockets, and not dismissed.
    counted: usize,
    dismissed: usize,
    /// No request runs into a time limit before.
    pub(crate) next_look: Option<Instant>,
    /// A task has not ended though it was cancelled, and that is reported.
    pub(crate) is_clung_to: bool,
}

/// A request that the worker has begun.
#[derive(Debug)]
pub(crate) struct BegunRequest {
    pub(crate) pending: PendingRequest,
    /// When runner noticed that the worker has begun it.
    pub(crate) since: Instant,
    /// When its response began.
    pub(crate) answered_at: Option<Instant>,
    /// When the application was told that the client has left, or that the task is cancelled.
    pub(crate) dismissed: Option<Instant>,
    /// Its response is of a kind that does not end by itself: the client is to connect again.
    pub(crate) is_endless: bool,
    pub(crate) stage: ResponseStage,
}

/// How far a response is.
#[derive(Debug)]
pub(crate) enum ResponseStage {
    /// It has not begun.
    Unanswered,
    /// Its body comes in blocks. The sender is there as long as a client is.
    Body(Option<BlockSender>, ClientWindow),
    /// It is a WebSocket.
    WebSocket(Dialogue),
    /// It is complete. The application's code may go on.
    Complete,
}

/// A WebSocket.
#[derive(Debug)]
pub(crate) struct Dialogue {
    /// Dropped when the client has left.
    pub(crate) sender: Option<WebSocketSender>,
    pub(crate) window: ClientWindow,
    /// The message of which parts have come.
    partial: Option<(bool, BytesMut)>,
    /// What was sent to the application and not acknowledged by it ([`WebSocketMessage::cost`]).
    unread: usize,
}

/// How much of what the application has sent is on its way to the client, as the worker knows it.
#[derive(Debug, Default)]
pub(crate) struct ClientWindow {
    ahead: usize,
    /// So much of it the client has taken, and the worker does not know that yet.
    taken: usize,
}

impl ClientWindow {
    /// Whether a worker may send more.
    ///
    /// # Errors
    /// [`Violation`] if the window is used up.
    fn check(&self) -> Result<(), Violation> {
        match self.ahead < RESPONSE_WINDOW {
            true => Ok(()),
            false => Err(Violation),
        }
    }

    /// Notes what the client has taken. Returns what is to be told to the worker now.
    pub(crate) fn taken(&mut self, bytes: usize) -> Option<usize> {
        self.taken = self.taken.saturating_add(bytes).min(self.ahead);
        if self.taken < CREDIT_STEP {
            return None;
        }
        self.ahead -= self.taken;
        Some(std::mem::take(&mut self.taken))
    }
}

impl Dialogue {
    pub(crate) fn new(sender: WebSocketSender) -> Self {
        Self {
            sender: Some(sender),
            window: ClientWindow::default(),
            partial: None,
            unread: 0,
        }
    }

    /// Takes a message, or a part of one, and sends it to the client when it is whole. Returns whether it is too long: then
    /// the WebSocket is closed.
    ///
    /// # Errors
    /// [`Violation`] if the worker had no room for it, if it mixes two messages, or if a text is not UTF-8.
    pub(crate) fn take_message(
        &mut self,
        text: bool,
        more: bool,
        part: Bytes,
    ) -> Result<bool, Violation> {
        let payload = match self.partial.take() {
            None => {
                if self.sender.is_some() {
                    self.window.check()?;
                }
                if more {
                    self.partial = Some((text, BytesMut::from(&*part)));
                    return Ok(false);
                }
                part
            }
            Some((begun, _)) if begun != text => return Err(Violation),
            Some((_, mut bytes)) => {
                // What no client will get is not collected.
                if self.sender.is_some() {
                    bytes.extend_from_slice(&part);
                }
                if bytes.len() > LONGEST_MESSAGE {
                    let sender = self.sender.take();
                    if let Some(sender) = sender {
                        sender.close(CloseReason::of(CloseReason::FAILED));
                    }
                    self.partial = more.then(|| (text, BytesMut::new()));
                    return Ok(true);
                }
                if more {
                    self.partial = Some((text, bytes));
                    return Ok(false);
                }
                bytes.freeze()
            }
        };
        let Some(sender) = &self.sender else {
            return Ok(false);
        };
        let message = match text {
            true if std::str::from_utf8(&payload).is_err() => return Err(Violation),
            true => WebSocketMessage::Text(payload),
            false => WebSocketMessage::Binary(payload),
        };
        self.window.ahead += message.cost();
        sender.send(message);
        Ok(false)
    }

    /// Notes that a message of the client was sent to the application.
    pub(crate) fn delivered(&mut self, message: &WebSocketMessage) {
        self.unread = self.unread.saturating_add(message.cost());
    }

    /// The application has taken messages: the client may send more.
    ///
    /// # Errors
    /// [`Violation`] if that is more than it was sent.
    pub(crate) fn read(&mut self, bytes: usize) -> Result<(), Violation> {
        self.unread = self.unread.checked_sub(bytes).ok_or(Violation)?;
        if let Some(sender) = &self.sender {
            sender.grant(bytes);
        }
        Ok(())
    }
}

impl BegunRequest {
    fn new(mut pending: PendingRequest, since: Instant) -> Self {
        pending.begin();
        Self {
            pending,
            since,
            answered_at: None,
            dismissed: None,
            is_endless: false,
            stage: ResponseStage::Unanswered,
        }
    }

    /// Begins its response.
    ///
    /// # Errors
    /// [`Violation`] if it has begun already.
    pub(crate) fn answers(&mut self, stage: ResponseStage, now: Instant) -> Result<(), Violation> {
        match self.stage {
            ResponseStage::Unanswered => {
                self.stage = stage;
                self.answered_at = Some(now);
                let service = now.saturating_duration_since(self.since);
                self.pending.note_service(service, now);
                Ok(())
            }
            _ => Err(Violation),
        }
    }

    /// Takes a block of its body, of so many bytes.
    ///
    /// # Errors
    /// [`Violation`] if it has no body that goes on, or the worker had no room for the block.
    pub(crate) fn take_block(
        &mut self,
        length: usize,
        pass_on: impl FnOnce(&BlockSender) -> Result<(), Gone>,
    ) -> Result<(), Violation> {
        let ResponseStage::Body(sender, window) = &mut self.stage else {
            return Err(Violation);
        };
        let Some(receiver) = sender else {
            return Ok(());
        };
        window.check()?;
        window.ahead += length;
        if pass_on(receiver).is_err() {
            *sender = None;
        }
        Ok(())
    }

    /// Ends its body.
    ///
    /// # Errors
    /// [`Violation`] if it has no body that goes on.
    pub(crate) fn end_body(&mut self, truncated: bool) -> Result<(), Violation> {
        let ResponseStage::Body(sender, _) = &mut self.stage else {
            return Err(Violation);
        };
        if let Some(sender) = sender.take()
            && !truncated
        {
            sender.end();
        }
        self.stage = ResponseStage::Complete;
        Ok(())
    }

    /// Breaks off its body for the client.
    pub(crate) fn break_off(&mut self) {
        if let ResponseStage::Body(sender, _) = &mut self.stage {
            *sender = None;
        }
    }

    /// Its WebSocket.
    ///
    /// # Errors
    /// [`Violation`] if it is none.
    pub(crate) fn conversation(&mut self) -> Result<&mut Dialogue, Violation> {
        match &mut self.stage {
            ResponseStage::WebSocket(conversation) => Ok(conversation),
            _ => Err(Violation),
        }
    }

    pub(crate) fn is_web_socket(&self) -> bool {
        matches!(self.stage, ResponseStage::WebSocket(_))
    }

    /// Whether it takes a place of `runner.asgi.concurrency` by itself.
    fn is_counted(&self) -> bool {
        self.dismissed.is_none() && !self.is_web_socket()
    }

    /// Whether its client waits for the head of a response.
    pub(crate) fn is_awaited(&self) -> bool {
        matches!(self.stage, ResponseStage::Unanswered) && self.pending.is_wanted()
    }

    /// Whether a client waits for what it is to get.
    pub(crate) fn has_client(&self) -> bool {
        match &self.stage {
            ResponseStage::Unanswered => self.pending.is_wanted(),
            ResponseStage::Body(sender, _) => sender.is_some(),
            ResponseStage::WebSocket(conversation) => conversation.sender.is_some(),
            ResponseStage::Complete => false,
        }
    }

    /// Whether its response goes on.
    pub(crate) fn goes_on(&self) -> bool {
        matches!(
            self.stage,
            ResponseStage::Body(..) | ResponseStage::WebSocket(_)
        )
    }

    /// Its client has left.
    pub(crate) fn lose_client(&mut self) {
        match &mut self.stage {
            ResponseStage::Body(sender, _) => *sender = None,
            ResponseStage::WebSocket(conversation) => conversation.sender = None,
            ResponseStage::Unanswered | ResponseStage::Complete => {}
        }
    }
}

impl BegunRequests {
    pub(crate) fn new(limits: LoopLimits) -> Self {
        Self {
            limits,
            all: BTreeMap::new(),
            web_sockets: 0,
            counted: 0,
            dismissed: 0,
            next_look: None,
            is_clung_to: false,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// How many are WebSockets.
    pub(crate) fn web_sockets(&self) -> usize {
        self.web_sockets
    }

    /// How many count against `runner.asgi.concurrency`: all but WebSockets and those that were dismissed. A client that has
    /// left does not hold up one that waits, whatever its application still does. But of dismissed ones only as many are
    /// free: more of them take the places of others, so that the tasks of a worker stay bounded.
    pub(crate) fn counted(&self) -> usize {
        self.counted + self.dismissed.saturating_sub(self.limits.concurrency)
    }

    pub(crate) fn begin(&mut self, number: u32, pending: PendingRequest, now: Instant) {
        self.all.insert(number, BegunRequest::new(pending, now));
        self.counted += 1;
    }

    /// The application is told that the client of a request has left, or that its task is cancelled. Returns whether that is
    /// news.
    pub(crate) fn dismiss(&mut self, number: u32, now: Instant) -> bool {
        let begun = self.all.get_mut(&number);
        let Some(begun) = begun.filter(|begun| begun.dismissed.is_none()) else {
            return false;
        };
        self.counted -= usize::from(begun.is_counted());
        self.dismissed += 1;
        begun.dismissed = Some(now);
        true
    }

    pub(crate) fn get(&mut self, number: u32) -> Option<&mut BegunRequest> {
        self.all.get_mut(&number)
    }

    /// A request becomes a WebSocket.
    ///
    /// # Errors
    /// [`Violation`] if there is none, or its response has begun already.
    pub(crate) fn converse(
        &mut self,
        number: u32,
        dialogue: Dialogue,
        now: Instant,
    ) -> Result<(), Violation> {
        let begun = self.all.get_mut(&number).ok_or(Violation)?;
        let counted = usize::from(begun.is_counted());
        begun.answers(ResponseStage::WebSocket(dialogue), now)?;
        self.counted -= counted;
        self.web_sockets += 1;
        Ok(())
    }

    /// Removes a request that has ended.
    pub(crate) fn end(&mut self, number: u32) -> Option<BegunRequest> {
        let ended = self.all.remove(&number)?;
        self.web_sockets -= usize::from(ended.is_web_socket());
        self.counted -= usize::from(ended.is_counted());
        self.dismissed -= usize::from(ended.dismissed.is_some());
        Some(ended)
    }

    /// The one that was begun first, as far as numbers tell.
    pub(crate) fn oldest(&self) -> Option<&BegunRequest> {
        self.all.values().next()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &BegunRequest)> {
        self.all.iter().map(|(&number, begun)| (number, begun))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut BegunRequest)> {
        self.all.iter_mut().map(|(&number, begun)| (number, begun))
    }

    /// Removes all, because their worker is gone.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = BegunRequest> + use<> {
        (self.web_sockets, self.counted, self.dismissed) = (0, 0, 0);
        std::mem::take(&mut self.all).into_values()
    }
}
