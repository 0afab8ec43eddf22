//! A certificate that an authority issues by ACME (RFC 8555), and the answers by which the authority checks that the server
//! has its names. Listeners read it; [`acme`](crate::acme) fills it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;

use crate::gateway::socket::tls::certificate::Certificate;

/// The protocol in which an authority checks a name (RFC 8737 §6.2).
pub(super) const ACME_TLS: &[u8] = b"acme-tls/1";

/// What is asked for, and of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeOptions {
    /// The names of the certificate, in lower case; at least one.
    pub names: Vec<String>,
    /// The URL of the authority's directory (RFC 8555 §7.1.1).
    pub directory: String,
    /// URLs of the account, such as `mailto:ada@example.com`.
    pub contacts: Vec<String>,
    /// The file with the certificate of the authority that vouches for the directory; `None` for those of the system.
    pub root: Option<PathBuf>,
    /// The folder with the account, the certificate and its key.
    pub folder: PathBuf,
    /// Whether names are checked by http (HTTP-01, RFC 8555 §8.3), else by TLS (TLS-ALPN-01, RFC 8737).
    pub by_http: bool,
}

impl AcmeOptions {
    /// The file with the certificate, those that vouch for it, and its key.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("certificate.pem")
    }
}

/// The certificate and the answers.
#[derive(Debug)]
pub struct AcmeStore {
    /// What is asked for.
    pub options: AcmeOptions,
    certificate: Mutex<Option<Certificate>>,
    answers: Mutex<AcmeAnswers>,
    is_kept: AtomicBool,
    alive: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct AcmeAnswers {
    /// By token.
    by_http: HashMap<String, String>,
    /// By name.
    by_tls: HashMap<String, Arc<CertifiedKey>>,
}

impl AcmeStore {
    /// A store with the certificate that is in the folder, if there is one. Blocks.
    #[must_use]
    pub fn new(options: AcmeOptions) -> Self {
        let certificate = Certificate::read(&options.certificate(), None).ok();
        Self {
            options,
            certificate: Mutex::new(certificate),
            answers: Mutex::default(),
            is_kept: AtomicBool::new(false),
            alive: watch::Sender::new(()),
        }
    }

    /// Whether this is the first call.
    pub fn begin_to_keep(&self) -> bool {
        !self.is_kept.swap(true, Ordering::Relaxed)
    }

    /// Returns when the store is dropped.
    pub fn end(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut alive = self.alive.subscribe();
        async move { while alive.changed().await.is_ok() {} }
    }

    /// The certificate, if there is one.
    #[must_use]
    pub fn certificate(&self) -> Option<Certificate> {
        lock(&self.certificate).clone()
    }

    /// Replaces the certificate, for new connections.
    pub fn set_certificate(&self, certificate: Certificate) {
        *lock(&self.certificate) = Some(certificate);
    }

    /// The answer to `GET /.well-known/acme-challenge/TOKEN`.
    #[must_use]
    pub fn answer_by_http(&self, token: &str) -> Option<String> {
        lock(&self.answers).by_http.get(token).cloned()
    }

    /// Sets the answer for a token.
    pub fn set_answer_by_http(&self, token: &str, answer: &str) {
        let mut answers = lock(&self.answers);
        answers.by_http.insert(token.to_owned(), answer.to_owned());
    }

    /// The certificate that answers for a name (RFC 8737 §3).
    pub(super) fn answer_by_tls(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let answers = lock(&self.answers);
        answers.by_tls.get(&name.to_ascii_lowercase()).cloned()
    }

    /// Makes the certificate that answers for a name, with the SHA-256 digest of the answer.
    ///
    /// # Errors
    /// The name is none for a certificate, or the system has no random numbers.
    pub fn set_answer_by_tls(&self, name: &str, digest: &[u8; 32]) -> anyhow::Result<()> {
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let key = KeyPair::generate()?;
        let signed = params.self_signed(&key)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let answer = Certificate::new(vec![signed.der().clone()], key)?;
        let mut answers = lock(&self.answers);
        answers
            .by_tls
            .insert(name.to_ascii_lowercase(), answer.certified());
        Ok(())
    }

    /// Forgets all answers.
    pub fn clear_answers(&self) {
        *lock(&self.answers) = AcmeAnswers::default();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No operation under a lock leaves it half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
