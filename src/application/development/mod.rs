//! What `launch` adds to an application: pages that reload themselves, and pages that say what is wrong with the code.
//!
//! - [`ReloadEvents`]: what pages in browsers are told of reloads; requests that come during one wait for its end;
//! - [`DevelopmentPages`]: an application with these, with the script in its pages that asks for a reload, and with the pages
//!   of runner's own ([`reserved::MARK`]), which show source code and go only to [local](local_client) clients;
//! - [`StartFailure`]: answers while the code has a mistake.

pub use pages::DevelopmentPages;
pub use reload_events::ReloadEvents;
pub use reserved::{EVENTS_PATH, SCRIPT_PATH};
pub use start_failure::StartFailure;

mod content_policy;
mod inserted_script;
mod local_client;
mod pages;
mod reload_events;
mod reload_script;
mod reserved;
mod start_failure;
