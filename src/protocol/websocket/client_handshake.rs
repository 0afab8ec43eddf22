//! The client's part of the opening handshake (RFC 6455 §4.1), where runner passes the offer of its own client on to a server.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, header};

use super::handshake::{accept, elements, has_token};

/// An offer of a WebSocket that a server has been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientOffer {
    /// What the server has to answer to the key.
    accept: String,
    /// The fields `Sec-WebSocket-Protocol`.
    protocols: Vec<HeaderValue>,
}

impl ClientOffer {
    /// Makes the fields of a request an offer with a key of its own; the subprotocols stay. No extension is offered: each
    /// message is compressed for the client anyway, and for a server that is near, compressing once more takes longer than
    /// sending.
    pub fn add_to(fields: &mut HeaderMap, nonce: [u8; 16]) -> Self {
        let key = STANDARD.encode(nonce);
        let accept = accept(key.as_bytes());
        fields.remove(header::SEC_WEBSOCKET_EXTENSIONS);
        for (name, value) in [
            (header::CONNECTION, "Upgrade"),
            (header::UPGRADE, "websocket"),
            (header::SEC_WEBSOCKET_VERSION, "13"),
        ] {
            fields.insert(name, HeaderValue::from_static(value));
        }
        // Base64 is visible ASCII.
        if let Ok(key) = HeaderValue::try_from(key) {
            fields.insert(header::SEC_WEBSOCKET_KEY, key);
        }
        let protocols = fields.get_all(header::SEC_WEBSOCKET_PROTOCOL);
        let protocols = protocols.iter().cloned().collect();
        Self { accept, protocols }
    }

    /// Checks the fields of the response 101, and makes them those of an application that accepts the offer.
    ///
    /// # Errors
    /// What is wrong with them: the connection cannot be used (RFC 6455 §4.1).
    pub fn accepted(&self, mut fields: HeaderMap) -> Result<HeaderMap, &'static str> {
        if !has_token(&fields, &header::UPGRADE, b"websocket")
            || !has_token(&fields, &header::CONNECTION, b"upgrade")
        {
            return Err("status 101 for another protocol than WebSocket");
        }
        let answer = fields.get(header::SEC_WEBSOCKET_ACCEPT);
        if answer.is_none_or(|answer| answer.as_bytes().trim_ascii() != self.accept.as_bytes()) {
            return Err("status 101 with another `Sec-WebSocket-Accept` than that of the key");
        }
        if fields.contains_key(header::SEC_WEBSOCKET_EXTENSIONS) {
            return Err("status 101 with an extension of WebSocket that was not offered");
        }
        let mut chosen = fields.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
        let mut offered = self.protocols.iter().flat_map(elements);
        let is_offered = |chosen: &HeaderValue| {
            let chosen = chosen.as_bytes().trim_ascii();
            offered.any(|offered| offered == chosen)
        };
        let is_good = chosen.next().is_none_or(is_offered) && chosen.next().is_none();
        if !is_good {
            return Err("status 101 with a subprotocol of WebSocket that was not offered");
        }
        for name in [
            header::CONNECTION,
            header::UPGRADE,
            header::SEC_WEBSOCKET_ACCEPT,
            header::CONTENT_LENGTH,
            header::TRANSFER_ENCODING,
        ] {
            fields.remove(name);
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, header};

    use super::ClientOffer;
    use crate::protocol::websocket::handshake::accept;

    fn offer() -> (ClientOffer, HeaderMap) {
        let mut fields = HeaderMap::new();
        for (name, value) in [
            (header::SEC_WEBSOCKET_EXTENSIONS, "permessage-deflate"),
            (header::SEC_WEBSOCKET_PROTOCOL, "chat, superchat"),
            (header::SEC_WEBSOCKET_KEY, "that of the client"),
            (header::COOKIE, "a=b"),
        ] {
            fields.insert(name, HeaderValue::from_static(value));
        }
        let offer = ClientOffer::add_to(&mut fields, [7; 16]);
        (offer, fields)
    }

    #[test]
    fn an_offer_is_passed_on_with_a_key_of_its_own_and_without_extensions() {
        let (offer, fields) = offer();
        let mut shown: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().expect("ASCII")))
            .collect();
        shown.sort();
        assert_eq!(
            shown,
            [
                "connection: Upgrade",
                "cookie: a=b",
                "sec-websocket-key: BwcHBwcHBwcHBwcHBwcHBw==",
                "sec-websocket-protocol: chat, superchat",
                "sec-websocket-version: 13",
                "upgrade: websocket",
            ]
        );
        assert_eq!(offer.accept, accept(b"BwcHBwcHBwcHBwcHBwcHBw=="));
    }

    #[test]
    fn an_answer_is_checked_and_what_is_about_the_connection_removed() {
        let (offer, _) = offer();
        let good = [
            ("connection", "upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-accept", &*offer.accept),
        ];
        let answer = |changed: &[(&str, &str)]| {
            let mut fields = HeaderMap::new();
            for (name, value) in good.iter().chain(changed) {
                let name: HeaderName = name.parse().expect("a name");
                let value: HeaderValue = value.parse().expect("a value");
                match changed.len() == 2 && name == header::SEC_WEBSOCKET_PROTOCOL {
                    true => drop(fields.append(name, value)),
                    false => drop(fields.insert(name, value)),
                }
            }
            offer.accepted(fields)
        };
        let accepted = answer(&[("sec-websocket-protocol", "superchat")]).expect("accepted");
        assert_eq!(accepted.len(), 1);
        assert_eq!(accepted["sec-websocket-protocol"], "superchat");
        assert!(answer(&[("set-cookie", "a=b")]).is_ok());
        let other_protocol = "status 101 with a subprotocol of WebSocket that was not offered";
        for (changed, expected) in [
            (
                &[("upgrade", "h2c")][..],
                "status 101 for another protocol than WebSocket",
            ),
            (
                &[("connection", "close")],
                "status 101 for another protocol than WebSocket",
            ),
            (
                &[("sec-websocket-accept", "x")],
                "status 101 with another `Sec-WebSocket-Accept` than that of the key",
            ),
            (
                &[("sec-websocket-extensions", "permessage-deflate")],
                "status 101 with an extension of WebSocket that was not offered",
            ),
            (&[("sec-websocket-protocol", "Chat")], other_protocol),
            (
                &[
                    ("sec-websocket-protocol", "chat"),
                    ("sec-websocket-protocol", "chat"),
                ],
                other_protocol,
            ),
        ] {
            assert_eq!(answer(changed), Err(expected));
        }
    }
}
