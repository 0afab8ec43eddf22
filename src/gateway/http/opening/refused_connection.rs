//! What a client gets whose connection ends without a request that hyper has read.

use std::time::SystemTime;

use http::StatusCode;
use rustix::net::SendFlags;

use crate::clock::http_date;
use crate::gateway::socket::stream::{Peer, Stream};
use crate::interface::Scheme;
use crate::log::{LogKind, LogSubject};

/// An answer to what hyper does not read: the same as that to a refused request.
pub(in crate::gateway::http) fn closing_answer(status: StatusCode) -> String {
    let date = http_date(SystemTime::now());
    let body = format!("{status}\n");
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {length}\r\nconnection: close\r\ndate: {date}\r\n\r\n{body}"
    )
}

/// Refuses a connection of a client that has too many. The client gets what the system takes at once, and nothing where it
/// would have to be encrypted: a handshake costs more than what is refused.
pub(in crate::gateway::http) fn refuse(stream: &Stream, peer: Peer, scheme: Scheme) {
    let client = match peer {
        Peer::Tcp(address) => address.ip().to_string(),
        Peer::Unix => "a local process".to_owned(),
    };
    crate::log_of!(
        LogKind::Refused,
        about = LogSubject::connection_from(peer.client()),
        "refused a connection from {client}: it has too many open (503, runner.http.max_per_address)"
    );
    if scheme == Scheme::Https {
        return;
    }
    let answer = closing_answer(StatusCode::SERVICE_UNAVAILABLE);
    // A client that gets nothing of it sees the connection end all the same.
    let _ = rustix::net::send(stream, answer.as_bytes(), SendFlags::NOSIGNAL);
}
