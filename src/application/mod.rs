//! The applications. Each file implements [`Application`](crate::interface::Application), or wraps one that does.

pub mod demo;
pub mod replaceable;
pub mod watched;
pub mod wsgi;
