//! The sockets of uWSGI: what they speak, their numbers, their certificates, and whose they are.

use crate::import::imported_site::{ImportedSite, ListenProtocol};
use crate::import::imported_text::ImportedText;
use crate::import::listen_url::listen_url;
use crate::import::uwsgi_ini::why_left::UwsgiOption;
use crate::syntax::Place;

/// What sockets speak unless their option says it, and those that are named by their numbers: `=0`.
pub(super) struct Sockets<'a> {
    /// What `protocol` says; `None` if it is not spoken here.
    pub(super) protocol: Option<ListenProtocol>,
    shared: Vec<&'a ImportedText>,
    /// The numbers of those that another option names.
    used: Vec<usize>,
}

impl<'a> Sockets<'a> {
    pub(super) fn of(options: &'a [UwsgiOption]) -> Self {
        let values = |names: &'static [&'static str]| {
            let options = options.iter();
            let named = options.filter(move |it| names.contains(&it.name.as_str()));
            named.filter_map(|it| it.value.as_ref())
        };
        let protocol = values(&["protocol", "socket-protocol"]).next_back();
        let known = options.iter().filter_map(|it| it.value.as_ref()?.literal());
        Self {
            protocol: match protocol.map(|it| it.literal().unwrap_or_default()) {
                None | Some("uwsgi") => Some(ListenProtocol::Uwsgi),
                Some("http" | "http11") => Some(ListenProtocol::Http),
                Some("fastcgi") => Some(ListenProtocol::FastCgi),
                Some(_) => None,
            },
            shared: values(&["shared-socket", "undeferred-shared-socket"]).collect(),
            used: known.filter_map(number_of_socket).collect(),
        }
    }

    /// The address that is meant: `=0` is the first of the shared sockets.
    pub(super) fn address(&self, value: &ImportedText) -> ImportedText {
        let number = value.literal().and_then(number_of_socket);
        let shared = number.and_then(|number| self.shared.get(number));
        shared.map_or_else(|| value.clone(), |address| (*address).clone())
    }

    /// Whether another option names a shared socket.
    pub(super) fn is_used(&self, value: &ImportedText) -> bool {
        let number = self.shared.iter().position(|it| *it == value);
        number.is_some_and(|number| self.used.contains(&number))
    }
}

/// The number in `=0` or `=0,cert.pem,key.pem`.
fn number_of_socket(text: &str) -> Option<usize> {
    let number = text.strip_prefix('=')?.split(',').next()?;
    number.parse().ok()
}

/// `ADDRESS,CERTIFICATE,KEY[,CIPHERS[,CA]]`.
pub(super) fn https(
    value: &ImportedText,
    sockets: &Sockets<'_>,
    site: &mut ImportedSite,
    place: &Place,
) {
    let Some(text) = value.literal() else {
        return site.leave(
            place,
            "write the address into `url`, and set `runner.tls.cert`",
        );
    };
    let mut parts = text.split(',');
    let address = ImportedText::known(parts.next().unwrap_or_default());
    let url = listen_url(&sockets.address(&address));
    let url = match url.without_beginning("tcp://") {
        Some(rest) => rest.after("https://"),
        None => url,
    };
    site.listen(ListenProtocol::Http, url, place);
    for name in ["runner.tls.cert", "runner.tls.key"] {
        if let Some(path) = parts.next() {
            site.set_text(name, &ImportedText::known(path), place);
        }
    }
    if parts.next().is_some() {
        site.leave(place, "ciphers are those of TLS 1.2 and 1.3 that are safe; `runner.tls.client_ca` is for certificates of clients");
    }
}

/// `USER[:GROUP]` of a socket.
pub(super) fn owner(value: &ImportedText, site: &mut ImportedSite, place: &Place) {
    let text = value.literal().unwrap_or_default();
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    if !user.is_empty() {
        site.leave(
            place,
            "the socket belongs to the user of the server (`runner.user`); others connect by its group and mode",
        );
    }
    if let Some(group) = group {
        site.set_identity("runner.socket.group", &ImportedText::known(group), place);
    }
}
