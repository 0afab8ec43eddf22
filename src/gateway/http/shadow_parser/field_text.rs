//! Which bytes names and values of fields consist of (RFC 9110 §5.5, §5.6.2).

/// Whether this is a token: the name of a field, a method.
pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| is_of_token(*byte))
}

/// Whether a byte is allowed in a token.
pub(super) fn is_of_token(byte: u8) -> bool {
    const TABLE: [bool; 256] = {
        let mut table = [false; 256];
        let others = b"!#$%&'*+-.^_`|~";
        let mut at = 0;
        while at < others.len() {
            table[others[at] as usize] = true;
            at += 1;
        }
        let mut byte = 0;
        while byte < 128 {
            table[byte] |= (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        table
    };
    TABLE[usize::from(byte)]
}

/// Whether a byte is allowed in the value of a field: no control character but a tab.
pub(super) fn is_of_value(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}

/// Whether a text has only such bytes. Without an early end, so that the compiler checks many bytes at a time.
pub(super) fn is_value(text: &[u8]) -> bool {
    text.iter()
        .fold(true, |is_good, byte| is_good & is_of_value(*byte))
}

#[cfg(test)]
mod tests {
    use super::{is_of_token, is_of_value, is_token, is_value};

    #[test]
    fn names_and_values_are_those_of_the_standard() {
        for byte in 0..=u8::MAX {
            let of_name = http::HeaderName::from_bytes(&[byte]).is_ok();
            assert_eq!(is_of_token(byte), of_name, "{byte:#04x}");
            assert_eq!(is_token(&[b'a', byte]), of_name, "{byte:#04x}");
            let of_value = http::HeaderValue::from_bytes(&[byte]).is_ok();
            assert_eq!(is_of_value(byte), of_value, "{byte:#04x}");
            assert_eq!(is_value(&[b'a', byte, b'b']), of_value, "{byte:#04x}");
        }
        assert!(!is_token(b"") && is_value(b""));
    }
}
