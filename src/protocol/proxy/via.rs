//! `Via` (RFC 9110 §7.6.3): by it, a gateway recognises requests that it has passed on itself. Otherwise one whose server is
//! the gateway's own address would go round until no connection is left.

use http::Version;
use http::header::{HeaderMap, HeaderValue, VIA};

/// The pseudonym of a gateway, which no other one has.
#[derive(Clone, Debug)]
pub struct ViaPseudonym {
    name: String,
    /// The field's value for what was received by HTTP/1.0, HTTP/1.1 and HTTP/2.
    values: [HeaderValue; 3],
}

impl ViaPseudonym {
    /// The pseudonym with this number, which is to be random.
    #[must_use]
    pub fn new(random: u64) -> Self {
        let name = format!("runner-{random:016x}");
        let value = |version: &str| {
            let value = HeaderValue::try_from(format!("{version} {name}"));
            value.unwrap_or(HeaderValue::from_static("1.1 runner"))
        };
        Self {
            values: ["1.0", "1.1", "2"].map(value),
            name,
        }
    }

    /// Whether a request with these fields has gone through the gateway before.
    #[must_use]
    pub fn is_in(&self, fields: &HeaderMap) -> bool {
        let name = self.name.as_bytes();
        let mut values = fields.get_all(VIA).iter();
        values.any(|value| memchr::memmem::find(value.as_bytes(), name).is_some())
    }

    /// Adds it to the fields of a request that was received by a version of HTTP.
    pub fn add_to(&self, fields: &mut HeaderMap, version: Version) {
        let [old, usual, new] = &self.values;
        let value = match version {
            Version::HTTP_2 => new,
            Version::HTTP_10 => old,
            _ => usual,
        };
        fields.append(VIA, value.clone());
    }
}

#[cfg(test)]
mod tests {
    use http::Version;
    use http::header::{HeaderMap, HeaderValue, VIA};

    use super::ViaPseudonym;

    #[test]
    fn a_gateway_recognises_its_own_requests_and_no_others() {
        let (own, other) = (ViaPseudonym::new(1), ViaPseudonym::new(2));
        let mut fields = HeaderMap::new();
        assert!(!own.is_in(&fields));
        fields.insert(VIA, HeaderValue::from_static("1.1 proxy, 1.1 runner"));
        other.add_to(&mut fields, Version::HTTP_2);
        assert!(other.is_in(&fields) && !own.is_in(&fields));
        own.add_to(&mut fields, Version::HTTP_10);
        assert!(other.is_in(&fields) && own.is_in(&fields));
        let values: Vec<_> = fields.get_all(VIA).iter().collect();
        let expected = [
            "1.1 proxy, 1.1 runner",
            "2 runner-0000000000000002",
            "1.0 runner-0000000000000001",
        ];
        assert_eq!(values, expected);
        // Others may put all in one field.
        let joined = HeaderValue::from_static("1.1 a,1.1 runner-0000000000000001 (b)");
        let joined = HeaderMap::from_iter([(VIA, joined)]);
        assert!(own.is_in(&joined) && !other.is_in(&joined));
    }
}
