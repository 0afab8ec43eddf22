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
    /// The process for which the request has waited has ended, and no other was free in time.
    Ended,
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
            Self::Ended => formatter.write_str(
                "it has ended before it had taken the request, and no other process was free in time",
            ),
        }
    }
}

impl AskFailure {
    /// Whether there was no connection within the time for it.
    pub(super) fn is_slow(&self) -> bool {
        matches!(self, Self::Unreachable(error) if error.kind() == io::ErrorKind::TimedOut)
    }

    /// Whether the connection broke. Whether the application has begun the request, cannot be seen from that.
    pub(super) fn is_break(&self) -> bool {
        matches!(
            self,
            Self::Broken(ExchangeFailure::Closed | ExchangeFailure::Broken(_), _)
        )
    }

    /// Whether the application says that it has too much to do. It has not begun the request.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(status) if *status == ProtocolStatus::Overloaded as u8)
    }

    /// Whether the request may be answered a little later.
    pub(super) fn is_overload(&self) -> bool {
        self.is_refusal() || matches!(self, Self::Ended)
    }
}
