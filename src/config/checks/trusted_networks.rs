//! The settings about proxies in front of the server: networks, fields, and how they go together.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::rules::Rules;
use crate::config::setting::Checked;
use crate::syntax::{Diagnostic, quoted};

const PROTOCOL: &str = "runner.http.proxy_protocol";
pub(super) const PROXIES: &str = "runner.http.trusted_proxies";
pub(super) const FIELDS: &str = "runner.http.forwarded";

/// The field that says what these others say.
const STANDARD: &str = "Forwarded";
const SAME: [&str; 3] = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"];

/// The networks of a setting, each with the length of its prefix, and `unix`. `*` is all of them.
///
/// # Errors
/// One of the texts is none of these.
pub(super) fn networks(name: &str, texts: &[String]) -> Result<Vec<String>, Diagnostic> {
    let mut networks = Vec::new();
    for text in texts {
        let text = text.as_str();
        match (text, text.parse::<IpAddr>(), text.parse::<IpNet>()) {
            ("unix", ..) => networks.push(text.to_owned()),
            ("*", ..) => networks.extend(["0.0.0.0/0", "::/0", "unix"].map(str::to_owned)),
            (_, Ok(address), _) => networks.push(IpNet::from(address.to_canonical()).to_string()),
            (_, _, Ok(network)) if network == network.trunc() => networks.push(network.to_string()),
            (_, _, Ok(network)) => {
                let message = format!(
                    "setting `{name}` has {}, which is an address within a network",
                    quoted(text)
                );
                let hint = format!(
                    "write `'{}'` for the network, `'{}'` for the address",
                    network.trunc(),
                    network.addr()
                );
                return Err(Diagnostic::new("setting/value", message).with_hint(hint));
            }
            (..) => {
                let message = format!(
                    "setting `{name}` has {}, which is no address and no network",
                    quoted(text)
                );
                let hint =
                    "write addresses (`'127.0.0.1'`), networks (`'10.0.0.0/8'`), `'unix'` or `'*'`";
                return Err(Diagnostic::new("setting/value", message).with_hint(hint));
            }
        }
    }
    Ok(networks)
}

/// What is wrong between settings that are right by themselves.
pub(super) fn contradictions(
    rules: &Rules,
    checked: &HashMap<&'static str, Checked>,
) -> impl Iterator<Item = Diagnostic> {
    let texts = |name| match checked.get(name) {
        Some(Checked::Texts(texts)) => texts.as_slice(),
        Some(_) | None => &[],
    };
    let speaks = checked.get(PROTOCOL) == Some(&Checked::Boolean(true));
    let unknown = (speaks && texts(PROXIES).is_empty()).then(|| {
        let message = format!("setting `{PROTOCOL}` needs `{PROXIES}`, which trusts no proxy");
        let hint = "write the proxy's address, as in `runner.http.trusted_proxies = ['127.0.0.1']`";
        let mistake = Diagnostic::new("setting/needs", message).with_hint(hint);
        rules.label(mistake, PROTOCOL)
    });
    let fields = texts(FIELDS);
    let mut named = SAME
        .iter()
        .filter(|name| fields.iter().any(|field| field == *name));
    let twice = match fields.iter().any(|field| field == STANDARD) {
        true => named.next(),
        false => None,
    };
    let twice = twice.map(|other| {
        let message =
            format!("setting `{FIELDS}` has `{STANDARD}` and `{other}`, which say the same");
        let hint = "name the one that the proxies set: the other one may be the client's";
        let mistake = Diagnostic::new("setting/value", message).with_hint(hint);
        rules.label(mistake, FIELDS)
    });
    unknown.into_iter().chain(twice)
}
