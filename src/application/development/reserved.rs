//! Paths and a header field that are runner's own in development, and the policy of its pages.

use http::HeaderName;

/// Where pages get the script, and the script its events. No request for these reaches the application.
pub const SCRIPT_PATH: &str = "/.runner/reload.js";
/// The stream of events.
pub const EVENTS_PATH: &str = "/.runner/reload";

/// Marks a response as a page of runner's own, which shows what is wrong with the code: development.py sets it, too.
pub(super) const MARK: HeaderName = HeaderName::from_static("runner-page");

/// What pages of runner's own may do: run the script that reloads them, and nothing else.
pub(super) const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
