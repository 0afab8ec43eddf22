//! Settings (`runner.tls.client_*`) to what a server asks of its clients.

use crate::config::Configuration;
use crate::gateway::socket::tls::ClientOptions;
use crate::gateway::socket::tls::client_certificate::{
    ClientVerifier, VerifierFault, VerifierFile, foreign_issuers,
};
use crate::gateway::socket::url::SocketUrl;
use crate::interface::Scheme;
use crate::line::scope::Scope;
use crate::plan::address::PlacedUrl;
use crate::syntax::Diagnostic;

const CA: &str = "runner.tls.client_ca";
const CRL: &str = "runner.tls.client_crl";
const AUTH: &str = "runner.tls.client_auth";

/// What a server asks of clients that speak TLS.
///
/// # Errors
/// All that is wrong with the settings and their files.
pub(super) fn options(settings: &Configuration) -> Result<ClientOptions, Vec<Diagnostic>> {
    let exports_certificates = settings.boolean("runner.tls.export_cert");
    let (authorities, revocations) = (settings.paths(CA), settings.paths(CRL));
    if settings
        .optional_texts(CA)
        .is_some_and(|texts| texts.is_empty())
    {
        let message =
            format!("setting `{CA}` names no authority, so no client would need a certificate");
        let hint = format!(
            "name the file of an authority, or write `{CA} = None` to ask for no certificates"
        );
        return Err(vec![settings.complain(CA, message, Some(hint))]);
    }
    if authorities.is_empty() {
        // A server that lets everybody in must not seem to ask for certificates.
        let alone = [AUTH, CRL].into_iter();
        let mistakes: Vec<_> = alone
            .filter(|name| settings.is_named(name))
            .map(|name| {
                let message = format!("setting `{name}` needs `{CA}`");
                let hint = format!(
                    "set `{CA}` to the certificate of the authority that signs those of clients"
                );
                settings.complain(name, message, Some(hint))
            })
            .collect();
        return match mistakes.is_empty() {
            true => Ok(ClientOptions {
                verifier: None,
                exports_certificates,
            }),
            false => Err(mistakes),
        };
    }
    let is_optional = settings.text(AUTH).as_deref() == Some("optional");
    let verifier = ClientVerifier::read(&authorities, &revocations, is_optional);
    let verifier = verifier.map_err(|faults| {
        let complain = |fault: VerifierFault| {
            let (name, number) = match fault.file {
                VerifierFile::Authorities(number) => (CA, number),
                VerifierFile::Revocations(number) => (CRL, number),
            };
            settings.complain_of_element(name, number, fault.message)
        };
        faults.into_iter().map(complain).collect::<Vec<_>>()
    })?;
    Ok(ClientOptions {
        verifier: Some(verifier),
        exports_certificates,
    })
}

/// Lists of revoked certificates that no authority of the setting has made: warnings. An intermediate authority, whose
/// certificate clients send with theirs, may have made them.
pub(super) fn foreign_lists(settings: &Configuration) -> Vec<Diagnostic> {
    let (authorities, revocations) = (settings.paths(CA), settings.paths(CRL));
    if authorities.is_empty() {
        return Vec::new();
    }
    let foreign = foreign_issuers(&authorities, &revocations).into_iter();
    let doubt = |(number, issuer): (usize, String)| {
        let message = format!(
            "the list of revoked certificates by `{issuer}` is about no authority of `{CA}`"
        );
        let hint = "clients of an authority without a list are refused; a list by an intermediate authority is right".to_owned();
        let mut doubt = settings.complain_of_element(CRL, number, message);
        doubt.code = "setting/certificate";
        doubt.with_hint(hint).warning()
    };
    foreign.map(doubt).collect()
}

/// Addresses that ask for no certificate beside those that do: warnings.
pub(super) fn doubts(scope: &Scope, urls: &[PlacedUrl]) -> Vec<Diagnostic> {
    let settings = &scope.configuration;
    let is_demanded =
        !settings.paths(CA).is_empty() && settings.text(AUTH).as_deref() != Some("optional");
    if !is_demanded || settings.boolean("runner.tls.redirect") {
        return Vec::new();
    }
    // The rights of its file say who may connect to a Unix socket.
    let open = urls.iter().filter(|one| {
        one.url.scheme == Scheme::Http && matches!(one.url.socket, SocketUrl::Tcp { .. })
    });
    let doubt = |PlacedUrl { url, origin }: &PlacedUrl| {
        let message = format!("clients of `{url}` need no certificate, in spite of `{CA}`");
        let hint = "`runner.tls.redirect = True` sends them to https".to_owned();
        let mut doubt = scope.diagnose(origin, message, Some(hint));
        doubt.code = "setting/https";
        doubt.warning()
    };
    open.map(doubt).collect()
}
