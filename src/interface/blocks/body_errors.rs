//! Why a body is not passed on to its end.

/// The client has gone away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// The application failed in the middle of its body. The gateway must end the response so that the client notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncated;

impl std::fmt::Display for Truncated {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the application's response ended early")
    }
}

impl std::error::Error for Truncated {}
