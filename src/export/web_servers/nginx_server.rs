//! nginx in front of a server: an `upstream` and a `server`, for a file in `http { }`.

use crate::export::export_remarks::ExportRemarks;
use crate::export::exported_server::{
    ExportedAddress, ExportedProtocol, ExportedServer, ExportedUrl, whole_seconds,
};
use crate::export::web_servers::access::{DEPTH, Front, answers_http, believes, speaks_tls};
use crate::export::web_servers::front::web_server_url;

const FRONT: Front = Front {
    name: "nginx",
    has_acme: false,
    has_revocations: true,
    has_one_file: true,
};

/// The lines of the file.
pub(in crate::export) fn text(server: &ExportedServer, remarks: &mut ExportRemarks) -> String {
    let Some(url) = web_server_url(&FRONT, server, remarks) else {
        return String::new();
    };
    if speaks_tls(server) && server.certificates.is_empty() {
        return String::new();
    }
    let id = &name(server);
    let mut text = "\
# The port of the host, unless browsers leave it out.
map $server_port $runner_port {
    80 \"\";
    443 \"\";
    default \":$server_port\";
}

"
    .to_owned();
    if server.protocol == ExportedProtocol::Http {
        text.push_str(
            "\
# A request that asks for another protocol, WebSocket, takes its connection along. All others leave it open.
map $http_upgrade $runner_connection {
    default upgrade;
    \"\" \"\";
}

",
        );
    }
    text.push_str(&upstream(server, &url, id));
    text.push_str(&format!("\nserver {{\n{}", listen(server, remarks)));
    text.push_str(&format!(
        "    # runner.request.max_body; nginx has 1 MiB otherwise.
    client_max_body_size {};

    # Paths reach the application as the client has sent them.
    merge_slashes off;

    # Files, redirects and all other routes are answered by the server, by the rules of its file.
    location / {{
{}    }}
}}
",
        server.max_body,
        location(server, &url, id, remarks)
    ));
    text
}

/// The name of the upstream, which no other file for the same nginx has. Variables are the same in all files, and so have the
/// same names: nginx has little room for many long ones.
fn name(server: &ExportedServer) -> String {
    const LONGEST: usize = 32;
    let folder = server.folder.rsplit('/').next().unwrap_or_default();
    let shown = format!("{folder}_{}", server.identifier);
    let plain = |c: char| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_lowercase(),
        false => '_',
    };
    let shown: String = shown.chars().map(plain).take(LONGEST).collect();
    format!("runner_{shown}_{:08x}", checksum(&server.file))
}

/// The same number for the same text in each version (FNV-1a).
fn checksum(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |sum: u32, byte| {
        (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

fn upstream(server: &ExportedServer, url: &ExportedUrl, id: &str) -> String {
    let address = match &url.address {
        ExportedAddress::Unix(path) => quoted(&format!("unix:{path}")),
        ExportedAddress::Tcp(host, port) => format!("{host}:{port}"),
        ExportedAddress::Passed(_) => String::new(),
    };
    // A connection that the server has closed already costs a request (uwsgi has none that stay open).
    let keep_alive = whole_seconds(server.keep_alive);
    let kept = match (server.protocol, keep_alive) {
        (ExportedProtocol::Uwsgi, _) | (ExportedProtocol::Http, 0..=1) => String::new(),
        (ExportedProtocol::Http, 2..=65) => format!(
            "    keepalive 16;\n    # Shorter than runner.http.keep_alive.\n    keepalive_timeout {}s;\n",
            (keep_alive - 5).max(keep_alive / 2).min(keep_alive - 1)
        ),
        (ExportedProtocol::Http | ExportedProtocol::FastCgi, _) => "    keepalive 16;\n".to_owned(),
    };
    format!("upstream {id} {{\n    server {address};\n{kept}}}\n")
}

fn listen(server: &ExportedServer, remarks: &mut ExportRemarks) -> String {
    let mut text = String::new();
    if answers_http(server) {
        text.push_str("    listen 80;\n    listen [::]:80;\n");
    }
    if !server.certificates.is_empty() {
        // Since nginx 1.25.1 there is `http2 on`, too, which older ones do not know.
        let http2 = if server.has_http2 { " http2" } else { "" };
        text.push_str(&format!(
            "    listen 443 ssl{http2};\n    listen [::]:443 ssl{http2};\n"
        ));
    }
    let is_fit = |path: &str| !path.contains('$');
    for (certificate, key) in &server.certificates {
        if !is_fit(certificate) || !is_fit(key) {
            let text = "nginx takes the `$` in the path of a certificate for a variable";
            remarks.essential(server, "runner.tls.cert", text);
        }
        text.push_str(&format!(
            "    ssl_certificate {};\n    ssl_certificate_key {};\n",
            quoted(certificate),
            quoted(key)
        ));
    }
    text.push_str(&clients(server));
    match server.hosts.is_empty() {
        true => text.push_str("    server_name _;\n\n"),
        false => text.push_str(&format!("    server_name {};\n\n", server.hosts.join(" "))),
    }
    text
}

/// What clients have to show.
fn clients(server: &ExportedServer) -> String {
    let mut text = String::new();
    if server.certificates.is_empty() {
        return text;
    }
    if let Some(authorities) = server.tls.client_ca.first() {
        let verified = match server.tls.is_optional {
            true => "optional",
            false => "on",
        };
        text.push_str(&format!(
            "    # runner.tls.client_ca\n    ssl_verify_client {verified};\n    ssl_verify_depth {DEPTH};\n    \
             ssl_client_certificate {};\n",
            quoted(authorities)
        ));
    }
    if let Some(revoked) = server.tls.client_crl.first() {
        text.push_str(&format!("    ssl_crl {};\n", quoted(revoked)));
    }
    text
}

fn location(
    server: &ExportedServer,
    url: &ExportedUrl,
    id: &str,
    remarks: &mut ExportRemarks,
) -> String {
    let patience = whole_seconds(server.patience_in_front());
    let (prefix, passes) = match server.protocol {
        ExportedProtocol::Http => ("proxy", http(server, url, id, remarks)),
        ExportedProtocol::FastCgi => (
            "fastcgi",
            format!(
                "        include /etc/nginx/fastcgi_params;
        # The host that the client asks for: that of the file is the first one of `server_name`.
        fastcgi_param SERVER_NAME $host;
        # Debian's file passes the host without its port.
        fastcgi_param HTTP_HOST $host$runner_port;
        fastcgi_pass {id};
        fastcgi_keep_conn on;
"
            ),
        ),
        ExportedProtocol::Uwsgi => (
            "uwsgi",
            format!(
                "        include /etc/nginx/uwsgi_params;
        # The host that the client asks for: that of the file is the first one of `server_name`.
        uwsgi_param SERVER_NAME $host;
        uwsgi_param HTTP_HOST $host$runner_port;
        uwsgi_pass {id};
"
            ),
        ),
    };
    format!(
        "{passes}
        # Longer than the server's own limits (runner.request.timeout), so that it answers first.
        {prefix}_read_timeout {patience}s;
        {prefix}_send_timeout {patience}s;

        # Passes on blocks as the application sends them.
        {prefix}_buffering off;
"
    )
}

fn http(
    server: &ExportedServer,
    url: &ExportedUrl,
    id: &str,
    remarks: &mut ExportRemarks,
) -> String {
    let scheme = match url.is_tls {
        true => "https",
        false => "http",
    };
    let mut text = format!("        proxy_pass {scheme}://{id};\n");
    if url.is_tls {
        text.push_str(
            "        # The server chooses its certificate by the name.
        proxy_ssl_server_name on;
        proxy_ssl_name $host;
",
        );
    }
    text.push_str(
        "        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $runner_connection;
        proxy_set_header Host $host$runner_port;
",
    );
    let values = [
        ("X-Forwarded-For", "$proxy_add_x_forwarded_for"),
        ("X-Forwarded-Proto", "$scheme"),
        ("X-Forwarded-Host", "$host$runner_port"),
        ("X-Forwarded-Prefix", "\"\""),
        ("Forwarded", "\"\""),
    ];
    for (name, value) in values {
        if matches!(name, "X-Forwarded-For" | "X-Forwarded-Proto") || believes(server, name) {
            text.push_str(&format!("        proxy_set_header {name} {value};\n"));
        }
    }
    if believes(server, "Forwarded") {
        let what = "nginx has no variable for `Forwarded`: trust `X-Forwarded-For` and `X-Forwarded-Proto`";
        remarks.essential(server, "runner.http.forwarded", what);
    }
    text
}

/// In quotes, in which nginx knows `\"` and `\\`.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
