//! A certificate that is made for one run, for trying things out: no authority has signed it, so that clients warn of it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::gateway::socket::tls::certificate::Certificate;

/// The hosts and the certificate of the last call: a reload serves that again, so that a browser asks its user once.
static LAST: Mutex<Option<(Vec<String>, Certificate)>> = Mutex::new(None);

/// How long it is valid, in both directions: clocks differ.
const VALIDITY: Duration = Duration::from_secs(90 * 86_400);

/// A certificate for these names and addresses, which is only in memory. Within a process it is the same for the same hosts.
///
/// # Errors
/// The system has no random numbers, or a name is none for a certificate.
pub fn throw_away(hosts: Vec<String>) -> anyhow::Result<Certificate> {
    // No operation under the lock leaves it half done.
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((of, certificate)) = &*last
        && *of == hosts
    {
        return Ok(certificate.clone());
    }
    let certificate = make(&hosts)?;
    *last = Some((hosts, certificate.clone()));
    Ok(certificate)
}

fn make(hosts: &[String]) -> anyhow::Result<Certificate> {
    let mut params = CertificateParams::new(hosts)?;
    let name = "a certificate of runner, for one run";
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    params.not_before = epoch + now.saturating_sub(VALIDITY);
    params.not_after = epoch + now + VALIDITY;
    let key = KeyPair::generate()?;
    let signed = params.self_signed(&key)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Certificate::new(vec![signed.der().clone()], key)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::throw_away;
    use crate::gateway::socket::url::Host;

    #[test]
    fn it_is_for_its_hosts_and_valid_now() {
        let hosts = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let certificate = throw_away(hosts.to_vec()).expect("a certificate");
        for host in ["localhost", "127.0.0.1"] {
            assert!(certificate.is_for(&Host::Name(host.to_owned())), "{host}");
        }
        assert!(certificate.is_for(&Host::Ipv6("::1".to_owned())));
        assert!(!certificate.is_for(&Host::Name("example.com".to_owned())));
        let now = SystemTime::now();
        assert!(certificate.not_before < now && now < certificate.not_after);
    }
}
