//! Why a server has not answered a request.

use std::time::Duration;

use crate::upstream::exchange_phase::ExchangePhase;
use crate::upstream::http::http_connection::{MAX_FIELDS, SendFailure, cause};
use crate::upstream::server_address::ServerAddress;

/// Why there is no response.
pub(super) enum HttpFailure {
    /// 502.
    Broken(String),
    /// 504.
    TooSlow(String),
    /// 508 (RFC 5842 §7.2): it was passed on before.
    Loop(String),
}

impl HttpFailure {
    /// A server has not come further than to this phase in the time that a request has.
    pub(super) fn overdue(address: &ServerAddress, phase: ExchangePhase, limit: Duration) -> Self {
        let (limit, what) = (limit.as_secs_f64(), phase.overdue());
        Self::TooSlow(format!(
            "{address} {what} within {limit} s (runner.request.timeout)"
        ))
    }

    /// What has happened, in words.
    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Broken(why) | Self::TooSlow(why) | Self::Loop(why) => why,
        }
    }

    /// A server has broken off in this phase.
    pub(super) fn broken_off(
        address: &ServerAddress,
        phase: ExchangePhase,
        error: Option<&hyper::Error>,
    ) -> Self {
        let when = phase.when();
        Self::Broken(match error {
            Some(error) => format!("{address} broke off {when}: {}", cause(error)),
            None => format!("{address} closed the connection {when}"),
        })
    }
}

impl SendFailure {
    /// The failure of a request that is not sent again.
    pub(super) fn told(&self, address: &ServerAddress, phase: ExchangePhase) -> HttpFailure {
        match &self.error {
            Some(error) if error.is_parse_too_large() => HttpFailure::Broken(format!(
                "{address} sent the head of a response with more than {MAX_FIELDS} fields, or 400 KiB"
            )),
            Some(error) if error.is_parse() => HttpFailure::Broken(format!(
                "{address} sent what is no response of HTTP: {}",
                cause(error)
            )),
            error => HttpFailure::broken_off(address, phase, error.as_ref()),
        }
    }
}
