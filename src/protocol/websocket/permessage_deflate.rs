//! What is agreed on about compression (RFC 7692 §7.1), from the field `Sec-WebSocket-Extensions` (RFC 6455 §9.1).
//!
//! Where messages may point back to earlier ones (context takeover), it is to their last 2 KiB. A client that cannot be told to
//! keep to that, since it does not offer `client_max_window_bits`, is asked for messages that stand for themselves.

use std::fmt::Write;
use std::ops::RangeInclusive;

use http::{HeaderMap, HeaderValue, header};

use super::history::HISTORY_BITS;

/// The values of window bits in offers (RFC 7692 §7.1.2).
const WINDOW_BITS: RangeInclusive<u8> = 8..=15;

/// The smallest window of the compressor.
const SMALLEST: u8 = 9;

/// The largest window, which is used unless the client asks for a smaller one.
const LARGEST: u8 = 15;

/// What is agreed to if a client offers compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeflatePolicy {
    /// Nothing.
    Declined,
    /// Each message is compressed for itself.
    EachMessage,
    /// Messages may point back to earlier ones, if the client agrees to it.
    ContextTakeover,
}

/// What was agreed on about compression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeflateParameters {
    /// The window bits that the client asks of the server's messages.
    server_max_window_bits: Option<u8>,
    /// The server's messages may point back to earlier ones.
    server_takes_over: bool,
    /// The window bits of the client's messages if they may point back to earlier ones.
    client_takes_over: Option<u8>,
}

/// The field does not have the form that RFC 6455 §9.1 demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MalformedExtensions;

impl DeflateParameters {
    #[cfg(test)]
    pub(super) fn with_window_bits(bits: u8, takes_over: bool) -> Self {
        Self {
            server_max_window_bits: Some(bits),
            server_takes_over: takes_over,
            client_takes_over: takes_over.then_some(bits.min(HISTORY_BITS)),
        }
    }

    pub(super) fn window_bits(self) -> u8 {
        self.server_max_window_bits.unwrap_or(LARGEST)
    }

    /// The window bits of what is kept of the server's messages; `None` if nothing is.
    pub(super) fn server_history(self) -> Option<u8> {
        self.server_takes_over
            .then(|| self.window_bits().min(HISTORY_BITS))
    }

    /// The window bits of what is kept of the client's messages; `None` if nothing is.
    pub(super) fn client_history(self) -> Option<u8> {
        self.client_takes_over
    }

    /// As the other side has it: a decoder with it understands what an encoder with `self` sends.
    #[must_use]
    pub fn mirrored(self) -> Self {
        Self {
            server_max_window_bits: self.client_takes_over,
            server_takes_over: self.client_takes_over.is_some(),
            client_takes_over: self.server_history(),
        }
    }

    /// The value of `Sec-WebSocket-Extensions` in the response.
    #[must_use]
    pub fn answer(self) -> HeaderValue {
        let mut answer = "permessage-deflate".to_owned();
        if !self.server_takes_over {
            answer += "; server_no_context_takeover";
        }
        if self.client_takes_over.is_none() {
            answer += "; client_no_context_takeover";
        }
        if let Some(bits) = self.server_max_window_bits {
            let _ = write!(answer, "; server_max_window_bits={bits}");
        }
        if let Some(bits) = self.client_takes_over {
            let _ = write!(answer, "; client_max_window_bits={bits}");
        }
        HeaderValue::try_from(answer).unwrap_or(HeaderValue::from_static("permessage-deflate"))
    }

    /// The first offer of permessage-deflate that can be met, among those of all fields.
    pub(super) fn negotiated(
        headers: &HeaderMap,
        policy: DeflatePolicy,
    ) -> Result<Option<Self>, MalformedExtensions> {
        let mut found = None;
        for field in headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS) {
            let field = field.to_str().map_err(|_| MalformedExtensions)?;
            for offer in ExtensionField(field).offers()? {
                found = found.or_else(|| Self::meeting(&offer));
            }
        }
        Ok(match policy {
            DeflatePolicy::Declined => None,
            DeflatePolicy::EachMessage => found.map(|parameters| Self {
                server_takes_over: false,
                client_takes_over: None,
                ..parameters
            }),
            DeflatePolicy::ContextTakeover => found,
        })
    }

    /// Meets an offer; `None` declines it (RFC 7692 §7.1).
    fn meeting(offer: &ExtensionOffer<'_>) -> Option<Self> {
        if offer.name != "permessage-deflate" {
            return None;
        }
        let mut parameters = Self {
            server_takes_over: true,
            ..Self::default()
        };
        let mut client_alone = false;
        let mut seen = Vec::new();
        for (name, value) in &offer.parameters {
            let value = value.as_deref();
            match (*name, value) {
                ("server_no_context_takeover", None) => parameters.server_takes_over = false,
                ("client_no_context_takeover", None) => client_alone = true,
                ("client_max_window_bits", None) => {
                    parameters.client_takes_over = Some(HISTORY_BITS);
                }
                ("client_max_window_bits", Some(value)) => {
                    let bits = window_bits(value)?.min(HISTORY_BITS);
                    // Compressors do not have 8 bits.
                    parameters.client_takes_over = (bits >= SMALLEST).then_some(bits);
                }
                ("server_max_window_bits", Some(value)) => {
                    let bits = window_bits(value).filter(|bits| *bits >= SMALLEST)?;
                    parameters.server_max_window_bits = Some(bits);
                }
                _ => return None,
            }
            if seen.contains(name) {
                return None;
            }
            seen.push(*name);
        }
        if client_alone {
            parameters.client_takes_over = None;
        }
        Some(parameters)
    }
}

/// Decimal without leading zeros.
fn window_bits(value: &str) -> Option<u8> {
    let is_plain = value.bytes().all(|byte| byte.is_ascii_digit()) && !value.starts_with('0');
    let bits = value.parse().ok().filter(|_| is_plain)?;
    WINDOW_BITS.contains(&bits).then_some(bits)
}

/// An extension that is offered, with its parameters.
struct ExtensionOffer<'a> {
    name: &'a str,
    parameters: Vec<(&'a str, Option<String>)>,
}

/// What is left to read of a field.
struct ExtensionField<'a>(&'a str);

impl<'a> ExtensionField<'a> {
    /// `1#( token *( ";" token [ "=" ( token | quoted-string ) ] ) )`, with empty elements (RFC 9110 §5.6.1.2).
    fn offers(mut self) -> Result<Vec<ExtensionOffer<'a>>, MalformedExtensions> {
        let mut offers = Vec::new();
        loop {
            while self.takes(',') {}
            if self.0.is_empty() {
                return Ok(offers);
            }
            let name = self.token()?;
            let mut parameters = Vec::new();
            while self.takes(';') {
                let name = self.token()?;
                let value = if self.takes('=') {
                    Some(self.value()?)
                } else {
                    None
                };
                parameters.push((name, value));
            }
            if !self.0.is_empty() && !self.0.starts_with(',') {
                return Err(MalformedExtensions);
            }
            offers.push(ExtensionOffer { name, parameters });
        }
    }

    fn skip_space(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    /// Takes a sign and the white space around it, if it is next.
    fn takes(&mut self, sign: char) -> bool {
        self.skip_space();
        let Some(rest) = self.0.strip_prefix(sign) else {
            return false;
        };
        self.0 = rest;
        self.skip_space();
        true
    }

    fn token(&mut self) -> Result<&'a str, MalformedExtensions> {
        let end = self.0.find(|sign| !is_token(sign));
        let (token, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        self.skip_space();
        if token.is_empty() {
            return Err(MalformedExtensions);
        }
        Ok(token)
    }

    /// A value. What is in quotes has to be a token, too (RFC 6455 §9.1).
    fn value(&mut self) -> Result<String, MalformedExtensions> {
        let Some(mut rest) = self.0.strip_prefix('"') else {
            return self.token().map(str::to_owned);
        };
        let mut value = String::new();
        loop {
            let mut signs = rest.chars();
            match signs.next() {
                Some('"') if !value.is_empty() => {
                    self.0 = signs.as_str();
                    self.skip_space();
                    return Ok(value);
                }
                Some('\\') => value.extend(signs.next().filter(|sign| is_token(*sign))),
                Some(sign) if is_token(sign) => value.push(sign),
                Some(_) | None => return Err(MalformedExtensions),
            }
            rest = signs.as_str();
        }
    }
}

/// A character of a token (RFC 9110 §5.6.2).
fn is_token(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(sign)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::{DeflateParameters, DeflatePolicy, MalformedExtensions};

    /// What is answered to these fields.
    fn answered(
        fields: &[&str],
        policy: DeflatePolicy,
    ) -> Result<Option<String>, MalformedExtensions> {
        let mut headers = HeaderMap::new();
        for field in fields {
            let field = HeaderValue::from_str(field).expect("a value");
            headers.append(header::SEC_WEBSOCKET_EXTENSIONS, field);
        }
        let parameters = DeflateParameters::negotiated(&headers, policy)?;
        Ok(parameters.map(|parameters| {
            let answer = parameters.answer();
            answer.to_str().expect("a text").to_owned()
        }))
    }

    /// The same without context takeover, but for what is always answered then.
    fn answer(fields: &[&str]) -> Result<Option<String>, MalformedExtensions> {
        let answer = answered(fields, DeflatePolicy::EachMessage)?;
        assert_eq!(answered(fields, DeflatePolicy::Declined), Ok(None));
        Ok(answer.map(|answer| {
            let always =
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
            answer.strip_prefix(always).expect("no contexts").to_owned()
        }))
    }

    /// RFC 7692 §7.1.1 and §7.1.2.2: what a client may not be told is not told.
    #[test]
    fn contexts() {
        for (field, expected) in [
            ("", "; client_no_context_takeover"),
            ("; client_max_window_bits", "; client_max_window_bits=11"),
            ("; client_max_window_bits=15", "; client_max_window_bits=11"),
            ("; client_max_window_bits=9", "; client_max_window_bits=9"),
            ("; client_max_window_bits=8", "; client_no_context_takeover"),
            (
                "; client_max_window_bits; client_no_context_takeover",
                "; client_no_context_takeover",
            ),
            (
                "; server_no_context_takeover; client_max_window_bits",
                "; server_no_context_takeover; client_max_window_bits=11",
            ),
            (
                "; server_no_context_takeover; client_no_context_takeover",
                "; server_no_context_takeover; client_no_context_takeover",
            ),
            (
                "; server_max_window_bits=10; client_max_window_bits",
                "; server_max_window_bits=10; client_max_window_bits=11",
            ),
        ] {
            let offer = format!("permessage-deflate{field}");
            let answer = answered(&[&offer], DeflatePolicy::ContextTakeover);
            assert_eq!(
                answer,
                Ok(Some(format!("permessage-deflate{expected}"))),
                "{field}"
            );
        }
    }

    /// RFC 7692 §7.1, with its examples.
    #[test]
    fn offers() {
        for (field, expected) in [
            ("permessage-deflate", Some("")),
            ("permessage-deflate; client_max_window_bits", Some("")),
            (
                "permessage-deflate; client_max_window_bits; server_max_window_bits=10",
                Some("; server_max_window_bits=10"),
            ),
            // Compressors do not have 8 bits.
            (
                "permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=9",
                Some("; server_max_window_bits=9"),
            ),
            (
                "permessage-deflate;server_max_window_bits=\"15\"",
                Some("; server_max_window_bits=15"),
            ),
            (
                "permessage-deflate; server_max_window_bits=\"1\\0\"",
                Some("; server_max_window_bits=10"),
            ),
            ("permessage-deflate; client_max_window_bits=8", Some("")),
            (
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
                Some(""),
            ),
            (
                "bzip2; best, , permessage-deflate ;\tclient_max_window_bits = 12 ,",
                Some(""),
            ),
            // What is declined.
            ("", None),
            (", ,", None),
            ("x-webkit-deflate-frame", None),
            ("Permessage-Deflate", None),
            ("permessage-deflate; unknown", None),
            ("permessage-deflate; unknown=1", None),
            ("permessage-deflate; server_max_window_bits", None),
            ("permessage-deflate; server_max_window_bits=7", None),
            ("permessage-deflate; server_max_window_bits=8", None),
            ("permessage-deflate; server_max_window_bits=16", None),
            ("permessage-deflate; server_max_window_bits=09", None),
            ("permessage-deflate; server_max_window_bits=+9", None),
            ("permessage-deflate; server_max_window_bits=265", None),
            ("permessage-deflate; server_max_window_bits=ten", None),
            ("permessage-deflate; client_max_window_bits=7", None),
            ("permessage-deflate; client_max_window_bits=010", None),
            ("permessage-deflate; client_no_context_takeover=1", None),
            ("permessage-deflate; server_no_context_takeover=true", None),
            (
                "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
                None,
            ),
            (
                "permessage-deflate; client_max_window_bits; client_max_window_bits=9",
                None,
            ),
            (
                "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9",
                None,
            ),
        ] {
            let expected = expected.map(str::to_owned);
            assert_eq!(answer(&[field]), Ok(expected), "{field}");
        }
        let two = ["permessage-deflate; unknown", "x, permessage-deflate"];
        assert_eq!(answer(&two), Ok(Some(String::new())));
        let order = [
            "permessage-deflate; server_max_window_bits=11",
            "permessage-deflate",
        ];
        assert_eq!(
            answer(&order),
            Ok(Some("; server_max_window_bits=11".to_owned()))
        );
    }

    #[test]
    fn malformed_fields() {
        for field in [
            "permessage-deflate foo",
            "permessage-deflate;",
            "permessage-deflate; ;",
            "permessage-deflate; a=",
            "permessage-deflate; a=\"b",
            "permessage-deflate; a=\"\"",
            "permessage-deflate; a=\"b\\\"",
            "permessage-deflate; a=\"b c\"",
            "permessage-deflate; a=\"b;c\"",
            "permessage-deflate; a=b=c",
            "permessage-deflate; a=\"b\"c",
            "permessage-deflate; a(b)",
            "; permessage-deflate",
            "=1",
            "permessage/deflate",
            "\u{e4}",
        ] {
            assert_eq!(answer(&[field]), Err(MalformedExtensions), "{field}");
            // In whatever field it stands.
            let both = ["permessage-deflate", field];
            assert_eq!(answer(&both), Err(MalformedExtensions), "{field}");
        }
    }
}
