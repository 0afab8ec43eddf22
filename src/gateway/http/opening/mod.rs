//! The beginning of a connection before its first request: the handshake of TLS, behind what a proxy may have said.

use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use crate::clock::http_date;
use crate::gateway::connection_limit::Permit;
use crate::gateway::http::connection_state::{ConnectionState, GatewayState};
use crate::gateway::http::http2;
use crate::gateway::http::transport::Transport;
use crate::gateway::socket::stream::{Peer, Stream};
use crate::gateway::socket::tls::TlsSetup;
use crate::gateway::socket::tls::tls_handshake::{Handshakes, Spoken};
use crate::interface::Scheme;
use crate::log::{LogKind, LogSubject};
use crate::protocol::proxy::proxy_head::ProxyHead;

pub(super) mod refused_connection;

/// The page for a client that speaks HTTP without TLS.
fn clear_text() -> String {
    let page = "This port speaks HTTPS: write https:// at the beginning of the URL.\n";
    let (length, date) = (page.len(), http_date(SystemTime::now()));
    format!(
        "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\n\
         content-length: {length}\r\ndate: {date}\r\n\r\n{page}"
    )
}

/// Serves one connection to its end, over TLS where that is spoken; `head` is what a proxy has said of it. While its handshake
/// is under way, the connection counts as one whose client is waited for.
pub(super) async fn serve(
    stream: Stream,
    gateway: Arc<GatewayState>,
    peer: Peer,
    permit: Permit,
    head: Option<ProxyHead>,
) {
    let setup = gateway
        .handshakes
        .as_ref()
        .zip(gateway.options.tls.as_ref());
    let spoken = match setup {
        // In a box: the future of each connection has room for it otherwise, to its end.
        Some((handshakes, setup)) => {
            Box::pin(negotiate(
                stream,
                peer,
                &permit,
                &gateway,
                (handshakes, setup),
            ))
            .await
        }
        None if gateway.scheme == Scheme::Https => None,
        None => Some(Spoken::Tls(stream, None)),
    };
    let state = |stream: &Stream| match head {
        Some(head) => ConnectionState::announced(gateway, stream, peer, permit, head),
        None => ConnectionState::new(gateway, stream, peer, permit),
    };
    match spoken {
        Some(Spoken::Tls(stream, session)) => {
            let state = Arc::new(state(&stream).over_tls(session));
            if stream.has_agreed_on_http2() {
                return Box::pin(http2::serve(stream, Bytes::new(), state)).await;
            }
            http2::serve_either(stream, state).await;
        }
        Some(Spoken::ClearText(stream)) => {
            let state = Arc::new(state(&stream));
            let client = state.client_name();
            crate::log_of!(
                LogKind::Refused,
                about = state.subject(),
                "refused a request from {client}: it is not encrypted, and this address is for https"
            );
            let refusal = clear_text();
            Box::pin(Transport::new(stream, &state).refuse(refusal.as_bytes())).await;
        }
        None => {}
    }
}

/// What the client speaks; `None` if its connection is to end.
async fn negotiate(
    stream: Stream,
    peer: Peer,
    permit: &Permit,
    gateway: &GatewayState,
    (handshakes, setup): (&Handshakes, &TlsSetup),
) -> Option<Spoken> {
    let limits = gateway.options.handshakes;
    let stopped = pin!(async {
        let manner = gateway.generation.stop.begun().await;
        tokio::time::sleep(manner.linger()).await;
    });
    let shaken = tokio::select! {
        biased;
        shaken = handshakes.shake(stream, peer, setup, limits) => shaken,
        () = permit.close_asked() => return None,
        () = stopped => return None,
    };
    match shaken {
        Ok(spoken) => Some(spoken),
        Err(error) => {
            // A client that leaves is no news: health checks only connect.
            let has_left = [
                ErrorKind::UnexpectedEof,
                ErrorKind::ConnectionReset,
                ErrorKind::BrokenPipe,
                ErrorKind::ConnectionAborted,
            ];
            if !has_left.contains(&error.kind()) {
                permit.note_failed_handshake();
                let client = match peer {
                    Peer::Tcp(address) => address.ip().to_string(),
                    Peer::Unix => "a local process".to_owned(),
                };
                crate::log_of!(
                    LogKind::Closed,
                    about = LogSubject::connection_from(peer.client()),
                    "no TLS with {client}: {error}"
                );
            }
            None
        }
    }
}
