//! Chains of fields, and what is believed of them.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{BadForwarded, ForwardedField, Original, OriginalClient, ProxyTrust, read, remove};
use crate::interface::Scheme;
use crate::protocol::proxy::trusted_proxies::TrustedProxies;

const X_FORWARDED: [ForwardedField; 4] = [
    ForwardedField::For,
    ForwardedField::Proto,
    ForwardedField::Host,
    ForwardedField::Prefix,
];

fn trust(fields: &[ForwardedField]) -> ProxyTrust {
    let list = ["10.0.0.0/8", "fd00::/8", "unix"].map(str::to_owned);
    ProxyTrust {
        proxies: TrustedProxies::new(&list),
        fields: fields.to_vec(),
    }
}

/// Fields, a line each.
fn headers(lines: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.lines().filter(|line| !line.trim().is_empty()) {
        let (name, value) = line.split_once(':').expect("a field");
        headers.append(
            HeaderName::from_bytes(name.trim().as_bytes()).expect("a name"),
            HeaderValue::from_bytes(value.trim().as_bytes()).expect("a value"),
        );
    }
    headers
}

fn original(fields: &[ForwardedField], lines: &str) -> Result<Original, BadForwarded> {
    read(&mut headers(lines), &trust(fields))
}

fn at(address: &str, port: Option<u16>) -> OriginalClient {
    OriginalClient::At(address.parse().expect("an address"), port)
}

#[test]
fn the_first_address_from_the_end_that_is_no_proxy_is_the_client() {
    for (chain, client, kept) in [
        ("192.0.2.1", at("192.0.2.1", None), "192.0.2.1"),
        (
            "192.0.2.1:4711",
            at("192.0.2.1", Some(4711)),
            "192.0.2.1:4711",
        ),
        ("6.6.6.6, 192.0.2.1", at("192.0.2.1", None), "192.0.2.1"),
        (
            "6.6.6.6,192.0.2.1 ,10.0.0.1",
            at("192.0.2.1", None),
            "192.0.2.1 ,10.0.0.1",
        ),
        (
            "garbage\", 192.0.2.1, fd00::1, 10.0.0.1",
            at("192.0.2.1", None),
            "192.0.2.1, fd00::1, 10.0.0.1",
        ),
        (
            "10.0.0.3, 10.0.0.2",
            at("10.0.0.3", None),
            "10.0.0.3, 10.0.0.2",
        ),
        (
            "::ffff:192.0.2.1, ::ffff:10.0.0.1",
            at("192.0.2.1", None),
            "::ffff:192.0.2.1, ::ffff:10.0.0.1",
        ),
        ("6.6.6.6, unknown", OriginalClient::Unknown, "unknown"),
        (
            "192.0.2.1, unix:",
            at("192.0.2.1", None),
            "192.0.2.1, unix:",
        ),
        (", 192.0.2.1,, ", at("192.0.2.1", None), "192.0.2.1,,"),
        (",", OriginalClient::Peer, ","),
    ] {
        let mut headers = headers(&format!("X-Forwarded-For: {chain}"));
        let original = read(&mut headers, &trust(&X_FORWARDED)).expect("well formed");
        assert_eq!(original.client, client, "{chain}");
        assert_eq!(headers["x-forwarded-for"], kept, "{chain}");
    }
    for chain in [
        "192.0.2.1, garbage",
        "garbage, 10.0.0.1",
        "192.0.2.1/8",
        "\u{e9}",
    ] {
        let lines = format!("X-Forwarded-For: {chain}");
        let result = original(&X_FORWARDED, &lines);
        assert_eq!(result, Err(BadForwarded(ForwardedField::For)), "{chain}");
    }
}

#[test]
fn lines_of_a_field_are_one_chain() {
    let mut headers =
        headers("X-Forwarded-For: 6.6.6.6\nX-Forwarded-For: 192.0.2.1\nX-Forwarded-For: 10.0.0.1");
    let original = read(&mut headers, &trust(&X_FORWARDED)).expect("well formed");
    assert_eq!(original.client, at("192.0.2.1", None));
    let left: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
    assert_eq!(left, ["192.0.2.1, 10.0.0.1"]);
}

#[test]
fn scheme_host_and_prefix_are_those_of_the_proxy_nearest_to_the_client() {
    for (chain, proto, scheme) in [
        ("192.0.2.1", "https", Scheme::Https),
        ("192.0.2.1", "WSS", Scheme::Https),
        ("192.0.2.1", "https, http", Scheme::Http),
        ("192.0.2.1, 10.0.0.1", "http, https, http", Scheme::Https),
        ("192.0.2.1, 10.0.0.1", "https", Scheme::Https),
        ("6.6.6.6, 192.0.2.1", "https, ws", Scheme::Http),
    ] {
        let lines = format!("X-Forwarded-For: {chain}\nX-Forwarded-Proto: {proto}");
        let original = original(&X_FORWARDED, &lines).expect("well formed");
        assert_eq!(original.scheme, Some(scheme), "{chain} {proto}");
    }
    let mut sent = headers(
        "X-Forwarded-Proto: http, https\nX-Forwarded-Host: evil.example, example.org:81\nX-Forwarded-Prefix: /evil, /shop/",
    );
    let found = read(&mut sent, &trust(&X_FORWARDED)).expect("well formed");
    let expected = Original {
        client: OriginalClient::Peer,
        scheme: Some(Scheme::Https),
        host: Some(HeaderValue::from_static("example.org:81")),
        prefix: "/shop".to_owned(),
    };
    assert_eq!(found, expected);
    assert_eq!(sent["x-forwarded-proto"], "https");
    assert_eq!(sent["x-forwarded-host"], "example.org:81");
    assert_eq!(sent["x-forwarded-prefix"], "/shop/");
}

#[test]
fn malformed_values_are_refused() {
    for (line, field) in [
        ("X-Forwarded-Proto: ftp", ForwardedField::Proto),
        ("X-Forwarded-Proto: \"https\"", ForwardedField::Proto),
        ("X-Forwarded-Prefix: shop", ForwardedField::Prefix),
        ("X-Forwarded-Prefix: //evil.example", ForwardedField::Prefix),
        (
            "X-Forwarded-Prefix: /\\evil.example",
            ForwardedField::Prefix,
        ),
        ("X-Forwarded-Prefix: /a?b", ForwardedField::Prefix),
        ("X-Forwarded-Prefix: /a#b", ForwardedField::Prefix),
        ("X-Forwarded-Prefix: /a/../b", ForwardedField::Prefix),
        ("X-Forwarded-Prefix: /..", ForwardedField::Prefix),
        ("X-Forwarded-Prefix: /./a", ForwardedField::Prefix),
        ("X-Forwarded-Prefix: /%2e%2E/a", ForwardedField::Prefix),
        ("X-Forwarded-Prefix: /.%2e", ForwardedField::Prefix),
        ("X-Forwarded-Prefix: /a//b", ForwardedField::Prefix),
        ("X-Forwarded-Prefix: /%2Fevil", ForwardedField::Prefix),
        ("X-Forwarded-Prefix: /a%2F", ForwardedField::Prefix),
        ("X-Forwarded-Prefix: %2Fa", ForwardedField::Prefix),
        ("X-Forwarded-Prefix: /%5cevil", ForwardedField::Prefix),
        ("X-Forwarded-Prefix: /a%0d%0aX:%20b", ForwardedField::Prefix),
        ("X-Forwarded-Prefix: /a%00", ForwardedField::Prefix),
        ("X-Forwarded-Prefix: /a b", ForwardedField::Prefix),
        ("X-Forwarded-Host: \u{e9}", ForwardedField::Host),
    ] {
        assert_eq!(
            original(&X_FORWARDED, line),
            Err(BadForwarded(field)),
            "{line}"
        );
    }
    for prefix in [
        "/a%20b/%C3%A9",
        "/%252e%252e",
        "/...",
        "/.well-known",
        "/a..b",
    ] {
        let found = original(&X_FORWARDED, &format!("X-Forwarded-Prefix: {prefix}/"));
        assert_eq!(found.map(|found| found.prefix), Ok(prefix.to_owned()));
    }
    for prefix in ["/", "//", ""] {
        let found = original(&X_FORWARDED, &format!("X-Forwarded-Prefix: {prefix}"));
        assert_eq!(found, Ok(Original::default()), "{prefix}");
    }
}

#[test]
fn forwarded_by_the_standard() {
    let with = |client, scheme, host: Option<&'static str>| Original {
        client,
        scheme,
        host: host.map(HeaderValue::from_static),
        prefix: String::new(),
    };
    for (field, expected) in [
        ("for=192.0.2.1", with(at("192.0.2.1", None), None, None)),
        (
            r#"for=6.6.6.6;proto=http;host=evil, For="[2001:db8::1]:80";Proto=HTTPS;Host="example.org:81", for=10.0.0.1;proto=http"#,
            with(
                at("2001:db8::1", Some(80)),
                Some(Scheme::Https),
                Some("example.org:81"),
            ),
        ),
        (
            "for=6.6.6.6, for=_hidden;proto=https",
            with(OriginalClient::Unknown, Some(Scheme::Https), None),
        ),
        (
            "for=6.6.6.6;proto=https, by=_me",
            with(OriginalClient::Unknown, None, None),
        ),
        (
            "for=192.0.2.1;proto=https, for=10.0.0.1",
            with(at("192.0.2.1", None), Some(Scheme::Https), None),
        ),
        (" , ", Original::default()),
    ] {
        let found = original(&[ForwardedField::Forwarded], &format!("Forwarded: {field}"));
        assert_eq!(found, Ok(expected), "{field}");
    }
    for field in [
        r#"for="_x, for=192.0.2.1"#,
        "for=192.0.2.1;proto=gopher",
        "for=here",
    ] {
        let found = original(&[ForwardedField::Forwarded], &format!("Forwarded: {field}"));
        assert_eq!(
            found,
            Err(BadForwarded(ForwardedField::Forwarded)),
            "{field}"
        );
    }
    let mut sent = headers("Forwarded: for=6.6.6.6\nForwarded: for=192.0.2.1 , for=10.0.0.1");
    assert!(read(&mut sent, &trust(&[ForwardedField::Forwarded])).is_ok());
    assert_eq!(sent["forwarded"], "for=192.0.2.1 , for=10.0.0.1");
}

#[test]
fn fields_that_the_proxies_do_not_set_are_the_clients() {
    let lines = "Forwarded: for=6.6.6.6;proto=https\nX-Forwarded-For: 192.0.2.1\nX-Forwarded-Host: evil.example\n\
                 X-Forwarded-Prefix: //evil.example\nX-Forwarded-Port: 443\nX-Real-IP: 192.0.2.1\nHost: example.org";
    let mut sent = headers(lines);
    let found = read(&mut sent, &trust(&[ForwardedField::For])).expect("well formed");
    let client = at("192.0.2.1", None);
    assert_eq!(
        found,
        Original {
            client,
            ..Original::default()
        }
    );
    let mut names: Vec<_> = sent.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["host", "x-forwarded-for", "x-forwarded-port", "x-real-ip"]
    );

    let mut sent = headers(lines);
    remove(&mut sent);
    let names: Vec<_> = sent.keys().map(HeaderName::as_str).collect();
    assert_eq!(names, ["host"]);
}
