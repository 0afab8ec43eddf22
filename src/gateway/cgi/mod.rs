//! The CGI gateway: one request from the process's environment and standard input, answered on standard
//! output (RFC 3875).

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use anyhow::Context;
use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};

use crate::gateway::body::cgi_response::Outgoing;
use crate::gateway::body::spool::{Spool, SpoolError, SpoolOptions};
use crate::interface::{Application, Errors, Request, RequestBody, Response};
use crate::protocol::cgi::environ;
use crate::protocol::cgi::environ::{BadEnviron, content_length};

/// How much of a body is read at once, in bytes.
const READ: usize = 64 * 1024;

/// How the gateway behaves.
#[derive(Clone, Debug, Default)]
pub struct CgiOptions {
    /// Where the request body is kept, and how large it may be (413).
    pub spool: Arc<SpoolOptions>,
}

/// A process's environment: names and values.
pub type Environment = Vec<(Vec<u8>, Vec<u8>)>;

/// Answers the request that this process was started for.
///
/// # Errors
/// Not all of the response could be written, or it ended early: CGI has no other way to say so
/// than the exit status. Or there is no request, since no web server has started this process.
pub async fn serve(application: Arc<dyn Application>, options: CgiOptions) -> anyhow::Result<()> {
    let environment = std::env::vars_os()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect();
    // Standard output as Rust has it would write line by line.
    let output = io::stdout()
        .as_fd()
        .try_clone_to_owned()
        .context("cannot write to standard output")?;
    exchange(
        environment,
        io::stdin(),
        File::from(output),
        &*application,
        options,
    )
    .await
}

/// The same for any environment, input and output.
///
/// # Errors
/// As for [`serve`].
pub async fn exchange(
    environment: Environment,
    input: impl Read + Send + 'static,
    output: impl Write + Send + 'static,
    application: &dyn Application,
    options: CgiOptions,
) -> anyhow::Result<()> {
    let (method, response) = match receive(environment, input, options).await {
        Ok(request) => {
            let method = request.method.clone();
            (method, application.respond(request).await)
        }
        Err(Refusal::Environ(missing @ BadEnviron::Missing(_))) => {
            return Err(anyhow::Error::from(missing)
                .context("no web server has started this; `serve` and `launch` do without one"));
        }
        Err(refusal) => {
            crate::log!("refused a CGI request: {refusal}");
            (Method::GET, Response::plain(refusal.status()))
        }
    };
    send(&method, response, output).await
}

/// Why a request is answered here.
enum Refusal {
    Environ(BadEnviron),
    Body(SpoolError),
    Input(io::Error),
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Environ(_) | Self::Input(_) => StatusCode::BAD_REQUEST,
            Self::Body(SpoolError::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(SpoolError::Unwritable(_)) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Environ(error) => error.fmt(formatter),
            Self::Body(error) => error.fmt(formatter),
            Self::Input(error) => write!(formatter, "cannot read its body: {error}"),
        }
    }
}

async fn receive(
    environment: Environment,
    input: impl Read + Send + 'static,
    options: CgiOptions,
) -> Result<Request, Refusal> {
    let length = environment
        .iter()
        .rfind(|(name, _)| name == b"CONTENT_LENGTH")
        .map_or(&b""[..], |(_, value)| value);
    let length = content_length(length).map_err(Refusal::Environ)?;
    let body = if length == 0 {
        RequestBody::Empty
    } else if length > options.spool.limit {
        return Err(Refusal::Body(SpoolError::TooLarge));
    } else {
        read_body(input, length, &options.spool).await?
    };
    let variables = environment
        .iter()
        .map(|(name, value)| (&name[..], &value[..]));
    environ::request(variables, body, Errors::Log).map_err(Refusal::Environ)
}

/// Reads a body, and not a byte more (RFC 3875 §4.2). One that ends early is found out by
/// [`environ::request`].
async fn read_body(
    input: impl Read + Send + 'static,
    length: u64,
    options: &Arc<SpoolOptions>,
) -> Result<RequestBody, Refusal> {
    let mut spool = Spool::new(options);
    let mut input = input.take(length);
    loop {
        let read = in_background(move || {
            let mut part = Vec::with_capacity(READ);
            let read = input.by_ref().take(READ as u64).read_to_end(&mut part);
            read.map(|_| (input, part))
        });
        let (rest, part) = read.await.flatten().map_err(Refusal::Input)?;
        input = rest;
        if part.is_empty() {
            return spool.finish().await.map_err(Refusal::Body);
        }
        spool.push(part.into()).await.map_err(Refusal::Body)?;
    }
}

async fn send(
    method: &Method,
    response: Response,
    mut output: impl Write + Send + 'static,
) -> anyhow::Result<()> {
    let mut head = BytesMut::new();
    let mut outgoing = Outgoing::new(method, response, &mut head);
    let mut unsent = head;
    loop {
        let next = tokio::select! {
            biased;
            next = outgoing.next() => next,
            // A head goes out together with what is there already, and waits for nothing else.
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

/// Runs what may block on another thread, so that the application goes on meanwhile.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    Ok(tokio::task::spawn_blocking(work).await?)
}
