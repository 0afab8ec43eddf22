//! How long the body of a response is: what the application announced, and how what it gives is held to that. The
//! same for every protocol: no more than was announced is sent, and less is never taken for whole.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};

use crate::interface::ResponseBody;
use crate::log::Kind;

/// The length that the application announced. What is no length is removed; one that is said twice is said once.
pub fn announced(headers: &mut HeaderMap) -> Option<u64> {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let first = values.next()?;
    let number = first
        .to_str()
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok());
    if let Some(number) = number
        && values.all(|other| other == first)
    {
        if headers.get_all(header::CONTENT_LENGTH).iter().count() > 1 {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(number));
        }
        return Some(number);
    }
    crate::log_of!(
        Kind::Misfit,
        "the application gave a `Content-Length` that is no length: it is left out"
    );
    headers.remove(header::CONTENT_LENGTH);
    None
}

/// The length of a body, in bytes, where it is known before all of it is there.
pub fn known(body: &ResponseBody) -> Option<u64> {
    match body {
        ResponseBody::Bytes(bytes) => Some(bytes.len() as u64),
        ResponseBody::File { length, .. } => Some(*length),
        ResponseBody::Stream(blocks) => blocks.length(),
    }
}

/// What is still to come of a body.
#[derive(Debug)]
pub struct Due {
    /// In bytes, where that is known.
    left: Option<u64>,
    /// What there is too much or too little of was said already.
    said: bool,
}

impl Due {
    /// All of a body.
    pub fn new(announced: Option<u64>, body: &ResponseBody) -> Self {
        let known = known(body);
        if let (Some(announced), Some(known)) = (announced, known)
            && announced != known
        {
            crate::log_of!(
                Kind::Misfit,
                "the application announced {announced} bytes and gave {known}"
            );
        }
        Self {
            left: announced.or(known),
            said: known.is_some(),
        }
    }

    /// How many bytes are still to come, where that is known.
    pub fn left(&self) -> Option<u64> {
        self.left
    }

    /// What of a part may be sent: no more than was announced.
    pub fn take(&mut self, mut part: Bytes) -> Bytes {
        if let Some(left) = &mut self.left {
            if part.len() as u64 > *left {
                if !std::mem::replace(&mut self.said, true) {
                    crate::log_of!(
                        Kind::Misfit,
                        "the application gave more bytes than it announced"
                    );
                }
                // Smaller than the length of a part, which is a usize.
                part.truncate(*left as usize);
            }
            *left -= part.len() as u64;
        }
        part
    }

    /// Whether a body that the application has ended here is whole.
    pub fn ends_well(&mut self) -> bool {
        let whole = self.left.is_none_or(|left| left == 0);
        if !whole && !std::mem::replace(&mut self.said, true) {
            crate::log_of!(
                Kind::Misfit,
                "the application gave fewer bytes than it announced"
            );
        }
        whole
    }
}
