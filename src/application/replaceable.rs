//! An application of which one version replaces another: gateways use it without knowing of versions. It has the history of
//! all versions, and measures how long requests take.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::application::traffic::Traffic;
use crate::interface::master_status::{ApplicationStatus, Status};
use crate::interface::measurements::{
    CLIENT_LEFT, EndedRequest, Measurements, MethodName, RefusedRequest,
};
use crate::interface::{Application, Pending, Request, Response};

/// Passes requests on to the current version.
pub struct Replaceable {
    versions: Mutex<Versions>,
    requests: Mutex<Requests>,
}

/// The requests of all versions.
struct Requests {
    /// How long those of the last minute took.
    traffic: Traffic,
    /// How all of them were answered, and how long they took.
    measurements: Measurements,
    /// Those that the gateway has refused, by the status of their responses.
    refused: BTreeMap<u16, u64>,
}

struct Versions {
    current: Arc<dyn Application>,
    /// Earlier versions that finish their requests.
    leaving: Vec<Arc<dyn Application>>,
    /// Earlier versions that are gone, except that clients have not received all of their responses.
    delivering: Vec<Arc<dyn Application>>,
    /// The history of the versions that are gone.
    past: Status,
    /// What these have measured.
    measured: Measurements,
}

impl Replaceable {
    /// An application with its first version.
    #[must_use]
    pub fn new(application: Arc<dyn Application>) -> Self {
        Self {
            versions: Mutex::new(Versions {
                current: application,
                leaving: Vec::new(),
                delivering: Vec::new(),
                past: Status::default(),
                measured: Measurements::default(),
            }),
            requests: Mutex::new(Requests {
                traffic: Traffic::new(Instant::now()),
                measurements: Measurements::default(),
                refused: BTreeMap::new(),
            }),
        }
    }

    /// The current version.
    #[must_use]
    pub fn get(&self) -> Arc<dyn Application> {
        Arc::clone(&self.versions().current)
    }

    /// Replaces the current version. The old one finishes its requests, for which it has the time `within`, and asks what
    /// does not end by itself to end: its clients may come back at once. The future returns when it is gone.
    pub fn replace(
        self: &Arc<Self>,
        application: Arc<dyn Application>,
        within: Duration,
    ) -> impl Future<Output = ()> + Send + use<> {
        let old = {
            let mut versions = self.versions();
            let old = std::mem::replace(&mut versions.current, application);
            versions.leaving.push(Arc::clone(&old));
            old
        };
        let all = Arc::clone(self);
        old.drain(true);
        async move {
            old.stop(within).await;
            let mut versions = all.versions();
            versions.leaving.retain(|one| !Arc::ptr_eq(one, &old));
            versions.past.add_history(&old.status());
            versions.measured.add(&old.measurements());
            versions.delivering.push(old);
            versions.forget_delivered();
        }
    }

    fn versions(&self) -> MutexGuard<'_, Versions> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request whose response has not begun. Its time counts also if its client gives up: a client that waits no longer
/// than so long would hide the slowest requests.
struct Timed {
    replaceable: Arc<Replaceable>,
    began: Instant,
    method: MethodName,
    /// The size of its body, in bytes.
    received: u64,
    /// The status that it was answered with.
    code: u16,
}

impl Drop for Timed {
    fn drop(&mut self) {
        let now = Instant::now();
        let took = now.saturating_duration_since(self.began);
        let mut requests = self.replaceable.requests();
        requests.traffic.record(took, now);
        requests.measurements.starts.record(took);
        requests.measurements.received.record(self.received);
        let answers = &mut requests.measurements.answers;
        answers.count(self.method, self.code);
    }
}

impl Versions {
    /// Forgets the versions whose responses clients have received. Returns how many responses of the others they have not.
    fn forget_delivered(&mut self) -> usize {
        let mut sum = 0;
        self.delivering.retain(|version| {
            let delivering = version.status().delivering;
            sum += delivering;
            delivering > 0
        });
        sum
    }
}

impl Application for Replaceable {
    fn respond(self: Arc<Self>, request: Request) -> Pending<'static, Response> {
        let began = Instant::now();
        let method = MethodName::of(&request.method);
        let received = request.body.length();
        let answer = self.get().respond(request);
        let timed = Timed {
            replaceable: self,
            began,
            method,
            received,
            code: CLIENT_LEFT,
        };
        Box::pin(async move {
            // All of it moves here, not the code alone.
            let mut timed = timed;
            let response = answer.await;
            timed.code = response.status.as_u16();
            response
        })
    }

    fn name_for(&self, host: &[u8], path: &Bytes) -> Option<Arc<str>> {
        self.get().name_for(host, path)
    }

    fn takes_web_sockets(&self) -> bool {
        self.get().takes_web_sockets()
    }

    fn stop(&self, within: Duration) -> Pending<'_, ()> {
        Box::pin(async move {
            let application = self.get();
            application.stop(within).await;
        })
    }

    fn drain(&self, returns: bool) {
        self.get().drain(returns);
    }

    fn status(&self) -> Status {
        let mut versions = self.versions();
        let mut status = versions.current.status();
        let names = status.applications.iter().map(|one| one.name.clone());
        let names: Vec<String> = names.collect();
        status.add_history(&versions.past);
        for leaving in &versions.leaving {
            let other = leaving.status();
            status.add_history(&other);
            status.delivering += other.delivering;
        }
        // What happened to applications that are gone is in the sums.
        let is_here = |one: &ApplicationStatus| names.contains(&one.name);
        status.applications.retain(is_here);
        status.delivering += versions.forget_delivered();
        let mut requests = self.requests();
        status.last_minute = requests.traffic.last_minute(Instant::now());
        status.refused.clone_from(&requests.refused);
        status
    }

    fn measurements(&self) -> Measurements {
        let mut measurements = self.requests().measurements.clone();
        let versions = self.versions();
        measurements.add(&versions.measured);
        let serving = versions.leaving.iter().chain([&versions.current]);
        for version in serving {
            measurements.add(&version.measurements());
        }
        measurements
    }

    fn note_refused(&self, RefusedRequest { method, status }: RefusedRequest) {
        let mut requests = self.requests();
        requests.measurements.answers.count(method, status.as_u16());
        *requests.refused.entry(status.as_u16()).or_default() += 1;
    }

    fn note_ended(&self, EndedRequest { took, sent }: EndedRequest) {
        let mut requests = self.requests();
        requests.measurements.durations.record(took);
        requests.measurements.sent.record(sent);
    }

    fn write_stacks(&self) {
        self.get().write_stacks();
    }
}

impl std::fmt::Debug for Replaceable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Replaceable")
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::{Application, Pending, Replaceable, Request, Response};
    use crate::application::watched::Watched;

    /// Drained what is asked of it.
    #[derive(Default)]
    struct Drained(Mutex<Vec<String>>);

    impl Drained {
        fn note(&self, what: String) {
            self.0.lock().unwrap().push(what);
        }

        fn taken(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    impl Application for Drained {
        fn respond(self: Arc<Self>, _: Request) -> Pending<'static, Response> {
            Box::pin(std::future::pending())
        }

        fn stop(&self, within: Duration) -> Pending<'_, ()> {
            self.note(format!("stop within {within:?}"));
            Box::pin(std::future::ready(()))
        }

        fn drain(&self, returns: bool) {
            self.note(format!("drain, clients may return: {returns}"));
        }
    }

    #[tokio::test]
    async fn the_old_version_is_drained_at_once_and_the_present_one_when_that_is_asked_for() {
        let (old, new) = (Arc::new(Drained::default()), Arc::new(Drained::default()));
        let watched = Watched::new(Arc::clone(&old) as _);
        let replaceable = Arc::new(Replaceable::new(Arc::new(watched)));
        let second = Duration::from_secs(1);
        let leaving = replaceable.replace(Arc::clone(&new) as _, second);
        assert_eq!(old.taken(), ["drain, clients may return: true"]);
        leaving.await;
        assert_eq!(old.taken(), ["stop within 1s"]);
        assert_eq!(new.taken(), [""; 0]);
        replaceable.drain(false);
        assert_eq!(new.taken(), ["drain, clients may return: false"]);
        assert_eq!(old.taken(), [""; 0]);
    }
}
