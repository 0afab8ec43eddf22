//! What answers requests. Each file implements [`Application`](crate::interface::Application), or wraps one that does.

pub mod current;
pub mod demo;
pub mod watched;
pub mod wsgi;
