//! Caddy in front of a server: a site of a Caddyfile.

use crate::export::export_remarks::ExportRemarks;
use crate::export::exported_server::{
    ExportedAddress, ExportedProtocol, ExportedServer, ExportedUrl, whole_seconds,
};
use crate::export::web_servers::access::{Front, answers_http, believes, site_names, speaks_tls};
use crate::export::web_servers::front::web_server_url;

const FRONT: Front = Front {
    name: "Caddy",
    has_acme: true,
    has_revocations: false,
    has_one_file: false,
};

/// The lines of the file.
pub(in crate::export) fn text(server: &ExportedServer, remarks: &mut ExportRemarks) -> String {
    if server.protocol == ExportedProtocol::Uwsgi {
        let what = "Caddy does not speak uwsgi: let it be `serve` or `FastCGI`";
        remarks.essential(server, "", what);
        return String::new();
    }
    let Some(url) = web_server_url(&FRONT, server, remarks) else {
        return String::new();
    };
    let mut text = String::new();
    let quoted = |path: &str, remarks: &mut ExportRemarks| token(path, server, remarks);
    if server.max_body > 0 {
        text.push_str(&format!(
            "\t# runner.request.max_body\n\trequest_body {{\n\t\tmax_size {}\n\t}}\n",
            server.max_body
        ));
    }
    let upstream = match &url.address {
        ExportedAddress::Unix(path) => quoted(&format!("unix/{path}"), remarks),
        ExportedAddress::Tcp(host, port) => format!("{host}:{port}"),
        ExportedAddress::Passed(_) => String::new(),
    };
    text.push_str(
        "\t# Files, redirects and all other routes are answered by the server, by the rules of its file.\n",
    );
    text.push_str(&format!("\treverse_proxy {upstream} {{\n"));
    text.push_str("\t\t# Passes on blocks as the application sends them.\n\t\tflush_interval -1\n");
    text.push_str(&transport(server, &url, remarks));
    text.push_str("\t}\n");
    let tls = tls(server, remarks);
    let sites = sites(server).into_iter().map(|(addresses, is_tls)| {
        let tls = if is_tls { &*tls } else { "" };
        format!("{addresses} {{\n{tls}{text}}}\n")
    });
    sites.collect::<Vec<_>>().join("\n")
}

/// The addresses of each site, and whether these are for https. Where there is one for http, Caddy redirects nothing by
/// itself; a site for both could not have a certificate.
fn sites(server: &ExportedServer) -> Vec<(String, bool)> {
    let any = [String::new()];
    let names = match site_names(server) {
        [] => &any,
        names => names,
    };
    let schemes: &[&str] = match (speaks_tls(server), answers_http(server)) {
        (true, true) => &["http://", "https://"],
        (true, false) => &["https://"],
        (false, _) => &[""],
    };
    let address = |scheme: &str, name: &String| match (scheme, &**name) {
        ("", "") => ":80".to_owned(),
        // A certificate for all names below a domain is given for a record of its DNS only.
        ("", name) if name.starts_with('*') => format!("http://{name}"),
        (scheme, name) => format!("{scheme}{name}"),
    };
    let site = |scheme: &&str| {
        let addresses: Vec<String> = names.iter().map(|name| address(scheme, name)).collect();
        (addresses.join(", "), *scheme == "https://")
    };
    schemes.iter().map(site).collect()
}

/// Certificates, and what clients have to show.
fn tls(server: &ExportedServer, remarks: &mut ExportRemarks) -> String {
    if !speaks_tls(server) {
        return String::new();
    }
    let mut quoted = |path: &str| token(path, server, remarks);
    let settings = &server.tls;
    let mut lines = Vec::new();
    if !settings.client_ca.is_empty() {
        let mode = match settings.is_optional {
            true => "verify_if_given",
            false => "require_and_verify",
        };
        lines.push("\t# runner.tls.client_ca".to_owned());
        lines.push("\tclient_auth {".to_owned());
        lines.push(format!("\t\tmode {mode}"));
        for file in &settings.client_ca {
            lines.push(format!("\t\ttrusted_ca_cert_file {}", quoted(file)));
        }
        lines.push("\t}".to_owned());
    }
    if server.certificates.is_empty() {
        if let Some(directory) = &settings.acme_directory {
            lines.push(format!("\tca {}", quoted(directory)));
        }
        if let Some(file) = &settings.acme_ca {
            lines.push(format!("\tca_root {}", quoted(file)));
        }
    }
    let block = match lines.is_empty() {
        true => "\n".to_owned(),
        false => {
            let lines: Vec<String> = lines.iter().map(|line| format!("\t{line}\n")).collect();
            format!(" {{\n{}\t}}\n", lines.concat())
        }
    };
    let certificates = server.certificates.iter();
    let mut words: Vec<String> = certificates
        .map(|(certificate, key)| format!("\ttls {} {}{block}", quoted(certificate), quoted(key)))
        .collect();
    if words.is_empty() && !lines.is_empty() {
        words.push(format!("\ttls{block}"));
    }
    words.concat()
}

fn transport(server: &ExportedServer, url: &ExportedUrl, remarks: &mut ExportRemarks) -> String {
    let patience = whole_seconds(server.patience_in_front());
    if server.protocol == ExportedProtocol::FastCgi {
        let what = "FastCGI has no bodies without a length, and Caddy does not wait for their ends: an upload in chunks is \
                    answered with 400 (let it be `serve`)";
        remarks.note(server, "", what);
        return format!(
            "\t\ttransport fastcgi {{\n\t\t\troot /\n\t\t\t# Longer than the server's own limits \
             (runner.request.timeout), so that it answers first.\n\t\t\tread_timeout {patience}s\n\t\t\twrite_timeout \
             {patience}s\n\t\t}}\n"
        );
    }
    let mut text = String::new();
    // Caddy sets the fields -For, -Proto and -Host itself, and believes nothing of what the client has sent.
    for field in ["X-Forwarded-Prefix", "Forwarded"] {
        if believes(server, field) {
            text.push_str(&format!("\t\theader_up -{field}\n"));
        }
    }
    if believes(server, "Forwarded") {
        let what =
            "Caddy does not send `Forwarded`: trust `X-Forwarded-For` and `X-Forwarded-Proto`";
        remarks.essential(server, "runner.http.forwarded", what);
    }
    let keep_alive = whole_seconds(server.keep_alive);
    let kept = match keep_alive {
        0..=1 => "keepalive off".to_owned(),
        _ => format!(
            "keepalive {}s",
            (keep_alive - keep_alive / 5).min(keep_alive - 1)
        ),
    };
    text.push_str(&format!(
        "\t\ttransport http {{\n\t\t\t# Shorter than runner.http.keep_alive.\n\t\t\t{kept}\n"
    ));
    if url.is_tls {
        text.push_str(
            "\t\t\t# The certificate is for the name of the site, and not for this address.\n\t\t\ttls_insecure_skip_verify\n",
        );
    }
    text.push_str("\t\t}\n");
    text
}

/// A word of a Caddyfile. Between backquotes everything is literal but placeholders, which begin with a brace.
fn token(text: &str, server: &ExportedServer, remarks: &mut ExportRemarks) -> String {
    if text.contains('{') || text.contains('`') && text.contains(['"', '\\']) {
        let what = format!("a Caddyfile cannot have the path `{text}`");
        remarks.essential(server, "", what);
    }
    match text.contains(['"', '\\']) {
        true => format!("`{text}`"),
        false => format!("\"{text}\""),
    }
}
