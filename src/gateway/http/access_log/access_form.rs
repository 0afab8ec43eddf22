//! The forms of the lines of the access log: those that programs for web servers' logs read, and JSON.

use std::cell::RefCell;
use std::fmt::Write;
use std::time::{Duration, SystemTime};

use http::{StatusCode, Version};

use crate::clock::{PerSecond, access_log_date};
use crate::interface::RequestIds;
use crate::log::{self, JsonObject};

/// The form of the lines of the access log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessForm {
    /// The combined form, and behind it the duration and the request id, if there is one.
    #[default]
    Timed,
    /// The common log format (of NCSA's server): `CLIENT - - [TIME] "REQUEST LINE" STATUS BYTES`.
    Common,
    /// The combined log format (of Apache): the common one, and the `Referer` and `User-Agent` fields.
    Combined,
    /// An object of JSON with the members of [`AccessForm::members`].
    Json,
}

/// What the log says of a request.
#[derive(Debug)]
pub(super) struct AccessRecord<'a> {
    /// The address of the client; empty on a Unix socket.
    pub client: &'a str,
    /// When the head of the request was there.
    pub time: SystemTime,
    /// Method, target and version; `None` if the request was not understood.
    pub line: Option<(&'a str, &'a [u8], Version)>,
    pub status: u16,
    /// The bytes of the response's body that were given to the connection.
    pub bytes: u64,
    /// The time to the end of the response.
    pub duration: Duration,
    /// The time until the response began.
    pub answered: Option<Duration>,
    /// How long the request waited for a worker.
    pub queued: Option<Duration>,
    /// How long the worker was at it.
    pub worker: Option<Duration>,
    pub host: Option<&'a [u8]>,
    pub referer: Option<&'a [u8]>,
    pub agent: Option<&'a [u8]>,
    pub ids: Option<&'a RequestIds>,
    /// The application that answers it, where a server has several.
    pub application: Option<&'a str>,
}

impl<'a> AccessRecord<'a> {
    /// A request that was not understood.
    pub(super) fn unread(client: &'a str, time: SystemTime, status: StatusCode) -> Self {
        Self {
            client,
            time,
            line: None,
            status: status.as_u16(),
            bytes: 0,
            duration: Duration::ZERO,
            answered: None,
            queued: None,
            worker: None,
            host: None,
            referer: None,
            agent: None,
            ids: None,
            application: None,
        }
    }
}

thread_local! {
    static TIME: RefCell<PerSecond<String>> = const { RefCell::new(PerSecond::new(access_log_date)) };
}

impl AccessForm {
    /// Writes a line to the access log.
    pub(super) fn write(self, record: &AccessRecord<'_>) {
        match self {
            Self::Timed | Self::Common | Self::Combined => {
                log::access(self.line(record), record.time, |line| {
                    Self::members(record, Some(line))
                });
            }
            Self::Json => log::access_object(record.time, &Self::members(record, None)),
        }
    }

    /// The line in one of the forms that are no JSON.
    fn line(self, record: &AccessRecord<'_>) -> String {
        let mut line = String::with_capacity(200);
        let client = match record.client {
            "" => "-",
            address => address,
        };
        // Writing to a string cannot fail.
        let _ = TIME.with_borrow_mut(|time| {
            let time = time.at(record.time);
            write!(line, "{client} - - [{time}] \"")
        });
        match record.line {
            Some((method, target, version)) => {
                escape(&mut line, method.as_bytes());
                line.push(' ');
                escape(&mut line, target);
                let _ = write!(line, " {version:?}");
            }
            None => line.push('-'),
        }
        let _ = write!(line, "\" {} {}", record.status, record.bytes);
        if self != Self::Common {
            for value in [record.referer, record.agent] {
                line.push_str(" \"");
                match value {
                    Some(value) => escape(&mut line, value),
                    None => line.push('-'),
                }
                line.push('"');
            }
        }
        if self == Self::Timed {
            let _ = write!(line, " {:.4}s", record.duration.as_secs_f64());
            if let Some(ids) = record.ids {
                let _ = write!(line, " {}", ids.request());
            }
        }
        line
    }

    /// The members of the object in JSON, whose names are part of the manual: the `message`, which is a short one unless it is
    /// given, and what it says in parts. Durations are in seconds. What is not known is `null`.
    fn members(record: &AccessRecord<'_>, message: Option<&str>) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (method, target, protocol) = match record.line {
            Some((method, target, version)) => {
                let (target, version) = (text(target), format!("{version:?}"));
                (Some(method), Some(target), Some(version))
            }
            None => (None, None, None),
        };
        let short = match (method, &target) {
            (Some(method), Some(target)) => format!("{method} {target} {}", record.status),
            _ => format!("- {}", record.status),
        };
        let client = Some(record.client).filter(|client| !client.is_empty());
        let [host, referer, agent] =
            [record.host, record.referer, record.agent].map(|value| value.map(text));
        let seconds = |time: Duration| format!("{:.6}", time.as_secs_f64());
        let trace = record.ids.and_then(|ids| ids.trace.as_deref());
        let [start, queued, worker] =
            [record.answered, record.queued, record.worker].map(|time| time.map(seconds));
        let known = |time: &Option<String>| time.clone().unwrap_or_else(|| "null".to_owned());
        JsonObject::default()
            .text("message", Some(message.unwrap_or(&short)))
            .text("client", client)
            .text("method", method)
            .text("target", target.as_deref())
            .text("protocol", protocol.as_deref())
            .number("status", record.status)
            .number("bytes", record.bytes)
            .number("duration", seconds(record.duration))
            .number("start", known(&start))
            .number("queued", known(&queued))
            .number("worker", known(&worker))
            .text("host", host.as_deref())
            .text("referer", referer.as_deref())
            .text("user_agent", agent.as_deref())
            .text("request_id", record.ids.map(RequestIds::request))
            .text("trace_id", trace)
            .text("application", record.application)
            .into_members()
    }
}

/// Escapes what clients send, as Apache does, so that it forges no line and no field.
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
    use std::time::{Duration, SystemTime};

    use http::{StatusCode, Version};

    use super::{AccessForm, AccessRecord};

    const TIME: Duration = Duration::from_millis(971_186_136_042);

    fn record() -> AccessRecord<'static> {
        AccessRecord {
            line: Some(("GET", b"/a%20\"b\"?c=d", Version::HTTP_11)),
            bytes: 42,
            duration: Duration::from_micros(12_345),
            answered: Some(Duration::from_micros(12_000)),
            queued: Some(Duration::from_micros(250)),
            host: Some(b"localhost"),
            referer: Some(b"http://localhost/"),
            agent: Some(b"a\"\t\xe9\\"),
            ..AccessRecord::unread("127.0.0.1", SystemTime::UNIX_EPOCH + TIME, StatusCode::OK)
        }
    }

    #[test]
    fn a_line_is_in_its_form_and_no_client_forges_one() {
        let common =
            r#"127.0.0.1 - - [10/Oct/2000:13:55:36 +0000] "GET /a%20\"b\"?c=d HTTP/1.1" 200 42"#;
        let combined = format!(r#"{common} "http://localhost/" "a\"\x09\xe9\\""#);
        let timed = format!("{combined} 0.0123s");
        for (form, line) in [
            (AccessForm::Common, common),
            (AccessForm::Combined, &combined),
            (AccessForm::Timed, &timed),
        ] {
            assert_eq!(form.line(&record()), line);
        }
    }

    #[test]
    fn what_is_not_known_is_a_dash() {
        let time = SystemTime::UNIX_EPOCH + TIME;
        let unread = AccessRecord::unread("", time, StatusCode::BAD_REQUEST);
        assert_eq!(
            AccessForm::Combined.line(&unread),
            r#"- - - [10/Oct/2000:13:55:36 +0000] "-" 400 0 "-" "-""#
        );
        assert_eq!(
            AccessForm::members(&unread, None),
            r#""message":"- 400","client":null,"method":null,"target":null,"protocol":null,"status":400,"bytes":0,"duration":0.000000,"start":null,"queued":null,"worker":null,"host":null,"referer":null,"user_agent":null,"request_id":null,"trace_id":null,"application":null"#
        );
    }

    #[test]
    fn an_object_has_all_members() {
        assert_eq!(
            AccessForm::members(&record(), None),
            r#""message":"GET /a%20\"b\"?c=d 200","client":"127.0.0.1","method":"GET","target":"/a%20\"b\"?c=d","protocol":"HTTP/1.1","status":200,"bytes":42,"duration":0.012345,"start":0.012000,"queued":0.000250,"worker":null,"host":"localhost","referer":"http://localhost/","user_agent":"a\"\t�\\","request_id":null,"trace_id":null,"application":null"#
        );
    }
}
