//! The version that serves: an application and the gateway before it. A reload replaces either.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::application::development::{ReloadEvents, StartFailure};
use crate::application::replaceable::Replaceable;
use crate::application::watched::Watched;
use crate::gateway::connection_limit::ConnectionLimit;
use crate::gateway::graceful_stop::{Manner, Stop};
use crate::gateway::socket::listener::Listener;
use crate::gateway::socket::server_url::ServerUrl;
use crate::interface::Application;
use crate::interface::master_status::{CertificateStatus, Status};
use crate::interface::measurements::Measurements;
use crate::interface::response_memory::ResponseMemory;
use crate::line::failure::Failure;
use crate::log;
use crate::plan::Plan;
use crate::plan::application::start::Readiness;
use crate::plan::gateway::Audience;
use crate::server::browser;
use crate::server::claim::{Neighbour, Neighbours};
use crate::server::development::front;
use crate::server::ending::{LAST_WORDS, explained, finish};
use crate::server::gateway_task::GatewayTask;
use crate::supervisor::control::order::HandedSocket;
use crate::supervisor::lifetime::{Activity, Lifetime, Next};
use crate::supervisor::programs::Programs;

/// A version that has started, but gets no requests yet.
pub struct Version {
    plan: Plan,
    application: Arc<dyn Application>,
    /// For each URL of the plan; `None` where the gateway of the old version goes on.
    listeners: Vec<Option<Listener>>,
    /// Knows when the application was last used, if there is an idle timeout.
    watched: Option<Arc<Watched>>,
    /// Why the application could not be started, if that is what it answers.
    pub failure: Option<Failure>,
    /// For the pages of the master; `None` if there are none, or the present ones stay.
    pages: Option<Listener>,
}

/// The version that serves.
pub struct Running {
    current: Arc<Replaceable>,
    /// The same as gateways get it.
    front: Arc<dyn Application>,
    events: ReloadEvents,
    /// Its addresses, for people.
    shown: Vec<String>,
    connections: ConnectionLimit,
    gate: Gate,
    /// How long running requests have to finish at the end.
    patience: Duration,
    /// A person watches the log, and is told what a stop waits for.
    is_watched: bool,
    /// When the first version began to serve.
    started: Instant,
    lifetime: Lifetime,
    watched: Option<Arc<Watched>>,
    /// The programs that run beside it.
    programs: Programs,
}

/// Whether requests are accepted.
enum Gate {
    /// A gateway for each URL.
    Open(Vec<GatewayTask>),
    /// Not any more; these speed up the end.
    Closing(Vec<Stop>),
}

/// Waits until the lifetime is over that settings give a server; for ever, if there is none.
pub async fn over(service: Option<&Running>) {
    match service {
        Some(service) => service.over().await,
        None => std::future::pending().await,
    }
}

/// Starts an application, as the next version.
///
/// # Errors
/// The application does not start.
pub async fn start(
    plan: Plan,
    listeners: Vec<Option<Listener>>,
    readiness: Readiness,
) -> Result<Version, Failure> {
    if let Some(warning) = &plan.limit_warning {
        crate::log_warning!("{warning}");
    }
    let (mut application, failure) = match plan.recipe.start(readiness).await {
        Ok(application) => (application, None),
        Err(failure) => match &plan.development {
            Some(development) if development.outlives(&failure, readiness) => {
                let shown: Arc<dyn Application> = Arc::new(StartFailure::new(&failure.text()));
                (shown, Some(failure))
            }
            Some(_) | None => return Err(failure),
        },
    };
    let watched = (!plan.lifetime.idle_timeout.is_zero())
        .then(|| Arc::new(Watched::new(Arc::clone(&application))));
    if let Some(watched) = &watched {
        application = Arc::clone(watched) as _;
    }
    Ok(Version {
        plan,
        application,
        listeners,
        watched,
        failure,
        pages: None,
    })
}

impl Version {
    /// Changes the programs beside the server to those of this version. Gives this version up if one does not start.
    ///
    /// # Errors
    /// The program that does not start, and why.
    pub async fn with(self, programs: Programs, within: Duration) -> anyhow::Result<Self> {
        let Plan {
            programs: wanted,
            environment,
            ..
        } = &self.plan;
        let changed = programs.change(wanted, environment, within);
        match changed.await {
            Ok(()) => Ok(self),
            Err(error) => {
                self.application.stop(Duration::ZERO).await;
                Err(error)
            }
        }
    }

    /// Adds a new listener for the pages of the master.
    #[must_use]
    pub fn with_pages(self, pages: Option<Listener>) -> Self {
        Self { pages, ..self }
    }

    /// The address of the pages of the master, and their listener if it is new.
    #[must_use]
    pub fn take_pages(&mut self) -> (Option<ServerUrl>, Option<Listener>) {
        (self.plan.pages.clone(), self.pages.take())
    }

    /// What it is to do.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

impl Running {
    /// Begins to serve the first version, and logs its address. In a succession, the programs of the process before
    /// this one end first.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn open(
        version: Version,
        is_succession: bool,
        events: ReloadEvents,
    ) -> anyhow::Result<Self> {
        let plan = version.plan;
        let current = Arc::new(Replaceable::new(version.application));
        let front = front(&current, plan.development.as_ref(), &events);
        let connections = ConnectionLimit::default();
        connections.set(plan.gateway.most_connections());
        log::direct_access(plan.access);
        ResponseMemory::of_process().set_limit(plan.response_memory);
        let mut gateways = Vec::new();
        let mut for_browsers = None;
        for (url, listener) in plan.urls.iter().zip(version.listeners) {
            let mut listener = listener.context("there is no socket to serve")?;
            listener.speak(url.scheme);
            for_browsers = for_browsers.or_else(|| listener.web_url());
            listener.share_limit(connections.clone());
            let application = Arc::clone(&front);
            let gateway = GatewayTask::open(url, listener, plan.gateway.clone(), application)?;
            if plan.audience != Audience::Nobody {
                crate::log!("serving {}", gateway.shown());
            }
            gateways.push(gateway);
        }
        if let Some(note) = plan.note {
            crate::log!("{note}");
        }
        if plan.audience == Audience::Browser {
            match for_browsers {
                Some(url) => browser::open(&url),
                None => crate::log!("a browser cannot open a Unix socket"),
            }
        }
        Ok(Self {
            current,
            front,
            events,
            shown: shown(&gateways),
            connections,
            gate: Gate::Open(gateways),
            patience: plan.patience,
            is_watched: plan.audience == Audience::Browser,
            started: Instant::now(),
            lifetime: plan.lifetime,
            watched: version.watched,
            programs: Programs::start(
                &plan.programs,
                &plan.environment,
                is_succession.then_some(plan.patience),
            ),
        })
    }

    /// Replaces the application, and the gateway if needed. The old ones finish their requests in tasks of `leaving`.
    /// Returns when no new request reaches the old ones.
    ///
    /// # Errors
    /// The process has no descriptors left; the old version goes on.
    pub async fn switch(
        &mut self,
        version: Version,
        leaving: &mut JoinSet<()>,
    ) -> anyhow::Result<()> {
        let Version {
            plan,
            application,
            listeners,
            watched,
            failure: _,
            pages: _,
        } = version;
        let Gate::Open(gateways) = &mut self.gate else {
            // The server is ending: no request would reach the new version.
            leaving.spawn(async move { application.stop(Duration::ZERO).await });
            return Ok(());
        };
        let open = |(url, listener): (&ServerUrl, Option<Listener>)| {
            let Some(mut listener) = listener else {
                return Ok(None);
            };
            listener.speak(url.scheme);
            listener.share_limit(self.connections.clone());
            let front = Arc::clone(&self.front);
            GatewayTask::open(url, listener, plan.gateway.clone(), front).map(Some)
        };
        let opened = plan.urls.iter().zip(listeners).map(open);
        let opened: Vec<Option<GatewayTask>> = match opened.collect::<io::Result<_>>() {
            Ok(opened) => opened,
            Err(error) => {
                leaving.spawn(async move { application.stop(Duration::ZERO).await });
                return Err(error).context("cannot duplicate a socket");
            }
        };
        let mut present = std::mem::take(gateways);
        let mut old = Vec::new();
        for (url, new) in plan.urls.iter().zip(opened) {
            let place = present.iter().position(|it| it.url().socket == url.socket);
            let before = place.map(|place| present.swap_remove(place));
            match new {
                None => {
                    before.iter().for_each(|it| it.tune(plan.gateway.clone()));
                    gateways.extend(before);
                }
                Some(new) => {
                    if !self.shown.iter().any(|shown| shown == new.shown()) {
                        crate::log!("serving {}", new.shown());
                    }
                    gateways.push(new);
                    // The new gateway owns the sockets, and the file of a Unix socket.
                    old.extend(before.map(|before| (before, Manner::HandOver)));
                }
            }
        }
        old.extend(
            present
                .into_iter()
                .map(|given_up| (given_up, Manner::Retire)),
        );
        self.shown = shown(gateways);
        for (mut old, manner) in old {
            old.end(manner).await;
            let patience = self.patience;
            leaving.spawn(async move {
                // Requests that are still running after this time are broken off.
                let _ = timeout(patience + LAST_WORDS, old.ended()).await;
            });
        }
        log::set_form(plan.line_form);
        log::direct_access(plan.access);
        ResponseMemory::of_process().set_limit(plan.response_memory);
        self.lifetime = plan.lifetime;
        self.watched = watched;
        let patience = std::mem::replace(&mut self.patience, plan.patience);
        leaving.spawn(self.current.replace(application, patience));
        Ok(())
    }

    /// Ends, in a task of `leaving`; the second time, more quickly. Returns when nothing is accepted any more.
    pub async fn end(&mut self, manner: Manner, leaving: &mut JoinSet<()>) {
        let gateways = match &mut self.gate {
            Gate::Closing(stops) => return stops.iter().for_each(|stop| stop.begin(manner)),
            Gate::Open(gateways) => gateways,
        };
        self.events.end();
        // What does not end by itself would hold up the gateway. Where another process serves, clients may come back at once.
        self.current.drain(manner == Manner::HandOver);
        let mut stops = Vec::new();
        for gateway in gateways {
            stops.push(gateway.end(manner).await);
        }
        // No gateway makes an offer of a WebSocket any more.
        self.current.drain(match manner {
            Manner::Drain => false,
            Manner::Retire | Manner::HandOver => true,
        });
        if let Gate::Open(gateways) = std::mem::replace(&mut self.gate, Gate::Closing(stops)) {
            let finished = finish(gateways, Arc::clone(&self.current), self.patience);
            let (current, patience) = (Arc::clone(&self.current), self.patience);
            let is_watched = self.is_watched;
            leaving.spawn(async move {
                let finished = pin!(finished);
                match is_watched {
                    true => explained(finished, &current, patience).await,
                    false => finished.await,
                }
            });
            leaving.spawn(self.programs.stop(self.patience));
        }
    }

    /// Waits until its lifetime is over.
    async fn over(&self) {
        loop {
            let activity = match self.watched.as_ref().map(|watched| watched.idle_since()) {
                Some(None) => Activity::Busy,
                Some(Some(since)) => Activity::IdleSince(since),
                None => Activity::IdleSince(self.started),
            };
            match self.lifetime.next(Instant::now(), self.started, activity) {
                Next::End => return,
                Next::Look(then) => tokio::time::sleep_until(then.into()).await,
                Next::GoOn => std::future::pending().await,
            }
        }
    }

    /// The programs beside it, and how long they have to end.
    #[must_use]
    pub fn beside(&self) -> (Programs, Duration) {
        (self.programs.clone(), self.patience)
    }

    /// What the gateways of the next version need for addresses that are served already.
    ///
    /// # Errors
    /// The server is ending, or the process has no descriptors left.
    pub fn neighbours(&self) -> anyhow::Result<Neighbours> {
        let Gate::Open(gateways) = &self.gate else {
            anyhow::bail!("it is being stopped");
        };
        let neighbour = |gateway: &GatewayTask| {
            Ok(Neighbour {
                endpoint: gateway.endpoint().clone(),
                sockets: gateway.sockets().context("cannot duplicate a socket")?,
            })
        };
        let all: anyhow::Result<_> = gateways.iter().map(neighbour).collect();
        all.map(Neighbours)
    }

    /// The sockets, for a successor.
    ///
    /// # Errors
    /// As with [`Running::neighbours`].
    pub fn handed(&self) -> anyhow::Result<Vec<HandedSocket>> {
        let handed = |Neighbour { endpoint, sockets }| HandedSocket {
            // The successor decides what is spoken there.
            url: endpoint.url.socket.to_string(),
            descriptors: sockets,
        };
        Ok(self.neighbours()?.0.into_iter().map(handed).collect())
    }

    /// The state in words, for the service manager.
    #[must_use]
    pub fn in_words(&self) -> String {
        match &*self.shown {
            [] => "running".to_owned(),
            places => format!("serving {}", places.join(", ")),
        }
    }

    /// The state of the application, the programs beside it, its addresses and connections.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            sockets: self.shown.clone(),
            certificates: self.certificates(),
            response_memory: ResponseMemory::of_process().held() as u64,
            connections: self.connections.count(),
            programs: self.programs.status(),
            ..self.current.status()
        }
    }

    /// The certificates by which it serves https.
    fn certificates(&self) -> Vec<CertificateStatus> {
        match &self.gate {
            Gate::Open(gateways) => gateways
                .iter()
                .find_map(GatewayTask::certificates)
                .unwrap_or_default(),
            Gate::Closing(_) => Vec::new(),
        }
    }

    /// What was counted and measured of the requests.
    #[must_use]
    pub fn measurements(&self) -> Measurements {
        self.current.measurements()
    }

    /// Writes to the log what each process of the application is doing.
    pub fn write_stacks(&self) {
        self.current.write_stacks();
    }
}

fn shown(gateways: &[GatewayTask]) -> Vec<String> {
    let shown = gateways.iter().map(GatewayTask::shown);
    shown.map(str::to_owned).collect()
}
