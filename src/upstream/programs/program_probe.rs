//! Questions to a process: whether it accepts connections, and whether it answers.

use std::io::{self, ErrorKind};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::log::without_numbers;
use crate::protocol::fastcgi::record::{MANAGEMENT, MPXS_CONNS, RecordKind, put_pair, put_records};
use crate::upstream::server_address::ServerAddress;
use crate::upstream::upstream_stream::UpstreamStream;

/// How long one answer may take at most.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How long the end of a process that has closed its connections may go unnoticed.
const MOMENT: Duration = Duration::from_millis(100);

/// The longest first line of an answer, in bytes.
const LONGEST: usize = 1024;

/// How much is read behind it, in bytes.
const MOST: u64 = 1 << 20;

/// What a process is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// Nothing: it is enough that it accepts the connection.
    Connect,
    /// For this path, by HTTP. The answer is to have a status of 2xx or 3xx.
    Http(String),
    /// What it is able to, by FastCGI (§4.1). Whatever it does with the question, it has accepted the connection. That is not
    /// the case when it could be made, where runner itself has made the socket.
    FastCgi,
}

impl Probe {
    /// Asks it, which may take the time `within`.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(super) async fn ask(
        &self,
        address: &ServerAddress,
        within: Duration,
    ) -> Result<(), String> {
        let asked = async {
            let stream = UpstreamStream::connect(address, within).await?;
            self.ask_over(stream).await
        };
        let asked = timeout(within, asked).await;
        let failed = match asked.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into())) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let why = match failed.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => "it does not listen".to_owned(),
            ErrorKind::TimedOut => {
                format!("it has not answered within {} s", within.as_secs_f64())
            }
            _ => without_numbers(&failed.to_string()),
        };
        Err(match self {
            Self::Http(path) => format!("`{path}`: {why}"),
            Self::Connect | Self::FastCgi => why,
        })
    }

    async fn ask_over(
        &self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> io::Result<()> {
        match self {
            Self::Connect => Ok(()),
            Self::Http(path) => {
                let question = format!(
                    "GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: runner\r\nAccept: */*\r\nConnection: close\r\n\r\n"
                );
                stream.write_all(question.as_bytes()).await?;
                let status = status(&first_line(&mut stream).await?)?;
                tokio::spawn(read_rest(stream));
                match status {
                    200..400 => Ok(()),
                    _ => Err(io::Error::other(format!("it has answered {status}"))),
                }
            }
            Self::FastCgi => {
                let (mut pair, mut record) = (BytesMut::new(), BytesMut::new());
                put_pair(&mut pair, MPXS_CONNS, b"");
                put_records(
                    &mut record,
                    RecordKind::GetValues,
                    MANAGEMENT,
                    pair.freeze(),
                );
                stream.write_all(&record).await?;
                if stream.read(&mut [0; 1]).await? == 0 {
                    // So does a process that ends. Its end is known soon, and nothing is asked any more then.
                    sleep(MOMENT).await;
                }
                Ok(())
            }
        }
    }
}

/// The first line of an answer, without its end.
async fn first_line(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    while line.len() < LONGEST {
        match stream.read_u8().await {
            Ok(b'\n') => return Ok(line),
            Ok(byte) => line.push(byte),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                return Err(io::Error::other(
                    "it has closed the connection without an answer",
                ));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(line)
}

/// Reads what else comes: a server that cannot send its whole answer may write so to its log, at each question.
async fn read_rest(stream: impl AsyncRead + Unpin) {
    let (mut rest, mut nowhere) = (stream.take(MOST), tokio::io::sink());
    // What is longer, or goes on, is broken off.
    let _ = timeout(PATIENCE, tokio::io::copy(&mut rest, &mut nowhere)).await;
}

/// The status in the first line of an answer (RFC 9112 §4).
fn status(line: &[u8]) -> io::Result<u16> {
    let line = std::str::from_utf8(line).unwrap_or_default();
    let code = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
    code.and_then(|code| code.parse().ok())
        .ok_or_else(|| io::Error::other("its answer is not HTTP"))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::Probe;

    /// What becomes of an answer.
    fn asked(probe: &Probe, answer: &'static [u8]) -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        runtime.expect("a runtime").block_on(async {
            let (ours, mut theirs) = duplex(4096);
            let program = tokio::spawn(async move {
                let _ = theirs.read(&mut [0; 1024]).await;
                let _ = theirs.write_all(answer).await;
            });
            let asked = probe.ask_over(ours).await;
            program.await.expect("no panic");
            asked.map_err(|error| error.to_string())
        })
    }

    #[tokio::test]
    async fn an_answer_is_read_to_its_end() {
        // Less than is sent.
        let (ours, mut theirs) = duplex(64);
        let program = tokio::spawn(async move {
            let _ = theirs.read(&mut [0; 1024]).await;
            theirs.write_all(b"HTTP/1.1 204 \r\n").await?;
            theirs.write_all(&[b'x'; 1000]).await
        });
        let asked = Probe::Http("/".to_owned()).ask_over(ours).await;
        asked.expect("a good status");
        let sent = program.await.expect("no panic");
        sent.expect("it was read");
    }

    #[test]
    fn an_answer_counts_by_its_status() {
        let http = Probe::Http("/ready".to_owned());
        for (answer, expected) in [
            (&b"HTTP/1.1 200 OK\r\n"[..], Ok(())),
            (b"HTTP/1.0 302\nmore", Ok(())),
            (b"HTTP/1.1 503 Not yet\r\n", Err("it has answered 503")),
            (b"HTTP/1.1 404 \r\n", Err("it has answered 404")),
            (b"SSH-2.0-x\r\n", Err("its answer is not HTTP")),
            (b"\n", Err("its answer is not HTTP")),
            (
                b"HTTP/1.1 2",
                Err("it has closed the connection without an answer"),
            ),
        ] {
            assert_eq!(asked(&http, answer), expected.map_err(str::to_owned));
        }
        assert_eq!(asked(&Probe::FastCgi, b""), Ok(()));
        assert_eq!(asked(&Probe::FastCgi, b"\x01"), Ok(()));
    }
}
