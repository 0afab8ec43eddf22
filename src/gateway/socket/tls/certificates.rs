//! The certificates of a server, of which one is chosen by the name that a client asks for (SNI, RFC 6066 §3).

use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::gateway::socket::tls::acme_store::{ACME_TLS, AcmeStore};
use crate::gateway::socket::tls::certificate::Certificate;

/// The certificates of a server, in their order.
#[derive(Debug)]
pub(super) struct Certificates {
    pub configured: Vec<Certificate>,
    /// The last one, where there is one already.
    pub acme: Option<Arc<AcmeStore>>,
}

impl Certificates {
    /// All that there are now.
    pub(super) fn all(&self) -> Vec<Certificate> {
        let issued = self.acme.as_ref().and_then(|acme| acme.certificate());
        self.configured.iter().cloned().chain(issued).collect()
    }
}

impl ResolvesServerCert for Certificates {
    /// The one with the wanted name, else one with a wildcard for it, else the first. Of several, one whose key the client can
    /// check counts. To an authority that checks a name, the answer for it.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Some(acme) = &self.acme
            && let Some(mut protocols) = hello.alpn()
            && protocols.any(|protocol| protocol == ACME_TLS)
        {
            return acme.answer_by_tls(hello.server_name()?);
        }
        let issued = self.acme.as_ref().and_then(|acme| acme.certificate());
        let all = || self.configured.iter().chain(&issued);
        let usable = || all().filter(|one| one.can_sign(hello.signature_schemes()));
        let named = hello.server_name().and_then(|name| {
            let exact = usable().find(|one| one.has_name(name));
            exact.or_else(|| usable().find(|one| one.has_wildcard_for(name)))
        });
        let chosen = named.or_else(|| usable().next()).or(all().next());
        chosen.map(Certificate::certified)
    }
}
