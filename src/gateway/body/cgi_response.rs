//! A response as CGI, FastCGI and uwsgi send it: a head, then the pieces of a body that is as long as the head says.

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, StatusCode, header};

use crate::gateway::body::response_body::{Body, announced, known_length, may_have_body};
use crate::interface::{Response, ResponseBody, Truncated};
use crate::protocol::cgi::response_head::{HeadForm, write_head};

/// The body of a response whose head is written.
pub(crate) struct CgiResponse(Body);

impl CgiResponse {
    /// Writes the head into `head` and keeps the body for [`CgiResponse::next`]. A malformed `Content-Length` is left out;
    /// a body of known length without one gets it.
    pub(crate) fn new(
        method: &Method,
        mut response: Response,
        form: HeadForm,
        head: &mut BytesMut,
    ) -> Self {
        let mut announced = announced(&mut response.headers, response.about.as_ref());
        if response.status == StatusCode::NO_CONTENT {
            // RFC 9110 §8.6.
            response.headers.remove(header::CONTENT_LENGTH);
        }
        if *method == Method::HEAD || !may_have_body(response.status) {
            response.body = ResponseBody::Bytes(Bytes::new());
            announced = None;
        } else if let (None, Some(length)) = (announced, known_length(&response.body)) {
            let length = HeaderValue::from(length);
            response.headers.insert(header::CONTENT_LENGTH, length);
        }
        write_head(&response, form, head);
        Self(Body::new(response.body, announced, response.about.as_ref()))
    }

    /// The next piece of the body, never empty; `None` at its end. What exceeds `Content-Length` is dropped, what falls
    /// short of it counts as truncated. Nothing is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, Truncated>> {
        std::future::poll_fn(|context| self.0.poll_next(context)).await
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use bytes::{Bytes, BytesMut};
    use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

    use super::{CgiResponse, HeadForm};
    use crate::interface::body_file::{BodyFile, PIECE};
    use crate::interface::{Blocks, Response, ResponseBody, Truncated};

    fn response(status: u16, length: Option<&'static str>, body: ResponseBody) -> Response {
        let mut headers = HeaderMap::new();
        if let Some(length) = length {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static(length));
        }
        Response {
            status: StatusCode::from_u16(status).unwrap(),
            reason: None,
            about: None,
            headers,
            body,
        }
    }

    fn bytes(text: &'static str) -> ResponseBody {
        ResponseBody::Bytes(Bytes::from_static(text.as_bytes()))
    }

    async fn stream(blocks: &[&'static str], end: Option<Truncated>) -> ResponseBody {
        let (sender, body) = Blocks::channel();
        for block in blocks {
            let block = Bytes::from_static(block.as_bytes());
            sender.send(block).await.unwrap();
        }
        if end.is_none() {
            sender.end();
        }
        ResponseBody::Stream(body)
    }

    fn file(text: &[u8], offset: u64, length: u64) -> ResponseBody {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        ResponseBody::File {
            file: BodyFile::of_application(file),
            offset,
            length,
        }
    }

    /// The length in the head, the body, and whether it ended as it should.
    async fn sent(method: &Method, response: Response) -> (Option<String>, Vec<u8>, bool) {
        let mut head = BytesMut::new();
        let mut response = CgiResponse::new(method, response, HeadForm::StatusField, &mut head);
        let head = String::from_utf8(head.to_vec()).unwrap();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map(str::to_owned);
        let mut body = Vec::new();
        let whole = loop {
            match response.next().await {
                Some(Ok(piece)) => {
                    assert!(!piece.is_empty());
                    body.extend_from_slice(&piece);
                }
                Some(Err(Truncated)) => break false,
                None => break true,
            }
        };
        assert!(response.next().await.is_none());
        (length, body, whole)
    }

    #[tokio::test]
    async fn bodies_are_as_long_as_their_heads_say() {
        let get = Method::GET;
        #[rustfmt::skip]
        let cases = [
            (&get, response(200, None, bytes("abc")), Some("3"), "abc", true),
            (&get, response(200, Some("3"), bytes("abc")), Some("3"), "abc", true),
            (&get, response(200, Some("2"), bytes("abc")), Some("2"), "ab", true),
            (&get, response(200, Some("4"), bytes("abc")), Some("4"), "abc", false),
            (&get, response(200, Some("x"), bytes("abc")), Some("3"), "abc", true),
            (&get, response(200, Some(""), bytes("abc")), Some("3"), "abc", true),
            (&get, response(200, None, bytes("")), Some("0"), "", true),
            (&get, response(204, Some("3"), bytes("abc")), None, "", true),
            (&get, response(304, Some("3"), bytes("abc")), Some("3"), "", true),
            (&Method::HEAD, response(200, Some("9"), bytes("")), Some("9"), "", true),
            (&Method::HEAD, response(200, None, bytes("abc")), None, "", true),
            (&get, response(200, None, stream(&["a", "", "bc"], None).await), None, "abc", true),
            (&get, response(200, None, stream(&["a"], Some(Truncated)).await), None, "a", false),
            (&get, response(200, Some("2"), stream(&["a", "bc", "d"], None).await), Some("2"), "ab", true),
            (&get, response(200, Some("2"), stream(&["a"], None).await), Some("2"), "a", false),
            (&get, response(200, Some("1"), stream(&["a"], Some(Truncated)).await), Some("1"), "a", true),
            (&get, response(200, None, file(b"0123456789", 2, 3)), Some("3"), "234", true),
            (&get, response(200, None, file(b"0123456789", 8, 3)), Some("3"), "89", false),
            (&get, response(200, None, file(b"", 0, 0)), Some("0"), "", true),
        ];
        for (number, (method, response, length, body, whole)) in cases.into_iter().enumerate() {
            let (said, sent, ended) = sent(method, response).await;
            let sent = String::from_utf8(sent).unwrap();
            assert_eq!(
                (said.as_deref(), &*sent, ended),
                (length, body, whole),
                "case {number}"
            );
        }
    }

    #[tokio::test]
    async fn large_files_go_out_piece_by_piece() {
        let text: Vec<u8> = (0..3 * PIECE + 7)
            .map(|place| (place % 251) as u8)
            .collect();
        let body = file(&text, 5, text.len() as u64 - 5);
        let (_, body, whole) = sent(&Method::GET, response(200, None, body)).await;
        assert!(whole && body == text[5..]);
    }
}
