//! Requests as CGI variables, in both directions (RFC 3875 §4.1): CGI, FastCGI and WSGI all describe a request by them.
//!
//! The effect of header fields on the environ is the same for every gateway and application:
//!
//! - `Content-Type` and `Content-Length` become `CONTENT_TYPE` and `CONTENT_LENGTH`, every other
//!   field `HTTP_…`, so that no header can overwrite a variable.
//! - A field is one variable: repeated ones are joined with `,` (`Cookie` with `; `, RFC 9113
//!   §8.2.3). Of repeated fields that are no lists, such as `Content-Type`, the first counts.
//! - A name that holds anything but letters, digits and `-` is dropped: `X_Real-Ip` would forge
//!   `X-Real-Ip`.
//! - `Proxy` is dropped: `HTTP_PROXY` configures the HTTP clients of the application (httpoxy).
//! - Fields about the connection, which ends in the gateway, are dropped (RFC 2616 §13.5.1:
//!   `Connection`, `Keep-Alive`, `Proxy-Authorization`, `Proxy-Connection`, `TE`, `Trailer`,
//!   `Transfer-Encoding`, `Upgrade`). Fields that `Connection` merely names are kept: otherwise a client could
//!   take away a field that a proxy in front has added.
//! - `CONTENT_LENGTH` is the length of the received body, chunked or not.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};

use crate::interface::{Connection, Errors, Request, RequestBody, Scheme};
use crate::protocol::cgi::header_variables::{PREFIX, header_name, header_variables, is_single};
use crate::protocol::cgi::path_info::{made_up_target, mount, origin_form, split_query};

#[cfg(test)]
mod tests;

/// The variables that CGI demands and that are the same for every request, unless a web server in front set others in
/// [`Request::variables`]. [`variables`] leaves them out.
pub const CONSTANTS: [(&str, &str); 2] = [
    ("GATEWAY_INTERFACE", "CGI/1.1"),
    (
        "SERVER_SOFTWARE",
        concat!("runner/", env!("CARGO_PKG_VERSION")),
    ),
];

/// Calls `each(name, value)` for every CGI variable of a request, no name twice.
///
/// `CONTENT_LENGTH` is set if there is a body or the client announced an empty one (`Content-Length: 0`); RFC 3875 §4.1.2
/// wants it unset otherwise. `REMOTE_PORT` is set if it is known.
pub fn variables(request: &Request, mut each: impl FnMut(&[u8], &[u8])) {
    for (name, value) in OWN.into_iter().zip(own_variables(request)) {
        if let Some(value) = value {
            each(name.as_bytes(), value);
        }
    }
    let announced = common_variables(request, &mut each);
    if let Some(length) = content_length_variable(request, announced) {
        each(b"CONTENT_LENGTH", length.to_string().as_bytes());
    }
}

/// The variables that differ from request to request or from connection to connection, with the values of
/// [`own_variables`].
pub const OWN: [&str; 7] = [
    "REQUEST_METHOD",
    "SCRIPT_NAME",
    "PATH_INFO",
    "QUERY_STRING",
    "REQUEST_URI",
    "REMOTE_ADDR",
    "REMOTE_PORT",
];

/// The values of [`OWN`]; `None` for one that is not set.
pub fn own_variables(request: &Request) -> [Option<&[u8]>; 7] {
    let connection = &*request.connection;
    let port = connection.remote_port.as_bytes();
    [
        Some(request.method.as_str().as_bytes()),
        Some(&request.script_name),
        Some(&request.path_info),
        Some(&request.query),
        Some(&request.target),
        Some(connection.remote_addr.as_str().as_bytes()),
        (!port.is_empty()).then_some(port),
    ]
}

/// The value of `CONTENT_LENGTH`, if it is set; `announced` is the result of [`common_variables`].
pub fn content_length_variable(request: &Request, announced: bool) -> Option<u64> {
    let length = request.body.length();
    (length > 0 || announced).then_some(length)
}

/// Calls `each(name, value)` for the variables that are often the same for all requests of a client, whatever its
/// connections. True if the header fields announce a body.
pub fn common_variables(request: &Request, each: &mut impl FnMut(&[u8], &[u8])) -> bool {
    let connection = &*request.connection;
    each(
        b"SERVER_PROTOCOL",
        protocol_name(request.version).as_bytes(),
    );
    each(b"SERVER_NAME", connection.server_name.as_bytes());
    each(b"SERVER_PORT", connection.server_port.as_bytes());
    if connection.scheme == Scheme::Https {
        each(b"HTTPS", b"on");
    }
    if let Some(tls) = &connection.tls {
        for (name, value) in &tls.variables {
            each(name.as_bytes(), value.as_bytes());
        }
    }
    let announced = header_variables(&request.headers, each);
    for (name, value) in &request.variables {
        each(name, value);
    }
    announced
}

/// Why variables describe no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadEnviron {
    /// A necessary variable is missing.
    Missing(&'static str),
    /// The value of a variable is not what RFC 3875 demands.
    Malformed(&'static str),
    /// A value, or the path, contains a zero byte, which no environment can hold. HTTP does not allow it either.
    Zero,
    /// A header field has a control character, or there are too many fields.
    Header,
    /// The body is shorter than `CONTENT_LENGTH`: the client went away in the middle of it.
    Incomplete,
}

impl fmt::Display for BadEnviron {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(formatter, "the variable `{name}` is not set"),
            Self::Malformed(name) => write!(formatter, "the value of `{name}` is malformed"),
            Self::Zero => formatter.write_str("a variable contains a zero byte"),
            Self::Header => {
                formatter.write_str("a header field is malformed, or there are too many")
            }
            Self::Incomplete => {
                formatter.write_str("the request's body is shorter than `CONTENT_LENGTH` says")
            }
        }
    }
}

impl std::error::Error for BadEnviron {}

/// The value of `CONTENT_LENGTH` as a number of bytes; unset and empty mean 0 (RFC 3875 §4.1.2).
///
/// # Errors
/// [`BadEnviron::Malformed`] for anything but digits.
pub fn content_length(value: &[u8]) -> Result<u64, BadEnviron> {
    let malformed = BadEnviron::Malformed("CONTENT_LENGTH");
    if value.is_empty() {
        return Ok(0);
    }
    if !value.iter().all(u8::is_ascii_digit) {
        return Err(malformed);
    }
    let text = std::str::from_utf8(value).map_err(|_| malformed)?;
    text.parse().map_err(|_| malformed)
}

/// The request that CGI variables describe, as web servers actually send them.
///
/// - Of a repeated variable the last counts, as in a dictionary: this is how a web server's configuration overrides an
///   included file. Only a repeated `HTTP_…` of a field that is a list is a repeated field.
/// - Without `REQUEST_URI` (IIS), the target is made from `SCRIPT_NAME`, `PATH_INFO` and `QUERY_STRING`; an absolute one
///   loses its scheme and host.
/// - `SCRIPT_NAME` and `PATH_INFO` are taken as they are, wherever `PATH_INFO` is set, even if empty
///   (lighttpd needs `fix-root-scriptname` for an application at `/`). Both alike and the whole path (nginx, with
///   `PATH_INFO` set to `$fastcgi_script_name`) mean that the application is at the root. Where `PATH_INFO` is
///   not set, it is what follows `SCRIPT_NAME` in `DOCUMENT_URI` or `REQUEST_URI`; nginx without
///   `fastcgi_split_path_info` and `mod_proxy_fcgi` give the whole path as `SCRIPT_NAME`, known by a
///   `DOCUMENT_URI`, or by a `SCRIPT_FILENAME` of `proxy:…`: there too, the application is at the root.
/// - Empty or missing `SERVER_NAME` and `SERVER_PORT` come from `Host`.
/// - The received body must be at least as long as `CONTENT_LENGTH` (`mod_deflate` sends more).
/// - Every variable that none of the request's fields stands for is kept in [`Request::variables`], except an empty
///   `REMOTE_USER` or `AUTH_TYPE`.
///
/// # Errors
/// [`BadEnviron`], which deserves a 400.
pub fn request<'a>(
    variables: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    body: RequestBody,
    errors: Errors,
) -> Result<Request, BadEnviron> {
    let mut known = Known::default();
    let mut content_type_field = None;
    let mut headers = HeaderMap::new();
    let mut others: Vec<(&[u8], &[u8])> = Vec::with_capacity(32);
    for (name, value) in variables {
        if value.contains(&0) {
            return Err(BadEnviron::Zero);
        }
        if let Some(field) = known.field(name) {
            *field = Some(value);
        } else if let Some(header) = name.strip_prefix(PREFIX) {
            match header_name(header) {
                None => (),
                Some(name) if name == header::CONTENT_LENGTH => (),
                // nginx without `fastcgi_params` gives it in this way only.
                Some(name) if name == header::CONTENT_TYPE => content_type_field = Some(value),
                Some(name) => add(&mut headers, name, value)?,
            }
        } else if is_useful(name, value) {
            match others.iter_mut().find(|(other, _)| *other == name) {
                Some((_, earlier)) => *earlier = value,
                None => others.push((name, value)),
            }
        }
    }
    let content_type = known.content_type.or(content_type_field);
    if let Some(value) = content_type.filter(|value| !value.is_empty()) {
        add(&mut headers, header::CONTENT_TYPE, value)?;
    }
    let method = known.method.ok_or(BadEnviron::Missing("REQUEST_METHOD"))?;
    let method = Method::from_bytes(method).map_err(|_| BadEnviron::Malformed("REQUEST_METHOD"))?;
    let announced = known.content_length.unwrap_or_default();
    if content_length(announced)? > body.length() {
        return Err(BadEnviron::Incomplete);
    }
    if says_length(&method, announced) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.length()));
    }

    let uri = known.uri.filter(|uri| !uri.is_empty()).map(origin_form);
    let target_path = uri.as_deref().map(|uri| split_query(uri).0);
    let proxied = find(&others, b"SCRIPT_FILENAME").is_some_and(|file| file.starts_with(b"proxy:"));
    let (script_name, path_info) = mount(
        known.script_name,
        known.path_info,
        find(&others, b"DOCUMENT_URI"),
        target_path,
        proxied,
    );
    // It may have been encoded as `%00`.
    if path_info.contains(&0) {
        return Err(BadEnviron::Zero);
    }
    let query = known.query.unwrap_or_else(|| {
        uri.as_deref()
            .map(|uri| split_query(uri).1)
            .unwrap_or_default()
    });
    let target = match &uri {
        Some(uri) => Bytes::copy_from_slice(uri),
        None => made_up_target(&script_name, &path_info, query),
    };
    Ok(Request {
        offers_web_socket: false,
        ids: None,
        application: None,
        notes: None,
        method,
        target,
        query: Bytes::copy_from_slice(query),
        script_name,
        path_info,
        version: version(known.protocol.unwrap_or_default()),
        connection: Arc::new(connection(
            &known,
            &headers,
            find(&others, b"REQUEST_SCHEME"),
        )),
        headers,
        body,
        variables: copies(&others),
        errors,
    })
}

/// Whether a variable that none of a request's fields stands for is passed on. nginx always sets `REMOTE_USER`, and some
/// applications take it as proof of a login even if it is empty, which means unset (RFC 3875 §4.1). A name must fit an
/// environment, and only the server may tell a Python application a `wsgi.…`.
fn is_useful(name: &[u8], value: &[u8]) -> bool {
    let unset = value.is_empty() && matches!(name, b"AUTH_TYPE" | b"REMOTE_USER");
    let servers_own = name.starts_with(b"wsgi.");
    !(unset || servers_own || name.is_empty() || name.contains(&b'=') || name.contains(&0))
}

/// Whether `CONTENT_LENGTH` means a header field. lighttpd sets it to 0 for every request without a body.
fn says_length(method: &Method, content_length: &[u8]) -> bool {
    let usual = *method == Method::GET || *method == Method::HEAD;
    !(content_length.is_empty() || usual && content_length == b"0")
}

/// The variables that fields of a request stand for, by the names of [`variables`].
#[derive(Default)]
struct Known<'a> {
    method: Option<&'a [u8]>,
    script_name: Option<&'a [u8]>,
    path_info: Option<&'a [u8]>,
    query: Option<&'a [u8]>,
    uri: Option<&'a [u8]>,
    protocol: Option<&'a [u8]>,
    server_name: Option<&'a [u8]>,
    server_port: Option<&'a [u8]>,
    remote_addr: Option<&'a [u8]>,
    remote_port: Option<&'a [u8]>,
    https: Option<&'a [u8]>,
    content_type: Option<&'a [u8]>,
    content_length: Option<&'a [u8]>,
}

impl<'a> Known<'a> {
    fn field(&mut self, name: &[u8]) -> Option<&mut Option<&'a [u8]>> {
        Some(match name {
            b"REQUEST_METHOD" => &mut self.method,
            b"SCRIPT_NAME" => &mut self.script_name,
            b"PATH_INFO" => &mut self.path_info,
            b"QUERY_STRING" => &mut self.query,
            b"REQUEST_URI" => &mut self.uri,
            b"SERVER_PROTOCOL" => &mut self.protocol,
            b"SERVER_NAME" => &mut self.server_name,
            b"SERVER_PORT" => &mut self.server_port,
            b"REMOTE_ADDR" => &mut self.remote_addr,
            b"REMOTE_PORT" => &mut self.remote_port,
            b"HTTPS" => &mut self.https,
            b"CONTENT_TYPE" => &mut self.content_type,
            b"CONTENT_LENGTH" => &mut self.content_length,
            _ => return None,
        })
    }
}

fn add(headers: &mut HeaderMap, name: HeaderName, value: &[u8]) -> Result<(), BadEnviron> {
    let value = HeaderValue::from_bytes(value).map_err(|_| BadEnviron::Header)?;
    let added = match is_single(&name) {
        true => headers.try_insert(name, value).map(|_| ()),
        false => headers.try_append(name, value).map(|_| ()),
    };
    added.map_err(|_| BadEnviron::Header)
}

fn find<'a>(variables: &[(&'a [u8], &'a [u8])], name: &[u8]) -> Option<&'a [u8]> {
    let (_, value) = variables.iter().find(|(other, _)| *other == name)?;
    Some(value)
}

/// Copies of variables in one allocation, since each request has dozens of them.
fn copies(variables: &[(&[u8], &[u8])]) -> Vec<(Bytes, Bytes)> {
    let mut memory = Vec::new();
    for (name, value) in variables {
        memory.extend_from_slice(name);
        memory.extend_from_slice(value);
    }
    let mut memory = Bytes::from(memory);
    let copy = |(name, value): &(&[u8], &[u8])| {
        (memory.split_to(name.len()), memory.split_to(value.len()))
    };
    variables.iter().map(copy).collect()
}

fn connection(known: &Known<'_>, headers: &HeaderMap, request_scheme: Option<&[u8]>) -> Connection {
    let scheme = match (known.https, request_scheme) {
        (None, Some(scheme)) if scheme.eq_ignore_ascii_case(b"https") => Scheme::Https,
        (None, _) => Scheme::Http,
        (Some(value), _) if value.is_empty() || value.eq_ignore_ascii_case(b"off") => Scheme::Http,
        (Some(_), _) => Scheme::Https,
    };
    let host = headers
        .get(header::HOST)
        .map_or(&b""[..], HeaderValue::as_bytes);
    let (host, port) = split_port(host);
    let default_port: &[u8] = match scheme {
        Scheme::Http => b"80",
        Scheme::Https => b"443",
    };
    let first = |choices: [Option<&[u8]>; 3]| {
        let chosen = choices
            .into_iter()
            .flatten()
            .find(|value| !value.is_empty());
        String::from_utf8_lossy(chosen.unwrap_or_default()).into_owned()
    };
    Connection {
        scheme,
        server_name: first([known.server_name, Some(host), Some(b"localhost")]),
        server_port: first([
            known.server_port.filter(|port| is_port(port)),
            port,
            Some(default_port),
        ]),
        // nginx sets `unix:` for a client that came over a Unix socket.
        remote_addr: first([
            known.remote_addr.filter(|from| *from != b"unix:"),
            None,
            None,
        ])
        .into(),
        remote_port: first([known.remote_port, None, None]),
        // The server's address and what is known of TLS are other variables, if the web server has set them.
        ..Connection::default()
    }
}

fn is_port(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

/// The value of `Host` as host and port (RFC 9110 §7.2). An IPv6 address keeps its brackets, as
/// RFC 3875 §4.1.14 wants it.
pub fn split_port(host: &[u8]) -> (&[u8], Option<&[u8]>) {
    match host.iter().rposition(|byte| *byte == b':') {
        Some(colon) if is_port(&host[colon + 1..]) => (&host[..colon], Some(&host[colon + 1..])),
        Some(_) | None => (host, None),
    }
}

fn protocol_name(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        // The only other value of `Version` is HTTP_11.
        _ => "HTTP/1.1",
    }
}

/// Other names (`INCLUDED`, RFC 3875 §4.1.16) promise no more than 1.0.
fn version(name: &[u8]) -> Version {
    match name {
        b"HTTP/0.9" => Version::HTTP_09,
        b"HTTP/1.1" => Version::HTTP_11,
        b"HTTP/2.0" | b"HTTP/2" => Version::HTTP_2,
        b"HTTP/3.0" | b"HTTP/3" => Version::HTTP_3,
        _ => Version::HTTP_10,
    }
}
