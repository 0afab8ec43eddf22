//! The access log: a line for each response, in the combined format with the duration behind it.

use std::cell::RefCell;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, Version, header};

use crate::clock::{PerSecond, access_log_date};
use crate::gateway::http::shadow_parser::Hidden;
use crate::interface::Connection;

thread_local! {
    static TIME: RefCell<PerSecond<String>> = const { RefCell::new(PerSecond::new(access_log_date)) };
}

/// The line about a request. It is written when the response has ended, well or badly; for a client that went away before,
/// with the status 499, as nginx does.
pub(super) struct LogLine {
    connection: Arc<Connection>,
    begun: (SystemTime, Instant),
    method: Method,
    target: Uri,
    /// The target as it was sent, where hyper got another one.
    sent: Option<Bytes>,
    version: Version,
    referer: Option<HeaderValue>,
    agent: Option<HeaderValue>,
    /// The status of the response, once there is one.
    pub status: Option<StatusCode>,
    /// How many bytes of the body were given to the connection.
    pub bytes: u64,
}

impl LogLine {
    /// Begins the line of a request that has just come in.
    pub(super) fn new<B>(
        connection: &Arc<Connection>,
        request: &Request<B>,
        hidden: Option<&Hidden>,
    ) -> Self {
        let headers = request.headers();
        Self {
            connection: Arc::clone(connection),
            begun: (SystemTime::now(), Instant::now()),
            method: request.method().clone(),
            target: request.uri().clone(),
            sent: match hidden {
                Some(Hidden::Target(target)) => Some(target.clone()),
                Some(Hidden::Version | Hidden::TwoFramings | Hidden::UnclearEnd) | None => None,
            },
            version: request.version(),
            referer: headers.get(header::REFERER).cloned(),
            agent: headers.get(header::USER_AGENT).cloned(),
            status: None,
            bytes: 0,
        }
    }

    fn line(&self) -> String {
        let mut line = String::with_capacity(200);
        let client = match self.connection.remote_addr.as_str() {
            "" => "-",
            address => address,
        };
        let status = self.status.map_or(499, |status| status.as_u16());
        // Writing to a string cannot fail.
        let _ = TIME.with_borrow_mut(|time| {
            let time = time.at(self.begun.0);
            write!(line, "{client} - - [{time}] \"")
        });
        escape(&mut line, self.method.as_str().as_bytes());
        line.push(' ');
        match &self.sent {
            Some(target) => escape(&mut line, target),
            None => escape(&mut line, self.target.to_string().as_bytes()),
        }
        let _ = write!(line, " {:?}\" {status} {} ", self.version, self.bytes);
        for value in [&self.referer, &self.agent] {
            line.push('"');
            match value {
                Some(value) => escape(&mut line, value.as_bytes()),
                None => line.push('-'),
            }
            line.push_str("\" ");
        }
        let _ = write!(line, "{:.4}s", self.begun.1.elapsed().as_secs_f64());
        line
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        crate::log::access(&self.line());
    }
}

/// Escapes what clients send, so that it forges no line and no field.
fn escape(line: &mut String, text: &[u8]) {
    for byte in text {
        match byte {
            b'"' | b'\\' => {
                line.push('\\');
                line.push(char::from(*byte));
            }
            b' '..=b'~' => line.push(char::from(*byte)),
            _ => {
                let _ = write!(line, "\\x{byte:02x}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use http::{HeaderValue, Request, StatusCode};

    use super::LogLine;
    use crate::interface::Connection;

    /// The line without the duration.
    fn line(remote_addr: &str, agent: &[u8], status: Option<StatusCode>) -> String {
        let connection = Arc::new(Connection {
            remote_addr: remote_addr.to_owned(),
            ..Connection::default()
        });
        let request = Request::get("/a%20\"b\"?c=d")
            .header("referer", "http://localhost/")
            .header("user-agent", HeaderValue::from_bytes(agent).unwrap());
        let mut log_line = LogLine::new(&connection, &request.body(()).unwrap(), None);
        log_line.begun.0 = SystemTime::UNIX_EPOCH + Duration::from_secs(971_186_136);
        log_line.status = status;
        log_line.bytes = 42;
        let line = log_line.line();
        let (line, duration) = line.rsplit_once(' ').unwrap();
        let seconds = duration.strip_suffix('s').unwrap().parse::<f64>();
        assert!((0.0..60.0).contains(&seconds.unwrap()), "{duration}");
        line.to_owned()
    }

    #[test]
    fn a_line_is_in_the_combined_format() {
        assert_eq!(
            line("127.0.0.1", b"curl/8", Some(StatusCode::OK)),
            r#"127.0.0.1 - - [10/Oct/2000:13:55:36 +0000] "GET /a%20\"b\"?c=d HTTP/1.1" 200 42 "http://localhost/" "curl/8""#
        );
    }

    #[test]
    fn no_client_forges_a_line_and_one_that_went_away_is_seen() {
        assert_eq!(
            line("", b"a\"\t\xe9\\", None),
            r#"- - - [10/Oct/2000:13:55:36 +0000] "GET /a%20\"b\"?c=d HTTP/1.1" 499 42 "http://localhost/" "a\"\x09\xe9\\""#
        );
    }
}
