//! The metrics for Prometheus. [`METRICS`] has a row for each, which the manual reads, too. No label has values that clients
//! or applications choose, so that the number of series is bounded.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::process_usage::ProcessUsage;
use super::snapshot::Snapshot;
use crate::interface::master_status::{
    QueueStatus, ServerStatus, Totals, WorkerState, WorkerStatus,
};
use crate::interface::measurements::{Distribution, SizeDistribution};

/// The media type of what [`encode`] makes: version 0.0.4 of the text format, which every Prometheus reads.
pub use prometheus_client::encoding::prometheus_text::CONTENT_TYPE;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// It only grows. Its name ends in `_total`.
    Counter,
    /// It grows and shrinks.
    Gauge,
    /// Durations or sizes in buckets.
    Histogram,
}

/// The values of a metric.
enum Samples {
    /// One without a label; `None` if it is not known.
    One(Option<f64>),
    /// One for each value of the labels, which have the names of the row.
    Several(Vec<(Vec<String>, f64)>),
    /// How many durations or sizes are in each bucket, by its upper bound, and the sum of all.
    Buckets { sum: f64, counts: Vec<(f64, u64)> },
    /// Those of each application, if there are several: they have one more label, [`APPLICATION`].
    Applications(Vec<(String, Samples)>),
}

/// The label that tells several applications apart. Its values are names that configuration files give.
pub const APPLICATION: &str = "application";

/// What is counted of one application.
struct OneApplication<'a> {
    workers: Vec<&'a WorkerStatus>,
    servers: Vec<&'a ServerStatus>,
    queue: &'a QueueStatus,
    totals: &'a Totals,
}

/// A metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: MetricKind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it means, for Prometheus and for the manual.
    pub help: &'static str,
    samples: fn(&Observed) -> Samples,
}

/// What the metrics are made of.
#[derive(Debug)]
struct Observed {
    snapshot: Snapshot,
    usage: ProcessUsage,
}

/// Values of one label.
fn by<const N: usize>(values: [(&str, u64); N]) -> Samples {
    let sample = |(label, value): (&str, u64)| (vec![label.to_owned()], value as f64);
    Samples::Several(values.map(sample).into())
}

fn durations(of: &Distribution) -> Samples {
    Samples::Buckets {
        sum: of.sum(),
        counts: of.buckets().collect(),
    }
}

fn sizes(of: &SizeDistribution) -> Samples {
    Samples::Buckets {
        sum: of.sum() as f64,
        counts: of.buckets().collect(),
    }
}

fn one(value: u64) -> Samples {
    Samples::One(Some(value as f64))
}

/// The values for each application, or for the only one.
fn each(observed: &Observed, of: impl Fn(&OneApplication<'_>) -> Samples) -> Samples {
    let status = &observed.snapshot.status;
    if status.applications.is_empty() {
        return of(&OneApplication {
            workers: status.workers.iter().collect(),
            servers: status.servers.iter().collect(),
            queue: &status.queue,
            totals: &status.totals,
        });
    }
    let samples = status.applications.iter().map(|application| {
        let name = &application.name;
        let workers = status.workers.iter();
        let is_its = |worker: &&WorkerStatus| worker.application.as_ref() == Some(name);
        let servers = status.servers.iter();
        let servers = servers.filter(|server| server.application.as_ref() == Some(name));
        let samples = of(&OneApplication {
            workers: workers.filter(is_its).collect(),
            servers: servers.collect(),
            queue: &application.queue,
            totals: &application.totals,
        });
        (name.clone(), samples)
    });
    Samples::Applications(samples.collect())
}

/// A value for each server that requests are passed on to.
fn of_servers(observed: &Observed, of: impl Fn(&ServerStatus) -> f64) -> Samples {
    each(observed, |it| {
        let servers = it.servers.iter();
        Samples::Several(
            servers
                .map(|one| (vec![one.address.clone()], of(one)))
                .collect(),
        )
    })
}

fn sum(observed: &Observed, of: impl Fn(&WorkerStatus) -> u64) -> Samples {
    each(observed, |it| {
        one(it.workers.iter().map(|worker| of(worker)).sum())
    })
}

/// Declares [`METRICS`]: a line for the name, the kind and the labels, a line for the help, and the values.
macro_rules! metrics {
    ($($name:literal $kind:ident [$($label:literal),*] $help:literal $samples:expr;)*) => {
        /// All metrics, in the order in which they are shown.
        pub const METRICS: &[Metric] = &[$(Metric {
            name: $name,
            kind: MetricKind::$kind,
            labels: &[$($label),*],
            help: $help,
            samples: $samples,
        }),*];
    };
}

metrics! {
    "runner_http_requests_total" Counter ["method", "code"]
        "Requests by method and by the status of their responses; 499 stands for a client that went away"
        |it| Samples::Several(
            it.snapshot.measurements.answers.iter()
                .map(|(method, code, count)| (vec![method.to_owned(), code], count as f64))
                .collect(),
        );
    "runner_http_request_duration_seconds" Histogram []
        "Time from the head of a request to the end of its response"
        |it| durations(&it.snapshot.measurements.durations);
    "runner_http_response_start_seconds" Histogram []
        "Time from the complete request to the head of its response, waiting for a worker included"
        |it| durations(&it.snapshot.measurements.starts);
    "runner_application_requests_total" Counter ["application"]
        "Requests that each application was given, if there are several"
        |it| {
            let applications = it.snapshot.status.applications.iter();
            Samples::Several(
                applications.map(|one| (vec![one.name.clone()], one.totals.requests as f64)).collect(),
            )
        };
    "runner_http_request_size_bytes" Histogram []
        "Sizes of the bodies of requests"
        |it| sizes(&it.snapshot.measurements.received);
    "runner_http_response_size_bytes" Histogram []
        "Sizes of the bodies of responses, as far as they were sent"
        |it| sizes(&it.snapshot.measurements.sent);
    "runner_requests_failed_total" Counter ["cause"]
        "Requests that runner answered for the application: 502 (its worker died), 503 (the queue was full, or they waited there for too long), 504 (it took too long)"
        |it| each(it, |one| {
            let totals = one.totals;
            by([("502", totals.bad_gateway), ("503", totals.unavailable), ("504", totals.gateway_timeout)])
        });
    "runner_http_connections" Gauge ["state"]
        "Open connections of clients, or of web servers: idle ones wait for a request"
        |it| {
            let counts = &it.snapshot.status.connections;
            by([("active", counts.open.saturating_sub(counts.idle) as u64), ("idle", counts.idle as u64)])
        };
    "runner_http_connections_max" Gauge []
        "Connections that may be open at a time"
        |it| one(it.snapshot.status.connections.most as u64);
    "runner_http_connections_turned_away_total" Counter ["reason"]
        "Connections that ended before they had a request to answer: their client had too many (max_per_address), or they were idle and made room for new ones (max_connections), or their client did not come to an agreement on TLS (handshake)"
        |it| {
            let counts = &it.snapshot.status.connections.turned_away;
            by([
                ("max_per_address", counts.max_per_address),
                ("max_connections", counts.max_connections),
                ("handshake", counts.handshake),
            ])
        };
    "runner_websocket_connections" Gauge []
        "Open WebSockets"
        |it| sum(it, |worker| worker.web_sockets as u64);
    "runner_upstream_server_up" Gauge ["server"]
        "1 for a server that requests are passed on to, 0 while it cannot be reached or leaves requests without an answer"
        |it| of_servers(it, |server| f64::from(u8::from(server.failing_for.is_none())));
    "runner_upstream_server_requests" Gauge ["server"]
        "Requests that a server has which they are passed on to"
        |it| of_servers(it, |server| server.in_flight as f64);
    "runner_queue_requests" Gauge []
        "Requests that wait for a worker"
        |it| each(it, |its| one(its.queue.length as u64));
    "runner_queue_oldest_seconds" Gauge []
        "How long the first of these has waited"
        |it| each(it, |its| Samples::One(Some(its.queue.oldest.unwrap_or(0.0))));
    "runner_queue_wait_seconds" Histogram []
        "Time that requests waited for a worker; requests that a worker was free for are not among them"
        |it| durations(&it.snapshot.measurements.queue_waits);
    "runner_service_seconds" Histogram []
        "Time that workers were at a request, code after its response included; WebSockets count, too"
        |it| durations(&it.snapshot.measurements.services);
    "runner_responses_delivering" Gauge []
        "Complete responses that clients have not received yet; no worker is busy with them"
        |it| one(it.snapshot.status.delivering as u64);
    "runner_response_memory_bytes" Gauge []
        "Memory of the master for responses that clients have not received yet (runner.response.max_memory)"
        |it| one(it.snapshot.status.response_memory);
    "runner_tls_certificate_expiry_timestamp_seconds" Gauge ["name"]
        "When the certificate expires whose first name this is, in seconds since 1970; of several, the first one to do so"
        |it| {
            let mut first = BTreeMap::new();
            for certificate in &it.snapshot.status.certificates {
                let name = certificate.names.first().cloned().unwrap_or_default();
                let expires = first.entry(name).or_insert(f64::INFINITY);
                *expires = certificate.expires.min(*expires);
            }
            let samples = first.into_iter().map(|(name, expires)| (vec![name], expires));
            Samples::Several(samples.collect())
        };
    "runner_workers" Gauge ["state"]
        "Worker processes by state"
        |it| each(it, |one| {
            let count = |state| {
                let workers = one.workers.iter();
                workers.filter(|worker| worker.state == state).count() as u64
            };
            use WorkerState::{Busy, Doomed, Idle, Leaving, Starting};
            by([Starting, Idle, Busy, Doomed, Leaving].map(|state| (state.as_str(), count(state))))
        });
    "runner_worker_requests_in_flight" Gauge []
        "Requests that workers have to answer"
        |it| sum(it, |worker| worker.in_flight as u64);
    "runner_worker_resident_memory_bytes" Gauge []
        "Resident memory of all workers, shared memory counted for each of them"
        |it| sum(it, |worker| worker.rss.unwrap_or(0));
    "runner_worker_event_loop_lag_seconds" Gauge []
        "How late the latest event loop of a worker is (ASGI)"
        |it| each(it, |one| {
            let lags = one.workers.iter().filter_map(|worker| worker.lag);
            Samples::One(lags.reduce(f64::max))
        });
    "runner_worker_exits_total" Counter ["cause"]
        "Workers that died without being told to end, and workers that were replaced because of their age, size or number of requests"
        |it| each(it, |one| by([("died", one.totals.deaths), ("recycled", one.totals.recycled)]));
    "runner_programs" Gauge ["state"]
        "Programs that are kept running, by whether they work"
        |it| {
            let programs = &it.snapshot.status.programs;
            let down = programs.iter().filter(|program| program.down.is_some()).count();
            by([("up", (programs.len() - down) as u64), ("down", down as u64)])
        };
    "runner_reloads_total" Counter ["result"]
        "Reloads of this master"
        |it| {
            let reloads = &it.snapshot.status.reloads;
            by([("success", reloads.succeeded), ("failure", reloads.failed)])
        };
    "runner_last_reload_successful" Gauge []
        "Whether the latest reload succeeded; 1 if there was none"
        |it| {
            let last = &it.snapshot.status.reloads.last;
            one(u64::from(last.as_ref().is_none_or(|last| last.failure.is_none())))
        };
    "runner_last_reload_timestamp_seconds" Gauge []
        "When the latest reload ended, in seconds since 1970"
        |it| Samples::One(it.snapshot.status.reloads.last.as_ref().map(|last| last.at));
    "runner_ready" Gauge []
        "Whether /readyz says that requests should be sent here"
        |it| one(it.snapshot.status.is_ready().into());
    "runner_build_info" Gauge ["version"]
        "The version of runner; always 1"
        |it| Samples::Several(vec![(vec![it.snapshot.status.version.clone()], 1.0)]);
    "process_start_time_seconds" Gauge []
        "When the master was started, in seconds since 1970"
        |it| Samples::One(Some(it.snapshot.status.started));
    "process_cpu_seconds_total" Counter []
        "CPU time of the master, of the user and of the system"
        |it| Samples::One(it.usage.cpu_seconds);
    "process_resident_memory_bytes" Gauge []
        "Resident memory of the master"
        |it| Samples::One(it.usage.resident.map(|bytes| bytes as f64));
    "process_virtual_memory_bytes" Gauge []
        "Address space of the master"
        |it| Samples::One(it.usage.virtual_memory.map(|bytes| bytes as f64));
    "process_open_fds" Gauge []
        "Open files of the master"
        |it| Samples::One(it.usage.open_files.map(|files| files as f64));
    "process_max_fds" Gauge []
        "Files that the master may have open"
        |it| Samples::One(it.usage.most_files.map(|files| files as f64));
    "process_threads" Gauge []
        "Threads of the master"
        |it| Samples::One(it.usage.threads.map(|threads| threads as f64));
}

/// The metrics as Prometheus reads them.
///
/// # Errors
/// None: the text is written to memory.
pub(super) fn encode(snapshot: Snapshot, usage: ProcessUsage) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Observed { snapshot, usage }));
    let mut text = String::new();
    prometheus_text::encode(&mut text, &registry)?;
    Ok(text)
}

impl Collector for Observed {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        METRICS
            .iter()
            .try_for_each(|metric| metric.encode(self, &mut encoder))
    }
}

impl Metric {
    fn encode(&self, observed: &Observed, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let samples = (self.samples)(observed);
        if matches!(samples, Samples::One(None)) {
            return Ok(());
        }
        // The encoder adds the ending of a counter.
        let name = self.name.strip_suffix("_total").unwrap_or(self.name);
        let kind = match self.kind {
            MetricKind::Counter => MetricType::Counter,
            MetricKind::Gauge => MetricType::Gauge,
            MetricKind::Histogram => MetricType::Histogram,
        };
        let mut encoder = encoder.encode_descriptor(name, self.help, None, kind)?;
        match samples {
            Samples::Applications(applications) => {
                for (name, samples) in applications {
                    self.encode_samples(samples, Some(&name), &mut encoder)?;
                }
                Ok(())
            }
            samples => self.encode_samples(samples, None, &mut encoder),
        }
    }

    fn encode_samples(
        &self,
        samples: Samples,
        application: Option<&str>,
        encoder: &mut MetricEncoder<'_>,
    ) -> fmt::Result {
        let values = match samples {
            Samples::One(value) => value.map(|value| (Vec::new(), value)).into_iter().collect(),
            Samples::Several(values) => values,
            Samples::Buckets { sum, counts } => {
                let count = counts.iter().map(|(_, count)| count).sum();
                return encoder.encode_histogram::<NoLabelSet>(sum, count, &counts, None);
            }
            // An application has none in it.
            Samples::Applications(_) => Vec::new(),
        };
        for (labels, value) in values {
            let names = self.labels.iter().copied();
            let mut labels: Vec<(&str, String)> = names.zip(labels).collect();
            labels.extend(application.map(|name| (APPLICATION, name.to_owned())));
            let mut encoder = encoder.encode_family(&labels)?;
            match self.kind {
                MetricKind::Counter => {
                    encoder.encode_counter::<NoLabelSet, _, f64>(&value, None)?;
                }
                MetricKind::Gauge | MetricKind::Histogram => encoder.encode_gauge(&value)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::interface::master_status::{CertificateStatus, Status};
    use crate::interface::measurements::MethodName;

    fn text() -> String {
        let mut snapshot = Snapshot {
            status: Status {
                version: "1.2\"3".to_owned(),
                totals: Totals {
                    deaths: 3,
                    ..Totals::default()
                },
                certificates: [("a.test", 2e9), ("b.test", 1.9e9), ("a.test", 1.8e9)]
                    .map(|(name, expires)| CertificateStatus {
                        names: vec![name.to_owned(), "other.test".to_owned()],
                        expires,
                    })
                    .into(),
                response_memory: 4096,
                ..Status::default()
            },
            ..Snapshot::default()
        };
        let measurements = &mut snapshot.measurements;
        measurements.answers.count(MethodName::OTHER, 404);
        for millis in [1, 7, 30, 60_000] {
            measurements.durations.record(Duration::from_millis(millis));
        }
        measurements.sent.record(1000);
        encode(snapshot, ProcessUsage::default()).unwrap()
    }

    #[test]
    fn values_are_in_the_text() {
        let text = text();
        for line in [
            "# TYPE runner_http_requests_total counter",
            "runner_http_requests_total{method=\"other\",code=\"404\"} 1.0",
            "runner_http_request_duration_seconds_bucket{le=\"0.005\"} 1",
            "runner_http_request_duration_seconds_bucket{le=\"0.01\"} 2",
            "runner_http_request_duration_seconds_bucket{le=\"10\"} 3",
            "runner_http_request_duration_seconds_bucket{le=\"+Inf\"} 4",
            "runner_http_request_duration_seconds_count 4",
            "runner_http_request_duration_seconds_sum 60.038",
            "runner_http_response_size_bytes_bucket{le=\"256\"} 0",
            "runner_http_response_size_bytes_bucket{le=\"1024\"} 1",
            "runner_http_response_size_bytes_sum 1000.0",
            "runner_worker_exits_total{cause=\"died\"} 3.0",
            "runner_workers{state=\"busy\"} 0.0",
            "runner_response_memory_bytes 4096.0",
            "runner_tls_certificate_expiry_timestamp_seconds{name=\"a.test\"} 1800000000.0",
            "runner_tls_certificate_expiry_timestamp_seconds{name=\"b.test\"} 1900000000.0",
            "runner_build_info{version=\"1.2\\\"3\"} 1.0",
        ] {
            assert!(
                text.lines().any(|it| it == line),
                "{line} is missing:\n{text}"
            );
        }
        // What is not known is left out.
        assert!(!text.contains("process_open_fds"), "{text}");
    }

    #[test]
    fn names_follow_the_conventions() {
        let names: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        for metric in METRICS {
            let is_counter = metric.kind == MetricKind::Counter;
            assert_eq!(
                metric.name.ends_with("_total"),
                is_counter,
                "{}",
                metric.name
            );
            assert!(!metric.help.ends_with('.'), "{}", metric.name);
        }
    }
}
