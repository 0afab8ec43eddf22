//! What must not be shown: which names belong to secrets, and where a text has one. Whatever shows settings, words of
//! commands or lines of files asks here.

mod names;
mod texts;

pub use names::is_secret;
pub use texts::{
    HIDDEN, hidden, hidden_words, is_option, masked, masked_except, mentions, spans, spans_below,
};
