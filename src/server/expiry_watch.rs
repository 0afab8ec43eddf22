//! Warns of certificates that expire soon: whatever renews them should have done so before.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch::Receiver;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::gateway::http::HttpOptions;
use crate::interface::master_status::CertificateStatus;

/// How often it is looked.
const PAUSE: Duration = Duration::from_secs(3600);

/// The time between two warnings of one certificate.
const DAY: Duration = Duration::from_secs(86_400);

/// When there was a warning of which certificate, by its names and when it expires: the addresses of a server have the same.
static WARNED: Mutex<Option<HashMap<(String, u64), Instant>>> = Mutex::new(None);

/// Looks at the certificates in the options of a gateway, until nobody holds the task.
pub fn watch(mut options: Receiver<HttpOptions>) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            let tls = options.borrow_and_update().tls.clone();
            let now = SystemTime::now();
            for certificate in tls.iter().flat_map(|tls| tls.expiring(now)) {
                warn(&certificate, now);
            }
            // A reload may have brought others, and ACME does without one.
            if matches!(timeout(PAUSE, options.changed()).await, Ok(Err(_))) {
                return;
            }
        }
    }))
}

/// Whether there was no warning of a certificate for a day. Then there is one now.
fn is_new(certificate: (String, u64)) -> bool {
    let now = Instant::now();
    // Nothing can be left half done.
    let mut warned = WARNED.lock().unwrap_or_else(PoisonError::into_inner);
    let warned = warned.get_or_insert_default();
    warned.retain(|_, at| now.duration_since(*at) < DAY);
    match warned.entry(certificate) {
        Entry::Occupied(_) => false,
        Entry::Vacant(place) => {
            place.insert(now);
            true
        }
    }
}

fn warn(certificate: &CertificateStatus, now: SystemTime) {
    let names = certificate.names.join(", ");
    // Whole seconds tell it from a renewed one.
    if !is_new((names.clone(), certificate.expires as u64)) {
        return;
    }
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let validity = certificate.validity(seconds.as_secs_f64());
    crate::log_warning!("the certificate for {names} {validity}, and has not been renewed");
}
