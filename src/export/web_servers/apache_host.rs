//! Apache in front of a server: a virtual host.

use crate::export::export_remarks::ExportRemarks;
use crate::export::exported_server::{
    ExportedAddress, ExportedProtocol, ExportedServer, ExportedUrl, whole_seconds,
};
use crate::export::web_servers::access::{DEPTH, Front, answers_http, believes};
use crate::export::web_servers::front::web_server_url;

const FRONT: Front = Front {
    name: "Apache",
    has_acme: false,
    has_revocations: true,
    has_one_file: true,
};

/// The lines of the file.
pub(in crate::export) fn text(server: &ExportedServer, remarks: &mut ExportRemarks) -> String {
    let Some(url) = web_server_url(&FRONT, server, remarks) else {
        return String::new();
    };
    let mut modules = vec!["proxy"];
    modules.extend(match server.protocol {
        ExportedProtocol::Http => &["proxy_http", "headers"][..],
        ExportedProtocol::FastCgi => &["proxy_fcgi"],
        ExportedProtocol::Uwsgi => &["proxy_uwsgi"],
    });
    if url.is_tls || !server.certificates.is_empty() {
        modules.push("ssl");
    }
    let mut text = format!("# Modules (a2enmod): {}\n\n", modules.join(" "));
    let plain = answers_http(server).then_some(None);
    let hosts = plain
        .into_iter()
        .chain(server.certificates.first().map(Some));
    let hosts: Vec<String> = hosts
        .map(|certificate| host(server, &url, certificate, remarks))
        .collect();
    text.push_str(&hosts.join("\n"));
    if server.certificates.len() > 1 {
        let what = "a virtual host has one certificate: write one host for each of the others";
        remarks.note(server, "runner.tls.cert", what);
    }
    text
}

/// The virtual host, with a certificate and its key for https.
fn host(
    server: &ExportedServer,
    url: &ExportedUrl,
    certificate: Option<&(String, String)>,
    remarks: &mut ExportRemarks,
) -> String {
    let port = match certificate {
        Some(_) => 443,
        None => 80,
    };
    let mut lines = vec![format!("<VirtualHost *:{port}>")];
    let mut add = |line: String| lines.push(format!("    {line}"));
    let name = server.hosts.iter().find(|host| !host.starts_with('*'));
    if let Some(name) = name {
        add(format!("ServerName {name}"));
    }
    let others: Vec<&str> = server
        .hosts
        .iter()
        .filter(|host| Some(*host) != name)
        .map(String::as_str)
        .collect();
    if !others.is_empty() {
        add(format!("ServerAlias {}", others.join(" ")));
    }
    if let Some((certificate, key)) = certificate {
        add("SSLEngine on".to_owned());
        if server.has_http2 {
            add("<IfModule http2_module>".to_owned());
            add("    Protocols h2 http/1.1".to_owned());
            add("</IfModule>".to_owned());
        }
        add(format!(
            "SSLCertificateFile {}",
            quoted(certificate, server, remarks)
        ));
        add(format!(
            "SSLCertificateKeyFile {}",
            quoted(key, server, remarks)
        ));
    }
    if certificate.is_some() {
        clients(server, remarks).into_iter().for_each(&mut add);
    }
    add("# runner.request.max_body".to_owned());
    add(format!("LimitRequestBody {}", server.max_body));
    add("# Paths reach the application as the client has sent them.".to_owned());
    add("AllowEncodedSlashes NoDecode".to_owned());
    add("MergeSlashes Off".to_owned());
    add(
        "# Longer than the server's own limits (runner.request.timeout), so that it answers first."
            .to_owned(),
    );
    add(format!(
        "ProxyTimeout {}",
        whole_seconds(server.patience_in_front())
    ));
    if server.protocol == ExportedProtocol::Http {
        add("ProxyPreserveHost On".to_owned());
        // The module adds `X-Forwarded-For` and `X-Forwarded-Host` itself, behind what the client has sent.
        add("RequestHeader set X-Forwarded-Proto expr=%{REQUEST_SCHEME}".to_owned());
        for field in ["X-Forwarded-Prefix", "Forwarded"] {
            if believes(server, field) {
                add(format!("RequestHeader unset {field}"));
            }
        }
        if believes(server, "Forwarded") {
            let what =
                "Apache does not send `Forwarded`: trust `X-Forwarded-For` and `X-Forwarded-Proto`";
            remarks.essential(server, "runner.http.forwarded", what);
        }
        if url.is_tls {
            add("SSLProxyEngine on".to_owned());
            add(
                "# The certificate is for the name of the site, and not for this address."
                    .to_owned(),
            );
            add("SSLProxyCheckPeerName off".to_owned());
        }
    }
    add("# Files, redirects and all other routes are answered by the server, by the rules of its file.".to_owned());
    add(proxy_pass(server, url, remarks));
    lines.push("</VirtualHost>\n".to_owned());
    lines.join("\n")
}

/// What clients have to show.
fn clients(server: &ExportedServer, remarks: &mut ExportRemarks) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(authorities) = server.tls.client_ca.first() {
        let verified = match server.tls.is_optional {
            true => "optional",
            false => "require",
        };
        lines.push("# runner.tls.client_ca".to_owned());
        lines.push(format!("SSLVerifyClient {verified}"));
        lines.push(format!("SSLVerifyDepth {DEPTH}"));
        let file = quoted(authorities, server, remarks);
        lines.push(format!("SSLCACertificateFile {file}"));
    }
    if let Some(revoked) = server.tls.client_crl.first() {
        let file = quoted(revoked, server, remarks);
        lines.push(format!("SSLCARevocationFile {file}"));
        lines.push("SSLCARevocationCheck chain".to_owned());
    }
    lines
}

fn proxy_pass(server: &ExportedServer, url: &ExportedUrl, remarks: &mut ExportRemarks) -> String {
    let (scheme, options) = match (server.protocol, url.is_tls) {
        (ExportedProtocol::Http, false) => ("http", "nocanon upgrade=websocket flushpackets=on"),
        (ExportedProtocol::Http, true) => ("https", "nocanon upgrade=websocket flushpackets=on"),
        (ExportedProtocol::FastCgi, _) => ("fcgi", "enablereuse=on flushpackets=on"),
        (ExportedProtocol::Uwsgi, _) => ("uwsgi", "flushpackets=on"),
    };
    // An idle connection ends here before it does there.
    let keep_alive = whole_seconds(server.keep_alive);
    let kept = match (server.protocol, keep_alive) {
        (ExportedProtocol::Http, 0..=1) => " disablereuse=on".to_owned(),
        (ExportedProtocol::Http, _) => {
            format!(" ttl={}", (keep_alive - keep_alive / 5).min(keep_alive - 1))
        }
        (ExportedProtocol::FastCgi | ExportedProtocol::Uwsgi, _) => String::new(),
    };
    let target = match &url.address {
        ExportedAddress::Unix(path) => {
            // It takes the path for that of a URL.
            if path.contains(['|', '#', '?']) {
                let what = format!(
                    "Apache cannot name the socket `{path}`, which has one of `|`, `#` and `?`"
                );
                remarks.essential(server, "peak.tools.server.url", what);
            }
            format!("unix:{path}|{scheme}://localhost/")
        }
        ExportedAddress::Tcp(host, port) => format!("{scheme}://{host}:{port}/"),
        ExportedAddress::Passed(_) => String::new(),
    };
    let target = quoted(&target, server, remarks);
    format!("ProxyPass \"/\" {target} {options}{kept}")
}

/// In quotes, in which Apache knows `\"` and `\\`. It replaces `${NAME}` in any line.
fn quoted(text: &str, server: &ExportedServer, remarks: &mut ExportRemarks) -> String {
    if text.contains("${") {
        let what = format!("Apache takes the `${{` in `{text}` for a variable");
        remarks.essential(server, "", what);
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
