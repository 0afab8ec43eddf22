//! The response with a file, or a part of it, or that the client has it already.

use std::fmt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::application::files::byte_range::Portion;
use crate::application::files::file_type;
use crate::application::files::open_file::OpenFile;
use crate::application::files::validators::{Precondition, Validators};
use crate::interface::body_file::{BodyFile, FileState, FileSubject, read_cached};
use crate::interface::{Request, RequestName, Response, ResponseBody};
use crate::log::LogSubject;
use crate::protocol::content_coding::ContentCoding;

/// Files up to this size in bytes are sent from memory: a thread for each piece costs more than the copy.
const SMALL: u64 = 64 * 1024;

/// The response to a `GET` or `HEAD` for a file, with some `headers`.
pub(in crate::application) fn of(
    request: &Request,
    path: &Path,
    open: OpenFile,
    coding: Option<ContentCoding>,
    mut headers: HeaderMap,
) -> Response {
    let validators = Validators::new(open.modified, open.length, coding.map(ContentCoding::name));
    let mut put = |name, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    put(header::ETAG, validators.tag.clone());
    put(header::LAST_MODIFIED, validators.last_modified());
    match validators.condition(&request.headers) {
        Precondition::Met => {}
        Precondition::NotModified => return empty(StatusCode::NOT_MODIFIED, headers),
        Precondition::Failed => return Response::plain(StatusCode::PRECONDITION_FAILED),
    }
    let mut ranges = request.headers.get_all(header::RANGE).iter();
    let portion = match (ranges.next(), ranges.next()) {
        // A range has no meaning for another method (RFC 9110 §14.2). Two fields are one value (§5.3), which is no range:
        // Apache ignores it, too; nginx takes the first one, so that a cache in front that takes the last one has other bytes.
        (Some(range), None)
            if request.method == http::Method::GET && validators.allow_range(&request.headers) =>
        {
            Portion::of(range.as_bytes(), open.length)
        }
        _ => Portion::Whole,
    };
    let (status, bytes) = match portion {
        Portion::Whole => (StatusCode::OK, 0..open.length),
        Portion::Bytes(range) => {
            let (first, last) = (range.start, range.end - 1);
            put(
                header::CONTENT_RANGE,
                format!("bytes {first}-{last}/{}", open.length),
            );
            (StatusCode::PARTIAL_CONTENT, range)
        }
        Portion::Unsatisfiable => {
            let mut response = Response::plain(StatusCode::RANGE_NOT_SATISFIABLE);
            if let Ok(value) = HeaderValue::try_from(format!("bytes */{}", open.length)) {
                response.headers.insert(header::CONTENT_RANGE, value);
            }
            return response;
        }
    };
    let length = bytes.end - bytes.start;
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::CONTENT_TYPE, file_type::of(path));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // The ending of the name decides what it is, and not what is in it.
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if let Some(coding) = coding {
        headers.insert(
            header::CONTENT_ENCODING,
            HeaderValue::from_static(coding.name()),
        );
    }
    let small = match open.length <= SMALL && request.method == http::Method::GET {
        // At most 64 KiB, which every usize holds.
        true => {
            let length = open.length as usize;
            let read = read_cached(&open.file, 0, length);
            read.filter(|text| text.len() == length)
        }
        false => None,
    };
    let body = match small {
        Some(mut text) => {
            text.truncate(bytes.end as usize);
            text.drain(..bytes.start as usize);
            ResponseBody::Bytes(text.into())
        }
        None => ResponseBody::File {
            file: BodyFile::about(
                open.file,
                Some(FileState {
                    length: open.length,
                    modified: open.modified,
                }),
                SentFile {
                    name: RequestName::of(request),
                    path: path.to_owned(),
                },
            ),
            offset: bytes.start,
            length,
        },
    };
    Response {
        status,
        reason: None,
        about: None,
        headers,
        body,
    }
}

/// A file, and the request for it.
#[derive(Debug)]
struct SentFile {
    name: RequestName,
    path: PathBuf,
}

impl fmt::Display for SentFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` for {}", self.path.display(), self.name)
    }
}

impl FileSubject for SentFile {
    fn log_subject(&self) -> LogSubject<'_> {
        self.name.subject()
    }
}

fn empty(status: StatusCode, headers: HeaderMap) -> Response {
    Response {
        status,
        reason: None,
        about: None,
        headers,
        body: ResponseBody::Bytes(Bytes::new()),
    }
}
