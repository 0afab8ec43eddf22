//! The page that lists a folder.

use std::fmt::Write;
use std::os::fd::OwnedFd;
use std::path::Path;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use rustix::fs::{AtFlags, Dir, FileType, statat};
use rustix::io::Errno;

use crate::application::own_page::escape_markup;
use crate::interface::{Response, ResponseBody};
use crate::protocol::cgi::path_info::encode;

/// More names than anybody reads are left out.
const MOST: usize = 10_000;

/// The page of a folder at a path below the root. Links lead from the folder's own URL, which ends in a slash.
///
/// # Errors
/// The folder cannot be read.
pub(super) fn page(folder: &OwnedFd, path: &Path, hidden: bool) -> Result<String, Errno> {
    let mut folders = Vec::new();
    let mut files = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if (name.starts_with(b".") && (!hidden || name == b"." || name == b".."))
            || folders.len() + files.len() == MOST
        {
            continue;
        }
        // What is gone in the meantime, or a link to nothing, is not shown.
        let Ok(about) = statat(folder, entry.file_name(), AtFlags::empty()) else {
            continue;
        };
        match FileType::from_raw_mode(about.st_mode) {
            FileType::Directory => folders.push((name.to_vec(), None)),
            FileType::RegularFile => files.push((name.to_vec(), Some(about.st_size))),
            _ => {}
        }
    }
    folders.sort();
    files.sort();
    let title = format!("/{}", escaped(&path.to_string_lossy()));
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n</head>\n\
         <body>\n<h1>{title}</h1>\n<ul>\n"
    );
    if !path.as_os_str().is_empty() {
        page.push_str("<li><a href=\"../\">../</a></li>\n");
    }
    for (name, size) in folders.into_iter().chain(files) {
        let slash = if size.is_none() { "/" } else { "" };
        let link = escaped(&encode(&name));
        let text = String::from_utf8_lossy(&name);
        let _ = write!(
            page,
            "<li><a href=\"./{link}{slash}\">{}{slash}</a>",
            escaped(&text)
        );
        if let Some(size) = size {
            let _ = write!(page, " {size} bytes");
        }
        page.push_str("</li>\n");
    }
    page.push_str("</ul>\n</body>\n</html>\n");
    Ok(page)
}

/// The response with such a page.
pub(super) fn response(page: String) -> Response {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(page.len()));
    Response {
        status: StatusCode::OK,
        reason: None,
        about: None,
        headers,
        body: ResponseBody::Bytes(page.into()),
    }
}

fn escaped(text: &str) -> String {
    let mut page = String::new();
    escape_markup(&mut page, text);
    page
}
