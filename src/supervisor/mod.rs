//! One master: what makes it the only one, and how others speak with it.
//!
//! - [`lock`] and [`pid_file`]: who is the master, and who is only about to be;
//! - [`control`]: the socket on which the master takes orders, and [`client`], which gives them.
//!
//! Nothing here ever sends a signal to a number that was read from a file: whoever is to be signalled is the
//! peer of a socket.

pub mod client;
pub mod control;
pub mod lock;
pub mod pid_file;

mod own_file;
