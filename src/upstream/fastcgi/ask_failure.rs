//! Why a server has not answered.

use std::fmt;
use std::io;

use crate::protocol::cgi::program_head::MalformedHead;
use crate::protocol::fastcgi::record::ProtocolStatus;
use crate::upstream::exchange_phase::ExchangePhase;
use crate::upstream::fastcgi::fastcgi_exchange::ExchangeFailure;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum AskFailure {
    /// The server cannot be reached.
    Unreachable(io::Error),
    /// The connection failed, in this phase.
    Broken(ExchangeFailure, ExchangePhase),
    /// What came has no head of a response.
    Headless(MalformedHead),
    /// The application has refused the request.
    Refused(u8),
}

impl fmt::Display for AskFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) if self.is_slow() => {
                write!(formatter, "it took no connection: {error}")
            }
            Self::Unreachable(error) => write!(formatter, "it cannot be reached: {error}"),
            Self::Broken(failure, phase) => match failure {
                ExchangeFailure::Closed | ExchangeFailure::Broken(_) => {
                    write!(formatter, "{failure} {}", phase.when())
                }
                ExchangeFailure::BadAnswer(_) | ExchangeFailure::BodyLost(_) => {
                    failure.fmt(formatter)
                }
            },
            Self::Headless(bad) => bad.fmt(formatter),
            Self::Refused(status) => match *status {
                overloaded if overloaded == ProtocolStatus::Overloaded as u8 => {
                    formatter.write_str("it is overloaded (FCGI_OVERLOADED)")
                }
                status => write!(formatter, "it does not take the request (status {status})"),
            },
        }
    }
}

impl AskFailure {
    /// Whether there was no connection within the time for it.
    pub(super) fn is_slow(&self) -> bool {
        matches!(self, Self::Unreachable(error) if error.kind() == io::ErrorKind::TimedOut)
    }

    /// Whether the application says that it has too much to do.
    pub(super) fn is_overload(&self) -> bool {
        matches!(self, Self::Refused(status) if *status == ProtocolStatus::Overloaded as u8)
    }
}
