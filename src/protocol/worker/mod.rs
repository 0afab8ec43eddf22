//! The protocol between the server and its worker processes: frames, their payloads and the heads of answers.

pub mod answer_head;
mod asgi_scope;
pub mod frame;
pub mod known_heads;
pub mod marshal;
