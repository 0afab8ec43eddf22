//! What reaches a master from outside: signals, and the orders of its clients.

pub mod signals;
pub mod waiting_clients;
