//! Header fields about the connection, which ends in the gateway or in the web server in front of it: neither a request nor
//! a response carries them further.

/// Whether a field, in lower case, is about the connection (RFC 2616 §13.5.1, which PEP 3333 and CGI servers follow, and
/// `Proxy-Connection`, which clients made up).
pub fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}
