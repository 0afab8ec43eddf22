//! Commands that ask a running server, over its control socket.

pub mod locate_master;
pub mod reload;
pub mod status;
pub mod status_text;
pub mod status_watch;
pub mod stop;
