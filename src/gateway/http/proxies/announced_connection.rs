//! Connections that begin with a head of the PROXY protocol, which says who the client is.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use crate::gateway::connection_limit::Permit;
use crate::gateway::http::connection_state::GatewayState;
use crate::gateway::http::opening;
use crate::gateway::http::opening::refused_connection;
use crate::gateway::socket::stream::{Peer, Stream};
use crate::log::{LogKind, LogSubject};
use crate::protocol::proxy::proxy_head::{
    BadProxyHead, HeadProgress, ProxiedAddresses, ProxyHead, parse,
};

/// The longest time until the head is there. A proxy sends it at once; the protocol asks for at least 3 s, in which TCP
/// sends again what was lost.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves a connection that must begin with a head, and must come from a trusted proxy.
pub(in crate::gateway::http) async fn serve(
    mut stream: Stream,
    gateway: Arc<GatewayState>,
    peer: Peer,
    permit: Permit,
) {
    let received = async {
        match gateway.options.proxies.trusts(peer) {
            true => timeout(HEAD_TIMEOUT, receive(&mut stream))
                .await
                .unwrap_or(Err(Missing::Late)),
            false => Err(Missing::Untrusted),
        }
    };
    let received = tokio::select! {
        biased;
        received = received => received,
        // Another connection waits for the permit.
        () = permit.close_asked() => Err(Missing::Late),
    };
    let reason = match received {
        Ok(head) => {
            if let ProxiedAddresses::Tcp { source, .. } = head.addresses
                && !permit.is_admitted_from(source.ip())
            {
                return refused_connection::refuse(&stream, Peer::Tcp(source), gateway.scheme);
            }
            let serving = opening::serve(stream, gateway, peer, permit, Some(head));
            return Box::pin(serving).await;
        }
        // Proxies and service managers look in this way whether a port is open.
        Err(Missing::Ended) => return,
        Err(Missing::Untrusted) => "it is not one of `runner.http.trusted_proxies`".to_owned(),
        Err(Missing::Late) => "the head of the PROXY protocol took too long".to_owned(),
        Err(Missing::Bad(reason)) => reason.to_string(),
    };
    let name = match peer.address() {
        Some(address) => address.to_string(),
        None => "a local process".to_owned(),
    };
    crate::log_of!(
        LogKind::Refused,
        about = LogSubject::connection_from(peer.client()),
        "refused a connection from {name}: {reason} (runner.http.proxy_protocol)"
    );
}

/// Why there is no head.
enum Missing {
    /// The peer is no trusted proxy.
    Untrusted,
    /// It does not come in time.
    Late,
    /// The connection has ended, or is broken.
    Ended,
    /// Something else has come.
    Bad(BadProxyHead),
}

/// Reads the head and no byte of what follows it.
async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> Result<ProxyHead, Missing> {
    let mut bytes = Vec::new();
    loop {
        match parse(&bytes).map_err(Missing::Bad)? {
            HeadProgress::Whole(head, _) => return Ok(head),
            HeadProgress::Needs(count) => {
                let mut next = (&mut *stream).take(count as u64);
                if !matches!(next.read_buf(&mut bytes).await, Ok(1..)) {
                    return Err(Missing::Ended);
                }
            }
        }
    }
}
