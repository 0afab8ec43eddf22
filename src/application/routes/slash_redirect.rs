//! The way from the name of a folder to the folder.

use http::{HeaderValue, StatusCode, header};

use crate::interface::Response;
use crate::protocol::cgi::path_info::split_query;

/// Sends a client from the name of a folder to the folder, so that relative links in its pages lead to what is in it. The
/// location is relative itself: it holds whatever a proxy puts in front of the path, and leads to no other host.
pub(in crate::application) fn with_slash(target: &[u8], status: StatusCode) -> Response {
    let (path, query) = split_query(target);
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let mut location = [b"./", name, b"/"].concat();
    if path.len() < target.len() {
        location.push(b'?');
        location.extend_from_slice(query);
    }
    let mut response = Response::plain(status);
    match HeaderValue::from_bytes(&location) {
        Ok(location) => response.headers.insert(header::LOCATION, location),
        Err(_) => return Response::plain(StatusCode::NOT_FOUND),
    };
    response
}
