//! Settings (`runner.tls.acme*`) to what is asked of an authority.

use std::net::IpAddr;
use std::sync::Arc;

use crate::config::Configuration;
use crate::gateway::socket::tls::acme_store::{AcmeOptions, AcmeStore};
use crate::gateway::socket::url::SocketUrl;
use crate::interface::Scheme;
use crate::plan::address::PlacedUrl;
use crate::syntax::Diagnostic;

const ACME: &str = "runner.tls.acme";
const FOLDER: &str = "runner.tls.acme_folder";
const DIRECTORY: &str = "runner.tls.acme_directory";

/// The hosts that a certificate is asked for, in lower case.
pub(super) fn names(settings: &Configuration) -> Vec<String> {
    let names = settings.texts(ACME).into_iter();
    names.map(|name| name.to_ascii_lowercase()).collect()
}

/// The store of the certificate that the settings ask for, if they do, with the one that is in its folder already.
///
/// # Errors
/// All that is wrong with the settings.
pub(super) fn store(
    settings: &Configuration,
    urls: &[PlacedUrl],
) -> Result<Option<Arc<AcmeStore>>, Vec<Diagnostic>> {
    let options = options(settings, urls)?;
    Ok(options.map(AcmeStore::new).map(Arc::new))
}

/// What the settings ask for.
///
/// # Errors
/// All that is wrong with them.
pub(super) fn options(
    settings: &Configuration,
    urls: &[PlacedUrl],
) -> Result<Option<AcmeOptions>, Vec<Diagnostic>> {
    let names = names(settings);
    if names.is_empty() {
        return Ok(None);
    }
    let mut mistakes = Vec::new();
    for (number, name) in names.iter().enumerate() {
        if let Some(reason) = fault(name) {
            let message = format!("no authority checks `{name}` by ACME: {reason}");
            mistakes.push(settings.complain_of_element(ACME, number, message));
        }
    }
    let directory = settings.text(DIRECTORY).unwrap_or_default();
    if !directory.starts_with("https://") {
        let message =
            format!("`{directory}` is not the URL of a directory: it begins with `https://`");
        mistakes.push(settings.complain(DIRECTORY, message, None));
    }
    let Some(folder) = settings.path(FOLDER) else {
        let message = format!("setting `{ACME}` needs `{FOLDER}`");
        let hint = format!("`{FOLDER} = '/var/lib/my_app/acme'` keeps the certificate and its key");
        mistakes.push(settings.complain(ACME, message, Some(hint)));
        return Err(mistakes);
    };
    match mistakes.is_empty() {
        true => Ok(Some(AcmeOptions {
            names,
            directory,
            contacts: settings.texts("runner.tls.acme_contact"),
            root: settings.path("runner.tls.acme_ca"),
            folder,
            by_http: is_for(urls, Scheme::Http),
        })),
        false => Err(mistakes),
    }
}

/// Why a name is none for ACME, if it is none.
fn fault(name: &str) -> Option<&'static str> {
    if name.contains('*') {
        return Some("it stands for several hosts");
    }
    if name.parse::<IpAddr>().is_ok() {
        return Some("it is an address");
    }
    let is_label = |label: &str| {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(is_good)
    };
    let is_name = name.contains('.') && name.len() < 254 && name.split('.').all(is_label);
    (!is_name).then_some("it is not the full name of a host (`example.org`)")
}

fn is_for(urls: &[PlacedUrl], scheme: Scheme) -> bool {
    urls.iter()
        .any(|one| one.url.scheme == scheme && matches!(one.url.socket, SocketUrl::Tcp { .. }))
}

/// Settings of ACME that have no effect on a server with these addresses: warnings.
pub(super) fn doubts(settings: &Configuration, urls: &[PlacedUrl]) -> Vec<Diagnostic> {
    if names(settings).is_empty() || urls.iter().any(|one| one.url.scheme == Scheme::Https) {
        return Vec::new();
    }
    let message = format!("setting `{ACME}` has no effect: no address is for https");
    let hint = "an address for https is `url = ['http://*:80', 'https://*:443']`".to_owned();
    let mut doubt = settings.complain(ACME, message, Some(hint));
    doubt.code = "setting/https";
    vec![doubt.warning()]
}
