//! The answer to one FastCGI request: the response on `FCGI_STDOUT`, what the application reports meanwhile on
//! `FCGI_STDERR`.

use std::future::pending;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc::Receiver;

use crate::gateway::body::cgi_response::CgiResponse;
use crate::gateway::fastcgi::outbox::Outbox;
use crate::gateway::request_ids;
use crate::interface::{Application, Request};
use crate::protocol::cgi::response_head::HeadForm;
use crate::protocol::fastcgi::record::{RecordKind, put_records};

/// How an answer ended.
pub(super) enum AnswerEnd {
    Whole,
    Truncated,
}

/// Texts that the application reports about a request.
struct Reports<'a> {
    texts: Receiver<Bytes>,
    id: u16,
    outbox: &'a Outbox,
    /// At least one was sent.
    sent: bool,
}

impl Reports<'_> {
    /// The next one; never ready after the last one.
    async fn next(&mut self) -> Bytes {
        match self.texts.recv().await {
            Some(text) => text,
            None => pending().await,
        }
    }

    async fn send(&mut self, text: Bytes) {
        self.sent = true;
        self.outbox.send(RecordKind::Stderr, self.id, text).await;
    }
}

/// Has the application answer a request and sends the answer, all but the `FCGI_END_REQUEST`. Returns also how many bytes of
/// its body were sent.
pub(super) async fn respond(
    application: Arc<dyn Application>,
    request: Request,
    reports: Receiver<Bytes>,
    id: u16,
    outbox: &Outbox,
) -> (AnswerEnd, u64) {
    let mut sent = 0;
    let mut reports = Reports {
        texts: reports,
        id,
        outbox,
        sent: false,
    };
    let (method, ids) = (request.method.clone(), request.ids.clone());
    let mut head = BytesMut::new();
    let mut response = {
        let mut responding = application.respond(request);
        let mut response = loop {
            tokio::select! {
                biased;
                response = &mut responding => break response,
                report = reports.next() => reports.send(report).await,
            }
        };
        request_ids::put(&mut response.headers, ids.as_deref());
        CgiResponse::new(&method, response, HeadForm::StatusField, &mut head)
    };
    outbox.send(RecordKind::Stdout, id, head.freeze()).await;
    let end = loop {
        tokio::select! {
            biased;
            piece = response.next() => match piece {
                Some(Ok(piece)) => {
                    sent += piece.len() as u64;
                    outbox.send(RecordKind::Stdout, id, piece).await;
                }
                Some(Err(_)) => break AnswerEnd::Truncated,
                None => break AnswerEnd::Whole,
            },
            report = reports.next() => reports.send(report).await,
        }
    };
    while let Ok(report) = reports.texts.try_recv() {
        reports.send(report).await;
    }
    if let AnswerEnd::Whole = end {
        outbox.put_end(|records| {
            put_records(records, RecordKind::Stdout, id, Bytes::new());
            if reports.sent {
                put_records(records, RecordKind::Stderr, id, Bytes::new());
            }
        });
    }
    (end, sent)
}
