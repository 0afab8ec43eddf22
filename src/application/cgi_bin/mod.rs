//! `cgi-bin FOLDER_OR_FILE`: CGI programs (RFC 3875), a process for each request. Which program a request is for, and where
//! it is redirected to, is decided here; [`crate::cgi_host`] runs it.
//!
//! What is outside the folder is not there, whatever links lead to it; neither is what has a dot in front of its name.
//!
//! A process is ended, with all that it has started, in sessions of their own too, when its client leaves or its time is over.
//! What is left of one that has answered and ended by itself goes on until this version of the application ends.

mod script_path;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version, header};
use rustix::io::Errno;

use crate::application::cgi_bin::script_path::{PathNames, ScriptFinding};
use crate::application::files::beneath::{DiskWait, Root, log_kind};
use crate::cgi_host::{CgiHost, CgiHostOptions, CgiScript, ScriptAnswer};
use crate::interface::body_file::on_disk;
use crate::interface::master_status::Status;
use crate::interface::measurements::Measurements;
use crate::interface::{
    Application, Connection, Errors, Pending, Request, RequestBody, RequestIds, RequestName,
    Response,
};
use crate::protocol::cgi::path_info::{decode, split_query};

/// How many local redirects a request may go through.
const REDIRECTS: usize = 10;

/// CGI programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgiBinOptions {
    /// Where they are, by an absolute path.
    pub place: CgiPlace,
    /// Whether links may lead out of the folder.
    pub follow: bool,
    /// The programs that run files whose names end in something, such as `.pl`.
    pub interpreters: Vec<(String, PathBuf)>,
    /// How they are run.
    pub host: CgiHostOptions,
}

/// Where CGI programs are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CgiPlace {
    /// All files below a folder.
    Folder(PathBuf),
    /// One program for all requests.
    Program(PathBuf),
}

impl CgiPlace {
    /// The folder or the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::Program(path) => path,
        }
    }

    /// What is at a path.
    ///
    /// # Errors
    /// Nothing is there, or it is neither a folder nor a file that this process may read.
    pub fn at(path: PathBuf) -> io::Result<Self> {
        let about = std::fs::metadata(&path)?;
        if about.is_dir() {
            std::fs::read_dir(&path)?;
            return Ok(Self::Folder(path));
        }
        match about.is_file() {
            true => Ok(Self::Program(path)),
            false => Err(io::Error::other("it is neither a folder nor a file")),
        }
    }
}

/// The CGI programs of a folder, or a single one.
#[derive(Debug)]
pub struct CgiBin {
    options: CgiBinOptions,
    host: CgiHost,
}

/// What a request becomes whose response is that of another one: a GET with the same fields, without a body.
struct RedirectedRequest {
    /// Where this application is mounted.
    mount: Bytes,
    version: Version,
    headers: HeaderMap,
    connection: Arc<Connection>,
    variables: Vec<(Bytes, Bytes)>,
    errors: Errors,
    ids: Option<Arc<RequestIds>>,
    application: Option<Arc<str>>,
}

impl CgiBin {
    /// Those of a folder, or one. No process runs yet.
    #[must_use]
    pub fn new(options: CgiBinOptions) -> Self {
        let host = CgiHost::new(options.host.clone());
        Self { options, host }
    }

    async fn answer(&self, mut request: Request) -> Response {
        let about = RequestName::of(&request);
        let template = RedirectedRequest::of(&request);
        for _ in 0..=REDIRECTS {
            let script = match self.script(&mut request).await {
                Ok(script) => script,
                Err(refusal) => return refusal,
            };
            let (target, response) = match self.host.respond(script, request).await {
                ScriptAnswer::Response(response) => return response,
                ScriptAnswer::LocalRedirect(target, response) => (target, response),
            };
            // What is not one of these programs, the client has to ask for.
            let Some(next) = template.to(target) else {
                return response;
            };
            request = next;
        }
        let redirects = format_args!("its programs redirect it more than {REDIRECTS} times");
        refuse(&about, StatusCode::BAD_GATEWAY, redirects)
    }

    /// The program of a request, which is told its name. Or the answer without one.
    async fn script(&self, request: &mut Request) -> Result<CgiScript, Response> {
        let (file, document_root) = match &self.options.place {
            CgiPlace::Program(file) => {
                let folder = file.parent().unwrap_or(Path::new("/"));
                (file.clone(), folder)
            }
            CgiPlace::Folder(folder) => {
                let (path, length) = self.find(folder, request).await?;
                let name = request.path_info.split_to(length);
                request.script_name = [&*request.script_name, &name].concat().into();
                (folder.join(path), &**folder)
            }
        };
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("nph-") {
            let reason = format_args!(
                "`{}` writes non-parsed headers (its name begins with `nph-`), which are not supported",
                name.escape_debug()
            );
            return Err(refuse(
                &RequestName::of(request),
                StatusCode::NOT_IMPLEMENTED,
                reason,
            ));
        }
        let mut interpreters = self.options.interpreters.iter();
        let interpreter = interpreters.find(|(ending, _)| name.ends_with(ending.as_str()));
        Ok(CgiScript {
            interpreter: interpreter.map(|(_, program)| program.clone()),
            document_root: document_root.to_owned(),
            file,
        })
    }

    /// The file of a request below the folder, and how much of `PATH_INFO` names it.
    async fn find(&self, folder: &Path, request: &Request) -> Result<(PathBuf, usize), Response> {
        let Some(names) = PathNames::of(&request.path_info) else {
            return Err(Response::plain(StatusCode::NOT_FOUND));
        };
        let root = Root {
            folder: folder.to_owned(),
            follow: self.options.follow,
        };
        let found = match names.find(&root, DiskWait::Forbidden) {
            Err(Errno::AGAIN) => {
                let found = on_disk(move || Ok(names.find(&root, DiskWait::Allowed))).await;
                found.unwrap_or_else(|error| Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)))
            }
            found => found,
        };
        let (status, reason) = match found {
            Ok(ScriptFinding::File { path, length }) => return Ok((path, length)),
            Ok(ScriptFinding::Missing) => return Err(Response::plain(StatusCode::NOT_FOUND)),
            Err(Errno::XDEV | Errno::LOOP) => {
                let reason = "a link leads out of the folder (--follow allows that)".to_owned();
                (StatusCode::NOT_FOUND, reason)
            }
            Err(error @ (Errno::ACCESS | Errno::PERM)) => {
                (StatusCode::FORBIDDEN, error.to_string())
            }
            Err(error @ (Errno::MFILE | Errno::NFILE)) => {
                (StatusCode::SERVICE_UNAVAILABLE, error.to_string())
            }
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        };
        let reason = format_args!("a program below `{}`: {reason}", folder.display());
        Err(refuse(&RequestName::of(request), status, reason))
    }
}

/// Answers without a program, and says in the log why.
fn refuse(about: &RequestName, status: StatusCode, reason: impl std::fmt::Display) -> Response {
    crate::log_of!(
        log_kind(status),
        about = about.subject(),
        "{} for {about}: {reason}",
        status.as_u16()
    );
    Response::plain(status)
}

impl RedirectedRequest {
    fn of(request: &Request) -> Self {
        let mut headers = request.headers.clone();
        for name in [
            header::CONTENT_LENGTH,
            header::CONTENT_TYPE,
            header::CONTENT_ENCODING,
            header::TRANSFER_ENCODING,
        ] {
            headers.remove(name);
        }
        Self {
            mount: request.script_name.clone(),
            version: request.version,
            headers,
            connection: Arc::clone(&request.connection),
            variables: request.variables.clone(),
            errors: request.errors.clone(),
            ids: request.ids.clone(),
            application: request.application.clone(),
        }
    }

    /// The request for a target; `None` if that is not below the mount.
    fn to(&self, target: Bytes) -> Option<Request> {
        let (path, query) = split_query(&target);
        let path = decode(target.slice_ref(path))?;
        let path_info = path.strip_prefix(&*self.mount)?;
        if !path_info.is_empty() && !path_info.starts_with(b"/") {
            return None;
        }
        Some(Request {
            method: Method::GET,
            script_name: self.mount.clone(),
            path_info: path.slice_ref(path_info),
            query: target.slice_ref(query),
            target,
            version: self.version,
            headers: self.headers.clone(),
            body: RequestBody::Empty,
            connection: Arc::clone(&self.connection),
            variables: self.variables.clone(),
            errors: self.errors.clone(),
            ids: self.ids.clone(),
            application: self.application.clone(),
            notes: None,
            offers_web_socket: false,
        })
    }
}

impl Application for CgiBin {
    fn respond(self: Arc<Self>, request: Request) -> Pending<'static, Response> {
        Box::pin(async move { self.answer(request).await })
    }

    fn stop(&self, within: Duration) -> Pending<'_, ()> {
        Box::pin(self.host.stop(within))
    }

    fn status(&self) -> Status {
        self.host.status()
    }

    fn measurements(&self) -> Measurements {
        self.host.measurements()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::RedirectedRequest;
    use crate::interface::Request;

    #[test]
    fn redirects_stay_below_the_mount() {
        let template = RedirectedRequest::of(&Request {
            script_name: Bytes::from_static(b"/cgi-bin"),
            ..Request::default()
        });
        for (target, expected) in [
            ("/cgi-bin/b%20c/d?x=1", Some(("/b c/d", "x=1"))),
            ("/cgi-bin", Some(("", ""))),
            ("/cgi-bin?", Some(("", ""))),
            ("/cgi-binx/b", None),
            ("/index.html", None),
            ("/cgi-bin/%00", None),
        ] {
            let request = template.to(Bytes::from_static(target.as_bytes()));
            let found = request.as_ref().map(|it| (&*it.path_info, &*it.query));
            let expected = expected.map(|(path, query)| (path.as_bytes(), query.as_bytes()));
            assert_eq!(found, expected, "{target}");
        }
    }
}
