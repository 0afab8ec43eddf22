//! Words to the graph of what they run: names, aliases and files are followed down to a command, which is a
//! [`node::Node`]. The table of commands is handed in ([`entry::Commands`]); nothing here names a command.

pub mod entry;
pub mod first_line;
pub mod node;
mod object_url;
mod python_habits;
pub mod report;
pub mod resolve;
mod routes;
pub mod shortcuts;
