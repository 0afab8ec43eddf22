//! HTTP/2 (RFC 9113): over TLS where the handshake agrees on it, and in clear text for clients that begin with it.
//!
//! The crate `h2` reads and writes frames, compresses heads and keeps the windows of flow control. What a request means and
//! what becomes of it is the same as by HTTP/1 ([`connection`]); here is what differs:
//! a connection has many streams ([`streams`]), a head has other fields ([`stream_head`]), and a response is sent as the
//! client opens its windows ([`stream_response`]). A stream may be a WebSocket (RFC 8441, [`tunnel`]), if the application takes
//! any.
//!
//! Not by hyper, which is above `h2`, too: it hides the windows. A client that opens none would hold a response for ever,
//! since hyper does not ask for its next part then; an early response could not be followed by `NO_ERROR`, and a stream
//! that is a WebSocket (RFC 8441) not be treated as a connection.
//!
//! `h2` refuses on its own, by `RST_STREAM` with `PROTOCOL_ERROR`: pseudo-header fields that are missing, repeated or behind
//! others, fields of a connection (`Connection`, `Transfer-Encoding`, `Upgrade`, …), `TE` other than `trailers`, and a body
//! that is not as long as its `Content-Length` (§8.1.1, §8.2, §8.3); the log learns of that by [`sent_frames`]. It bounds the
//! frames of a head, the size of its fields, small frames of data that wait, and streams that are reset before they are answered.
//!
//! It cannot be told otherwise in four things, of which none reaches an application:
//!
//! - Names in upper case, values with control characters and unknown pseudo-header fields are errors of compression to it, and
//!   end the connection instead of the stream, as any error of a stream may (§5.4.1).
//! - Trailers are dropped, whatever is in them. It keeps their pseudo-header fields, which make a request malformed (§8.1), to
//!   itself, so that they are dropped as well.
//! - Without `:authority`, it keeps the `:scheme` to itself: one that is not HTTP's is not found out then.
//! - A fragment of `:path` is cut off, where HTTP/1 refuses the request.
//!
//! What is missing there is below `h2`, where frames pass: the frames of a client that are of no use, and the time for a
//! head ([`frame_meter`]).

use std::pin::pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::server::Builder;
use tokio::time::{sleep, timeout};

use crate::gateway::http::connection;
use crate::gateway::http::connection_state::ConnectionState;
use crate::gateway::http::http_options::HttpOptions;
use crate::gateway::http::http2::frame_meter::FrameMeter;
use crate::gateway::http::http2::metered_transport::MeteredTransport;
use crate::gateway::http::http2::streams::Streams;
use crate::gateway::socket::stream::Stream;

mod frame_meter;
mod metered_transport;
mod sent_frames;
mod stream_body;
mod stream_head;
mod stream_response;
mod streams;
mod tunnel;

/// How much of a request's body a client may send before it is received, in bytes: what comes is received at once, so that
/// this is the most that is on the way.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The same for all streams of a connection together.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// How much of a response is taken from its application before the client has taken it, in bytes.
const SEND_BUFFER: usize = 64 * 1024;

/// What small frames of a body may cost that wait to be received: `h2` counts what each has less than 256 bytes. Those of one
/// turn are no flood, whatever their size.
const SMALL_FRAMES: usize = 2 * 1024 * 1024;

/// What `h2` adds to the size of each field (RFC 9113 §6.5.2), in bytes.
const FIELD_OVERHEAD: usize = 32;

/// Serves a connection by the version of HTTP that its client begins with.
pub(super) async fn serve_either(stream: Stream, state: Arc<ConnectionState>) {
    if let Some(begun) = connection::serve(stream, state).await {
        // In a box: the future of each connection has room for it otherwise.
        Box::pin(serve(begun.stream, begun.early, begun.state)).await;
    }
}

/// Serves a connection to its end. `early` is what was read of it.
pub(super) async fn serve(stream: Stream, early: Bytes, state: Arc<ConnectionState>) {
    let options = &state.gateway.options;
    let meter = Arc::new(Mutex::new(FrameMeter::new(options.max_streams)));
    let transport = MeteredTransport::new(stream, early, &state, &meter);
    let mut builder = builder(options);
    if state.gateway.application.takes_web_sockets() {
        builder.enable_connect_protocol();
    }
    let handshake = builder.handshake(transport);
    let stopped = pin!(async {
        let manner = state.gateway.generation.stop.begun().await;
        sleep(manner.linger()).await;
    });
    let begun = tokio::select! {
        biased;
        begun = timeout(options.head_timeout, handshake) => begun,
        () = state.permit.close_asked() => return,
        () = stopped => return,
    };
    // A client that leaves, or begins with something else, is no news.
    if let Ok(Ok(connection)) = begun {
        Streams::new(connection, Arc::clone(&state), meter)
            .run()
            .await;
    }
}

fn builder(options: &HttpOptions) -> Builder {
    let limits = options.head_limits;
    let mut builder = Builder::new();
    // A head beyond its limits is refused here, as by HTTP/1; `h2` refuses what is larger by far.
    let largest = 2 * (limits.head + FIELD_OVERHEAD * limits.fields);
    builder
        .max_concurrent_streams(options.max_streams)
        .max_header_list_size(u32::try_from(largest).unwrap_or(u32::MAX))
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .data_frame_budget(SMALL_FRAMES)
        .max_send_buffer_size(SEND_BUFFER);
    builder
}
