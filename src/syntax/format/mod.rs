//! The canonical layout of files, which `fmt` writes: of configuration files in [`layout`], of files for `supervise` in
//! [`key_layout`].

pub(super) mod key_layout;
pub(super) mod layout;

mod page;
mod spacing;
