//! `X-Accel-Redirect` and `X-Sendfile`: an application names a file, and that is sent in place of the body of its response, by
//! the code of `files`: ranges, conditions, no process of the application busy meanwhile.
//!
//! `X-Accel-Redirect` has a path as nginx has it: it begins as one of the folders is called, and is percent-encoded.
//! `X-Sendfile` has the name of the file in the system, as lighttpd and Apache have it. Only files below the folders are sent,
//! wherever links lead; the application decides who gets them.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use rustix::io::Errno;

use crate::application::files::beneath::{DiskWait, Root, is_absent};
use crate::application::files::file_response;
use crate::application::files::open_file::{OpenFile, PathContent};
use crate::application::files::wanted_path::WantedPath;
use crate::interface::body_file::on_disk;
use crate::interface::{Application, Pending, Request, RequestName, Response, ResponseBody};
use crate::log::LogKind;
use crate::protocol::cgi::path_info::{decode, split_query};

/// A folder whose files may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendFolder {
    /// How paths in `X-Accel-Redirect` begin that mean it: begins and ends with a slash.
    pub prefix: String,
    /// The folder.
    pub folder: PathBuf,
}

/// Sends the files that an application names.
pub struct SendsFiles {
    application: Arc<dyn Application>,
    folders: Vec<SendFolder>,
}

const X_ACCEL_REDIRECT: HeaderName = HeaderName::from_static("x-accel-redirect");
const X_SENDFILE: HeaderName = HeaderName::from_static("x-sendfile");

/// The fields of a request on which the response with a file depends (RFC 9110 §13.1, §14.2).
const CONDITIONS: [HeaderName; 6] = [
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::RANGE,
];

/// The fields of a response that are about its body, which is the file's.
const ABOUT_BODY: [HeaderName; 5] = [
    header::ACCEPT_RANGES,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::ETAG,
    header::LAST_MODIFIED,
];

/// How much of a body in whose place a file is sent is received, in bytes, so that the application can end it.
const DISCARDED: usize = 1 << 20;

/// A file that an application has named.
struct NamedFile {
    field: HeaderName,
    value: HeaderValue,
}

/// Where it is looked for, one place after the other.
type FilePlaces = Vec<(Root, PathBuf)>;

impl SendsFiles {
    /// Sends the files of some folders for an application.
    #[must_use]
    pub fn new(application: Arc<dyn Application>, folders: Vec<SendFolder>) -> Self {
        Self {
            application,
            folders,
        }
    }

    /// The places of a file, which is below one of the folders.
    fn places(&self, named: &NamedFile) -> FilePlaces {
        let value = named.value.as_bytes();
        let text = Bytes::copy_from_slice(match named.field == X_ACCEL_REDIRECT {
            true => split_query(value).0,
            false => value,
        });
        let texts = match named.field == X_ACCEL_REDIRECT {
            true => [None, decode(text)],
            // Apache and lighttpd decode it, and not all applications encode it.
            false => [Some(text.clone()), decode(text)],
        };
        let mut places = FilePlaces::new();
        for text in texts.iter().flatten() {
            let found = self.folders.iter().filter_map(|folder| {
                let begin = match named.field == X_ACCEL_REDIRECT {
                    true => folder.prefix.as_bytes(),
                    false => folder.folder.as_os_str().as_bytes(),
                };
                let begin = begin.strip_suffix(b"/").unwrap_or(begin);
                let rest = text.strip_prefix(begin)?;
                let wanted = rest
                    .starts_with(b"/")
                    .then(|| WantedPath::of(rest, true))??;
                let is_file = !wanted.is_folder && !wanted.path.as_os_str().is_empty();
                is_file.then_some((begin.len(), folder, wanted.path))
            });
            if let Some((_, folder, path)) = found.max_by_key(|(length, ..)| *length) {
                let root = Root {
                    folder: folder.folder.clone(),
                    follow: false,
                };
                if !places.iter().any(|(_, other)| *other == path) {
                    places.push((root, path));
                }
            }
        }
        places
    }

    /// The response with a file.
    async fn send(&self, request: Request, named: NamedFile, mut response: Response) -> Response {
        let places = self.places(&named);
        if places.is_empty() {
            let reason = "it is in no folder of `runner.response.send_files`";
            return refused(&request, &named, StatusCode::INTERNAL_SERVER_ERROR, reason);
        }
        let (path, open) = match open(places).await {
            Ok(Some(opened)) => opened,
            Ok(None) => return refused(&request, &named, StatusCode::NOT_FOUND, "it is not there"),
            Err(Errno::XDEV | Errno::LOOP) => {
                let reason = "a link leads out of the folder";
                return refused(&request, &named, StatusCode::NOT_FOUND, reason);
            }
            Err(error) => {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                return refused(&request, &named, status, &error.to_string());
            }
        };
        let has_own_status = response.status != StatusCode::OK;
        let request = match has_own_status {
            // A page about an error is whole.
            true => Request {
                headers: HeaderMap::new(),
                ..request
            },
            false => request,
        };
        let sent = file_response::of(&request, &path, open, None, HeaderMap::new());
        let is_of_file = matches!(
            sent.status,
            StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED
        );
        if !is_of_file {
            return sent;
        }
        for name in &ABOUT_BODY {
            response.headers.remove(name);
        }
        for (name, value) in &sent.headers {
            if !response.headers.contains_key(name)
                && response.headers.try_append(name, value.clone()).is_err()
            {
                return Response::plain(StatusCode::INTERNAL_SERVER_ERROR);
            }
        }
        discard(std::mem::replace(&mut response.body, sent.body));
        if !has_own_status {
            response.status = sent.status;
            response.reason = None;
        }
        response
    }
}

/// Takes the name of a file off a response.
fn take_name(headers: &mut HeaderMap) -> Option<NamedFile> {
    let accel = headers.remove(X_ACCEL_REDIRECT);
    let sendfile = headers.remove(X_SENDFILE);
    let named = |field, value| NamedFile { field, value };
    accel
        .map(|value| named(X_ACCEL_REDIRECT, value))
        .or_else(|| sendfile.map(|value| named(X_SENDFILE, value)))
}

/// Whether a response with this status has a body (RFC 9110 §6.4.1).
fn may_have_body(status: StatusCode) -> bool {
    let is_empty = status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
    !status.is_informational() && !is_empty
}

/// What decides about the response with a file: the method, the conditions, and how the log names the request.
fn conditions_of(request: &Request) -> Request {
    let is_read = request.method == Method::GET || request.method == Method::HEAD;
    let mut headers = HeaderMap::new();
    if is_read {
        for name in &CONDITIONS {
            for value in request.headers.get_all(name) {
                // At most as many as the request has.
                let _ = headers.try_append(name, value.clone());
            }
        }
    }
    Request {
        method: match request.method {
            Method::HEAD => Method::HEAD,
            _ => Method::GET,
        },
        target: request.target.clone(),
        headers,
        ids: request.ids.clone(),
        application: request.application.clone(),
        ..Request::default()
    }
}

/// Opens the first file that is there.
async fn open(places: FilePlaces) -> Result<Option<(PathBuf, OpenFile)>, Errno> {
    match open_one(&places, DiskWait::Forbidden) {
        Err(Errno::AGAIN) => {}
        opened => return opened,
    }
    let on_thread = on_disk(move || Ok(open_one(&places, DiskWait::Allowed))).await;
    on_thread.unwrap_or_else(|error| Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)))
}

fn open_one(places: &FilePlaces, wait: DiskWait) -> Result<Option<(PathBuf, OpenFile)>, Errno> {
    for (root, path) in places {
        match PathContent::open(root, path, wait) {
            Ok(PathContent::File(open)) => return Ok(Some((path.clone(), open))),
            Ok(PathContent::Folder | PathContent::Other) => {}
            Err(error) if is_absent(error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Lets the application end a body that nobody gets: one that is not received would look like a client that has left.
fn discard(body: ResponseBody) {
    if let ResponseBody::Stream(mut blocks) = body {
        tokio::spawn(async move {
            let mut received = 0;
            while let Some(Ok(block)) = blocks.next().await {
                received += block.len();
                if received > DISCARDED {
                    return;
                }
            }
        });
    }
}

/// What the client gets in place of a file, and why.
fn refused(request: &Request, named: &NamedFile, status: StatusCode, reason: &str) -> Response {
    let field = match named.field == X_ACCEL_REDIRECT {
        true => "X-Accel-Redirect",
        false => "X-Sendfile",
    };
    let name = RequestName::of(request);
    crate::log_of!(
        LogKind::NotReadable,
        about = name.subject(),
        "{} for {name}: the application wants `{}` to be sent ({field}), but {reason}",
        status.as_u16(),
        String::from_utf8_lossy(named.value.as_bytes())
    );
    Response::plain(status)
}

impl Application for SendsFiles {
    fn respond(self: Arc<Self>, request: Request) -> Pending<'static, Response> {
        let conditions = conditions_of(&request);
        let answer = Arc::clone(&self.application).respond(request);
        Box::pin(async move {
            let mut response = answer.await;
            match take_name(&mut response.headers) {
                Some(named) if may_have_body(response.status) => {
                    self.send(conditions, named, response).await
                }
                Some(_) | None => response,
            }
        })
    }

    fn inner(&self) -> Vec<&dyn Application> {
        vec![&*self.application]
    }
}
