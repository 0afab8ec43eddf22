//! The CGI gateway: from environment and standard input to a response.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::fs::File;
use std::io::{self, Cursor, Read, Write};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use runner::gateway::body::spool::SpoolOptions;
use runner::gateway::cgi::{CgiOptions, exchange};
use runner::interface::body_file::BodyFile;
use runner::interface::{
    Application, Blocks, Pending, Request, RequestBody, Response, ResponseBody,
};
use runner::protocol::cgi::environ;

/// An application that behaves as the path says.
struct Sample;

async fn answer(request: Request) -> Response {
    let mut response = Response {
        status: StatusCode::OK,
        reason: None,
        about: None,
        headers: HeaderMap::new(),
        body: ResponseBody::Bytes(Bytes::new()),
    };
    match &request.path_info[..] {
        b"/echo" => {
            let mut bytes = Vec::new();
            match request.body {
                RequestBody::Empty => (),
                RequestBody::Bytes(body) => bytes = body.to_vec(),
                RequestBody::File { file, .. } => {
                    let file = file.descriptor().unwrap().try_clone_to_owned().unwrap();
                    File::from(file).read_to_end(&mut bytes).unwrap();
                }
            }
            response.body = ResponseBody::Bytes(bytes.into());
        }
        b"/environ" => {
            let mut lines = Vec::new();
            environ::variables(&request, |name, value| {
                lines.push([name, b"=", value].concat());
            });
            lines.sort();
            response.body = ResponseBody::Bytes(lines.join(&b'\n').into());
        }
        b"/stream" | b"/truncated" => {
            let truncated = &request.path_info[..] == b"/truncated";
            let (blocks, stream) = Blocks::channel();
            tokio::spawn(async move {
                for block in ["one ", "two ", "three"] {
                    let block = Bytes::from_static(block.as_bytes());
                    blocks.send(block).await.unwrap();
                }
                if !truncated {
                    blocks.end();
                }
            });
            response.body = ResponseBody::Stream(stream);
        }
        b"/endless" => {
            let (blocks, stream) = Blocks::channel();
            tokio::spawn(
                async move { while blocks.send(Bytes::from_static(b"more")).await.is_ok() {} },
            );
            response.body = ResponseBody::Stream(stream);
        }
        b"/file" => {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(b"0123456789").unwrap();
            response.body = ResponseBody::File {
                file: BodyFile::of_application(file),
                offset: 2,
                length: 5,
            };
        }
        b"/nothing" => response.status = StatusCode::NO_CONTENT,
        b"/redirect" => {
            response.status = StatusCode::FOUND;
            response.headers.insert("location", "/x".parse().unwrap());
        }
        other => {
            let text = format!("hello from {}", String::from_utf8_lossy(other));
            response.body = ResponseBody::Bytes(text.into());
        }
    }
    response
}

impl Application for Sample {
    fn respond(self: Arc<Self>, request: Request) -> Pending<'static, Response> {
        Box::pin(answer(request))
    }
}

/// Standard output that records each write. It breaks when it holds `capacity` bytes.
#[derive(Clone)]
struct Output {
    writes: Arc<Mutex<Vec<Vec<u8>>>>,
    capacity: usize,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut writes = self.writes.lock().unwrap();
        let held: usize = writes.iter().map(Vec::len).sum();
        if held >= self.capacity {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        writes.push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs one request; returns each write, and the error that becomes the exit status.
struct Run {
    writes: Vec<String>,
    error: Option<String>,
}

impl Run {
    fn text(&self) -> String {
        self.writes.concat()
    }
}

async fn run(variables: &[(&str, &str)], input: &'static [u8]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let spool = SpoolOptions {
        folder: folder.path().to_owned(),
        limit: 3_000_000,
        ..SpoolOptions::default()
    };
    let output = Output {
        writes: Arc::default(),
        capacity: 4_000_000,
    };
    let options = CgiOptions {
        spool: Arc::new(spool),
        request_id: false,
    };
    exchange_with(variables, Cursor::new(input), output, options).await
}

async fn exchange_with(
    variables: &[(&str, &str)],
    input: impl Read + Send + 'static,
    output: Output,
    options: CgiOptions,
) -> Run {
    let environment = [("SCRIPT_NAME", "/app.cgi")]
        .iter()
        .chain(variables)
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect();
    let ended = exchange(
        environment,
        input,
        output.clone(),
        Arc::new(Sample),
        options,
    )
    .await;
    let writes = output.writes.lock().unwrap();
    Run {
        writes: writes
            .iter()
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            .collect(),
        error: ended.err().map(|error| format!("{error:#}")),
    }
}

#[tokio::test]
async fn answers() {
    #[rustfmt::skip]
    let cases = [
        ("GET", "/x", "Status: 200 OK\r\ncontent-length: 13\r\n\r\nhello from /x"),
        ("HEAD", "/x", "Status: 200 OK\r\n\r\n"),
        ("GET", "/nothing", "Status: 204 No Content\r\n\r\n"),
        ("GET", "/redirect", "Status: 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n"),
        ("GET", "/file", "Status: 200 OK\r\ncontent-length: 5\r\n\r\n23456"),
        ("GET", "/stream", "Status: 200 OK\r\n\r\none two three"),
    ];
    for (method, path, expected) in cases {
        let run = run(&[("REQUEST_METHOD", method), ("PATH_INFO", path)], b"").await;
        assert_eq!(
            (&*run.text(), run.error),
            (expected, None),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn a_small_answer_is_one_write_and_a_stream_goes_out_as_it_comes() {
    let small = run(&[("REQUEST_METHOD", "GET"), ("PATH_INFO", "/x")], b"").await;
    assert_eq!(small.writes.len(), 1);
    let stream = run(&[("REQUEST_METHOD", "GET"), ("PATH_INFO", "/stream")], b"").await;
    // Blocks that were made during a write go out together in the next one.
    assert_eq!(stream.writes[..2], ["Status: 200 OK\r\n\r\n", "one "]);
    assert_eq!(stream.writes[2..].concat(), "two three");
}

#[tokio::test]
async fn the_variables_reach_the_application() {
    let variables = [
        ("AUTH_TYPE", "Basic"),
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("HTTP_HOST", "example.org"),
        ("HTTP_PROXY", "http://evil/"),
        ("PATH", "/bin"),
        ("PATH_INFO", "/environ"),
        ("QUERY_STRING", ""),
        ("REMOTE_ADDR", "192.0.2.1"),
        ("REQUEST_METHOD", "GET"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
    ];
    let run = run(&variables, b"").await;
    let text = run.text();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    let expected = "\
AUTH_TYPE=Basic
GATEWAY_INTERFACE=CGI/1.1
HTTP_HOST=example.org
PATH=/bin
PATH_INFO=/environ
QUERY_STRING=
REMOTE_ADDR=192.0.2.1
REQUEST_METHOD=GET
REQUEST_URI=/app.cgi/environ
SCRIPT_NAME=/app.cgi
SERVER_NAME=example.org
SERVER_PORT=80
SERVER_PROTOCOL=HTTP/1.1";
    assert_eq!(body, expected);
}

#[tokio::test]
async fn bodies_are_read_as_far_as_they_go() {
    static LARGE: [u8; 2_000_000] = [b'x'; 2_000_000];
    #[rustfmt::skip]
    let cases: [(&[u8], &str, &[u8]); 5] = [
        (b"", "", b""),
        (b"not for us", "", b""),
        (b"not for us", "0", b""),
        (b"body, and more", "4", b"body"),
        (&LARGE, "2000000", &LARGE),
    ];
    for (input, length, expected) in cases {
        let variables = [
            ("REQUEST_METHOD", "POST"),
            ("PATH_INFO", "/echo"),
            ("CONTENT_LENGTH", length),
        ];
        let text = run(&variables, input).await.text();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(body.as_bytes() == expected, "{length}");
    }
}

/// Input that must not be read.
struct Untouchable;

impl Read for Untouchable {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        panic!("it was read");
    }
}

#[tokio::test]
async fn what_is_refused() {
    #[rustfmt::skip]
    let cases: [(&[(&str, &str)], &str); 5] = [
        (&[("REQUEST_METHOD", "POST"), ("CONTENT_LENGTH", "5")], "Status: 400 Bad Request\r\n"),
        (&[("REQUEST_METHOD", "POST"), ("CONTENT_LENGTH", "x")], "Status: 400 Bad Request\r\n"),
        (&[("REQUEST_METHOD", "G T")], "Status: 400 Bad Request\r\n"),
        (&[("REQUEST_METHOD", "POST"), ("CONTENT_LENGTH", "3000001")], "Status: 413 Payload Too Large\r\n"),
        (&[("REQUEST_METHOD", "POST"), ("CONTENT_LENGTH", "4")], "Status: 200 OK\r\n"),
    ];
    for (variables, status) in cases {
        let run = run(variables, b"1234").await;
        assert!(
            run.text().starts_with(status),
            "{variables:?}: {}",
            run.text()
        );
        assert_eq!(run.error, None);
    }
    let spool = SpoolOptions {
        limit: 1,
        ..SpoolOptions::default()
    };
    let output = Output {
        writes: Arc::default(),
        capacity: 1000,
    };
    let too_large = [("REQUEST_METHOD", "POST"), ("CONTENT_LENGTH", "2")];
    let options = CgiOptions {
        spool: Arc::new(spool),
        request_id: false,
    };
    let run = exchange_with(&too_large, Untouchable, output, options).await;
    assert!(run.text().starts_with("Status: 413 "));
}

#[tokio::test]
async fn without_a_web_server_there_is_nothing_to_answer() {
    let run = run(&[("PATH", "/bin")], b"").await;
    assert_eq!(run.text(), "");
    assert_eq!(
        run.error.as_deref(),
        Some(
            "no web server has started this; `serve` and `launch` do without one: \
             the variable `REQUEST_METHOD` is not set"
        )
    );
}

#[tokio::test]
async fn a_response_that_ends_early_is_an_error() {
    let run = run(
        &[("REQUEST_METHOD", "GET"), ("PATH_INFO", "/truncated")],
        b"",
    )
    .await;
    assert_eq!(run.text(), "Status: 200 OK\r\n\r\none two three");
    assert_eq!(
        run.error.as_deref(),
        Some("the application's response ended early")
    );
}

#[tokio::test]
async fn a_web_server_that_goes_away_ends_it() {
    let output = Output {
        writes: Arc::default(),
        capacity: 1000,
    };
    let endless = [("REQUEST_METHOD", "GET"), ("PATH_INFO", "/endless")];
    let run = exchange_with(&endless, io::empty(), output, CgiOptions::default()).await;
    assert_eq!(
        run.error.as_deref(),
        Some("cannot write the response: broken pipe")
    );
}
