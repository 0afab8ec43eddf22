//! The one provider of cryptography, always named: rustls panics where it has to guess and finds two.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};

/// The provider.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
