//! What clients and proxies send about a connection and a request.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use runner::protocol::proxy::forwarded::{
    ForwardedField, OriginalClient, ProxyTrust, read, remove,
};
use runner::protocol::proxy::proxy_head::{HeadProgress, parse};
use runner::protocol::proxy::trusted_proxies::TrustedProxies;

/// Reads a head of the PROXY protocol. What is left of it needs at least as many bytes as it is said to, and what follows a
/// head changes nothing.
pub(super) fn head(bytes: &[u8]) {
    let Ok(HeadProgress::Whole(head, length)) = parse(bytes) else {
        return;
    };
    assert!(length <= bytes.len());
    assert_eq!(
        parse(&bytes[..length]),
        Ok(HeadProgress::Whole(head, length))
    );
    for taken in 0..length {
        match parse(&bytes[..taken]) {
            Ok(HeadProgress::Needs(count)) => assert!(count > 0 && taken + count <= length),
            other => panic!("{other:?} of a part"),
        }
    }
}

/// Reads lines as the fields of a request: whatever a client puts before what a trusted proxy has added, its address is
/// the one that the proxy has added.
pub(super) fn fields(bytes: &[u8]) {
    const CLIENT: &str = "192.0.2.1";
    let trust = |fields: &[ForwardedField]| ProxyTrust {
        proxies: TrustedProxies::new(&["10.0.0.0/8".to_owned(), "unix".to_owned()]),
        fields: fields.to_vec(),
    };
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = line.split_at(colon.unwrap_or(line.len()));
        let value = HeaderValue::from_bytes(value.get(1..).unwrap_or_default().trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), value) {
            headers.append(name, value);
        }
    }
    let x_forwarded = &ForwardedField::ALL[1..];
    let standard = &ForwardedField::ALL[..1];
    for fields in [x_forwarded, standard] {
        let _ = read(&mut headers.clone(), &trust(fields));
        let mut added = headers.clone();
        added.append("x-forwarded-for", HeaderValue::from_static(CLIENT));
        added.append(
            "forwarded",
            HeaderValue::from_static("for=192.0.2.1;proto=https"),
        );
        if let Ok(original) = read(&mut added, &trust(fields)) {
            let address: IpAddr = CLIENT.parse().expect("an address");
            assert_eq!(original.client, OriginalClient::At(address, None));
            for name in ["forwarded", "x-forwarded-for"] {
                let kept = added.get_all(name).iter().next();
                assert!(
                    kept.is_none_or(|kept| {
                        kept == CLIENT || kept == "for=192.0.2.1;proto=https"
                    })
                );
            }
            assert!(!original.prefix.starts_with("//") && !original.prefix.ends_with('/'));
        }
    }
    remove(&mut headers);
    let is_left =
        |name: &HeaderName| name == "forwarded" || name.as_str().starts_with("x-forwarded-");
    assert!(!headers.keys().any(is_left));
}
