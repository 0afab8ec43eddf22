//! Why a handshake of TLS fails, in words for the people who run a server: rustls has words for those who know rustls.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

/// An error of a handshake, with what it means in front of the words of rustls.
pub(super) fn explained(error: io::Error) -> io::Error {
    let fault = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>());
    match fault {
        Some(fault) => io::Error::new(error.kind(), format!("{} ({fault})", meaning(fault))),
        None => error,
    }
}

fn meaning(fault: &Error) -> &'static str {
    match fault {
        Error::AlertReceived(alert) => meaning_of_alert(*alert),
        Error::InvalidCertificate(fault) => meaning_of_certificate(fault),
        Error::NoCertificatesPresented => {
            "the client shows no certificate (runner.tls.client_auth)"
        }
        Error::PeerIncompatible(fault) => match fault {
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::SupportedVersionsExtensionRequired => {
                "the client speaks neither TLS 1.2 nor 1.3"
            }
            _ => "the client has no cipher, key exchange or signature in common with the server",
        },
        Error::NoApplicationProtocol => "the client speaks neither HTTP/1.1 nor HTTP/2",
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => "the client speaks something else than TLS",
        Error::InvalidMessage(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerMisbehaved(_)
        | Error::PeerSentOversizedRecord
        | Error::DecryptError => "the client does not keep to TLS",
        _ => "the handshake has failed",
    }
}

/// What a client says of the server (RFC 8446 §6.2).
fn meaning_of_alert(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::UnknownCA => {
            "the client does not know the authority of the server's certificate"
        }
        AlertDescription::CertificateUnknown
        | AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate => {
            "the client does not trust the server's certificate"
        }
        AlertDescription::CertificateExpired => {
            "the client says that the server's certificate has expired"
        }
        AlertDescription::CertificateRevoked => {
            "the client says that the server's certificate is revoked"
        }
        AlertDescription::ProtocolVersion
        | AlertDescription::HandshakeFailure
        | AlertDescription::InsufficientSecurity => {
            "the client accepts no version or cipher of the server"
        }
        AlertDescription::UserCanceled => "the client has given up",
        _ => "the client refuses",
    }
}

/// What is wrong with the certificate of a client.
fn meaning_of_certificate(fault: &CertificateError) -> &'static str {
    match fault {
        CertificateError::Revoked => "the client's certificate is revoked (runner.tls.client_crl)",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the client's certificate has expired"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the client's certificate is not valid yet"
        }
        CertificateError::UnknownIssuer => {
            "the client's certificate is by no authority of runner.tls.client_ca"
        }
        CertificateError::UnknownRevocationStatus => {
            "no list of runner.tls.client_crl is by the authority of the client's certificate"
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the client's certificate is not for clients"
        }
        _ => "the client's certificate is not good",
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, ErrorKind};

    use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

    use super::explained;

    #[test]
    fn what_an_error_means_stands_before_the_words_of_the_library() {
        for (fault, said) in [
            (
                Error::AlertReceived(AlertDescription::CertificateUnknown),
                "the client does not trust the server's certificate (received fatal alert: CertificateUnknown)",
            ),
            (
                Error::AlertReceived(AlertDescription::InternalError),
                "the client refuses (received fatal alert: InternalError)",
            ),
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                "the client speaks something else than TLS (received corrupt message of type InvalidContentType)",
            ),
            (
                Error::PeerIncompatible(PeerIncompatible::Tls12NotOfferedOrEnabled),
                "the client speaks neither TLS 1.2 nor 1.3 (peer is incompatible: Tls12NotOfferedOrEnabled)",
            ),
            (
                Error::InvalidCertificate(CertificateError::Revoked),
                "the client's certificate is revoked (runner.tls.client_crl) (invalid peer certificate: Revoked)",
            ),
            (
                Error::General("so".to_owned()),
                "the handshake has failed (unexpected error: so)",
            ),
        ] {
            let error = explained(io::Error::new(ErrorKind::InvalidData, fault));
            assert_eq!(error.to_string(), said);
            assert_eq!(error.kind(), ErrorKind::InvalidData);
        }
    }

    /// Of a client that leaves, nothing is said.
    #[test]
    fn other_errors_stay_as_they_are() {
        let error = explained(ErrorKind::UnexpectedEof.into());
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert!(error.get_ref().is_none());
    }
}
