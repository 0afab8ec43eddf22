//! The applications. Each file implements [`Application`](crate::interface::Application), or wraps one that does.

pub mod demo;
pub mod replaceable;
mod traffic;
pub mod watched;
pub mod wsgi;
