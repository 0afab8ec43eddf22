//! Python: the interpreter, the template that runs in it, and the format of its stacks.

pub mod executable;
pub mod import_failure;
pub mod imported_folders;
mod loop_description;
pub mod stacks;
pub(crate) mod template;
