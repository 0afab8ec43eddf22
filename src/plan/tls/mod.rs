//! Settings (`runner.tls.*`) to how a server speaks TLS.

use std::path::Path;
use std::time::SystemTime;

use crate::config::Configuration;
use crate::gateway::socket::tls::TlsSetup;
use crate::gateway::socket::tls::certificate::{Certificate, CertificateFile};
use crate::gateway::socket::tls::throw_away::throw_away;
use crate::gateway::socket::url::{Host, SocketUrl};
use crate::interface::Scheme;
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::plan::address::PlacedUrl;
use crate::plan::gateway_options::HTTP2;
use crate::syntax::{Diagnostic, Diagnostics, Severity};

mod acme_settings;
mod client_settings;
pub mod https_settings;

const CERT: &str = "runner.tls.cert";
const KEY: &str = "runner.tls.key";

/// Where a server may speak TLS.
#[derive(Clone, Copy, Debug)]
pub struct TlsPlaces<'a> {
    /// The addresses of the server.
    pub urls: &'a [PlacedUrl],
    /// Whether these are its addresses: others may be named elsewhere otherwise.
    pub are_known: bool,
    /// Whether a certificate is made for a run if the settings name none.
    pub makes_certificate: bool,
}

/// How TLS is spoken on the addresses of a server, `None` if no address is for it; and what is probably not meant in the
/// settings.
///
/// # Errors
/// There is no certificate, or a file is not what it should be: the mistakes among [`problems`].
pub fn setup(
    scope: &Scope,
    places: TlsPlaces<'_>,
) -> Result<(Option<TlsSetup>, Vec<Diagnostic>), Failure> {
    if scope.is_elsewhere {
        return Ok((None, Vec::new()));
    }
    let problems = problems(scope, places).into_iter();
    let (mistakes, doubts): (Vec<_>, Vec<_>) =
        problems.partition(|problem| problem.severity == Severity::Error);
    if !mistakes.is_empty() {
        return Err(Diagnostics(mistakes).into());
    }
    let settings = &scope.configuration;
    if encrypted(places.urls).next().is_none() {
        return Ok((None, doubts));
    }
    let mut certificates = certificates(settings).map_err(Diagnostics)?;
    let acme = acme_settings::store(settings, places.urls).map_err(Diagnostics)?;
    if certificates.is_empty() && acme.is_none() {
        certificates.push(throw_away(hosts(places.urls))?);
    }
    let clients = client_settings::options(settings).map_err(Diagnostics)?;
    let setup = TlsSetup::new(certificates, acme, clients, settings.boolean(HTTP2))?;
    Ok((Some(setup), doubts))
}

/// All that is wrong with the settings of TLS, for `check` and at the start of a server. What is wrong harms no server that
/// speaks TLS nowhere: these are warnings then.
#[must_use]
pub fn problems(scope: &Scope, places: TlsPlaces<'_>) -> Vec<Diagnostic> {
    let TlsPlaces { urls, .. } = places;
    let settings = &scope.configuration;
    let mut problems = match certificates(settings) {
        Err(mistakes) => mistakes,
        Ok(none) if none.is_empty() && acme_settings::names(settings).is_empty() => {
            let first = encrypted(urls).next().filter(|_| !places.makes_certificate);
            first.map(|url| lack(scope, url)).into_iter().collect()
        }
        Ok(certificates) => doubts(scope, urls, &certificates),
    };
    let acme = acme_settings::options(settings, urls);
    problems.extend(acme.err().into_iter().flatten());
    let clients = client_settings::options(settings);
    match clients {
        Ok(_) => problems.extend(client_settings::foreign_lists(settings)),
        Err(mistakes) => problems.extend(mistakes),
    }
    if places.are_known {
        if encrypted(urls).next().is_none() {
            problems = problems.into_iter().map(Diagnostic::warning).collect();
        }
        problems.extend(client_settings::doubts(scope, urls));
        problems.extend(acme_settings::doubts(settings, urls));
        problems.extend(https_settings::doubts(settings, urls));
    }
    problems
}

fn encrypted(urls: &[PlacedUrl]) -> impl Iterator<Item = &PlacedUrl> {
    urls.iter().filter(|one| one.url.scheme == Scheme::Https)
}

/// The hosts of a certificate for a run on this machine.
fn hosts(urls: &[PlacedUrl]) -> Vec<String> {
    let mut hosts = ["localhost", "127.0.0.1", "::1"]
        .map(str::to_owned)
        .to_vec();
    for one in encrypted(urls) {
        if let SocketUrl::Tcp {
            host: Host::Name(host) | Host::Ipv6(host),
            ..
        } = &one.url.socket
            && !hosts.contains(host)
        {
            hosts.push(host.clone());
        }
    }
    hosts
}

/// Whether the settings name a certificate.
#[must_use]
pub fn has_certificate(scope: &Scope) -> bool {
    !scope.configuration.paths(CERT).is_empty()
}

fn lack(scope: &Scope, PlacedUrl { url, origin }: &PlacedUrl) -> Diagnostic {
    let message = format!("`{url}` needs a certificate");
    let hint = format!("set `{CERT}` and `{KEY}` to the paths of its files");
    scope.diagnose(origin, message, Some(hint))
}

/// The certificates that the settings name.
fn certificates(settings: &Configuration) -> Result<Vec<Certificate>, Vec<Diagnostic>> {
    let (chains, keys) = (settings.paths(CERT), settings.paths(KEY));
    if !keys.is_empty() && keys.len() != chains.len() {
        let message = format!(
            "the number of private keys ({}) is not that of the certificates ({})",
            keys.len(),
            chains.len()
        );
        let hint = format!("each path of `{CERT}` has its key at the same place of `{KEY}`");
        return Err(vec![settings.complain(KEY, message, Some(hint))]);
    }
    let mut certificates = Vec::new();
    let mut mistakes = Vec::new();
    for (number, chain) in chains.iter().enumerate() {
        match Certificate::read(chain, keys.get(number).map(Path::new)) {
            Ok(certificate) => certificates.push(certificate),
            Err(fault) => {
                let name = match fault.file {
                    CertificateFile::Chain => CERT,
                    CertificateFile::Key => KEY,
                };
                let mistake = settings.complain_of_element(name, number, fault.message);
                mistakes.push(mistake.with_hint_if(fault.hint));
            }
        }
    }
    match mistakes.is_empty() {
        true => Ok(certificates),
        false => Err(mistakes),
    }
}

/// Why clients will not accept certificates: warnings, since the server can run.
fn doubts(scope: &Scope, urls: &[PlacedUrl], certificates: &[Certificate]) -> Vec<Diagnostic> {
    let settings = &scope.configuration;
    let chains = settings.paths(CERT);
    let now = SystemTime::now();
    let mut doubts = Vec::new();
    for (number, (certificate, chain)) in certificates.iter().zip(&chains).enumerate() {
        let shown = chain.display();
        let message = if certificate.not_after <= now {
            format!("the certificate in `{shown}` has expired")
        } else if certificate.not_before > now {
            format!("the certificate in `{shown}` is not valid yet")
        } else {
            continue;
        };
        doubts.push(settings.complain_of_element(CERT, number, message));
    }
    let issued = acme_settings::names(settings);
    for PlacedUrl { url, origin } in encrypted(urls) {
        let host = match &url.socket {
            SocketUrl::Tcp { host, .. } => host,
            SocketUrl::Unix(_) | SocketUrl::Descriptor(_) | SocketUrl::Passed(_) => &Host::Any,
        };
        let is_issued = match host {
            Host::Any => !issued.is_empty(),
            host => issued.contains(&host.to_string().to_ascii_lowercase()),
        };
        let mut certificates = certificates.iter();
        if is_issued || certificates.any(|certificate| certificate.is_for(host)) {
            continue;
        }
        let message = match host {
            Host::Any => "the certificate has no names, so clients do not accept it".to_owned(),
            host => format!("clients do not accept the certificate for `{host}`"),
        };
        let hint = "its extension subjectAltName names the hosts that it is for".to_owned();
        doubts.push(scope.diagnose(origin, message, Some(hint)));
    }
    let warning = |mut doubt: Diagnostic| {
        doubt.code = "setting/certificate";
        doubt.warning()
    };
    doubts.into_iter().map(warning).collect()
}
