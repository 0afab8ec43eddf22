//! nginx in front of a server: an `upstream` and a `server`, for a file in `http { }`.

use crate::export::export_remarks::ExportRemarks;
use crate::export::exported_server::{
    ExportedAddress, ExportedProtocol, ExportedServer, ExportedUrl, whole_seconds,
};
use crate::export::web_servers::front::{believes, web_server_url};

/// The lines of the file.
pub(in crate::export) fn text(server: &ExportedServer, remarks: &mut ExportRemarks) -> String {
    let Some(url) = web_server_url(server, remarks) else {
        return String::new();
    };
    let id = &server.identifier;
    let variable = id.replace('-', "_");
    let mut text = format!(
        "\
# The port of the host, unless browsers leave it out.
map $server_port ${variable}_port {{
    80 \"\";
    443 \"\";
    default \":$server_port\";
}}

"
    );
    if server.protocol == ExportedProtocol::Http {
        text.push_str(&format!(
            "\
# A request that asks for another protocol, WebSocket, takes its connection along. All others leave it open.
map $http_upgrade ${variable}_connection {{
    default upgrade;
    \"\" \"\";
}}

"
        ));
    }
    text.push_str(&upstream(server, &url));
    text.push_str(&format!("\nserver {{\n{}", listen(server, remarks)));
    text.push_str(&format!(
        "    # runner.request.max_body; nginx has 1 MiB otherwise.
    client_max_body_size {};

    # Files, redirects and all other routes are answered by the server, by the rules of its file.
    location / {{
{}    }}
}}
",
        server.max_body,
        location(server, &url, &variable, remarks)
    ));
    text
}

fn upstream(server: &ExportedServer, url: &ExportedUrl) -> String {
    let address = match &url.address {
        ExportedAddress::Unix(path) => quoted(&format!("unix:{path}")),
        ExportedAddress::Tcp(host, port) => format!("{host}:{port}"),
        ExportedAddress::Passed(_) => String::new(),
    };
    let id = &server.identifier;
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
    let mut text = "    listen 80;\n".to_owned();
    if !server.certificates.is_empty() {
        text.push_str("    listen 443 ssl;\n");
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
    match server.hosts.is_empty() {
        true => text.push_str("    server_name _;\n\n"),
        false => text.push_str(&format!("    server_name {};\n\n", server.hosts.join(" "))),
    }
    text
}

fn location(
    server: &ExportedServer,
    url: &ExportedUrl,
    variable: &str,
    remarks: &mut ExportRemarks,
) -> String {
    let id = &server.identifier;
    let patience = whole_seconds(server.patience_in_front());
    let (prefix, passes) = match server.protocol {
        ExportedProtocol::Http => ("proxy", http(server, url, variable, remarks)),
        ExportedProtocol::FastCgi => (
            "fastcgi",
            format!(
                "        include /etc/nginx/fastcgi_params;
        # Debian's file passes the host without its port.
        fastcgi_param HTTP_HOST $host${variable}_port;
        fastcgi_pass {id};
        fastcgi_keep_conn on;
"
            ),
        ),
        ExportedProtocol::Uwsgi => (
            "uwsgi",
            format!(
                "        include /etc/nginx/uwsgi_params;
        uwsgi_param HTTP_HOST $host${variable}_port;
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
    variable: &str,
    remarks: &mut ExportRemarks,
) -> String {
    let id = &server.identifier;
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
    text.push_str(&format!(
        "        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection ${variable}_connection;
        proxy_set_header Host $host${variable}_port;
"
    ));
    let values = [
        ("X-Forwarded-For", "$proxy_add_x_forwarded_for".to_owned()),
        ("X-Forwarded-Proto", "$scheme".to_owned()),
        ("X-Forwarded-Host", format!("$host${variable}_port")),
        ("X-Forwarded-Prefix", "\"\"".to_owned()),
        ("Forwarded", "\"\"".to_owned()),
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
