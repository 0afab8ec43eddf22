//! Both directions as inverses, and the variables of real web servers.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};

use crate::interface::{Connection, Errors, Request, RequestBody, Scheme};
use crate::protocol::cgi::environ::{BadEnviron, content_length, request, variables};

type EnvironPairs<'a> = [(&'a str, &'a str)];

/// The variables of a request as text; a repeated name fails the test.
fn environ(request: &Request) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    variables(request, |name, value| {
        let name = String::from_utf8(name.to_vec()).unwrap();
        let value = String::from_utf8(value.to_vec()).unwrap();
        let earlier = all.insert(name.clone(), value);
        assert_eq!(earlier, None, "{name} came twice");
    });
    all
}

fn from_text(text: &[(&str, &str)], body: RequestBody) -> Result<Request, BadEnviron> {
    let pairs = text
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    request(pairs, body, Errors::Log)
}

fn get(headers: &[(&str, &str)]) -> Request {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        map.append(name, HeaderValue::from_str(value).unwrap());
    }
    Request {
        method: Method::GET,
        target: Bytes::from_static(b"/a%20b?q=1"),
        script_name: Bytes::new(),
        path_info: Bytes::from_static(b"/a b"),
        query: Bytes::from_static(b"q=1"),
        version: Version::HTTP_11,
        headers: map,
        body: RequestBody::Empty,
        connection: Arc::new(Connection {
            scheme: Scheme::Http,
            server_name: "localhost".to_owned(),
            server_port: "8000".to_owned(),
            remote_addr: "127.0.0.1".to_owned().into(),
            remote_port: "40000".to_owned(),
            ..Connection::default()
        }),
        ..Request::default()
    }
}

const GET: [(&str, &str); 10] = [
    ("PATH_INFO", "/a b"),
    ("QUERY_STRING", "q=1"),
    ("REMOTE_ADDR", "127.0.0.1"),
    ("REMOTE_PORT", "40000"),
    ("REQUEST_METHOD", "GET"),
    ("REQUEST_URI", "/a%20b?q=1"),
    ("SCRIPT_NAME", ""),
    ("SERVER_NAME", "localhost"),
    ("SERVER_PORT", "8000"),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
];

#[test]
fn header_fields_become_variables() {
    let long = "x".repeat(5000);
    let long_variable = format!("HTTP_{}", long.to_uppercase());
    #[rustfmt::skip]
    let cases: [(&EnvironPairs<'_>, &EnvironPairs<'_>); 17] = [
        (&[], &[]),
        (&[("Host", "h:1")], &[("HTTP_HOST", "h:1")]),
        (&[("Accept-Language", "de")], &[("HTTP_ACCEPT_LANGUAGE", "de")]),
        (&[("X-A", "1"), ("B", "2"), ("x-a", "3")], &[("HTTP_X_A", "1,3"), ("HTTP_B", "2")]),
        (&[("X-A", "1"), ("X-A", ""), ("X-A", "3")], &[("HTTP_X_A", "1,,3")]),
        (&[("Cookie", "a=1"), ("Cookie", "b=2")], &[("HTTP_COOKIE", "a=1; b=2")]),
        (&[("Content-Type", "text/plain")], &[("CONTENT_TYPE", "text/plain")]),
        (&[("Content-Type", "a/b"), ("Content-Type", "c/d")], &[("CONTENT_TYPE", "a/b")]),
        (&[("User-Agent", "a"), ("User-Agent", "b")], &[("HTTP_USER_AGENT", "a")]),
        (&[("Content-Length", "0")], &[("CONTENT_LENGTH", "0")]),
        (&[("Transfer-Encoding", "chunked")], &[("CONTENT_LENGTH", "0")]),
        (&[("Proxy", "http://evil/")], &[]),
        (&[("X_Real-Ip", "1"), ("X_Real_Ip", "2"), ("X.Real.Ip", "3")], &[]),
        (&[("X-Real-Ip", "1"), ("X_Real_Ip", "2")], &[("HTTP_X_REAL_IP", "1")]),
        (&[("Connection", "x-real-ip"), ("X-Real-Ip", "1")], &[("HTTP_X_REAL_IP", "1")]),
        (&[("Connection", "close"), ("Keep-Alive", "1"), ("TE", "trailers"), ("Trailer", "a"), ("Upgrade", "h2c"),
           ("Proxy-Authorization", "Basic eA=="), ("Proxy-Connection", "close")], &[]),
        (&[(&long, "1")], &[(&long_variable, "1")]),
    ];
    for (headers, expected) in cases {
        let expected: BTreeMap<String, String> = GET
            .iter()
            .chain(expected)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(environ(&get(headers)), expected, "{headers:?}");
    }
}

/// An included file sets `HTTP_HOST`, and the configuration sets it again: joined they would be two hosts.
#[test]
fn of_a_repeated_variable_the_last_counts_unless_its_field_is_a_list() {
    let read = |pairs: &[(&str, &str)]| {
        let needed = [
            ("REQUEST_METHOD", "GET"),
            ("SCRIPT_NAME", ""),
            ("PATH_INFO", "/"),
        ];
        let all: Vec<_> = needed.iter().chain(pairs).copied().collect();
        environ(&from_text(&all, RequestBody::Empty).unwrap())
    };
    for name in [
        "HTTP_AUTHORIZATION",
        "HTTP_CONTENT_RANGE",
        "HTTP_FROM",
        "HTTP_HOST",
        "HTTP_IF_MODIFIED_SINCE",
        "HTTP_IF_RANGE",
        "HTTP_MAX_FORWARDS",
        "HTTP_ORIGIN",
        "HTTP_RANGE",
        "HTTP_REFERER",
        "HTTP_USER_AGENT",
        "CONTENT_TYPE",
        "QUERY_STRING",
        "REMOTE_ADDR",
        "SERVER_NAME",
        "DOCUMENT_ROOT",
    ] {
        let found = read(&[
            (name, "first"),
            ("HTTP_X", "x"),
            (name, "second"),
            (name, "last"),
        ]);
        assert_eq!(found[name], "last", "{name}");
    }
    let found = read(&[("HTTP_CONTENT_TYPE", "a/b"), ("HTTP_CONTENT_TYPE", "c/d")]);
    assert_eq!(found["CONTENT_TYPE"], "c/d");
    let found = read(&[("CONTENT_TYPE", "a/b"), ("HTTP_CONTENT_TYPE", "c/d")]);
    assert_eq!(found["CONTENT_TYPE"], "a/b");
    let found = read(&[("HTTP_HOST", "h"), ("HTTP_HOST", "h:8080")]);
    assert_eq!(
        (
            &*found["HTTP_HOST"],
            &*found["SERVER_NAME"],
            &*found["SERVER_PORT"]
        ),
        ("h:8080", "h", "8080")
    );
    let found = read(&[
        ("HTTP_ACCEPT", "a"),
        ("HTTP_ACCEPT", "b"),
        ("HTTP_COOKIE", "c=1"),
        ("HTTP_COOKIE", "d=2"),
    ]);
    assert_eq!(
        (&*found["HTTP_ACCEPT"], &*found["HTTP_COOKIE"]),
        ("a,b", "c=1; d=2")
    );
}

#[test]
fn no_variable_replaces_a_field_of_the_request() {
    let request = from_text(
        &[
            ("REQUEST_METHOD", "GET"),
            ("wsgi.file_wrapper", "x"),
            ("wsgi.url_scheme", "x"),
            ("wsgix", "x"),
        ],
        RequestBody::Empty,
    )
    .unwrap();
    let found = environ(&request);
    assert_eq!(found.get("wsgi.file_wrapper"), None);
    assert_eq!(found.get("wsgi.url_scheme"), None);
    assert_eq!(found["wsgix"], "x");
}

#[test]
fn the_length_is_that_of_the_body() {
    let mut post = get(&[("Content-Length", "3"), ("Content-Length", "3")]);
    post.body = RequestBody::Bytes(Bytes::from_static(b"abcd"));
    assert_eq!(environ(&post)["CONTENT_LENGTH"], "4");
}

#[test]
fn a_request_of_a_secure_connection_from_a_unix_socket() {
    let mut secure = get(&[]);
    secure.connection = Arc::new(Connection {
        scheme: Scheme::Https,
        server_name: "h".to_owned(),
        server_port: "443".to_owned(),
        ..Connection::default()
    });
    let environ = environ(&secure);
    assert_eq!(environ["HTTPS"], "on");
    assert_eq!(environ["REMOTE_ADDR"], "");
    assert_eq!(environ.get("REMOTE_PORT"), None);
}

#[test]
fn where_web_servers_mount_the_application() {
    // The variables SCRIPT_NAME, PATH_INFO, REQUEST_URI and DOCUMENT_URI (`-` for unset), and their meaning.
    #[rustfmt::skip]
    let cases = [
        ("Apache, ScriptAlias", "/cgi-bin/app", "/x y", "/cgi-bin/app/x%20y?q", "-", "/cgi-bin/app", "/x y"),
        ("Apache, nothing behind the script", "/app.fcgi", "-", "/app.fcgi", "-", "/app.fcgi", ""),
        ("lighttpd, fix-root-scriptname", "", "/x/y", "/x/y", "-", "", "/x/y"),
        ("lighttpd, a prefix", "/app", "/x", "/app/x", "-", "/app", "/x"),
        ("nginx, fastcgi_params alone", "/x y", "-", "/x%20y?q", "/x y", "", "/x y"),
        ("nginx, the root", "/", "-", "/?q", "/", "", "/"),
        ("nginx, split_path_info", "/app", "/x", "/app/x", "/app/x", "/app", "/x"),
        ("nginx, split_path_info, at the script", "/app", "", "/app", "/app", "/app", ""),
        ("nginx, SCRIPT_NAME of one's own", "/app", "-", "/app/x%20y", "/app/x y", "/app", "/x y"),
        ("nginx, PATH_INFO $fastcgi_script_name", "/x y", "/x y", "/x%20y", "/x y", "", "/x y"),
        ("a script within its own name", "/x", "/x", "/x/x", "-", "/x", "/x"),
        ("a name that only begins alike", "/app", "-", "/apple", "-", "/app", ""),
        ("nothing but the target", "-", "-", "/x%20y?q", "-", "", "/x y"),
        ("nothing at all", "-", "-", "-", "-", "", ""),
        ("an absolute target", "-", "-", "http://h:1/x?/y", "-", "", "/x"),
        ("an absolute target without a path", "-", "-", "http://h?q", "-", "", "/"),
    ];
    for (what, script, path, uri, document, script_name, path_info) in cases {
        let given: Vec<(&str, &str)> = [
            ("REQUEST_METHOD", "GET"),
            ("SCRIPT_NAME", script),
            ("PATH_INFO", path),
            ("REQUEST_URI", uri),
            ("DOCUMENT_URI", document),
        ]
        .into_iter()
        .filter(|(_, value)| *value != "-")
        .collect();
        let request = from_text(&given, RequestBody::Empty).unwrap();
        assert_eq!(
            (&request.script_name[..], &request.path_info[..]),
            (script_name.as_bytes(), path_info.as_bytes()),
            "{what}"
        );
    }
    let proxied = [
        ("REQUEST_METHOD", "GET"),
        ("SCRIPT_NAME", "/x y"),
        ("REQUEST_URI", "/x%20y"),
        ("SCRIPT_FILENAME", "proxy:fcgi://127.0.0.1:9000/x y"),
    ];
    let request = from_text(&proxied, RequestBody::Empty).unwrap();
    assert_eq!(&request.script_name[..], b"", "mod_proxy_fcgi");
    assert_eq!(&request.path_info[..], b"/x y", "mod_proxy_fcgi");
}

#[test]
fn missing_variables_get_defaults() {
    // The variables besides the method, then the resulting value of one variable.
    #[rustfmt::skip]
    let cases: [(&EnvironPairs<'_>, &str, &str); 25] = [
        (&[], "REQUEST_URI", "/"),
        (&[("SCRIPT_NAME", "/a b"), ("PATH_INFO", "/ü?")], "REQUEST_URI", "/a%20b/%C3%BC%3F"),
        (&[("PATH_INFO", "/a"), ("QUERY_STRING", "b?c")], "REQUEST_URI", "/a?b?c"),
        (&[("REQUEST_URI", "")], "REQUEST_URI", "/"),
        (&[("REQUEST_URI", "http://h/a?b")], "REQUEST_URI", "/a?b"),
        (&[("REQUEST_URI", "HTTPS://h")], "REQUEST_URI", "/"),
        (&[("REQUEST_URI", "/a?http://h/")], "REQUEST_URI", "/a?http://h/"),
        (&[("REQUEST_URI", "/a?b?c")], "QUERY_STRING", "b?c"),
        (&[("REQUEST_URI", "/a?b"), ("QUERY_STRING", "c")], "QUERY_STRING", "c"),
        (&[], "QUERY_STRING", ""),
        (&[], "SERVER_NAME", "localhost"),
        (&[("SERVER_NAME", ""), ("HTTP_HOST", "h:81")], "SERVER_NAME", "h"),
        (&[("HTTP_HOST", "[::1]:81")], "SERVER_NAME", "[::1]"),
        (&[("HTTP_HOST", "[::1]")], "SERVER_PORT", "80"),
        (&[("HTTP_HOST", "h:81")], "SERVER_PORT", "81"),
        (&[("SERVER_PORT", ""), ("HTTPS", "on")], "SERVER_PORT", "443"),
        (&[("SERVER_PORT", "8443"), ("HTTPS", "on")], "SERVER_PORT", "8443"),
        (&[("REMOTE_ADDR", "unix:")], "REMOTE_ADDR", ""),
        (&[("HTTPS", "1")], "HTTPS", "on"),
        (&[("REQUEST_SCHEME", "https")], "HTTPS", "on"),
        (&[("SERVER_PROTOCOL", "HTTP/2")], "SERVER_PROTOCOL", "HTTP/2.0"),
        (&[("SERVER_PROTOCOL", "INCLUDED")], "SERVER_PROTOCOL", "HTTP/1.0"),
        (&[("HTTP_CONTENT_TYPE", "a/b")], "CONTENT_TYPE", "a/b"),
        (&[("CONTENT_TYPE", "c/d"), ("HTTP_CONTENT_TYPE", "a/b")], "CONTENT_TYPE", "c/d"),
        (&[("REQUEST_METHOD", "POST"), ("CONTENT_LENGTH", "0")], "CONTENT_LENGTH", "0"),
    ];
    for (given, name, expected) in cases {
        let given = [&[("REQUEST_METHOD", "GET")], given].concat();
        let request = from_text(&given, RequestBody::Empty).unwrap();
        assert_eq!(environ(&request)[name], expected, "{given:?}");
    }
}

#[test]
fn optional_variables_stay_unset() {
    #[rustfmt::skip]
    let cases: [(&EnvironPairs<'_>, &str); 13] = [
        (&[("CONTENT_LENGTH", "0")], "CONTENT_LENGTH"),
        (&[("REMOTE_USER", "")], "REMOTE_USER"),
        (&[("AUTH_TYPE", "")], "AUTH_TYPE"),
        (&[("HTTPS", "off")], "HTTPS"),
        (&[("HTTPS", "")], "HTTPS"),
        (&[("HTTPS", ""), ("REQUEST_SCHEME", "https")], "HTTPS"),
        (&[("CONTENT_TYPE", "")], "CONTENT_TYPE"),
        (&[("CONTENT_LENGTH", "")], "CONTENT_LENGTH"),
        (&[("HTTP_CONTENT_LENGTH", "7")], "HTTP_CONTENT_LENGTH"),
        (&[("HTTP_PROXY", "http://evil/")], "HTTP_PROXY"),
        (&[("HTTP_CONNECTION", "close")], "HTTP_CONNECTION"),
        (&[("HTTP_", "1")], "HTTP_"),
        (&[("A=B", "1")], "A=B"),
    ];
    for (given, name) in cases {
        let given = [&[("REQUEST_METHOD", "GET")], given].concat();
        let request = from_text(&given, RequestBody::Empty).unwrap();
        assert_eq!(environ(&request).get(name), None, "{given:?}");
    }
}

#[test]
fn other_variables_reach_the_application_once() {
    let given = [
        ("REMOTE_USER", "eve"),
        ("REQUEST_METHOD", "POST"),
        ("DOCUMENT_ROOT", "/srv"),
        ("REQUEST_METHOD", "GET"),
        ("REMOTE_USER", "alice"),
        ("HTTP_X_A", "1"),
        ("HTTP_X_A", "2"),
    ];
    let request = from_text(&given, RequestBody::Empty).unwrap();
    let others = [("REMOTE_USER", "alice"), ("DOCUMENT_ROOT", "/srv")].map(|(name, value)| {
        (
            Bytes::from_static(name.as_bytes()),
            Bytes::from_static(value.as_bytes()),
        )
    });
    assert_eq!(request.variables, others);
    assert_eq!(request.method, Method::GET);
    assert_eq!(environ(&request)["HTTP_X_A"], "1,2");
}

#[test]
fn variables_that_are_no_request() {
    #[rustfmt::skip]
    let cases: [(&EnvironPairs<'_>, &str); 7] = [
        (&[], "the variable `REQUEST_METHOD` is not set"),
        (&[("REQUEST_METHOD", "")], "the value of `REQUEST_METHOD` is malformed"),
        (&[("REQUEST_METHOD", "G T")], "the value of `REQUEST_METHOD` is malformed"),
        (&[("REQUEST_METHOD", "GET"), ("CONTENT_LENGTH", "-1")], "the value of `CONTENT_LENGTH` is malformed"),
        (&[("REQUEST_METHOD", "GET"), ("CONTENT_LENGTH", "99999999999999999999")], "the value of `CONTENT_LENGTH` is malformed"),
        (&[("REQUEST_METHOD", "GET"), ("CONTENT_LENGTH", "5")], "the request's body is shorter than `CONTENT_LENGTH` says"),
        (&[("REQUEST_METHOD", "GET"), ("HTTP_A", "1\r\nB: 2")], "a header field is malformed, or there are too many"),
    ];
    for (given, message) in cases {
        let body = RequestBody::Bytes(Bytes::from_static(b"abcd"));
        let error = from_text(given, body).unwrap_err();
        assert_eq!(error.to_string(), message, "{given:?}");
    }
}

/// Neither literally nor as `%00`.
#[test]
fn no_zero_byte_gets_in() {
    for (name, value) in [
        ("SCRIPT_NAME", "/\0"),
        ("PATH_INFO", "/a\0b"),
        ("QUERY_STRING", "\0"),
        ("REQUEST_URI", "/\0"),
        ("DOCUMENT_URI", "/\0"),
        ("REQUEST_URI", "/a%00b"),
        ("HTTP_X", "\0"),
        ("OTHER", "\0"),
    ] {
        let given = [("REQUEST_METHOD", "GET"), (name, value)];
        let refused = from_text(&given, RequestBody::Empty);
        assert_eq!(refused.err(), Some(BadEnviron::Zero), "{name}={value:?}");
    }
}

#[test]
fn content_lengths() {
    let malformed = Err(BadEnviron::Malformed("CONTENT_LENGTH"));
    #[rustfmt::skip]
    let cases: [(&[u8], Result<u64, BadEnviron>); 8] = [
        (b"", Ok(0)),
        (b"0", Ok(0)),
        (b"007", Ok(7)),
        (b"18446744073709551615", Ok(u64::MAX)),
        (b"18446744073709551616", malformed),
        (b"+1", malformed),
        (b" 1", malformed),
        (b"\xff", malformed),
    ];
    for (value, expected) in cases {
        assert_eq!(content_length(value), expected, "{value:?}");
    }
}

/// Names of header fields that reach an application as `HTTP_…`.
fn field_name() -> impl Strategy<Value = String> {
    "x-[a-z0-9-]{0,20}|accept|host|user-agent"
}

/// Requests as a gateway makes them, with each field once.
fn any_request() -> impl Strategy<Value = Request> {
    let fields = proptest::collection::btree_map(field_name(), "[!-~\u{80}-\u{ff}]{0,20}", 0..8);
    let others = proptest::collection::btree_map("[A-Z]{3}_X_[A-Z_]{1,12}", "[^\\x00]{0,12}", 0..4);
    let paths = (
        "(/[a-z ü%?]{0,8}){0,2}",
        "(/[a-z ü%?]{0,8}){0,3}",
        "[a-z=&?]{0,8}",
    );
    let body = proptest::collection::vec(any::<u8>(), 0..8);
    (fields, others, paths, body, any::<bool>(), any::<u16>()).prop_map(
        |(fields, others, (script_name, path_info, query), body, secure, port)| {
            let mut request = get(&[]);
            for (name, value) in fields {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                request
                    .headers
                    .insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            request.target = crate::protocol::cgi::environ::made_up_target(
                script_name.as_bytes(),
                path_info.as_bytes(),
                query.as_bytes(),
            );
            request.script_name = script_name.into();
            request.path_info = path_info.into();
            request.query = query.into();
            request.variables = others
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect();
            if !body.is_empty() {
                request
                    .headers
                    .insert("content-length", HeaderValue::from(body.len()));
                request.body = RequestBody::Bytes(body.into());
            }
            request.connection = Arc::new(Connection {
                scheme: if secure { Scheme::Https } else { Scheme::Http },
                server_name: "example.org".to_owned(),
                server_port: port.to_string(),
                remote_addr: "::1".to_owned().into(),
                remote_port: port.to_string(),
                ..Connection::default()
            });
            request
        },
    )
}

proptest! {
    #[test]
    fn the_directions_are_inverses(before in any_request()) {
        let mut pairs = Vec::new();
        variables(&before, |name, value| pairs.push((name.to_vec(), value.to_vec())));
        let body = match &before.body {
            RequestBody::Bytes(bytes) => RequestBody::Bytes(bytes.clone()),
            RequestBody::Empty | RequestBody::File { .. } => RequestBody::Empty,
        };
        let after = request(pairs.iter().map(|(name, value)| (&name[..], &value[..])), body, Errors::Log).unwrap();
        prop_assert_eq!(&after.method, &before.method);
        prop_assert_eq!(&after.target, &before.target);
        prop_assert_eq!(&after.script_name, &before.script_name);
        prop_assert_eq!(&after.path_info, &before.path_info);
        prop_assert_eq!(&after.query, &before.query);
        prop_assert_eq!(after.version, before.version);
        prop_assert_eq!(&after.headers, &before.headers);
        prop_assert_eq!(&after.connection, &before.connection);
        prop_assert_eq!(&after.variables, &before.variables);
        prop_assert_eq!(after.body.length(), before.body.length());
    }

    #[test]
    fn any_variables_are_answered(pairs in proptest::collection::vec(
        ("(REQUEST_METHOD|SCRIPT_NAME|PATH_INFO|REQUEST_URI|DOCUMENT_URI|CONTENT_LENGTH|HTTP_HOST|HTTP_.{0,3}|.{0,3})",
         proptest::collection::vec(any::<u8>(), 0..6)), 0..12)) {
        let read = request(pairs.iter().map(|(name, value)| (name.as_bytes(), &value[..])), RequestBody::Empty, Errors::Log);
        if let Ok(request) = read {
            let mut names = Vec::new();
            variables(&request, |name, _| names.push(name.to_vec()));
            let count = names.len();
            names.sort();
            names.dedup();
            prop_assert_eq!(names.len(), count, "a name came twice");
        }
    }
}
