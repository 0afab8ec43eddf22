//! What brings clients to https.

use http::{HeaderMap, HeaderValue, header};

/// What brings clients to https.
#[derive(Clone, Debug, Default)]
pub struct HttpsOnly {
    /// How requests by http are redirected, if they are.
    pub redirect: Option<Redirect>,
    /// The field `Strict-Transport-Security` of responses by https, if they have one.
    pub strict_transport: Option<HeaderValue>,
}

impl HttpsOnly {
    /// Adds `Strict-Transport-Security` to a response by https, unless the application has. Browsers ignore it in one by http
    /// (RFC 6797 §8.1), where it must not stand (§7.2).
    pub(in crate::gateway::http) fn add_strict_transport(&self, headers: &mut HeaderMap) {
        if let Some(value) = &self.strict_transport
            // Where there is no room for a field, there is none.
            && let Ok(entry) = headers.try_entry(header::STRICT_TRANSPORT_SECURITY)
        {
            let _ = entry.or_try_insert(value.clone());
        }
    }
}

/// Where requests by http are redirected to.
#[derive(Clone, Debug)]
pub struct Redirect {
    /// The port of https for clients that reach the server itself; `None` if it does not speak https.
    pub port: Option<u16>,
    /// The port of https at the proxies in front.
    pub proxy_port: u16,
    /// Paths that are not redirected.
    pub without: Vec<String>,
}
