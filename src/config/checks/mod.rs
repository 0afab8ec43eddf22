//! What is wrong with rules and values, beyond what reading a file finds: the settings under `runner.` and their values
//! ([`validate`]), settings that do not go together ([`contradictions`]), names that nothing reads ([`unread`]), and everything that
//! `check` looks for ([`inspect`]).

pub(super) mod checked_value;
pub(super) mod contradictions;
pub(super) mod inspect;
pub(super) mod quantities;
pub(super) mod trusted_networks;
pub(super) mod unread;
pub(super) mod validate;

mod conversion;
