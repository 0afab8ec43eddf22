//! The version that serves: an application and the gateway before it. A reload replaces either.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::task::JoinSet;
use tokio::time::{timeout, timeout_at};

use crate::application::replaceable::Replaceable;
use crate::application::watched::Watched;
use crate::gateway::connection_limit::ConnectionLimit;
use crate::gateway::graceful_stop::{Manner, Stop};
use crate::gateway::socket::listener::Listener;
use crate::gateway::socket::url::SocketUrl;
use crate::interface::Application;
use crate::interface::master_status::{ConnectionCounts, ProgramStatus, Status};
use crate::line::failure::Failure;
use crate::log;
use crate::plan::Plan;
use crate::plan::application::Readiness;
use crate::plan::gateway::{Audience, Endpoint};
use crate::server::browser;
use crate::server::gateway_task::GatewayTask;
use crate::supervisor::control::order::HandedSocket;
use crate::supervisor::lifetime::{Activity, Lifetime, Next};
use crate::supervisor::programs::Programs;

/// How long a gateway has for the last responses (503, 504) of an application that has run out of time.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A version that has started, but gets no requests yet.
pub struct Version {
    plan: Plan,
    application: Arc<dyn Application>,
    /// `None` where the gateway of the old version goes on.
    listener: Option<Listener>,
    /// Knows when the application was last used, if there is an idle timeout.
    watched: Option<Arc<Watched>>,
}

/// The version that serves.
pub struct Running {
    current: Arc<Replaceable>,
    /// Its address, for people.
    shown: String,
    connections: ConnectionLimit,
    gate: Gate,
    /// How long running requests have to finish at the end.
    patience: Duration,
    /// When the first version began to serve.
    started: Instant,
    lifetime: Lifetime,
    watched: Option<Arc<Watched>>,
    /// The programs that run beside it.
    programs: Programs,
}

/// Whether requests are accepted.
enum Gate {
    Open(GatewayTask),
    /// Not any more; this speeds up the end.
    Closing(Stop),
}

/// What the gateway of the next version needs for the same address.
pub struct Neighbour {
    endpoint: Endpoint,
    sockets: Vec<std::os::fd::OwnedFd>,
}

/// Starts an application, as the next version.
///
/// # Errors
/// The application does not start.
pub async fn start(
    plan: Plan,
    listener: Option<Listener>,
    readiness: Readiness,
) -> Result<Version, Failure> {
    if let Some(warning) = &plan.limit_warning {
        crate::log_warning!("{warning}");
    }
    let mut application = plan.recipe.start(readiness).await?;
    let watched = (!plan.lifetime.idle_timeout.is_zero())
        .then(|| Arc::new(Watched::new(Arc::clone(&application))));
    if let Some(watched) = &watched {
        application = Arc::clone(watched) as _;
    }
    Ok(Version {
        plan,
        application,
        listener,
        watched,
    })
}

impl Version {
    /// Changes the programs beside the server to those of this version. Gives this version up if one does not start.
    ///
    /// # Errors
    /// The program that does not start, and why.
    pub async fn with(self, programs: Programs, within: Duration) -> anyhow::Result<Self> {
        let environment = self.plan.identity.environment();
        let changed = programs.change(&self.plan.programs, &environment, within);
        match changed.await {
            Ok(()) => Ok(self),
            Err(error) => {
                self.application.stop(Duration::ZERO).await;
                Err(error)
            }
        }
    }

    /// What it is to do.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

impl Neighbour {
    /// The listener for this plan; `None` if the present gateway can stay.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn listen(
        self,
        plan: &Plan,
        bind: impl FnOnce() -> anyhow::Result<Listener>,
    ) -> anyhow::Result<Option<Listener>> {
        let wanted = plan.endpoint();
        Ok(match () {
            () if wanted.url != self.endpoint.url => Some(bind()?),
            () if Listener::is_lost(&wanted.url, &self.sockets) => {
                Some(bind()?.with_connections_of(self.sockets)?)
            }
            () if wanted.protocol == self.endpoint.protocol => None,
            () => Some(Listener::take_over(&wanted.url, self.sockets)?),
        })
    }
}

impl Running {
    /// Begins to serve the first version, and logs its address. In a succession, the programs of the process before
    /// this one end first.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn open(version: Version, is_succession: bool) -> anyhow::Result<Self> {
        let plan = version.plan;
        let current = Arc::new(Replaceable::new(version.application));
        let listener = version.listener.context("there is no socket to serve")?;
        let is_tcp = listener.http_url().is_some();
        let application: Arc<dyn Application> = Arc::clone(&current) as _;
        let gateway = GatewayTask::open(plan.url, listener, plan.gateway, application)?;
        match plan.audience {
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
            connections: gateway.connections(),
            gate: Gate::Open(gateway),
            patience: plan.patience,
            started: Instant::now(),
            lifetime: plan.lifetime,
            watched: version.watched,
            programs: Programs::start(
                &plan.programs,
                &plan.identity.environment(),
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
            listener,
            watched,
        } = version;
        let Gate::Open(gateway) = &mut self.gate else {
            // The server is ending: no request would reach the new version.
            leaving.spawn(async move { application.stop(Duration::ZERO).await });
            return Ok(());
        };
        match listener {
            None => gateway.tune(plan.gateway),
            Some(listener) => {
                let moved = gateway.endpoint().url != plan.url;
                let current: Arc<dyn Application> = Arc::clone(&self.current) as _;
                let opened = GatewayTask::open(plan.url, listener, plan.gateway, current);
                let new = match opened {
                    Ok(new) => new,
                    Err(error) => {
                        leaving.spawn(async move { application.stop(Duration::ZERO).await });
                        return Err(error).context("cannot duplicate a socket");
                    }
                };
                let manner = match moved {
                    true => {
                        crate::log!("serving {}", new.shown());
                        Manner::Retire
                    }
                    // The new gateway owns the sockets, and the file of a Unix socket.
                    false => Manner::HandOver,
                };
                new.shown().clone_into(&mut self.shown);
                self.connections = new.connections();
                let mut old = std::mem::replace(gateway, new);
                old.end(manner).await;
                let patience = self.patience;
                leaving.spawn(async move {
                    // Requests that are still running after this time are broken off.
                    let _ = timeout(patience + LAST_WORDS, old.ended()).await;
                });
            }
        }
        log::set_form(plan.line_form);
        self.lifetime = plan.lifetime;
        self.watched = watched;
        let patience = std::mem::replace(&mut self.patience, plan.patience);
        leaving.spawn(self.current.replace(application, patience));
        Ok(())
    }

    /// Ends, in a task of `leaving`; the second time, more quickly. Returns when nothing is accepted any more.
    pub async fn end(&mut self, manner: Manner, leaving: &mut JoinSet<()>) {
        let gateway = match &mut self.gate {
            Gate::Closing(stop) => return stop.begin(manner),
            Gate::Open(gateway) => gateway,
        };
        // What does not end by itself would hold up the gateway. Where another process serves, clients may come back at once.
        self.current.drain(manner == Manner::HandOver);
        let stop = gateway.end(manner).await;
        // No gateway makes an offer of a WebSocket any more.
        self.current.drain(match manner {
            Manner::Drain => false,
            Manner::Retire | Manner::HandOver => true,
        });
        if let Gate::Open(gateway) = std::mem::replace(&mut self.gate, Gate::Closing(stop)) {
            leaving.spawn(finish(gateway, Arc::clone(&self.current), self.patience));
            leaving.spawn(self.programs.stop(self.patience));
        }
    }

    /// Waits until its lifetime is over.
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

    /// The programs beside it, and how long they have to end.
    #[must_use]
    pub fn beside(&self) -> (Programs, Duration) {
        (self.programs.clone(), self.patience)
    }

    /// What the gateway of the next version needs for the same address.
    ///
    /// # Errors
    /// The server is ending, or the process has no descriptors left.
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

    /// Its address, unless it listens nowhere.
    #[must_use]
    pub fn shown(&self) -> Option<&str> {
        (self.shown != SocketUrl::Nowhere.to_string()).then_some(&self.shown)
    }

    /// Its addresses, and the number of connections.
    #[must_use]
    pub fn connections(&self) -> (Vec<String>, ConnectionCounts) {
        let shown = self.shown().map(str::to_owned);
        (shown.into_iter().collect(), self.connections.count())
    }

    /// The state of the programs beside it.
    #[must_use]
    pub fn programs(&self) -> Vec<ProgramStatus> {
        self.programs.status()
    }

    /// The state of the application.
    #[must_use]
    pub fn status(&self) -> Status {
        self.current.status()
    }

    /// Writes to the log what each process of the application is doing.
    pub fn write_stacks(&self) {
        self.current.write_stacks();
    }
}

/// Waits for the end of a gateway, then ends the application. When time is over, the application ends first: it
/// answers what it has, and the gateway passes these answers on before it breaks off the rest.
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
                crate::log_warning!(
                    "some connections did not end in {patience} s (runner.stop_timeout)"
                );
            }
            drop(gateway);
        };
        tokio::join!(application.stop(left), passing_on);
    }
}
