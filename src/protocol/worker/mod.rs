//! What a worker process and we say to each other: frames, their payloads and the heads of answers.

pub mod answer_head;
pub mod frame;
pub mod known_heads;
pub mod marshal;
