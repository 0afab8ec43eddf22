//! A session of TLS as applications see it: CGI variables by the names and in the forms of Apache's mod_ssl, and what ASGI's
//! extension `tls` has.

use std::fmt::Write;

use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, ProtocolVersion, ServerConnection};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::asn1::{
    Ia5StringRef, ObjectIdentifier, PrintableStringRef, TeletexStringRef, Utf8StringRef,
};
use x509_cert::der::pem::{self, LineEnding};
use x509_cert::der::{Decode, Tag, Tagged};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;
use x509_cert::time::Time;

use crate::interface::{TlsClient, TlsConnection};

/// What is known of a session after its handshake. `exports_certificates` if the variables are to hold the client's
/// certificates themselves.
pub(super) fn describe(session: &ServerConnection, exports_certificates: bool) -> TlsConnection {
    let version = session.protocol_version();
    let suite = session.negotiated_cipher_suite().map(|it| it.suite());
    let mut variables = SslVariables(Vec::new());
    variables.add("SSL_PROTOCOL", version.map_or("", protocol_name));
    variables.add("SSL_CIPHER", &suite.map(cipher_name).unwrap_or_default());
    if let Some(name) = session.server_name() {
        variables.add("SSL_TLS_SNI", name);
    }
    let chain = session.peer_certificates().unwrap_or_default();
    let client = chain.first().and_then(|first| {
        let client = x509_cert::Certificate::from_der(first).ok()?;
        variables.add_client(&client);
        Some(TlsClient {
            name: full_name(&client.tbs_certificate.subject),
            chain: chain.iter().filter_map(as_pem).collect(),
        })
    });
    // Only certificates that were checked are here.
    let verdict = match client {
        Some(_) => "SUCCESS",
        None => "NONE",
    };
    variables.add("SSL_CLIENT_VERIFY", verdict);
    if let (true, Some(client)) = (exports_certificates, &client) {
        for (number, certificate) in client.chain.iter().enumerate() {
            match number {
                0 => variables.add("SSL_CLIENT_CERT", certificate),
                _ => variables.add(
                    &format!("SSL_CLIENT_CERT_CHAIN_{}", number - 1),
                    certificate,
                ),
            }
        }
    }
    TlsConnection {
        version: version.map_or(0, u16::from),
        cipher_suite: suite.map_or(0, u16::from),
        variables: variables.0,
        client,
    }
}

/// CGI variables.
struct SslVariables(Vec<(String, String)>);

impl SslVariables {
    /// Adds one. None has a zero byte, which no environment can hold.
    fn add(&mut self, name: &str, value: &str) {
        if !value.contains('\0') {
            self.0.push((name.to_owned(), value.to_owned()));
        }
    }

    fn add_client(&mut self, certificate: &x509_cert::Certificate) {
        let signed = &certificate.tbs_certificate;
        self.add(
            "SSL_CLIENT_M_SERIAL",
            &serial(signed.serial_number.as_bytes()),
        );
        self.add("SSL_CLIENT_V_START", &time(signed.validity.not_before));
        self.add("SSL_CLIENT_V_END", &time(signed.validity.not_after));
        self.add_name("SSL_CLIENT_S_DN", &signed.subject);
        self.add_name("SSL_CLIENT_I_DN", &signed.issuer);
        let names = signed.get::<SubjectAltName>().ok().flatten();
        let names = names.map(|(_, names)| names.0).unwrap_or_default();
        let (mut emails, mut hosts) = (0.., 0..);
        for name in &names {
            match name {
                GeneralName::Rfc822Name(email) => {
                    let number = emails.next().unwrap_or(0);
                    self.add(&format!("SSL_CLIENT_SAN_Email_{number}"), email.as_str());
                }
                GeneralName::DnsName(host) => {
                    let number = hosts.next().unwrap_or(0);
                    self.add(&format!("SSL_CLIENT_SAN_DNS_{number}"), host.as_str());
                }
                _ => {}
            }
        }
    }

    /// A name, and its parts: the first of each kind as `…_CN`, further ones as `…_CN_1`.
    fn add_name(&mut self, variable: &str, name: &Name) {
        self.add(variable, &full_name(name));
        let parts: Vec<&AttributeTypeAndValue> =
            name.0.iter().flat_map(|part| part.0.iter()).collect();
        for (oid, short) in PARTS {
            let values = parts.iter().filter(|part| part.oid == oid);
            let values = values.filter_map(|part| text(part));
            for (number, value) in values.enumerate() {
                match number {
                    0 => self.add(&format!("{variable}_{short}"), value),
                    _ => self.add(&format!("{variable}_{short}_{number}"), value),
                }
            }
        }
    }
}

/// A name as RFC 4514 writes it, with the word that OpenSSL and mod_ssl have for an address of mail (RFC 2985 §5.2.1).
fn full_name(name: &Name) -> String {
    let part = |part: &AttributeTypeAndValue| {
        let text = part.to_string();
        match text.strip_prefix("EMAIL=") {
            Some(address) => format!("emailAddress={address}"),
            None => text,
        }
    };
    let parts = name.0.iter().rev();
    let parts = parts.map(|parts| parts.0.iter().map(part).collect::<Vec<_>>().join("+"));
    parts.collect::<Vec<_>>().join(",")
}

/// Parts of names that have variables of their own (RFC 4519 §2, RFC 2985 §5.2.1).
const PARTS: [(ObjectIdentifier, &str); 10] = [
    (ObjectIdentifier::new_unwrap("2.5.4.6"), "C"),
    (ObjectIdentifier::new_unwrap("2.5.4.8"), "ST"),
    (ObjectIdentifier::new_unwrap("2.5.4.7"), "L"),
    (ObjectIdentifier::new_unwrap("2.5.4.10"), "O"),
    (ObjectIdentifier::new_unwrap("2.5.4.11"), "OU"),
    (ObjectIdentifier::new_unwrap("2.5.4.3"), "CN"),
    (ObjectIdentifier::new_unwrap("2.5.4.42"), "G"),
    (ObjectIdentifier::new_unwrap("2.5.4.4"), "S"),
    (
        ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.1"),
        "UID",
    ),
    (
        ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.1"),
        "Email",
    ),
];

fn text(part: &AttributeTypeAndValue) -> Option<&str> {
    let value = &part.value;
    match value.tag() {
        Tag::Utf8String => Utf8StringRef::try_from(value).ok().map(|it| it.as_str()),
        Tag::PrintableString => PrintableStringRef::try_from(value)
            .ok()
            .map(|it| it.as_str()),
        Tag::Ia5String => Ia5StringRef::try_from(value).ok().map(|it| it.as_str()),
        Tag::TeletexString => TeletexStringRef::try_from(value).ok().map(|it| it.as_str()),
        _ => None,
    }
}

/// A serial number in hexadecimal digits.
fn serial(bytes: &[u8]) -> String {
    // DER begins a number whose first bit is set with a zero.
    let number = match bytes {
        [0, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    number.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    })
}

/// A time as OpenSSL prints it: `Nov  8 20:00:00 2026 GMT`.
fn time(time: Time) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let time = time.to_date_time();
    let month = usize::from(time.month()).saturating_sub(1);
    format!(
        "{} {:2} {:02}:{:02}:{:02} {} GMT",
        MONTHS.get(month).copied().unwrap_or_default(),
        time.day(),
        time.hour(),
        time.minutes(),
        time.seconds(),
        time.year()
    )
}

fn as_pem(certificate: &CertificateDer<'_>) -> Option<String> {
    pem::encode_string("CERTIFICATE", LineEnding::LF, certificate).ok()
}

fn protocol_name(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        // There is no other.
        _ => "TLSv1.3",
    }
}

/// The name of a cipher suite as OpenSSL has it.
fn cipher_name(suite: CipherSuite) -> String {
    let name = suite.as_str().unwrap_or_default();
    if let Some(rest) = name.strip_prefix("TLS13_") {
        return format!("TLS_{rest}");
    }
    // `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256` is `ECDHE-RSA-AES128-GCM-SHA256`.
    let name = name.trim_start_matches("TLS_").replace("_WITH_", "_");
    let name = name.replace("AES_", "AES").replace('_', "-");
    match name.strip_suffix("POLY1305-SHA256") {
        Some(begin) => format!("{begin}POLY1305"),
        None => name,
    }
}
