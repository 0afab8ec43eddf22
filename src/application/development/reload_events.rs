//! What browsers are told of reloads: the version that answers, and why the last change could not be applied. It is a stream
//! of events (HTML Living Standard, Server-sent events).

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::interface::{Blocks, Response, ResponseBody};

/// The longest time that a request waits for the end of a reload.
const PATIENCE: Duration = Duration::from_secs(10);

/// How soon a browser connects again, in milliseconds.
const RETRY: u32 = 500;

/// The state of reloads, for any number of browsers.
#[derive(Clone, Debug)]
pub struct ReloadEvents(Arc<watch::Sender<ReloadState>>);

#[derive(Clone, Debug)]
struct ReloadState {
    /// Differs between servers.
    server: u128,
    /// Counts the versions of this server.
    version: u64,
    /// Why the last change could not be applied; the version before it goes on.
    failure: Option<Arc<str>>,
    is_reloading: bool,
    is_over: bool,
}

impl Default for ReloadEvents {
    fn default() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self(Arc::new(watch::Sender::new(ReloadState {
            server: now.unwrap_or_default().as_nanos(),
            version: 1,
            failure: None,
            is_reloading: false,
            is_over: false,
        })))
    }
}

impl ReloadEvents {
    /// A reload begins: requests that come from now on wait for its end.
    pub fn begin(&self) {
        self.0.send_modify(|state| state.is_reloading = true);
    }

    /// Another version answers.
    pub fn reloaded(&self) {
        self.0.send_modify(|state| {
            state.version += 1;
            state.failure = None;
            state.is_reloading = false;
        });
    }

    /// The reload has failed for this reason, and the same version goes on.
    pub fn failed(&self, why: &str) {
        self.0.send_modify(|state| {
            state.failure = Some(why.into());
            state.is_reloading = false;
        });
    }

    /// The server ends: all streams end.
    pub fn end(&self) {
        self.0.send_modify(|state| {
            state.is_over = true;
            state.is_reloading = false;
        });
    }

    /// Waits while a reload is under way, but not for ever: the new version itself may have asked.
    pub(super) async fn settled(&self) {
        if !self.0.borrow().is_reloading {
            return;
        }
        let mut state = self.0.subscribe();
        let _ = timeout(PATIENCE, state.wait_for(|state| !state.is_reloading)).await;
    }

    /// The version that answers, as pages name it: letters, digits and a hyphen.
    pub(super) fn version(&self) -> String {
        self.0.borrow().name()
    }

    /// A response with an event for the state and for each change of it. The reasons of failures are for clients on this
    /// machine only.
    pub(super) fn stream(&self, is_local: bool) -> Response {
        let (sender, blocks) = Blocks::channel();
        let mut state = self.0.subscribe();
        tokio::spawn(async move {
            let mut last = String::new();
            let mut next = format!("retry: {RETRY}\n\n");
            loop {
                let event = {
                    let state = state.borrow_and_update();
                    if state.is_over {
                        break;
                    }
                    state.event(is_local)
                };
                if event != last {
                    next.push_str(&event);
                    last = event;
                    let sent = sender.send(Bytes::from(std::mem::take(&mut next))).await;
                    if sent.is_err() {
                        return;
                    }
                }
                tokio::select! {
                    changed = state.changed() => if changed.is_err() { break },
                    () = sender.gone() => return,
                }
            }
            sender.end();
        });
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (header::CONTENT_TYPE, "text/event-stream"),
            (header::CACHE_CONTROL, "no-store"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        Response {
            status: StatusCode::OK,
            reason: None,
            about: None,
            headers,
            body: ResponseBody::Stream(blocks),
        }
    }
}

impl ReloadState {
    fn name(&self) -> String {
        format!("{:x}-{}", self.server, self.version)
    }

    fn event(&self, is_local: bool) -> String {
        let Some(failure) = &self.failure else {
            return format!("event: version\ndata: {}\n\n", self.name());
        };
        let text = match is_local {
            true => failure.trim_end(),
            false => "the change could not be applied: the log says why",
        };
        let lines = text.lines().map(|line| format!("data: {line}\n"));
        format!("event: failure\n{}\n", lines.collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::ReloadEvents;
    use crate::interface::{Blocks, ResponseBody};

    fn stream(events: &ReloadEvents, is_local: bool) -> Blocks {
        match events.stream(is_local).body {
            ResponseBody::Stream(blocks) => blocks,
            other => panic!("{other:?}"),
        }
    }

    async fn event(blocks: &mut Blocks) -> String {
        let block = blocks.next().await.expect("an event").expect("whole");
        String::from_utf8(block.to_vec()).expect("text")
    }

    #[tokio::test]
    async fn a_browser_hears_the_version_each_change_and_the_end() {
        let events = ReloadEvents::default();
        let (mut local, mut other) = (stream(&events, true), stream(&events, false));
        let first = format!("event: version\ndata: {}\n\n", events.version());
        assert_eq!(event(&mut local).await, format!("retry: 500\n\n{first}"));
        event(&mut other).await;
        events.begin();
        events.failed("error: a\n  b\n");
        let failure = "event: failure\ndata: error: a\ndata:   b\n\n";
        assert_eq!(event(&mut local).await, failure);
        assert!(!event(&mut other).await.contains("error"));
        events.reloaded();
        let second = format!("event: version\ndata: {}\n\n", events.version());
        assert_ne!(first, second);
        assert_eq!(event(&mut local).await, second);
        events.end();
        assert!(local.next().await.is_none());
    }

    #[test]
    fn a_request_waits_for_the_end_of_a_reload_only() {
        let events = ReloadEvents::default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let _inside = runtime.enter();
        let mut context = Context::from_waker(Waker::noop());
        let ends: [fn(&ReloadEvents); 3] = [
            ReloadEvents::reloaded,
            |events| events.failed(""),
            ReloadEvents::end,
        ];
        for end in ends {
            assert!(
                Box::pin(events.settled())
                    .as_mut()
                    .poll(&mut context)
                    .is_ready()
            );
            events.begin();
            let mut waits = Box::pin(events.settled());
            assert_eq!(waits.as_mut().poll(&mut context), Poll::Pending);
            end(&events);
            assert!(waits.as_mut().poll(&mut context).is_ready());
        }
    }
}
