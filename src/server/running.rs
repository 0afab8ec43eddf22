//! What serves: an application and the gateway before it, either of which another one can take the place of.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::task::JoinSet;
use tokio::time::{timeout, timeout_at};

use crate::application::replaceable::Replaceable;
use crate::application::watched::Watched;
use crate::gateway::connection_limit::Crowd;
use crate::gateway::graceful_stop::{Manner, Stop};
use crate::gateway::socket::listener::Listener;
use crate::gateway::socket::url::SocketUrl;
use crate::interface::Application;
use crate::interface::status::{ConnectionCounts, ProgramStatus, Status};
use crate::line::failure::Failure;
use crate::plan::Plan;
use crate::plan::application::Readiness;
use crate::plan::gateway::{Audience, Endpoint, Gateway, Protocol};
use crate::server::browser;
use crate::server::gateway_task::GatewayTask;
use crate::supervisor::control::order::HandedSocket;
use crate::supervisor::lifetime::{Activity, Lifetime, Next};
use crate::supervisor::programs::Programs;
use crate::supervisor::programs::keeper::EnvironmentChanges;
use crate::supervisor::supervision::SideProgram;

/// How long a gateway has to pass on what an application says of requests that have not finished in time.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A version of what is served: started, but not yet asked anything.
pub struct Version {
    application: Arc<dyn Application>,
    endpoint: Endpoint,
    /// `None` where the old one goes on.
    listener: Option<Listener>,
    gateway: Gateway,
    audience: Audience,
    patience: Duration,
    start_timeout: Option<Duration>,
    lifetime: Lifetime,
    /// What is to be started beside the first one.
    programs: Vec<SideProgram>,
    environment: EnvironmentChanges,
    /// If it matters when it was last asked for something.
    watched: Option<Arc<Watched>>,
}

/// What serves.
pub struct Running {
    current: Arc<Replaceable>,
    /// Where it can be reached.
    shown: String,
    crowd: Crowd,
    gate: Gate,
    /// How long what is under way has to finish at the end.
    patience: Duration,
    /// When the first version began to serve.
    started: Instant,
    lifetime: Lifetime,
    watched: Option<Arc<Watched>>,
    /// What runs beside it.
    programs: Programs,
}

/// Whether requests come in.
enum Gate {
    Open(GatewayTask),
    /// No more; this makes it end quicker.
    Closing(Stop),
}

/// What is needed to have another gateway at the same place.
pub struct Neighbour {
    endpoint: Endpoint,
    sockets: Vec<std::os::fd::OwnedFd>,
}

/// Starts a version.
///
/// # Errors
/// The application cannot be started.
pub async fn start(
    plan: Plan,
    listener: Option<Listener>,
    readiness: Readiness,
) -> Result<Version, Failure> {
    let endpoint = plan.endpoint();
    let start_timeout = plan.recipe.start_timeout();
    let mut application = plan.recipe.start(readiness).await?;
    let watched = (!plan.lifetime.idle_timeout.is_zero())
        .then(|| Arc::new(Watched::new(Arc::clone(&application))));
    if let Some(watched) = &watched {
        application = Arc::clone(watched) as _;
    }
    Ok(Version {
        start_timeout,
        application,
        endpoint,
        listener,
        gateway: plan.gateway,
        audience: plan.audience,
        patience: plan.patience,
        lifetime: plan.lifetime,
        programs: plan.programs,
        environment: plan.identity.environment(),
        watched,
    })
}

impl Version {
    /// Has what runs beside it be that of this version, and gives it up if that does not come up.
    ///
    /// # Errors
    /// What does not come up, and why.
    pub async fn with(self, programs: Programs, within: Duration) -> anyhow::Result<Self> {
        let changed = programs.change(&self.programs, &self.environment, within);
        match changed.await {
            Ok(()) => Ok(self),
            Err(error) => {
                self.application.stop(Duration::ZERO).await;
                Err(error)
            }
        }
    }

    /// What it speaks.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.gateway.protocol()
    }

    /// How long it may take to start; `None` for as long as it likes.
    #[must_use]
    pub fn start_timeout(&self) -> Option<Duration> {
        self.start_timeout
    }
}

impl Neighbour {
    /// What a gateway for this plan listens with; `None` if the one that is there will do.
    ///
    /// # Errors
    /// Nothing can listen there.
    pub fn listen(
        self,
        plan: &Plan,
        bind: impl FnOnce() -> anyhow::Result<Listener>,
    ) -> anyhow::Result<Option<Listener>> {
        let wanted = plan.endpoint();
        Ok(match () {
            () if wanted.url != self.endpoint.url => Some(bind()?),
            () if Listener::is_lost(&wanted.url, &self.sockets) => {
                Some(bind()?.succeed(self.sockets)?)
            }
            () if wanted.protocol == self.endpoint.protocol => None,
            () => Some(Listener::take_over(&wanted.url, self.sockets)?),
        })
    }
}

impl Running {
    /// Begins to serve the first version, and says so. If that is a succession, what runs beside the one before ends.
    ///
    /// # Errors
    /// The system has no descriptors left.
    pub fn open(version: Version, is_succession: bool) -> anyhow::Result<Self> {
        let current = Arc::new(Replaceable::new(version.application));
        let listener = version.listener.context("there is no socket to serve")?;
        let is_tcp = listener.http_url().is_some();
        let application: Arc<dyn Application> = Arc::clone(&current) as _;
        let gateway =
            GatewayTask::open(version.endpoint.url, listener, version.gateway, application)?;
        match version.audience {
            Audience::Nobody => {}
            Audience::Log => crate::log!("serving {}", gateway.shown()),
            Audience::Browser => {
                crate::log!("serving {}", gateway.shown());
                match is_tcp {
                    true => browser::open(gateway.shown()),
                    false => crate::log!("a browser cannot open a Unix socket"),
                }
            }
        }
        Ok(Self {
            current,
            shown: gateway.shown().to_owned(),
            crowd: gateway.crowd(),
            gate: Gate::Open(gateway),
            patience: version.patience,
            started: Instant::now(),
            lifetime: version.lifetime,
            watched: version.watched,
            programs: Programs::start(
                &version.programs,
                &version.environment,
                is_succession.then_some(version.patience),
            ),
        })
    }

    /// Has a version answer from now on, in place of the one that did. What that one has begun, it finishes;
    /// `leaving` is where. Returns when nothing reaches that one any more.
    ///
    /// # Errors
    /// The system has no descriptors left; the old one goes on.
    pub async fn switch(
        &mut self,
        version: Version,
        leaving: &mut JoinSet<()>,
    ) -> anyhow::Result<()> {
        let Gate::Open(gateway) = &mut self.gate else {
            // It ends: nobody would ask the new one anything.
            leaving.spawn(async move { version.application.stop(Duration::ZERO).await });
            return Ok(());
        };
        match version.listener {
            None => gateway.tune(version.gateway),
            Some(listener) => {
                let moved = gateway.endpoint().url != version.endpoint.url;
                let current: Arc<dyn Application> = Arc::clone(&self.current) as _;
                let opened =
                    GatewayTask::open(version.endpoint.url, listener, version.gateway, current);
                let new = match opened {
                    Ok(new) => new,
                    Err(error) => {
                        leaving
                            .spawn(async move { version.application.stop(Duration::ZERO).await });
                        return Err(error).context("cannot duplicate a socket");
                    }
                };
                let manner = match moved {
                    true => {
                        crate::log!("serving {}", new.shown());
                        Manner::Retire
                    }
                    // The sockets are the new one's, and the file of a Unix socket.
                    false => Manner::HandOver,
                };
                new.shown().clone_into(&mut self.shown);
                self.crowd = new.crowd();
                let mut old = std::mem::replace(gateway, new);
                old.end(manner).await;
                let patience = self.patience;
                leaving.spawn(async move {
                    // Time over: what is under way is broken off.
                    let _ = timeout(patience + LAST_WORDS, old.ended()).await;
                });
            }
        }
        self.lifetime = version.lifetime;
        self.watched = version.watched;
        let patience = std::mem::replace(&mut self.patience, version.patience);
        leaving.spawn(self.current.replace(version.application, patience));
        Ok(())
    }

    /// Ends in a manner; `leaving` is where. Returns when nothing comes in any more. A second time it is for being
    /// quicker.
    pub async fn end(&mut self, manner: Manner, leaving: &mut JoinSet<()>) {
        let gateway = match &mut self.gate {
            Gate::Closing(stop) => return stop.begin(manner),
            Gate::Open(gateway) => gateway,
        };
        let stop = gateway.end(manner).await;
        if let Gate::Open(gateway) = std::mem::replace(&mut self.gate, Gate::Closing(stop)) {
            leaving.spawn(finish(gateway, Arc::clone(&self.current), self.patience));
            leaving.spawn(self.programs.stop(self.patience));
        }
    }

    /// Waits until it has served for as long as it is to.
    pub async fn over(&self) {
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

    /// What runs beside it, and how long that has to end.
    #[must_use]
    pub fn beside(&self) -> (Programs, Duration) {
        (self.programs.clone(), self.patience)
    }

    /// What is needed for another gateway at the same place.
    ///
    /// # Errors
    /// It ends, or the system has no descriptors left.
    pub fn neighbour(&self) -> anyhow::Result<Neighbour> {
        match &self.gate {
            Gate::Open(gateway) => Ok(Neighbour {
                endpoint: gateway.endpoint().clone(),
                sockets: gateway.sockets().context("cannot duplicate a socket")?,
            }),
            Gate::Closing(_) => anyhow::bail!("it is being stopped"),
        }
    }

    /// The sockets, for a successor.
    ///
    /// # Errors
    /// As with [`Running::neighbour`].
    pub fn handed(&self) -> anyhow::Result<HandedSocket> {
        let Neighbour { endpoint, sockets } = self.neighbour()?;
        Ok(HandedSocket {
            url: endpoint.url.to_string(),
            descriptors: sockets,
        })
    }

    /// Where it can be reached, if anywhere.
    #[must_use]
    pub fn shown(&self) -> Option<&str> {
        (self.shown != SocketUrl::Nowhere.to_string()).then_some(&self.shown)
    }

    /// Where it can be reached, and how many connections there are.
    #[must_use]
    pub fn connections(&self) -> (Vec<String>, ConnectionCounts) {
        let count = self.crowd.count();
        let connections = ConnectionCounts {
            open: count.open,
            idle: count.waiting,
            most: count.limit,
        };
        let shown = self.shown().map(str::to_owned);
        (shown.into_iter().collect(), connections)
    }

    /// How the programs beside it are.
    #[must_use]
    pub fn programs(&self) -> Vec<ProgramStatus> {
        self.programs.status()
    }

    /// How the application is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.current.status()
    }

    /// Has the log say what the application's processes are doing.
    pub fn write_stacks(&self) {
        self.current.write_stacks();
    }
}

/// Waits until a gateway has ended, and ends the application then. When time is over, the application ends first:
/// so it has an answer to all that it is on, which the gateway passes on. What is under way then is broken off.
fn finish(
    mut gateway: GatewayTask,
    application: Arc<Replaceable>,
    patience: Duration,
) -> impl Future<Output = ()> + Send {
    let deadline = Instant::now() + patience;
    async move {
        let ended = timeout_at(deadline.into(), gateway.ended()).await.is_ok();
        let left = deadline.saturating_duration_since(Instant::now());
        let passing_on = async {
            if !ended && timeout(LAST_WORDS, gateway.ended()).await.is_err() {
                let patience = patience.as_secs_f64();
                crate::log!("some connections did not end in {patience} s (runner.stop_timeout)");
            }
            drop(gateway);
        };
        tokio::join!(application.stop(left), passing_on);
    }
}
