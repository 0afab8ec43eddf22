//! `upstream fastcgi+unix:…`: FastCGI servers that answer requests, PHP-FPM above all.
//!
//! Without a root they are told of each request as a gateway's application is: `SCRIPT_NAME` is the mount, `PATH_INFO` the
//! rest. With one they are told of a script below it ([`script_search`]).

mod request_params;
mod script_search;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use rustix::io::Errno;

use crate::application::fastcgi::request_params::{aim, params};
use crate::application::fastcgi::script_search::{ScriptMatch, Scripts};
use crate::application::files::beneath::log_kind;
use crate::application::routes::slash_redirect::with_slash;
use crate::interface::RequestName;
use crate::interface::master_status::Status;
use crate::interface::{Application, Pending, Request, RequestBody, Response, ResponseBody};
use crate::log::LogKind;
use crate::protocol::cgi::path_info::{decode, split_query};
use crate::protocol::cgi::program_head::ProgramHead;
use crate::upstream::fastcgi::fastcgi_client_options::FastCgiClientOptions;
use crate::upstream::fastcgi::{FastCgiRequest, FastCgiServers};
use crate::upstream::servers::Servers;
use crate::upstream::upstream_options::UpstreamOptions;
use crate::upstream::upstream_stream::UpstreamStream;

/// How many redirects inside the application a request may cause.
const REDIRECTS: usize = 10;

/// FastCGI servers as an application.
#[derive(Debug)]
pub struct FastCgiUpstream {
    servers: Arc<FastCgiServers>,
    scripts: Option<Arc<Scripts>>,
    /// Further variables.
    added: Vec<(String, String)>,
    /// The log has the hint that PHP needs a root.
    is_hinted: AtomicBool,
}

impl FastCgiUpstream {
    /// The application over these servers, which are asked only when there are requests.
    #[must_use]
    pub fn new(
        servers: Arc<Servers<UpstreamStream>>,
        options: &UpstreamOptions,
        fastcgi: &FastCgiClientOptions,
    ) -> Self {
        let scripts = fastcgi.scripts.clone().map(Scripts::new);
        Self {
            servers: FastCgiServers::new(servers, options),
            scripts: scripts.map(Arc::new),
            added: fastcgi.added.clone(),
            is_hinted: AtomicBool::new(false),
        }
    }

    /// Says once what PHP needs, unless something has told it of a script.
    fn hint(&self, request: &Request, name: &RequestName) {
        const VARIABLE: &str = "SCRIPT_FILENAME";
        let is_added = self.added.iter().any(|(other, _)| other == VARIABLE);
        let mut variables = request.variables.iter();
        let is_told = is_added || variables.any(|(other, _)| other == VARIABLE);
        if request.method == Method::GET
            && !is_told
            && !self.is_hinted.swap(true, Ordering::Relaxed)
        {
            crate::log_warning!(
                about = name.subject(),
                "{name}: the FastCGI server was told of no script ({VARIABLE}) and has answered with nothing; \
                 if it is PHP, `upstream` needs `--root FOLDER`"
            );
        }
    }

    async fn answer(&self, mut request: Request) -> Response {
        let name = RequestName::of(&request);
        let mount = request.script_name.clone();
        for _ in 0..=REDIRECTS {
            let script = match &self.scripts {
                None => None,
                Some(scripts) => match scripts.find(&request.path_info).await {
                    Ok(ScriptMatch::Script(script)) => Some(script),
                    Ok(ScriptMatch::Folder) => {
                        return with_slash(&request.target, StatusCode::MOVED_PERMANENTLY);
                    }
                    Ok(ScriptMatch::Missing) => return Response::plain(StatusCode::NOT_FOUND),
                    Err(error) => return unreadable(&name, &request, scripts, error),
                },
            };
            if let Some(script) = &script {
                aim(&mut request, script);
            }
            let asked = FastCgiRequest {
                params: params(&request, script.as_ref(), &self.added),
                body: std::mem::take(&mut request.body),
                is_safe: request.method.is_safe(),
                name: name.clone(),
                errors: request.errors.clone(),
            };
            let (head, body) = match self.servers.ask(asked).await {
                Ok(answer) => answer,
                Err(ours) => return ours,
            };
            if self.scripts.is_none() && lacks_script(&head, &body) {
                self.hint(&request, &name);
            }
            let redirect = head.local_redirect.clone();
            match redirect.and_then(|to| redirected(&request, &mount, to)) {
                Some(next) => request = next,
                None => {
                    return Response {
                        status: head.status,
                        reason: head.reason,
                        about: Some(name),
                        headers: head.headers,
                        body,
                    };
                }
            }
        }
        crate::log_of!(
            LogKind::InvalidAnswer,
            about = name.subject(),
            "502 for {name}: the application redirects it within itself more than {REDIRECTS} times"
        );
        Response::plain(StatusCode::BAD_GATEWAY)
    }
}

/// Whether PHP seems to have been told of no script: PHP-FPM answers with an empty page then, or knows no such file.
fn lacks_script(head: &ProgramHead, body: &ResponseBody) -> bool {
    let ResponseBody::Bytes(text) = body else {
        return false;
    };
    match head.status {
        StatusCode::OK => text.is_empty(),
        StatusCode::NOT_FOUND => matches!(
            &text[..],
            b"File not found.\n" | b"No input file specified.\n"
        ),
        _ => false,
    }
}

/// The request of a redirect to a path of this server (RFC 3875 §6.2.2); `None` if that is not below the mount, so that the
/// client has to ask for it.
fn redirected(request: &Request, mount: &[u8], to: Bytes) -> Option<Request> {
    let (path, query) = split_query(&to);
    let path = decode(to.slice_ref(path))?;
    let path_info = path.strip_prefix(mount)?;
    if !path_info.starts_with(b"/") {
        return None;
    }
    let mut headers = request.headers.clone();
    headers.remove(header::CONTENT_TYPE);
    headers.remove(header::CONTENT_LENGTH);
    let method = match request.method {
        Method::HEAD => Method::HEAD,
        _ => Method::GET,
    };
    Some(Request {
        method,
        script_name: Bytes::copy_from_slice(mount),
        path_info: path.slice_ref(path_info),
        query: to.slice_ref(query),
        target: to,
        version: request.version,
        headers,
        body: RequestBody::Empty,
        connection: Arc::clone(&request.connection),
        variables: request.variables.clone(),
        errors: request.errors.clone(),
        ids: request.ids.clone(),
        application: request.application.clone(),
        notes: None,
        offers_web_socket: false,
    })
}

/// Answers where it cannot be seen whether a script is there.
fn unreadable(name: &RequestName, request: &Request, scripts: &Scripts, error: Errno) -> Response {
    let (status, reason) = match error {
        Errno::XDEV | Errno::LOOP => (
            StatusCode::NOT_FOUND,
            "a link leads out of the folder (--follow allows that)".to_owned(),
        ),
        Errno::ACCESS | Errno::PERM => (StatusCode::FORBIDDEN, error.to_string()),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    };
    crate::log_of!(
        log_kind(status),
        about = name.subject(),
        "{} for {name}: `{}` below `{}`: {reason}",
        status.as_u16(),
        String::from_utf8_lossy(&request.path_info),
        scripts.root().display()
    );
    Response::plain(status)
}

impl Application for FastCgiUpstream {
    fn respond(self: Arc<Self>, request: Request) -> Pending<'static, Response> {
        Box::pin(async move { self.answer(request).await })
    }

    fn stop(&self, within: Duration) -> Pending<'_, ()> {
        Box::pin(self.servers.stop(within))
    }

    fn drain(&self, returns: bool) {
        self.servers.drain(returns);
    }

    fn status(&self) -> Status {
        self.servers.status()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderValue, Method, header};

    use super::redirected;
    use crate::interface::{Request, RequestBody};

    #[test]
    fn a_redirect_stays_below_the_mount() {
        let mut request = Request {
            method: Method::POST,
            body: RequestBody::Bytes(Bytes::from_static(b"body")),
            script_name: Bytes::from_static(b"/blog/index.php"),
            ..Request::default()
        };
        let kind = HeaderValue::from_static("text/plain");
        request.headers.insert(header::CONTENT_TYPE, kind);
        for (mount, to, expected) in [
            ("", "/a%20b?c=d", Some("/a b")),
            ("/blog", "/blog/a", Some("/a")),
            ("/blog", "/blogs/a", None),
            ("/blog", "/blog", None),
            ("/blog", "/other", None),
            ("", "/a%00", None),
        ] {
            let to = Bytes::from_static(to.as_bytes());
            let next = redirected(&request, mount.as_bytes(), to.clone());
            let found = next.as_ref().map(|next| &next.path_info[..]);
            assert_eq!(found, expected.map(str::as_bytes), "{to:?}");
            if let Some(next) = next {
                assert_eq!((next.method, next.target), (Method::GET, to));
                assert_eq!(next.script_name, mount);
                assert!(next.headers.is_empty() && next.body.length() == 0);
            }
        }
    }
}
