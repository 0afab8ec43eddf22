//! What all web servers in front of a server have in common.

use crate::export::export_remarks::ExportRemarks;
use crate::export::exported_server::{
    ExportedAddress, ExportedProtocol, ExportedServer, ExportedUrl,
};
use crate::export::web_servers::access::{Front, check};

/// Where a web server connects to; `None`, with the reason as a remark, if it cannot.
pub(super) fn web_server_url(
    front: &Front,
    server: &ExportedServer,
    remarks: &mut ExportRemarks,
) -> Option<ExportedUrl> {
    const URL: &str = "peak.tools.server.url";
    if server.urls.is_empty() {
        let text = "it has no address, and only keeps programs running";
        remarks.essential(server, "", text);
        return None;
    }
    let Some(url) = server.nearest_url() else {
        let text = "it listens on any free port, which a web server cannot know: set `url`, as in \
                    `url = 'unix:/run/my_app/socket'`";
        remarks.essential(server, URL, text);
        return None;
    };
    let takes = |url: &&ExportedUrl| matches!(&url.address, ExportedAddress::Tcp(_, 80 | 443));
    if let Some(ExportedUrl {
        address: ExportedAddress::Tcp(_, port),
        ..
    }) = server.urls.iter().find(takes)
    {
        let text = format!(
            "port {port} is the web server's own: let this server listen on another one, or on a Unix socket"
        );
        remarks.essential(server, URL, text);
    }
    if server
        .urls
        .iter()
        .any(|url| matches!(url.address, ExportedAddress::Passed(_)))
    {
        let text = format!(
            "the socket is the one of `runner export systemd`, {}",
            server.passed_socket()
        );
        remarks.note(server, URL, text);
    }
    let is_file = matches!(url.address, ExportedAddress::Unix(_));
    let is_open = match (server.socket_mode, &server.socket_group) {
        (None, _) => false,
        (Some(mode), Some(_)) => mode & 0o066 != 0,
        // Its group is that of the server's user, or with a unit of systemd's that of root.
        (Some(mode), None) => mode & 0o006 != 0,
    };
    if is_file && !is_open {
        let text = "the socket admits the server's user and root only: `runner.socket.group = 'www-data'` and \
                    `runner.socket.mode = '660'` admit a web server of that group";
        remarks.note(server, "runner.socket.mode", text);
    }
    if server.protocol != ExportedProtocol::Http {
        return Some(url);
    }
    check(front, server, &url, remarks);
    if server.proxy_protocol {
        let text =
            "a web server does not speak the PROXY protocol to servers behind it: leave it out";
        remarks.essential(server, "runner.http.proxy_protocol", text);
    }
    if server.believed.is_empty() {
        let proxy = match &url.address {
            ExportedAddress::Tcp(host, _) => format!("'{}'", host.trim_matches(['[', ']'])),
            ExportedAddress::Unix(_) | ExportedAddress::Passed(_) => "'unix'".to_owned(),
        };
        let text = format!(
            "the application sees the web server as its client until `runner.http.trusted_proxies = [{proxy}]` is set"
        );
        remarks.note(server, "runner.http.trusted_proxies", text);
    }
    Some(url)
}
