//! What becomes of the settings by which a server decides who reaches it, and how, once a web server answers its clients.

use crate::export::export_remarks::ExportRemarks;
use crate::export::exported_server::{
    ExportedAddress, ExportedServer, ExportedTls, ExportedUrl, is_loopback,
};

/// How many certificates may stand between that of a client and its authority, as with the server itself. Web servers admit
/// one only.
pub(super) const DEPTH: usize = 6;

/// A web server.
pub(super) struct Front {
    /// Its name.
    pub(super) name: &'static str,
    /// Whether it asks for certificates by ACME.
    pub(super) has_acme: bool,
    /// Whether it knows lists of revoked certificates.
    pub(super) has_revocations: bool,
    /// Whether there is one file of each kind.
    pub(super) has_one_file: bool,
}

/// What becomes of a setting.
enum Fate {
    /// It is in the text, or the server behind still does it.
    Kept,
    /// It is lost, and nobody gets in by that.
    Told(String),
    /// It is lost.
    Refused(String),
}

/// A web server in front of a server that is reached by a URL.
struct Pair<'a> {
    front: &'a Front,
    server: &'a ExportedServer,
    tls: &'a ExportedTls,
    url: &'a ExportedUrl,
}

/// What becomes of a setting between two servers.
type FateOf = fn(&Pair<'_>) -> Fate;

/// Each setting, with what becomes of it where it is set.
const FATES: [(&str, FateOf); 19] = [
    ("runner.http.max_per_address", |it| {
        match it.server.max_per_address {
            0 => Fate::Kept,
            _ => Fate::Refused(format!(
                "for the server, all clients have the address of {}: leave it out, and limit them there",
                it.front.name
            )),
        }
    }),
    ("runner.tls.acme", |it| match it.front.has_acme {
        true => Fate::Kept,
        false => Fate::Refused(format!(
            "{} asks for no certificates by ACME: name those of another program by `runner.tls.cert`",
            it.front.name
        )),
    }),
    ("runner.tls.acme_ca", |_| Fate::Kept),
    ("runner.tls.acme_contact", |it| {
        Fate::Told(format!("{} has a setting of its own for it", it.front.name))
    }),
    ("runner.tls.acme_directory", |_| Fate::Kept),
    ("runner.tls.acme_folder", |it| {
        Fate::Told(format!("{} has a folder of its own for it", it.front.name))
    }),
    ("runner.tls.cert", |_| Fate::Kept),
    ("runner.tls.client_auth", |it| match it.tls.is_optional {
        false => Fate::Kept,
        true => Fate::Refused(format!(
            "the application cannot see whether a client of {} has a certificate: let it be 'required'",
            it.front.name
        )),
    }),
    ("runner.tls.client_ca", |it| {
        let Pair {
            front: Front { name, .. },
            tls,
            ..
        } = it;
        match it.url.is_tls && !tls.is_optional {
            true => Fate::Refused(format!(
                "{name} has no certificate for the https address that it connects to: let the server listen on a Unix \
                 socket, too"
            )),
            false => it.one_file(&tls.client_ca).unwrap_or_else(|| {
                Fate::Told(format!(
                    "{name} asks clients for certificates; the application does not see them (`SSL_CLIENT_…`)"
                ))
            }),
        }
    }),
    ("runner.tls.client_crl", |it| {
        match it.front.has_revocations {
            true => it.one_file(&it.tls.client_crl).unwrap_or(Fate::Kept),
            false => Fate::Refused(format!(
                "{} knows no lists of revoked certificates",
                it.front.name
            )),
        }
    }),
    ("runner.tls.export_cert", |it| {
        let is_lost = it.tls.exports_certificates && !it.tls.client_ca.is_empty();
        match is_lost {
            true => Fate::Refused(format!(
                "the application does not get the certificates of clients of {}",
                it.front.name
            )),
            false => Fate::Kept,
        }
    }),
    ("runner.tls.handshake_timeout", |it| it.own_limit()),
    ("runner.tls.hsts", |it| it.needs_scheme()),
    ("runner.tls.hsts_flags", |it| it.needs_scheme()),
    ("runner.tls.key", |_| Fate::Kept),
    ("runner.tls.max_handshakes", |it| it.own_limit()),
    ("runner.tls.redirect", |it| {
        let has_https = !it.server.certificates.is_empty()
            || it.front.has_acme && !site_names(it.server).is_empty();
        match it.tls.redirects {
            true if !has_https => Fate::Refused(format!(
                "{} has no certificate, and does not answer by the https that clients are sent to: set `runner.tls.cert` \
                 and an https address",
                it.front.name
            )),
            true if answers_http(it.server) => it.needs_scheme(),
            true | false => Fate::Kept,
        }
    }),
    ("runner.tls.redirect_port", |it| {
        match it.tls.redirect_port {
            Some(port) if port != 443 => Fate::Refused(format!(
                "clients are sent to port {port}, and {} answers at 443: leave it out",
                it.front.name
            )),
            Some(_) | None => Fate::Kept,
        }
    }),
    ("runner.tls.redirect_without", |_| Fate::Kept),
];

impl Pair<'_> {
    fn own_limit(&self) -> Fate {
        Fate::Told(format!("{} has a limit of its own", self.front.name))
    }

    /// What the server does for those requests only that came by https, or by http.
    fn needs_scheme(&self) -> Fate {
        match self.url.is_tls || believes(self.server, "X-Forwarded-Proto") {
            true => Fate::Kept,
            false => Fate::Refused(format!(
                "the server does not know which requests reach {} by https: set `runner.http.trusted_proxies`",
                self.front.name
            )),
        }
    }

    fn one_file(&self, files: &[String]) -> Option<Fate> {
        (self.front.has_one_file && files.len() > 1).then(|| {
            Fate::Refused(format!(
                "{} reads one file: put all of them into it",
                self.front.name
            ))
        })
    }
}

/// Says what is lost of the settings.
pub(super) fn check(
    front: &Front,
    server: &ExportedServer,
    url: &ExportedUrl,
    remarks: &mut ExportRemarks,
) {
    let pair = Pair {
        front,
        server,
        tls: &server.tls,
        url,
    };
    let is_known = |name: &String| FATES.into_iter().any(|(setting, _)| setting == name);
    let unknown = server.set.iter().filter(|name| !is_known(name));
    for setting in unknown.filter(|name| name.starts_with("runner.tls.")) {
        // Nobody has thought about it yet.
        let text = format!("`{setting}`: {} is not told of it", front.name);
        remarks.essential(server, setting, text);
    }
    for (setting, fate) in FATES {
        if !server.set.contains(setting) {
            continue;
        }
        match fate(&pair) {
            Fate::Kept => {}
            Fate::Told(text) => remarks.note(server, setting, format!("`{setting}`: {text}")),
            Fate::Refused(text) => {
                remarks.essential(server, setting, format!("`{setting}`: {text}"));
            }
        }
    }
}

/// Whether any address is for https.
pub(super) fn speaks_tls(server: &ExportedServer) -> bool {
    server.urls.iter().any(|url| url.is_tls)
}

/// Whether port 80 is the server's business: it has no https, or an address for http that other machines reach, too. A port
/// that it does not have might let clients in that it refuses.
pub(super) fn answers_http(server: &ExportedServer) -> bool {
    let is_open = |url: &ExportedUrl| match &url.address {
        ExportedAddress::Tcp(host, _) => !url.is_tls && !is_loopback(host),
        ExportedAddress::Unix(_) | ExportedAddress::Passed(_) => false,
    };
    !speaks_tls(server) || server.urls.iter().any(is_open)
}

/// The hosts that a site is for: those of its routes, or else those of its certificates.
pub(super) fn site_names(server: &ExportedServer) -> &[String] {
    match (server.hosts.is_empty(), speaks_tls(server)) {
        (true, true) => &server.tls.acme,
        (true, false) | (false, _) => &server.hosts,
    }
}

/// Whether a field of proxies is believed.
pub(super) fn believes(server: &ExportedServer, field: &str) -> bool {
    server.believed.iter().any(|one| one == field)
}
