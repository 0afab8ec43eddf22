//! Caddy in front of a server: a site of a Caddyfile.

use crate::export::export_remarks::ExportRemarks;
use crate::export::exported_server::{
    ExportedAddress, ExportedProtocol, ExportedServer, ExportedUrl, whole_seconds,
};
use crate::export::web_servers::front::{believes, web_server_url};

/// The lines of the file.
pub(in crate::export) fn text(server: &ExportedServer, remarks: &mut ExportRemarks) -> String {
    if server.protocol == ExportedProtocol::Uwsgi {
        let what = "Caddy does not speak uwsgi: let it be `serve` or `FastCGI`";
        remarks.essential(server, "", what);
        return String::new();
    }
    let Some(url) = web_server_url(server, remarks) else {
        return String::new();
    };
    let has_certificate = !server.certificates.is_empty();
    let site = match (server.hosts.is_empty(), has_certificate) {
        (true, true) => ":443".to_owned(),
        (true, false) => ":80".to_owned(),
        (false, true) => server.hosts.join(", "),
        (false, false) => {
            // A certificate for all names below a domain is given for a record of its DNS only.
            let address = |host: &String| match host.starts_with('*') {
                true => format!("http://{host}"),
                false => host.clone(),
            };
            let addresses: Vec<String> = server.hosts.iter().map(address).collect();
            addresses.join(", ")
        }
    };
    let mut text = format!("{site} {{\n");
    let quoted = |path: &str, remarks: &mut ExportRemarks| token(path, server, remarks);
    for (certificate, key) in &server.certificates {
        let (certificate, key) = (quoted(certificate, remarks), quoted(key, remarks));
        text.push_str(&format!("\ttls {certificate} {key}\n"));
    }
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
    text.push_str("\t}\n}\n");
    text
}

fn transport(server: &ExportedServer, url: &ExportedUrl, remarks: &mut ExportRemarks) -> String {
    let patience = whole_seconds(server.patience_in_front());
    if server.protocol == ExportedProtocol::FastCgi {
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
