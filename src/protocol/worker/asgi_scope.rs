//! Requests as ASGI workers get them, in the format of [`marshal`](crate::protocol::worker::marshal): what is needed for a
//! connection scope (ASGI's `www.rst`, "HTTP Connection Scope") and its body.
//!
//! As for WSGI there is a common part, which a lane keeps, and the request's own. The first is the tuple
//! `(scheme, http_version, server, headers, tls)`, the second `(method, path, raw_path, query_string, root_path, client host,
//! client port, content length, body)`: header names and values, `raw_path`, `query_string`, the content length and the body
//! are bytes, ports are integers (0 if not known), the rest are strings. `server` is `(host, port)`, or `(path, None)` for a Unix
//! socket. `tls` is `(certificates, name, version, cipher_suite)`: those of the client in PEM format, the name in the first one,
//! and the numbers of ASGI's extension `tls`; it is `None` for a connection in clear text. `None` stands for a client that is not
//! known, for a content length that is not announced, and for a body that is a file.
//!
//! The header fields are the client's, in lower case, with two exceptions. `Content-Length` and `Transfer-Encoding` are
//! left out, since the body is complete: its length is the request's own. And a field whose name has anything but letters,
//! digits and `-` is dropped, for the reason that [`environ`] gives: frameworks that have learnt from CGI take `X_Real-Ip`
//! for `X-Real-Ip`.

use std::borrow::Cow;

use http::{HeaderName, Version, header};

use crate::interface::{Request, RequestBody, TlsConnection};
use crate::protocol::cgi::environ;
use crate::protocol::cgi::path_info::split_query;
use crate::protocol::worker::marshal::Writer;

/// Appends the common part. Returns whether the header fields announce a body.
pub(super) fn write_common(request: &Request, writer: &mut Writer) -> bool {
    let connection = &*request.connection;
    writer.tuple(5);
    writer.string(connection.scheme.as_str());
    writer.string(version(request.version));
    writer.tuple(2);
    if let Some(path) = &connection.server_socket {
        writer.string(path);
        writer.none();
    } else {
        // An address of IPv6 without the brackets of a URL, as that of the client is.
        writer.string(connection.server_name.trim_matches(['[', ']']));
        write_port(&connection.server_port, writer);
    }
    let passed_on = || {
        let fields = request.headers.iter();
        fields.filter(|(name, _)| is_passed_on(name))
    };
    writer.list(passed_on().count());
    for (name, value) in passed_on() {
        writer.tuple(2);
        writer.bytes(name.as_str().as_bytes());
        writer.bytes(value.as_bytes());
    }
    write_tls(connection.tls.as_deref(), writer);
    [header::CONTENT_LENGTH, header::TRANSFER_ENCODING]
        .iter()
        .any(|name| request.headers.contains_key(name))
}

/// Appends what ASGI's extension `tls` is made from (ASGI's `tls.rst`).
fn write_tls(tls: Option<&TlsConnection>, writer: &mut Writer) {
    let Some(tls) = tls else {
        return writer.none();
    };
    writer.tuple(4);
    let chain = tls.client.as_ref().map_or(&[][..], |client| &client.chain);
    // More are not accepted in a handshake.
    let chain = &chain[..chain.len().min(usize::from(u8::MAX))];
    writer.tuple(chain.len() as u8);
    for certificate in chain {
        writer.string(certificate);
    }
    match &tls.client {
        Some(client) => writer.string(&client.name),
        None => writer.none(),
    }
    writer.integer(i32::from(tls.version));
    writer.integer(i32::from(tls.cipher_suite));
}

/// Appends the request's own part. `announced` is the result of [`write_common`].
pub(super) fn write_own(request: &Request, announced: bool, writer: &mut Writer) {
    let connection = &*request.connection;
    writer.tuple(9);
    writer.string(request.method.as_str());
    let path: Cow<'_, [u8]> = match request.script_name.is_empty() {
        true => (&*request.path_info).into(),
        false => [&*request.script_name, &request.path_info].concat().into(),
    };
    writer.string(&String::from_utf8_lossy(&path));
    writer.bytes(split_query(&request.target).0);
    writer.bytes(&request.query);
    writer.string(&String::from_utf8_lossy(&request.script_name));
    match connection.remote_addr.as_str() {
        "" => writer.none(),
        host => writer.string(host),
    }
    write_port(&connection.remote_port, writer);
    match environ::content_length_variable(request, announced) {
        Some(length) => writer.bytes(length.to_string().as_bytes()),
        None => writer.none(),
    }
    match &request.body {
        RequestBody::Empty => writer.bytes(b""),
        RequestBody::Bytes(bytes) => writer.bytes(bytes),
        RequestBody::File { .. } => writer.none(),
    }
}

/// A port. Where it is not known, ASGI wants an integer all the same.
fn write_port(port: &str, writer: &mut Writer) {
    writer.integer(port.parse::<u16>().map_or(0, i32::from));
}

/// The version as ASGI writes it. Only the two versions of HTTP/1 and HTTP/2 reach an application.
fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 | Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

fn is_passed_on(name: &HeaderName) -> bool {
    let is_clear = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    *name != header::CONTENT_LENGTH
        && *name != header::TRANSFER_ENCODING
        && name.as_str().bytes().all(is_clear)
}
