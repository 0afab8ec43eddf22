//! How long a certificate is valid.

use serde::{Deserialize, Serialize};

use crate::interface::amounts::time;

/// A certificate for https.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CertificateStatus {
    /// The hosts that it is for.
    pub names: Vec<String>,
    /// The moment at which it expires.
    pub expires: f64,
}

impl CertificateStatus {
    /// How long it is valid, as it stands behind `the certificate for NAME`. `now` is in seconds since 1970.
    #[must_use]
    pub fn validity(&self, now: f64) -> String {
        match self.expires - now {
            left if left > 0.0 => format!("is valid for {}", time(left)),
            past => format!("expired {} ago", time(-past)),
        }
    }

    /// Whether it has expired, or does so within a day. Whatever renews it should have done so long before.
    #[must_use]
    pub fn is_overdue(&self, now: f64) -> bool {
        self.expires - now < 86_400.0
    }
}
