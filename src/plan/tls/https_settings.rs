//! Settings (`runner.tls.redirect*`, `runner.tls.hsts*`) to what brings clients to https.

use std::time::Duration;

use http::HeaderValue;

use crate::config::Configuration;
use crate::gateway::http::{HttpsOnly, Redirect};
use crate::gateway::socket::url::SocketUrl;
use crate::interface::Scheme;
use crate::plan::address::PlacedUrl;
use crate::syntax::Diagnostic;

const REDIRECT: &str = "runner.tls.redirect";
const REDIRECT_PORT: &str = "runner.tls.redirect_port";
const HSTS: &str = "runner.tls.hsts";
const HSTS_FLAGS: &str = "runner.tls.hsts_flags";
const PRELOAD: &str = "preload";

/// What the list of hosts that browsers come with asks for (hstspreload.org).
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// What brings the clients of a server with these addresses to https.
#[must_use]
pub fn https_only(settings: &Configuration, urls: &[PlacedUrl]) -> HttpsOnly {
    let port = port(settings);
    let redirect = settings.boolean(REDIRECT).then(|| Redirect {
        port: own_port(urls).map(|own| port.unwrap_or(own)),
        proxy_port: port.unwrap_or(443),
        without: settings.texts("runner.tls.redirect_without"),
    });
    let strict_transport = settings.optional_duration(HSTS).and_then(|time| {
        let mut value = format!("max-age={}", time.as_secs());
        for flag in settings.texts(HSTS_FLAGS) {
            value.push_str("; ");
            value.push_str(&flag);
        }
        HeaderValue::try_from(value).ok()
    });
    HttpsOnly {
        redirect: redirect.filter(|it| it.port != Some(0)),
        strict_transport,
    }
}

fn port(settings: &Configuration) -> Option<u16> {
    let port = settings.optional_integer(REDIRECT_PORT)?;
    u16::try_from(port).ok()
}

/// The port of the first address for https; 0 if the system chooses it.
fn own_port(urls: &[PlacedUrl]) -> Option<u16> {
    urls.iter().find_map(|one| match &one.url.socket {
        SocketUrl::Tcp { port, .. } if one.url.scheme == Scheme::Https => Some(*port),
        _ => None,
    })
}

/// What these settings are meant to do and do not, for a server with these addresses.
#[must_use]
pub fn doubts(settings: &Configuration, urls: &[PlacedUrl]) -> Vec<Diagnostic> {
    let speaks = |scheme: Scheme| urls.iter().any(|one| one.url.scheme == scheme);
    let proxies = settings.optional_texts("runner.http.trusted_proxies");
    let is_behind_proxies = proxies.is_some_and(|proxies| !proxies.is_empty());
    let for_https = "an address for https is `url = ['http://*:80', 'https://*:443']`, a proxy that speaks it one of `runner.http.trusted_proxies`";
    let mut doubts = Vec::new();
    let mut doubt = |name: &str, reason: &str, hint: Option<&str>| {
        let message = format!("setting `{name}` has no effect: {reason}");
        doubts.push(settings.complain(name, message, hint.map(str::to_owned)));
    };
    let redirects = settings.boolean(REDIRECT);
    if redirects && !is_behind_proxies {
        match own_port(urls) {
            None => doubt(REDIRECT, "no address is for https", Some(for_https)),
            Some(_) if !speaks(Scheme::Http) => {
                doubt(REDIRECT, "no address is for http", None);
            }
            Some(0) if port(settings).is_none() => {
                let hint = "give the https address a port, or set `runner.tls.redirect_port`";
                doubt(REDIRECT, "the system chooses the port of https", Some(hint));
            }
            Some(_) => {}
        }
    }
    for name in [REDIRECT_PORT, "runner.tls.redirect_without"] {
        if !redirects && settings.is_named(name) {
            let hint = "set `runner.tls.redirect = True`";
            doubt(name, "http is not redirected", Some(hint));
        }
    }
    let time = settings.optional_duration(HSTS);
    if time.is_some() && !is_behind_proxies && !speaks(Scheme::Https) {
        doubt(HSTS, "no address is for https", Some(for_https));
    }
    let flags = settings.texts(HSTS_FLAGS);
    match time {
        None if !flags.is_empty() => {
            let hint = "set `runner.tls.hsts` to a time";
            doubt(HSTS_FLAGS, "there is no time", Some(hint));
        }
        Some(time)
            if flags.iter().any(|flag| flag == PRELOAD) && (flags.len() < 2 || time < YEAR) =>
        {
            let reason =
                "the list of browsers takes only hosts with `includeSubDomains` and a year";
            let hint = "set `runner.tls.hsts = '365d'` and `hsts_flags = ['includeSubDomains', 'preload']`, or leave out `preload`";
            doubt(HSTS_FLAGS, reason, Some(hint));
        }
        None | Some(_) => {}
    }
    let warning = |mut doubt: Diagnostic| {
        doubt.code = "setting/https";
        doubt.warning()
    };
    doubts.into_iter().map(warning).collect()
}
