//! TLS 1.2 and 1.3 (RFC 5246, RFC 8446) by rustls, below HTTP: what is above sees clear text.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::version::{TLS12, TLS13};

use crate::gateway::socket::tls::certificate::{Certificate, Certificates};
use crate::gateway::socket::tls::provider::provider;

pub mod certificate;
mod provider;
pub mod tls_handshake;

/// What a server speaks over TLS (ALPN, RFC 7301).
const PROTOCOLS: [&[u8]; 1] = [b"http/1.1"];

/// How a server speaks TLS. Clones are the same.
#[derive(Clone, Debug)]
pub struct TlsSetup(Arc<ServerConfig>);

impl TlsSetup {
    /// TLS with these certificates, of which there is at least one. Sessions are resumed by tickets, whose keys are made here:
    /// no session outlives a change of the certificates.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn new(certificates: Vec<Certificate>) -> anyhow::Result<Self> {
        let builder = ServerConfig::builder_with_provider(provider());
        let mut config = builder
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Certificates(certificates)));
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        config.ticketer = ring::Ticketer::new()?;
        Ok(Self(Arc::new(config)))
    }
}
