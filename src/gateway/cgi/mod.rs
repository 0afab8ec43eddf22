//! The CGI gateway (RFC 3875): one request from the process's environment and standard input, answered on standard output.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use anyhow::Context;
use bytes::{Bytes, BytesMut};
use http::Method;

use crate::gateway::body::cgi_response::CgiResponse;
use crate::gateway::body::spool::{Spool, SpoolError, SpoolOptions};
use crate::gateway::refusal::Refusal;
use crate::gateway::request_ids;
use crate::interface::{Application, Errors, Request, RequestBody, Response};
use crate::protocol::cgi::environ::{self, BadEnviron, content_length};
use crate::protocol::cgi::response_head::HeadForm;

/// The size of a read of a body, in bytes.
const READ: usize = 64 * 1024;

/// Options of the CGI gateway.
#[derive(Clone, Debug, Default)]
pub struct CgiOptions {
    /// Where the request body is kept, and the largest one that is accepted (413).
    pub spool: Arc<SpoolOptions>,
    /// Whether the request has an id.
    pub request_id: bool,
}

/// A process's environment: names and values.
pub type Environ = Vec<(Vec<u8>, Vec<u8>)>;

/// Answers the request that this process was started for.
///
/// # Errors
/// Not all of the response could be written, or it ended early: CGI has only the exit status to tell that. Or there is no
/// request, since no web server has started this process.
pub async fn serve(application: Arc<dyn Application>, options: CgiOptions) -> anyhow::Result<()> {
    let environment = std::env::vars_os()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect();
    // `io::Stdout` would write line by line.
    let output = io::stdout()
        .as_fd()
        .try_clone_to_owned()
        .context("cannot write to standard output")?;
    exchange(
        environment,
        io::stdin(),
        File::from(output),
        application,
        options,
    )
    .await
}

/// The same for any environment, input and output.
///
/// # Errors
/// As for [`serve`].
pub async fn exchange(
    environment: Environ,
    input: impl Read + Send + 'static,
    output: impl Write + Send + 'static,
    application: Arc<dyn Application>,
    options: CgiOptions,
) -> anyhow::Result<()> {
    if !environment
        .iter()
        .any(|(name, _)| name == b"REQUEST_METHOD")
    {
        return Err(anyhow::Error::from(BadEnviron::Missing("REQUEST_METHOD"))
            .context("no web server has started this; `serve` and `launch` do without one"));
    }
    let (method, response) = match receive(environment, input, options).await {
        Ok(request) => {
            let (method, ids) = (request.method.clone(), request.ids.clone());
            let mut response = application.respond(request).await;
            request_ids::put(&mut response.headers, ids.as_deref());
            (method, response)
        }
        Err(refusal) => {
            crate::log_warning!("refused a CGI request: {refusal}");
            (Method::GET, Response::plain(refusal.status))
        }
    };
    send(&method, response, output).await
}

async fn receive(
    environment: Environ,
    input: impl Read + Send + 'static,
    options: CgiOptions,
) -> Result<Request, Refusal> {
    let length = environment
        .iter()
        .rfind(|(name, _)| name == b"CONTENT_LENGTH")
        .map_or(&b""[..], |(_, value)| value);
    let length = content_length(length)?;
    let body = if length == 0 {
        RequestBody::Empty
    } else if length > options.spool.limit {
        return Err(SpoolError::TooLarge.into());
    } else {
        read_body(input, length, &options.spool).await?
    };
    let variables = environment
        .iter()
        .map(|(name, value)| (&name[..], &value[..]));
    let mut request = environ::request(variables, body, Errors::Log)?;
    if options.request_id {
        request_ids::assign_behind_server(&mut request);
    }
    Ok(request)
}

/// Reads a body, and not a byte more (RFC 3875 §4.2). [`environ::request`] refuses one that ends early.
async fn read_body(
    input: impl Read + Send + 'static,
    length: u64,
    options: &Arc<SpoolOptions>,
) -> Result<RequestBody, Refusal> {
    let mut spool = Spool::new(options, None);
    let mut input = input.take(length);
    loop {
        let read = in_background(move || {
            let mut part = Vec::with_capacity(READ);
            let read = input.by_ref().take(READ as u64).read_to_end(&mut part);
            read.map(|_| (input, part))
        });
        let unreadable = |error| Refusal::malformed(format!("cannot read its body: {error}"));
        let (rest, part) = read.await.flatten().map_err(unreadable)?;
        input = rest;
        if part.is_empty() {
            return Ok(spool.finish().await?);
        }
        spool.push(part.into()).await?;
    }
}

async fn send(
    method: &Method,
    response: Response,
    mut output: impl Write + Send + 'static,
) -> anyhow::Result<()> {
    let mut head = BytesMut::new();
    let mut body = CgiResponse::new(method, response, HeadForm::StatusField, &mut head);
    let mut unsent = head;
    loop {
        let next = tokio::select! {
            biased;
            next = body.next() => next,
            // The head is written together with a piece that is there already, but does not wait for one.
            () = std::future::ready(()), if !unsent.is_empty() => {
                output = write(output, unsent.split().freeze()).await?;
                continue;
            }
        };
        let last = match next {
            Some(Ok(piece)) if unsent.is_empty() => {
                output = write(output, piece).await?;
                continue;
            }
            Some(Ok(piece)) => {
                unsent.extend_from_slice(&piece);
                None
            }
            Some(Err(truncated)) => Some(Err(truncated.into())),
            None => Some(Ok(())),
        };
        output = write(output, unsent.split().freeze()).await?;
        if let Some(ended) = last {
            return ended;
        }
    }
}

async fn write<W: Write + Send + 'static>(mut output: W, bytes: Bytes) -> anyhow::Result<W> {
    let written = in_background(move || {
        output.write_all(&bytes)?;
        output.flush()?;
        Ok(output)
    });
    written.await.flatten().context("cannot write the response")
}

/// Runs work that may block on another thread, so that the application goes on meanwhile.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    Ok(tokio::task::spawn_blocking(work).await?)
}
