//! Commands that speak with a running server, over its control socket.

pub mod live_status;
pub mod named;
pub mod reload;
pub mod status;
pub mod status_text;
pub mod stop;
