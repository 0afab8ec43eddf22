//! What an application can know of a connection over TLS.

/// A connection over TLS. Where a proxy is in front, it is the proxy's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConnection {
    /// The number of the version: 0x0303 is TLS 1.2, 0x0304 is TLS 1.3 (RFC 8446 §4.1.2).
    pub version: u16,
    /// The number of the cipher suite (RFC 8446 §B.4).
    pub cipher_suite: u16,
    /// CGI variables (`SSL_PROTOCOL`, `SSL_CLIENT_S_DN`, …), as Apache's mod_ssl names them. No field of a request defines one
    /// of them.
    pub variables: Vec<(String, String)>,
    /// The client, if it has shown a certificate, which was checked then.
    pub client: Option<TlsClient>,
}

/// A client with a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsClient {
    /// The subject of its certificate (RFC 4514).
    pub name: String,
    /// Its certificate and those that vouch for it, as the client has sent them, in PEM format.
    pub chain: Vec<String>,
}
