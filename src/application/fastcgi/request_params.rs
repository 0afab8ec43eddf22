//! The variables that a FastCGI application gets: those of CGI, and for a script those by which PHP finds it.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bytes::{Bytes, BytesMut};

use crate::application::fastcgi::script_search::FoundScript;
use crate::interface::Request;
use crate::protocol::cgi::environ::{CONSTANTS, variables};
use crate::protocol::fastcgi::record::put_pair;

/// The variables that a web server in front of us may have set about its own files.
const ABOUT_SCRIPTS: [&[u8]; 9] = [
    b"CONTEXT_DOCUMENT_ROOT",
    b"CONTEXT_PREFIX",
    b"DOCUMENT_ROOT",
    b"DOCUMENT_URI",
    b"PATH_TRANSLATED",
    b"REDIRECT_STATUS",
    b"REDIRECT_URL",
    b"SCRIPT_FILENAME",
    b"SCRIPT_URL",
];

/// Has a request ask for a script: `SCRIPT_NAME` is the script, `PATH_INFO` what follows it in the path.
pub(super) fn aim(request: &mut Request, script: &FoundScript) {
    let path = script.path.as_os_str().as_bytes();
    request.script_name = [&request.script_name, &b"/"[..], path].concat().into();
    request.path_info = script.path_info.clone();
    let about_scripts = |name: &Bytes| ABOUT_SCRIPTS.contains(&&name[..]);
    request.variables.retain(|(name, _)| !about_scripts(name));
}

/// The variables of a request, no name twice, as FastCGI sends them. `added` replace others.
pub(super) fn params(
    request: &Request,
    script: Option<&FoundScript>,
    added: &[(String, String)],
) -> Bytes {
    let mut params = BytesMut::with_capacity(1024);
    let mut put = |name: &[u8], value: &[u8]| {
        if !added.iter().any(|(other, _)| other.as_bytes() == name) {
            put_pair(&mut params, name, value);
        }
    };
    // An empty one means that there is none, to PHP as to RFC 3875 §4.1.5; other applications are told of the root by it.
    let leaves_out = |name: &[u8]| script.is_some() && name == b"PATH_INFO";
    variables(request, |name, value| {
        if !(value.is_empty() && leaves_out(name)) {
            put(name, value);
        }
    });
    let is_set = |name: &[u8]| request.variables.iter().any(|(other, _)| other == name);
    for (name, value) in CONSTANTS {
        if !is_set(name.as_bytes()) {
            put(name.as_bytes(), value.as_bytes());
        }
    }
    let connection = &request.connection;
    if !connection.server_addr.is_empty() && !is_set(b"SERVER_ADDR") {
        put(b"SERVER_ADDR", connection.server_addr.as_bytes());
    }
    if !is_set(b"REQUEST_SCHEME") {
        put(b"REQUEST_SCHEME", connection.scheme.as_str().as_bytes());
    }
    if let Some(script) = script {
        let below = |path: &[u8]| {
            let root = script.root.as_os_str().as_bytes();
            let root = root.strip_suffix(b"/").unwrap_or(root);
            [root, path].concat()
        };
        let file = Path::new("/").join(&script.path);
        put(b"SCRIPT_FILENAME", &below(file.as_os_str().as_bytes()));
        put(b"DOCUMENT_ROOT", script.root.as_os_str().as_bytes());
        let uri = [&request.script_name[..], &request.path_info].concat();
        put(b"DOCUMENT_URI", &uri);
        if !request.path_info.is_empty() {
            put(b"PATH_TRANSLATED", &below(&request.path_info));
        }
        // PHP as a CGI program refuses to run without it (`cgi.force_redirect`).
        put(b"REDIRECT_STATUS", b"200");
    }
    for (name, value) in added {
        put_pair(&mut params, name.as_bytes(), value.as_bytes());
    }
    params.freeze()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use bytes::Bytes;
    use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

    use super::{aim, params};
    use crate::application::fastcgi::script_search::FoundScript;
    use crate::interface::{Connection, Request, Scheme};
    use crate::protocol::fastcgi::record::Pairs;

    fn request(fields: &[(&str, &str)]) -> Request {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        Request {
            method: Method::GET,
            target: Bytes::from_static(b"/blog/a.php/b%20c?d=e"),
            script_name: Bytes::from_static(b"/blog"),
            path_info: Bytes::from_static(b"/a.php/b c"),
            query: Bytes::from_static(b"d=e"),
            version: Version::HTTP_11,
            headers,
            connection: Arc::new(Connection {
                scheme: Scheme::Https,
                server_name: "example.org".to_owned(),
                server_port: "443".to_owned(),
                server_addr: "192.0.2.1".to_owned(),
                remote_addr: "192.0.2.2".to_owned().into(),
                remote_port: "1234".to_owned(),
                ..Connection::default()
            }),
            variables: vec![(
                Bytes::from_static(b"DOCUMENT_ROOT"),
                Bytes::from_static(b"/of/nginx"),
            )],
            ..Request::default()
        }
    }

    /// All variables, each of which is there once.
    fn read(params: &Bytes) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for pair in Pairs::new(params) {
            let (name, value) = pair.unwrap();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let earlier = found.insert(text(name), text(value));
            assert_eq!(earlier, None, "{}", text(name));
        }
        found
    }

    #[test]
    fn php_is_told_of_the_script() {
        let mut request = request(&[
            ("host", "example.org"),
            ("proxy", "http://evil"),
            ("x.real.ip", "evil"),
            ("x_real_ip", "evil"),
        ]);
        let script = FoundScript {
            root: "/srv/blog/".into(),
            path: "a.php".into(),
            path_info: Bytes::from_static(b"/b c"),
        };
        aim(&mut request, &script);
        let added = [("APP_ENV".to_owned(), "prod".to_owned())];
        let found = read(&params(&request, Some(&script), &added));
        let software = concat!("runner/", env!("CARGO_PKG_VERSION"));
        let expected = [
            ("APP_ENV", "prod"),
            ("DOCUMENT_ROOT", "/srv/blog/"),
            ("DOCUMENT_URI", "/blog/a.php/b c"),
            ("GATEWAY_INTERFACE", "CGI/1.1"),
            ("HTTPS", "on"),
            ("HTTP_HOST", "example.org"),
            ("PATH_INFO", "/b c"),
            ("PATH_TRANSLATED", "/srv/blog/b c"),
            ("QUERY_STRING", "d=e"),
            ("REDIRECT_STATUS", "200"),
            ("REMOTE_ADDR", "192.0.2.2"),
            ("REMOTE_PORT", "1234"),
            ("REQUEST_METHOD", "GET"),
            ("REQUEST_SCHEME", "https"),
            ("REQUEST_URI", "/blog/a.php/b%20c?d=e"),
            ("SCRIPT_FILENAME", "/srv/blog/a.php"),
            ("SCRIPT_NAME", "/blog/a.php"),
            ("SERVER_ADDR", "192.0.2.1"),
            ("SERVER_NAME", "example.org"),
            ("SERVER_PORT", "443"),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("SERVER_SOFTWARE", software),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(found, BTreeMap::from(expected));
    }

    #[test]
    fn added_variables_replace_others() {
        let added = [("SERVER_NAME".to_owned(), "other".to_owned())];
        let found = read(&params(&request(&[]), None, &added));
        assert_eq!(found["SERVER_NAME"], "other");
        // Without scripts, those of a web server in front stay.
        assert_eq!(found["DOCUMENT_ROOT"], "/of/nginx");
        assert_eq!(found["PATH_INFO"], "/a.php/b c");
        assert!(!found.contains_key("SCRIPT_FILENAME"));
    }
}
