//! The first line of a request (RFC 9112 §3): `method SP target SP version`.
//!
//! hyper refuses more than other servers do: the quotes and angle brackets that `curl` and other clients send as they are,
//! each target that is no path, and each version but 1.0 and 1.1. So hyper gets a line of the same length with other bytes
//! in their places, and the original target is kept here.

use std::ops::Range;

use bytes::Bytes;
use http::StatusCode;
use memchr::memchr;

use crate::gateway::http::shadow_parser::field_text::is_token;
use crate::gateway::http::shadow_parser::head_limits::HeadLimits;
use crate::gateway::refusal::Refusal;

/// The longest method, in bytes. The longest registered one has 17.
pub(in crate::gateway::http) const METHOD_LIMIT: usize = 32;

/// A first line without a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestLine {
    /// Where the target stands in the line.
    target: Range<usize>,
    /// The minor version: 1 also for later ones (RFC 9110 §2.5).
    pub minor: u8,
}

/// What hyper gets in the place of a byte that it does not accept.
const STAND_IN: u8 = b'_';

impl RequestLine {
    /// Parses a line without its end.
    ///
    /// # Errors
    /// What is wrong with it: 400, 414 or 505.
    pub(super) fn parse(line: &[u8], limits: &HeadLimits) -> Result<Self, Refusal> {
        let malformed = |reason| Err(Refusal::malformed(reason));
        let Some(method) = memchr(b' ', line) else {
            return malformed("the first line is not that of an HTTP request");
        };
        if method > METHOD_LIMIT || !is_token(&line[..method]) {
            return malformed("the method is malformed");
        }
        let start = method + 1;
        let Some(length) = memchr(b' ', &line[start..]) else {
            return malformed("the first line has no version of HTTP");
        };
        let target = start..start + length;
        if length == 0 {
            return malformed("there is no target, or more than one space before it");
        }
        check_target(&line[target.clone()], limits)?;
        let version = &line[target.end + 1..];
        let minor = match version {
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'] => 0,
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => 1,
            [
                b'H',
                b'T',
                b'T',
                b'P',
                b'/',
                b'0' | b'2'..=b'9',
                b'.',
                b'0'..=b'9',
            ] => {
                let reason = "the version of HTTP is not 1.0 or 1.1";
                return Err(Refusal::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, reason));
            }
            version if version.ends_with(b" HTTP/1.1") || version.ends_with(b" HTTP/1.0") => {
                return malformed("the target contains a space, which is to be encoded as %20");
            }
            _ => return malformed("the version of HTTP is malformed"),
        };
        Ok(Self { target, minor })
    }

    /// Changes the line into one that hyper accepts: the target as the client sent it, if hyper gets another one.
    pub(super) fn prepare(&self, line: &mut [u8]) -> Option<Bytes> {
        if self.minor > 0
            && let Some(digit) = line.get_mut(self.target.end + " HTTP/1.".len())
        {
            *digit = b'1';
        }
        let target = line.get_mut(self.target.clone()).unwrap_or_default();
        let is_path = matches!(&*target, [b'/', ..] | b"*");
        if is_path && !target.iter().any(|byte| is_foreign(*byte)) {
            return None;
        }
        let sent = Bytes::copy_from_slice(target);
        for byte in target.iter_mut() {
            if !is_path || is_foreign(*byte) {
                *byte = STAND_IN;
            }
        }
        if let Some(first) = target.first_mut()
            && !is_path
        {
            *first = b'/';
        }
        Some(sent)
    }
}

/// Checks the length and the bytes of a target. No form of one has a fragment (RFC 9112 §3.2): a proxy that cuts it off and a
/// server that does not would see two targets.
///
/// # Errors
/// What is wrong with it: 400 or 414.
pub(in crate::gateway::http) fn check_target(
    target: &[u8],
    limits: &HeadLimits,
) -> Result<(), Refusal> {
    if target.len() > limits.target {
        return Err(too_long(limits));
    }
    let is_foreign = |byte: &&u8| !byte.is_ascii_graphic() || **byte == b'#';
    match target.iter().find(is_foreign) {
        Some(b'#') => Err(Refusal::malformed(
            "the target contains a fragment (`#`), which is not for servers",
        )),
        Some(byte) => Err(Refusal::malformed(format!(
            "the target contains the byte {byte:#04x}, which is to be encoded as %{byte:02X}"
        ))),
        None => Ok(()),
    }
}

/// The refusal of a target that is too long.
pub(super) fn too_long(limits: &HeadLimits) -> Refusal {
    let reason = format!(
        "the target has more than {} bytes (runner.http.max_target)",
        limits.target
    );
    Refusal::new(StatusCode::URI_TOO_LONG, reason)
}

/// Whether hyper accepts no such byte in a path, although clients send it.
fn is_foreign(byte: u8) -> bool {
    matches!(byte, b'"' | b'<' | b'>' | b'`')
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::RequestLine;
    use crate::gateway::http::shadow_parser::head_limits::HeadLimits;

    /// What hyper gets of a line, and the target where that is another one; or the status that it is refused with.
    fn parsed(line: &[u8]) -> Result<(Vec<u8>, Option<Vec<u8>>), StatusCode> {
        let parsed = RequestLine::parse(line, &HeadLimits::default()).map_err(|it| it.status)?;
        let mut line = line.to_vec();
        let sent = parsed.prepare(&mut line);
        Ok((line, sent.map(|sent| sent.to_vec())))
    }

    #[test]
    fn a_version_is_1_0_or_1_1() {
        for (version, instead) in [
            ("HTTP/1.0", Ok("HTTP/1.0")),
            ("HTTP/1.1", Ok("HTTP/1.1")),
            ("HTTP/1.2", Ok("HTTP/1.1")),
            ("HTTP/1.9", Ok("HTTP/1.1")),
            ("HTTP/0.9", Err(StatusCode::HTTP_VERSION_NOT_SUPPORTED)),
            ("HTTP/2.0", Err(StatusCode::HTTP_VERSION_NOT_SUPPORTED)),
            ("HTTP/3.1", Err(StatusCode::HTTP_VERSION_NOT_SUPPORTED)),
            ("HTTP/1.1x", Err(StatusCode::BAD_REQUEST)),
            ("HTTP/x.2", Err(StatusCode::BAD_REQUEST)),
            ("HTTP/1.", Err(StatusCode::BAD_REQUEST)),
            ("http/1.1", Err(StatusCode::BAD_REQUEST)),
            ("HTTQ/1.1", Err(StatusCode::BAD_REQUEST)),
            ("", Err(StatusCode::BAD_REQUEST)),
        ] {
            let line = format!("PUT /9.9/2.0?HTTP/2.0 {version}");
            let instead = instead.map(|version| {
                let line = format!("PUT /9.9/2.0?HTTP/2.0 {version}");
                (line.into_bytes(), None)
            });
            assert_eq!(parsed(line.as_bytes()), instead, "{line:?}");
        }
    }

    /// hyper is given no target that it refuses, and nothing but the target changes.
    #[test]
    fn each_byte_of_a_target_is_refused_or_reaches_hyper_or_has_a_stand_in() {
        for byte in 0..=u8::MAX {
            for before in ["/a", "/?a", "http://h/a", "a", "*", "a:", "http://", "?"] {
                let odd = [before.as_bytes(), &[byte], b"b"].concat();
                let line = [b"GET ", &*odd, b" HTTP/1.1"].concat();
                let is_good = byte.is_ascii_graphic() && byte != b'#';
                let Ok((instead, sent)) = parsed(&line) else {
                    assert!(!is_good, "{byte:#x}");
                    continue;
                };
                assert!(is_good, "{byte:#x}");
                match sent {
                    Some(sent) => assert_eq!(sent, odd),
                    None => assert_eq!(instead, line),
                }
                assert_eq!(instead.len(), line.len());
                let text = String::from_utf8(instead).expect("ASCII");
                let target = text.split(' ').nth(1).expect("three words");
                assert!(target.parse::<http::Uri>().is_ok(), "{byte:#x}: {target}");
            }
        }
    }
}
