//! Python: which one, what of ours runs in it, and what we exchange with it.

pub mod executable;
pub(crate) mod mark;
pub mod stacks;
pub(crate) mod template;
