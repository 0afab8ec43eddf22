//! `redirect URL` and `respond STATUS TEXT`: the same answer to each request.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::interface::{Application, Pending, Request, Response, ResponseBody};
use crate::protocol::cgi::path_info::{absolute_form, encode, split_query};

/// The same answer to each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FixedAnswer {
    /// Sends clients to another URL.
    Redirect {
        /// The URL. If it ends in a slash, what stands behind the slash in the client's own URL follows.
        url: String,
        /// Whether clients and search engines are to ask here again: 307 instead of 308. Both keep the method and the body.
        temporary: bool,
    },
    /// A status and a text.
    Respond {
        /// The status, which is a final one.
        status: StatusCode,
        /// The text; empty for the standard one of the status.
        text: String,
    },
}

impl FixedAnswer {
    /// Its word in a command line.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Redirect { .. } => "redirect",
            Self::Respond { .. } => "respond",
        }
    }

    fn answer(&self, request: &Request) -> Response {
        match self {
            Self::Redirect { url, temporary } => {
                let mut location = url.clone().into_bytes();
                if url.ends_with('/') {
                    let rest = rest_of(request);
                    // Two slashes at the beginning of a location would begin with a host.
                    let slashes = rest.iter().take_while(|byte| **byte == b'/').count();
                    location.extend_from_slice(&rest[slashes..]);
                }
                // A target that no field can hold is no target of HTTP.
                let Ok(location) = HeaderValue::from_bytes(&location) else {
                    return Response::plain(StatusCode::BAD_REQUEST);
                };
                let mut response = Response::plain(match temporary {
                    true => StatusCode::TEMPORARY_REDIRECT,
                    false => StatusCode::PERMANENT_REDIRECT,
                });
                response.headers.insert(header::LOCATION, location);
                response
            }
            Self::Respond { status, .. } if !may_have_text(*status) => Response {
                status: *status,
                reason: None,
                about: None,
                headers: HeaderMap::new(),
                body: ResponseBody::Bytes(Bytes::new()),
            },
            Self::Respond { status, text } if text.is_empty() => Response::plain(*status),
            Self::Respond { status, text } => {
                let text = Bytes::from(format!("{text}\n"));
                let mut headers = HeaderMap::new();
                let plain = HeaderValue::from_static("text/plain; charset=utf-8");
                headers.insert(header::CONTENT_TYPE, plain);
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
                Response {
                    status: *status,
                    reason: None,
                    about: None,
                    headers,
                    body: ResponseBody::Bytes(text),
                }
            }
        }
    }
}

/// Whether a response with this status has a text: not where it says that there is none (RFC 9110 §15.3.5, §15.3.6, §15.4.5).
#[must_use]
pub fn may_have_text(status: StatusCode) -> bool {
    !matches!(
        status,
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
    )
}

/// The path below the mount without its first slash, and the query, as they stand in a URL.
fn rest_of(request: &Request) -> Vec<u8> {
    let absolute = absolute_form(&request.target);
    let target = absolute
        .as_ref()
        .map_or(&request.target[..], |absolute| &absolute.origin_form);
    let (path, query) = split_query(target);
    let mut rest = match request.script_name.is_empty() {
        // As the client has written it.
        true => path.strip_prefix(b"/").unwrap_or(path).to_vec(),
        false => {
            let path = &request.path_info[..];
            let path = path.strip_prefix(b"/").unwrap_or(path);
            encode(path).into_bytes()
        }
    };
    if path.len() < target.len() {
        rest.push(b'?');
        rest.extend_from_slice(query);
    }
    rest
}

/// What stands behind its word.
impl fmt::Display for FixedAnswer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redirect { url, .. } => formatter.write_str(url),
            Self::Respond { status, text } if text.is_empty() => {
                formatter.write_str(status.as_str())
            }
            Self::Respond { status, text } => write!(formatter, "{} {text}", status.as_str()),
        }
    }
}

impl Application for FixedAnswer {
    fn respond(self: Arc<Self>, request: Request) -> Pending<'static, Response> {
        Box::pin(std::future::ready(self.answer(&request)))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{StatusCode, header};

    use super::FixedAnswer;
    use crate::interface::Request;

    fn location(
        url: &str,
        target: &'static str,
        script_name: &'static str,
        path_info: &'static str,
    ) -> String {
        let answer = FixedAnswer::Redirect {
            url: url.to_owned(),
            temporary: false,
        };
        let response = answer.answer(&Request {
            target: Bytes::from_static(target.as_bytes()),
            script_name: Bytes::from_static(script_name.as_bytes()),
            path_info: Bytes::from_static(path_info.as_bytes()),
            ..Request::default()
        });
        assert_eq!(response.status, StatusCode::PERMANENT_REDIRECT);
        let location = response.headers.get(header::LOCATION).expect("a location");
        location.to_str().expect("ASCII").to_owned()
    }

    #[test]
    fn a_url_that_ends_in_a_slash_keeps_path_and_query() {
        for (url, target, script_name, path_info, expected) in [
            (
                "https://a/",
                "/b/c%20d?e=%2f",
                "",
                "/b/c d",
                "https://a/b/c%20d?e=%2f",
            ),
            ("https://a/", "/", "", "/", "https://a/"),
            ("https://a/", "/?", "", "/", "https://a/?"),
            ("https://a/x/", "//b", "", "//b", "https://a/x/b"),
            (
                "/",
                "//evil.example/",
                "",
                "//evil.example/",
                "/evil.example/",
            ),
            (
                "/",
                "///evil.example/",
                "",
                "///evil.example/",
                "/evil.example/",
            ),
            (
                "/",
                "/m//evil.example/",
                "/m",
                "//evil.example/",
                "/evil.example/",
            ),
            ("https://a/", "http://c/b?d", "", "/b", "https://a/b?d"),
            (
                "https://a/",
                "/m/b%20c?d",
                "/m",
                "/b c",
                "https://a/b%20c?d",
            ),
            ("https://a/b", "/c?d", "", "/c", "https://a/b"),
        ] {
            assert_eq!(
                location(url, target, script_name, path_info),
                expected,
                "{target}"
            );
        }
    }
}
