//! Header fields as CGI variables, and back: which fields become one, and its name. The rules are those
//! that [`crate::protocol::cgi::environ`] states.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::protocol::hop_by_hop::is_hop_by_hop;

/// Calls `each(name, value)` for the variables of the header fields. True if these announce a body.
pub(super) fn header_variables(headers: &HeaderMap, each: &mut impl FnMut(&[u8], &[u8])) -> bool {
    let mut announced = false;
    if headers.len() == headers.keys_len() {
        for (name, value) in headers {
            announced |= header_variable(name, value.as_bytes(), each);
        }
        return announced;
    }
    for name in headers.keys() {
        let mut values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
        let first = values.next().unwrap_or_default();
        let value: Cow<'_, [u8]> = match (name, values.next()) {
            (_, None) => first.into(),
            (name, Some(_)) if is_single(name) => first.into(),
            (name, Some(second)) => {
                let separator: &[u8] = if *name == header::COOKIE { b"; " } else { b"," };
                let mut joined = [first, separator, second].concat();
                for value in values {
                    joined.extend_from_slice(separator);
                    joined.extend_from_slice(value);
                }
                joined.into()
            }
        };
        announced |= header_variable(name, &value, each);
    }
    announced
}

/// The same for one field.
fn header_variable(name: &HeaderName, value: &[u8], each: &mut impl FnMut(&[u8], &[u8])) -> bool {
    match name.as_str() {
        "content-type" => each(b"CONTENT_TYPE", value),
        "content-length" | "transfer-encoding" => return true,
        name if is_dropped(name) => (),
        name => with_variable_name(name.as_bytes(), |variable| each(variable, value)),
    }
    false
}

/// Whether a field has one value and no list of values (RFC 9110 and others), so that repeated ones cannot be joined.
pub(super) fn is_single(name: &HeaderName) -> bool {
    const SINGLE: [HeaderName; 24] = [
        header::AGE,
        header::AUTHORIZATION,
        header::CONTENT_LENGTH,
        header::CONTENT_LOCATION,
        header::CONTENT_RANGE,
        header::CONTENT_TYPE,
        header::DATE,
        header::ETAG,
        header::EXPIRES,
        header::FROM,
        header::HOST,
        header::IF_MODIFIED_SINCE,
        header::IF_RANGE,
        header::IF_UNMODIFIED_SINCE,
        header::LAST_MODIFIED,
        header::LOCATION,
        header::MAX_FORWARDS,
        header::ORIGIN,
        header::PROXY_AUTHORIZATION,
        header::RANGE,
        header::REFERER,
        header::RETRY_AFTER,
        header::SERVER,
        header::USER_AGENT,
    ];
    SINGLE.contains(name)
}

/// Whether a header field, in lower case, never reaches an application. `HTTP_PROXY` would configure its HTTP clients
/// (httpoxy), and `X_Real-Ip` would forge `X-Real-Ip`.
fn is_dropped(name: &str) -> bool {
    let is_clear = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    name == "proxy" || is_hop_by_hop(name) || !name.bytes().all(is_clear)
}

/// The prefix of the variables of most fields.
pub(super) const PREFIX: &[u8] = b"HTTP_";

/// The longest name, in bytes, that is converted on the stack. Longer ones come only from attackers.
const USUAL_NAME: usize = 128;

/// Calls `use_it` with a prefix and a name, each byte of which is converted.
fn with_converted<T>(
    prefix: &[u8],
    name: &[u8],
    convert: impl Fn(u8) -> u8,
    use_it: impl FnOnce(&[u8]) -> T,
) -> T {
    let mut short = [0; USUAL_NAME];
    let mut long;
    let length = prefix.len() + name.len();
    let converted = if let Some(converted) = short.get_mut(..length) {
        converted
    } else {
        long = vec![0; length];
        &mut long[..]
    };
    let (head, tail) = converted.split_at_mut(prefix.len());
    head.copy_from_slice(prefix);
    for (to, from) in tail.iter_mut().zip(name) {
        *to = convert(*from);
    }
    use_it(converted)
}

/// Calls `use_it` with the name of the variable of a header field.
fn with_variable_name(name: &[u8], use_it: impl FnOnce(&[u8])) {
    let convert = |byte: u8| match byte {
        b'-' => b'_',
        byte => byte.to_ascii_uppercase(),
    };
    with_converted(PREFIX, name, convert, use_it);
}

/// The header field whose variable has this name behind [`PREFIX`]; `None` if the field is dropped.
pub(super) fn header_name(variable: &[u8]) -> Option<HeaderName> {
    let convert = |byte: u8| if byte == b'_' { b'-' } else { byte };
    let name = with_converted(b"", variable, convert, HeaderName::from_bytes).ok()?;
    (!is_dropped(name.as_str())).then_some(name)
}
