//! WebSockets (RFC 6455) over HTTP/1.1 and HTTP/2 (RFC 8441). Pings and pongs, fragments, compression, limits and the closing handshake are the
//! gateway's; applications see whole messages.
//!
//! hyper's part ends with the response 101, and its buffers with it. An idle WebSocket has no buffer: it costs some
//! kilobytes with its connection, a few more that its next compressed messages may point back to, and one timer.

use bytes::Bytes;

use crate::gateway::http::connection_state::ConnectionState;
use crate::gateway::http::websocket::acceptance::AcceptedWebSocket;
use crate::gateway::http::websocket::carrier::Carrier;
use crate::gateway::http::websocket::session::Session;

pub(super) mod acceptance;
pub(super) mod carrier;
mod heartbeat;
mod inflow;
mod outflow;
mod patience;
mod session;

/// Serves a WebSocket to the end of its connection, or stream. `early` is what the client has sent behind its request.
pub(super) async fn serve(
    carrier: impl Carrier,
    early: Bytes,
    accepted: AcceptedWebSocket,
    state: &ConnectionState,
) {
    let session = Session::new(carrier, &early, accepted, state);
    // hyper's buffer.
    drop(early);
    session.run().await;
}
