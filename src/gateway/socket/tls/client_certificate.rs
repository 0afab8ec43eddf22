//! Certificates of clients: which authorities may have signed them, and which are revoked.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use x509_cert::Certificate;
use x509_cert::crl::CertificateList;
use x509_cert::der::Decode;
use x509_cert::name::Name;

use crate::gateway::socket::tls::provider::provider;

/// Checks the certificates of clients. Two are equal if they accept the same ones.
#[derive(Clone, Debug)]
pub struct ClientVerifier {
    pub(super) check: Arc<dyn ClientCertVerifier>,
    terms: Arc<ClientTerms>,
}

/// What decides whether a certificate is accepted.
#[derive(Debug, PartialEq, Eq)]
struct ClientTerms {
    roots: Vec<CertificateDer<'static>>,
    lists: Vec<CertificateRevocationListDer<'static>>,
    is_optional: bool,
}

impl PartialEq for ClientVerifier {
    fn eq(&self, other: &Self) -> bool {
        self.terms == other.terms
    }
}

/// A file by which certificates of clients cannot be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierFault {
    /// Which file.
    pub file: VerifierFile,
    /// What was found.
    pub message: String,
}

/// A file for checks of certificates, by its place in the list of its kind, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifierFile {
    /// Certificates of authorities.
    Authorities(usize),
    /// Lists of revoked certificates.
    Revocations(usize),
}

impl ClientVerifier {
    /// Believes the authorities whose certificates are in files, but for certificates in lists of revoked ones (RFC 5280 §5),
    /// where there are such lists: a client's certificate is then refused if none is by its issuer. All files are in PEM
    /// format, and may hold several.
    ///
    /// # Errors
    /// All that is wrong with the files; there is at least one for authorities.
    pub fn read(
        authorities: &[PathBuf],
        revocations: &[PathBuf],
        is_optional: bool,
    ) -> Result<Self, Vec<VerifierFault>> {
        let mut faults = Vec::new();
        let mut roots = RootCertStore::empty();
        let mut believed = Vec::new();
        for (number, path) in authorities.iter().enumerate() {
            let added = read_pem::<CertificateDer<'static>>(path, "certificate");
            let added = added.and_then(|found| {
                believed.extend_from_slice(&found);
                let mut found = found.into_iter();
                found
                    .try_for_each(|one| roots.add(one))
                    .map_err(|_| format!("a certificate in `{}` is malformed", path.display()))
            });
            faults.extend(added.err().map(|message| VerifierFault {
                file: VerifierFile::Authorities(number),
                message,
            }));
        }
        let roots = Arc::new(roots);
        let mut lists = Vec::new();
        for (number, path) in revocations.iter().enumerate() {
            match read_revocations(path, &roots) {
                Ok(found) => lists.extend(found),
                Err(message) => faults.push(VerifierFault {
                    file: VerifierFile::Revocations(number),
                    message,
                }),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let terms = Arc::new(ClientTerms {
            roots: believed,
            lists: lists.clone(),
            is_optional,
        });
        let builder = WebPkiClientVerifier::builder_with_provider(roots, provider());
        let builder = builder.with_crls(lists).only_check_end_entity_revocation();
        let builder = match is_optional {
            true => builder.allow_unauthenticated(),
            false => builder,
        };
        let built = builder.build().map(|check| Self { check, terms });
        built.map_err(|error| {
            vec![VerifierFault {
                file: VerifierFile::Authorities(0),
                message: error.to_string(),
            }]
        })
    }

    /// Whether a client is accepted that shows these certificates, in PEM format and its own first, or none.
    pub(super) fn accepts(&self, chain: &[String]) -> bool {
        let read = |pem: &String| CertificateDer::from_pem_slice(pem.as_bytes()).ok();
        let chain: Vec<CertificateDer<'_>> = chain.iter().filter_map(read).collect();
        match chain.split_first() {
            Some((own, others)) => {
                let checked = self.check.verify_client_cert(own, others, UnixTime::now());
                checked.is_ok()
            }
            None => self.terms.is_optional,
        }
    }
}

/// The lists of revoked certificates that are by none of these authorities: the number of the file, counted from 0, and the
/// name of the issuer (RFC 4514). Files that cannot be read are left out.
#[must_use]
pub fn foreign_issuers(authorities: &[PathBuf], revocations: &[PathBuf]) -> Vec<(usize, String)> {
    let certificates = authorities
        .iter()
        .filter_map(|path| read_pem::<CertificateDer<'static>>(path, "certificate").ok())
        .flatten();
    let subjects: Vec<Name> = certificates
        .filter_map(|one| Some(Certificate::from_der(&one).ok()?.tbs_certificate.subject))
        .collect();
    let lists = revocations.iter().enumerate().flat_map(|(number, path)| {
        let lists = read_pem::<CertificateRevocationListDer<'static>>(path, "list");
        let lists = lists.unwrap_or_default().into_iter();
        lists.map(move |list| (number, list))
    });
    let foreign = lists.filter_map(|(number, list)| {
        let issuer = CertificateList::from_der(&list).ok()?.tbs_cert_list.issuer;
        (!subjects.contains(&issuer)).then(|| (number, issuer.to_string()))
    });
    foreign.collect()
}

fn read_revocations(
    path: &Path,
    roots: &Arc<RootCertStore>,
) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    let lists =
        read_pem::<CertificateRevocationListDer<'static>>(path, "list of revoked certificates")?;
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider());
    // Each file by itself: so it is clear which one is at fault.
    match builder.with_crls(lists.clone()).build() {
        Err(VerifierBuilderError::InvalidCrl(error)) => Err(format!(
            "a list of revoked certificates in `{}` is malformed: {error:?}",
            path.display()
        )),
        _ => Ok(lists),
    }
}

/// All that a file holds of a kind, at least one.
fn read_pem<T: PemObject>(path: &Path, kind: &str) -> Result<Vec<T>, String> {
    let shown = path.display();
    let pem = std::fs::read(path).map_err(|error| format!("cannot read `{shown}`: {error}"))?;
    let found: Result<Vec<T>, _> = T::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(_) => Err(format!("there is no {kind} in `{shown}`")),
    }
}
