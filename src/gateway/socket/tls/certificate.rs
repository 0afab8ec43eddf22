//! Certificates with their keys: read from PEM files (RFC 7468), and checked.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::anyhow;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, SignatureScheme};
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::gateway::socket::tls::provider::provider;
use crate::gateway::socket::url::Host;
use crate::interface::master_status::CertificateStatus;

/// How long before its end a certificate should have been renewed: two weeks, or the last part of a shorter life. Clients of
/// ACME renew in the last third.
const SOON: Duration = Duration::from_secs(14 * 86_400);
const SHARE: u32 = 4;

/// A certificate, those that vouch for it, and its private key.
#[derive(Clone, Debug)]
pub struct Certificate {
    certified: Arc<CertifiedKey>,
    /// The DNS names that it is for, in lower case; the first label may be `*`.
    names: Vec<String>,
    /// The addresses that it is for.
    addresses: Vec<IpAddr>,
    /// When it begins to be valid.
    pub not_before: SystemTime,
    /// When it ends to be valid.
    pub not_after: SystemTime,
}

/// Which of two files is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateFile {
    /// The certificate and those that vouch for it.
    Chain,
    /// The private key.
    Key,
}

/// Why files are no certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFault {
    /// The file at fault.
    pub file: CertificateFile,
    /// What was found.
    pub message: String,
    /// The correction.
    pub hint: Option<String>,
}

impl Certificate {
    /// Reads a chain, the certificate of the server first, and its key; without a file for the key, it is in that of the
    /// chain.
    ///
    /// # Errors
    /// A file cannot be read, or holds something else; or the key belongs to another certificate.
    pub fn read(chain: &Path, key: Option<&Path>) -> Result<Self, CertificateFault> {
        let wrong = |message: String, hint: Option<&str>| CertificateFault {
            file: CertificateFile::Chain,
            message,
            hint: hint.map(str::to_owned),
        };
        let wrong_key = |message: String, hint: Option<&str>| CertificateFault {
            file: match key {
                Some(_) => CertificateFile::Key,
                None => CertificateFile::Chain,
            },
            ..wrong(message, hint)
        };
        let shown = chain.display();
        let unreadable = |path: &Path, error| format!("cannot read `{}`: {error}", path.display());
        let pem = std::fs::read(chain).map_err(|error| wrong(unreadable(chain, error), None))?;
        let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .unwrap_or_default();
        let Some(first) = certificates.first() else {
            let hint = "a certificate in PEM format begins with `-----BEGIN CERTIFICATE-----`";
            return Err(wrong(
                format!("there is no certificate in `{shown}`"),
                Some(hint),
            ));
        };
        let malformed = || {
            wrong(
                format!("the first certificate in `{shown}` is malformed"),
                None,
            )
        };
        let parsed = x509_cert::Certificate::from_der(first).map_err(|_| malformed())?;
        subjects(&parsed).ok_or_else(malformed)?;
        let key_path = key.unwrap_or(chain);
        let key_shown = key_path.display();
        let key_pem = match key {
            Some(key) => {
                std::fs::read(key).map_err(|error| wrong_key(unreadable(key, error), None))?
            }
            None => pem,
        };
        let Ok(private) = PrivateKeyDer::from_pem_slice(&key_pem) else {
            let is_encrypted = memchr::memmem::find(&key_pem, b"ENCRYPTED").is_some();
            return Err(match is_encrypted {
                true => wrong_key(
                    format!("the private key in `{key_shown}` is encrypted"),
                    Some("`openssl pkey -in KEY -out NEW_KEY` writes it without a passphrase"),
                ),
                false => wrong_key(
                    format!("there is no private key in `{key_shown}`"),
                    key.is_none()
                        .then_some("name its file: `runner.tls.key = 'PATH'`"),
                ),
            });
        };
        let signing = provider().key_provider.load_private_key(private);
        let signing = signing.map_err(|_| {
            let hint = "TLS takes RSA from 2048 bits on, ECDSA on P-256 or P-384, and Ed25519";
            wrong_key(
                format!("the private key in `{key_shown}` is of no kind for TLS"),
                Some(hint),
            )
        })?;
        let certified = CertifiedKey::new(certificates, signing);
        let mismatch = Error::InconsistentKeys(InconsistentKeys::KeyMismatch);
        // Not every kind of key can tell.
        if certified.keys_match() == Err(mismatch) {
            let message = format!(
                "the private key in `{key_shown}` is not that of the certificate in `{shown}`"
            );
            let hint = "the certificate of the server itself comes first in its file";
            return Err(wrong_key(message, Some(hint)));
        }
        Self::of(certified, &parsed).ok_or_else(malformed)
    }

    /// A chain, the certificate of the server first, and its key.
    ///
    /// # Errors
    /// They are malformed.
    pub(super) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> anyhow::Result<Self> {
        let malformed = || anyhow!("a malformed certificate");
        let parsed = x509_cert::Certificate::from_der(chain.first().ok_or_else(malformed)?)?;
        let signing = provider().key_provider.load_private_key(key)?;
        Self::of(CertifiedKey::new(chain, signing), &parsed).ok_or_else(malformed)
    }

    /// `None` if the names are malformed.
    fn of(certified: CertifiedKey, parsed: &x509_cert::Certificate) -> Option<Self> {
        let (names, addresses) = subjects(parsed)?;
        let validity = &parsed.tbs_certificate.validity;
        Some(Self {
            certified: Arc::new(certified),
            names,
            addresses,
            not_before: validity.not_before.to_system_time(),
            not_after: validity.not_after.to_system_time(),
        })
    }

    /// Whether clients that ask for a host accept it.
    pub fn is_for(&self, host: &Host) -> bool {
        match host {
            // Any name may be asked for.
            Host::Any => !(self.names.is_empty() && self.addresses.is_empty()),
            Host::Name(name) => match name.parse() {
                Ok(address) => self.addresses.contains(&address),
                Err(_) => self.has_name(name) || self.has_wildcard_for(name),
            },
            Host::Ipv6(text) => {
                let number = text.split('%').next().unwrap_or(text);
                number
                    .parse()
                    .is_ok_and(|address| self.addresses.contains(&address))
            }
        }
    }

    /// Whether it has expired, or does so soon.
    pub(super) fn is_expiring(&self, now: SystemTime) -> bool {
        let until_end = |from| self.not_after.duration_since(from).unwrap_or_default();
        until_end(now) < SOON.min(until_end(self.not_before) / SHARE)
    }

    pub(super) fn status(&self) -> CertificateStatus {
        let addresses = self.addresses.iter().map(ToString::to_string);
        let expires = self.not_after.duration_since(UNIX_EPOCH);
        CertificateStatus {
            names: self.names.iter().cloned().chain(addresses).collect(),
            expires: expires.unwrap_or_default().as_secs_f64(),
        }
    }

    pub(super) fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }

    pub(super) fn has_name(&self, name: &str) -> bool {
        self.names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }

    /// `*` stands for one label (RFC 6125 §6.4.3).
    pub(super) fn has_wildcard_for(&self, name: &str) -> bool {
        let parent = name.split_once('.').map(|(_, parent)| parent);
        let parents = self.names.iter().filter_map(|own| own.strip_prefix("*."));
        parent.is_some_and(|parent| {
            parents
                .into_iter()
                .any(|own| own.eq_ignore_ascii_case(parent))
        })
    }

    pub(super) fn can_sign(&self, schemes: &[SignatureScheme]) -> bool {
        self.certified.key.choose_scheme(schemes).is_some()
    }
}

/// The names and addresses that a certificate is for (RFC 5280 §4.2.1.6); `None` if they are malformed.
fn subjects(certificate: &x509_cert::Certificate) -> Option<(Vec<String>, Vec<IpAddr>)> {
    let found = certificate.tbs_certificate.get::<SubjectAltName>().ok()?;
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    for name in found.map(|(_, names)| names.0).unwrap_or_default() {
        match name {
            GeneralName::DnsName(name) => names.push(name.as_str().to_ascii_lowercase()),
            GeneralName::IpAddress(address) => {
                let bytes = address.as_bytes();
                let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
                addresses.push(
                    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
                        .ok()?,
                );
            }
            _ => {}
        }
    }
    Some((names, addresses))
}
