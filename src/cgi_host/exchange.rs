//! One request to a CGI program: its turn, the start of its process, the response, and the end of the process.
//!
//! The process ends before its time, with all that it has started, when the client leaves, when the time for the head is
//! over, when it gives no response, and when the server ends. What a process leaves that has answered and ended by itself
//! goes on, as behind Apache (mod_cgi, mod_cgid), lighttpd and fcgiwrap: a job that it has begun, or a daemon that is about to
//! make its own session (`setsid(2)`), such as `git gc --auto` after a push. It ends when this version of the application
//! does ([`crate::children::left_groups`]), and no response waits for it.

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, StatusCode, header};
use tokio::net::unix::pipe::Receiver;
use tokio::sync::oneshot::Sender;
use tokio::time::{sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::cgi_host::cgi_script::{CgiScript, ScriptAnswer};
use crate::cgi_host::host_state::HostState;
use crate::cgi_host::process_slots::NoSlot;
use crate::cgi_host::script_output::{SILENCE, ScriptOutput};
use crate::cgi_host::script_process::{self, NotStarted, ScriptProcess, StartedScript};
use crate::cgi_host::{script_environment, script_errors};
use crate::children::cause;
use crate::interface::master_status::Totals;
use crate::interface::{BlockSender, Blocks, Request, RequestName, Response, ResponseBody};
use crate::log::LogKind;
use crate::protocol::cgi::program_head::{HeadReader, ProgramHead};

/// The largest body that is sent as a whole, in bytes, where all of it is there at once.
const WHOLE: usize = 64 * 1024;

/// How long a program has between SIGTERM and SIGKILL; and if the server ends.
const GRACE: Duration = Duration::from_secs(2);
const LAST_GRACE: Duration = Duration::from_millis(500);

/// Runs the program for a request, and keeps the promise of its answer.
pub(super) async fn run(
    host: Arc<HostState>,
    script: CgiScript,
    mut request: Request,
    mut promise: Sender<ScriptAnswer>,
) {
    let exchange = ScriptExchange {
        name: script.name(),
        about: RequestName::of(&request),
        has_body: request.method != Method::HEAD,
        host: &host,
    };
    host.roster.count(|totals| &mut totals.requests);
    let slot = tokio::select! {
        biased;
        () = promise.closed() => return,
        () = host.ending.cancelled() => Err(NoSlot::Ending),
        slot = host.slots.take(exchange.about.waiting_client()) => slot,
    };
    let _slot = match slot {
        Ok(slot) => slot,
        Err(none) => return exchange.unavailable(none, promise),
    };
    let configured = &host.options.environment;
    let environment = script_environment::of(&script, &mut request, configured);
    let errors = std::mem::take(&mut request.errors);
    let body = std::mem::take(&mut request.body);
    drop(request);
    let number = host.roster.next();
    let mark = host.mark.of(Some(number));
    let StartedScript {
        process,
        stdout,
        stderr,
    } = match script_process::start(&script, environment, body, mark).await {
        Ok(started) => started,
        Err(failure) => return exchange.not_started(&failure, promise),
    };
    let _entry = host.roster.enter(number, process.id(), &exchange.about);
    let (name, about) = (exchange.name.clone(), exchange.about.clone());
    let reports = script_errors::pass_on(stderr, name, about, errors);
    let reports = AbortOnDropHandle::new(tokio::spawn(reports));
    exchange.answer(process, stdout, promise).await;
    // The last lines are in the pipe; what else keeps it open is not waited for.
    let _ = timeout(SILENCE, reports).await;
}

/// A request, and what the log calls it and its program.
struct ScriptExchange<'a> {
    name: String,
    about: RequestName,
    /// The response may have a body.
    has_body: bool,
    host: &'a HostState,
}

/// How the wait for a head ended.
enum HeadEnd {
    Head(ProgramHead, Bytes),
    /// There is none: why.
    None(String),
    Overdue,
    ClientGone,
    Ending,
}

/// How a body ended.
enum OutputEnd {
    /// With the output of the program.
    Complete,
    ClientGone,
    Ending,
}

/// A moment, if there is one.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

impl ScriptExchange<'_> {
    /// Passes on the response of a process, and ends it.
    async fn answer(
        &self,
        process: ScriptProcess,
        stdout: Receiver,
        mut promise: Sender<ScriptAnswer>,
    ) {
        let mut output = ScriptOutput::new(stdout);
        let (head, first) = match self.head(&process, &mut output, &mut promise).await {
            HeadEnd::Head(head, first) => (head, first),
            HeadEnd::None(why) => {
                self.bad_gateway(&why, promise);
                drop(output);
                return process.terminate(GRACE).await;
            }
            HeadEnd::Overdue => {
                self.overdue(promise);
                drop(output);
                return process.terminate(GRACE).await;
            }
            HeadEnd::ClientGone => {
                drop(output);
                return process.terminate(GRACE).await;
            }
            HeadEnd::Ending => {
                self.given_up(promise);
                drop(output);
                return process.terminate(LAST_GRACE).await;
            }
        };
        let is_empty = !self.has_body
            || head.local_redirect.is_some()
            || matches!(
                head.status,
                StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
            );
        if is_empty {
            // The program may end as it likes.
            let _ = promise.send(self.response(head, ResponseBody::Bytes(Bytes::new())));
            return self.finish(process, Some(output)).await;
        }
        let mut body = BytesMut::from(first);
        let has_ended = loop {
            match output.next_at_once(&process).await {
                Some(Some(part)) => body.extend_from_slice(&part),
                Some(None) => break true,
                None => break false,
            }
            if body.len() > WHOLE {
                break false;
            }
        };
        let body = body.freeze();
        if has_ended {
            if let Some(crash) = self.crash(&process).await {
                self.bad_gateway(&crash, promise);
                return process.terminate(GRACE).await;
            }
            let _ = promise.send(self.response(head, ResponseBody::Bytes(body)));
            return self.finish(process, None).await;
        }
        let (sender, blocks) = Blocks::of(&self.host.depot, Some(&self.about));
        let _ = sender.push(body);
        if promise
            .send(self.response(head, ResponseBody::Stream(blocks)))
            .is_err()
        {
            drop(output);
            return process.terminate(GRACE).await;
        }
        match self.stream(&process, &mut output, &sender).await {
            OutputEnd::Complete => {
                if let Some(crash) = self.crash(&process).await {
                    self.say(&crash);
                    drop(sender);
                    return process.terminate(GRACE).await;
                }
                sender.end();
                self.finish(process, None).await;
            }
            OutputEnd::ClientGone => {
                drop(output);
                process.terminate(GRACE).await;
            }
            OutputEnd::Ending => {
                self.say("was ended in the middle of its response (runner.stop_timeout)");
                drop((sender, output));
                process.terminate(LAST_GRACE).await;
            }
        }
    }

    /// Waits for the head, and for no more than it.
    async fn head(
        &self,
        process: &ScriptProcess,
        output: &mut ScriptOutput,
        promise: &mut Sender<ScriptAnswer>,
    ) -> HeadEnd {
        let mut reader = HeadReader::default();
        let deadline = self.deadline();
        loop {
            let part = tokio::select! {
                biased;
                () = promise.closed() => return HeadEnd::ClientGone,
                part = output.next(process) => part,
                () = self.host.ending.cancelled() => return HeadEnd::Ending,
                () = at(deadline) => return HeadEnd::Overdue,
            };
            let Some(part) = part else {
                let ended = reader.ended();
                return HeadEnd::None(match self.status(process).await {
                    Some(status) if !status.success() => {
                        format!("{}: {ended}", cause(status))
                    }
                    Some(_) | None => format!("gave no response: {ended}"),
                });
            };
            match reader.push(&part) {
                Ok(None) => {}
                Ok(Some((head, first))) => return HeadEnd::Head(head, first),
                Err(malformed) => {
                    return HeadEnd::None(format!("gave a malformed response: {malformed}"));
                }
            }
        }
    }

    /// Passes on the rest of the body.
    async fn stream(
        &self,
        process: &ScriptProcess,
        output: &mut ScriptOutput,
        sender: &BlockSender,
    ) -> OutputEnd {
        loop {
            let part = tokio::select! {
                biased;
                () = sender.gone() => return OutputEnd::ClientGone,
                part = output.next(process) => part,
                () = self.host.ending.cancelled() => return OutputEnd::Ending,
            };
            let Some(part) = part else {
                return OutputEnd::Complete;
            };
            tokio::select! {
                biased;
                sent = sender.send(part) => if sent.is_err() {
                    return OutputEnd::ClientGone;
                },
                () = self.host.ending.cancelled() => return OutputEnd::Ending,
            }
        }
    }

    /// The status of a process that has written all and is about to end; `None` if it goes on.
    async fn status(&self, process: &ScriptProcess) -> Option<ExitStatus> {
        timeout(SILENCE, process.ended()).await.ok()?;
        process.status()
    }

    /// How the process was killed, if it was: then its output is not whole.
    async fn crash(&self, process: &ScriptProcess) -> Option<String> {
        let status = self.status(process).await?;
        let is_crash = status.code().is_none();
        is_crash.then(|| format!("{} in the middle of its response", cause(status)))
    }

    /// Lets a process end that has answered, in the time that it has for a response. What it still writes is dropped.
    async fn finish(&self, process: ScriptProcess, mut output: Option<ScriptOutput>) {
        let deadline = self.deadline();
        let end = async {
            if let Some(output) = &mut output {
                while output.next(&process).await.is_some() {}
            }
            process.ended().await;
        };
        let grace = tokio::select! {
            biased;
            () = end => None,
            () = self.host.ending.cancelled() => Some(LAST_GRACE),
            () = at(deadline) => {
                self.say("was ended: it went on after its response (runner.request.timeout)");
                Some(GRACE)
            }
        };
        match grace {
            None => self.host.left_groups.add(process.leave()),
            Some(grace) => process.terminate(grace).await,
        }
    }

    /// When the time is over that begins now.
    fn deadline(&self) -> Option<Instant> {
        let limit = self.host.options.request_timeout;
        (!limit.is_zero()).then(|| Instant::now() + limit)
    }

    fn say(&self, what: &str) {
        let (name, about) = (&self.name, &self.about);
        crate::log_of!(
            LogKind::InvalidAnswer,
            about = about.subject(),
            "{about}: `{name}` {what}"
        );
    }

    fn refuse(&self, status: StatusCode, promise: Sender<ScriptAnswer>) {
        let mut response = Response::plain(status);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let soon = HeaderValue::from_static("1");
            response.headers.insert(header::RETRY_AFTER, soon);
        }
        let answered = promise.send(ScriptAnswer::Response(response)).is_ok();
        let counter: fn(&mut Totals) -> &mut u64 = match status {
            StatusCode::BAD_GATEWAY => |totals| &mut totals.bad_gateway,
            StatusCode::SERVICE_UNAVAILABLE => |totals| &mut totals.unavailable,
            StatusCode::GATEWAY_TIMEOUT => |totals| &mut totals.gateway_timeout,
            _ => return,
        };
        if answered {
            self.host.roster.count(counter);
        }
    }

    fn unavailable(&self, none: NoSlot, promise: Sender<ScriptAnswer>) {
        let about = &self.about;
        let reason = match none {
            NoSlot::QueueFull => format!(
                "{} requests wait already (runner.request.queue_length)",
                self.host.options.queue_length
            ),
            NoSlot::TooLong(waited) => format!(
                "no process was free for {:.1} s (runner.request.queue_timeout)",
                waited.as_secs_f64()
            ),
            NoSlot::Ending => {
                "it had not begun when the time to stop was over (runner.stop_timeout)".to_owned()
            }
        };
        crate::log_of!(
            LogKind::Refused,
            about = about.subject(),
            "503 for {about}: {reason}"
        );
        self.refuse(StatusCode::SERVICE_UNAVAILABLE, promise);
    }

    fn not_started(&self, failure: &NotStarted, promise: Sender<ScriptAnswer>) {
        let (name, about) = (&self.name, &self.about);
        let (status, reason) = (failure.status, &failure.reason);
        crate::log_of!(
            LogKind::InvalidAnswer,
            about = about.subject(),
            "{} for {about}: `{name}` {reason}",
            status.as_u16()
        );
        self.refuse(status, promise);
    }

    fn bad_gateway(&self, why: &str, promise: Sender<ScriptAnswer>) {
        let (name, about) = (&self.name, &self.about);
        crate::log_of!(
            LogKind::InvalidAnswer,
            about = about.subject(),
            "502 for {about}: `{name}` {why}"
        );
        self.refuse(StatusCode::BAD_GATEWAY, promise);
    }

    fn overdue(&self, promise: Sender<ScriptAnswer>) {
        let (name, about) = (&self.name, &self.about);
        let limit = self.host.options.request_timeout.as_secs_f64();
        crate::log_of!(
            LogKind::InvalidAnswer,
            about = about.subject(),
            "504 for {about}: `{name}` did not answer within {limit:.1} s (runner.request.timeout)"
        );
        self.refuse(StatusCode::GATEWAY_TIMEOUT, promise);
    }

    fn given_up(&self, promise: Sender<ScriptAnswer>) {
        let (name, about) = (&self.name, &self.about);
        crate::log_error!(
            about = about.subject(),
            "504 for {about}: `{name}` had not answered when the time to stop was over (runner.stop_timeout)"
        );
        self.refuse(StatusCode::GATEWAY_TIMEOUT, promise);
    }

    /// The answer with a head and a body.
    fn response(&self, head: ProgramHead, body: ResponseBody) -> ScriptAnswer {
        let response = Response {
            status: match head.local_redirect {
                // For a client that is to look there itself.
                Some(_) => StatusCode::FOUND,
                None => head.status,
            },
            reason: head.reason,
            about: Some(self.about.clone()),
            headers: head.headers,
            body,
        };
        match head.local_redirect {
            Some(path) => ScriptAnswer::LocalRedirect(path, response),
            None => ScriptAnswer::Response(response),
        }
    }
}
