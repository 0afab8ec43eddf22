//! TLS 1.2 and 1.3 (RFC 5246, RFC 8446) by rustls, below HTTP: what is above sees clear text.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::version::{TLS12, TLS13};

use crate::gateway::socket::tls::acme_store::{ACME_TLS, AcmeStore};
use crate::gateway::socket::tls::certificate::Certificate;
use crate::gateway::socket::tls::certificates::Certificates;
use crate::gateway::socket::tls::client_certificate::ClientVerifier;
use crate::gateway::socket::tls::provider::provider;
use crate::interface::TlsConnection;
use crate::interface::master_status::CertificateStatus;

pub mod acme_store;
pub mod certificate;
mod certificates;
pub mod client_certificate;
mod handshake_fault;
mod provider;
mod session_variables;
pub mod throw_away;
pub mod tls_handshake;

/// HTTP/2 as a client asks for it (ALPN, RFC 7301; RFC 9113 §3.2).
pub(super) const HTTP2: &[u8] = b"h2";

/// What else a server speaks over TLS. A client that offers none of them is refused (RFC 7301 §3.2), so that those that speak
/// HTTP/1.0 alone, which is answered as in clear text, are to find it here.
const HTTP1: [&[u8]; 2] = [b"http/1.1", b"http/1.0"];

/// How a server speaks TLS. Clones are the same.
#[derive(Clone, Debug)]
pub struct TlsSetup(Arc<TlsParts>);

#[derive(Debug)]
struct TlsParts {
    config: Arc<ServerConfig>,
    /// What checks the certificates of clients.
    verifier: Option<ClientVerifier>,
    exports_certificates: bool,
    certificates: Arc<Certificates>,
}

/// What a server asks of its clients.
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    /// What checks the certificates of clients; `None` if they are not asked for one.
    pub verifier: Option<ClientVerifier>,
    /// Whether variables hold the certificates themselves (`SSL_CLIENT_CERT`).
    pub exports_certificates: bool,
}

impl TlsSetup {
    /// TLS with these certificates and the one that an authority issues, of which there is at least one. Sessions are resumed
    /// by tickets, whose keys are made here: no session outlives a change of the certificates, or of those that clients may have.
    /// `http2` if clients may ask for HTTP/2.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn new(
        certificates: Vec<Certificate>,
        acme: Option<Arc<AcmeStore>>,
        clients: ClientOptions,
        http2: bool,
    ) -> anyhow::Result<Self> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13, &TLS12])?;
        let builder = match &clients.verifier {
            Some(verifier) => builder.with_client_cert_verifier(Arc::clone(&verifier.check)),
            None => builder.with_no_client_auth(),
        };
        let certificates = Arc::new(Certificates {
            configured: certificates,
            acme,
        });
        let mut config = builder.with_cert_resolver(Arc::clone(&certificates) as _);
        let protocols = http2.then_some(HTTP2).into_iter().chain(HTTP1);
        config.alpn_protocols = protocols.map(<[u8]>::to_vec).collect();
        if certificates.acme.is_some() {
            config.alpn_protocols.push(ACME_TLS.to_vec());
        }
        config.ticketer = ring::Ticketer::new()?;
        Ok(Self(Arc::new(TlsParts {
            config: Arc::new(config),
            verifier: clients.verifier,
            exports_certificates: clients.exports_certificates,
            certificates,
        })))
    }

    /// Whether clients are accepted by the same certificates of theirs.
    #[must_use]
    pub(crate) fn accepts_the_same(&self, other: &Self) -> bool {
        self.0.verifier == other.0.verifier
    }

    /// Whether a client that was accepted would be accepted now, and known by the same certificate.
    pub(crate) fn accepts(&self, session: &TlsConnection) -> bool {
        let chain = session.client.as_ref().map(|client| &*client.chain);
        match &self.0.verifier {
            Some(verifier) => verifier.accepts(chain.unwrap_or_default()),
            None => chain.is_none(),
        }
    }

    /// The certificate that an authority issues, if one is asked for.
    #[must_use]
    pub fn acme(&self) -> Option<&Arc<AcmeStore>> {
        self.0.certificates.acme.as_ref()
    }

    /// Its certificates that something should have renewed.
    #[must_use]
    pub fn expiring(&self, now: SystemTime) -> Vec<CertificateStatus> {
        let all = self.0.certificates.all();
        let expiring = all.iter().filter(|one| one.is_expiring(now));
        expiring.map(Certificate::status).collect()
    }

    /// Its certificates, for `runner status`.
    #[must_use]
    pub fn certificates(&self) -> Vec<CertificateStatus> {
        let all = self.0.certificates.all();
        all.iter().map(Certificate::status).collect()
    }
}
