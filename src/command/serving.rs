//! Gateway × application: the one place where the two meet. A loop that hears what happens to a server and does
//! what [`lifecycle::step`] says: starts, serves, has another version take the place of the one that serves, ends.

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use tokio::task::JoinSet;

use crate::application::Application;
use crate::application::current::Current;
use crate::command::failure::Failure;
use crate::command::front::{Front, Gateway, Place};
use crate::command::graph;
use crate::command::identity::Identity;
use crate::command::launch;
use crate::command::line::Scope;
use crate::command::plan::{Announcement, Plan, Readiness, Recipe};
use crate::command::settings;
use crate::command::signals::{Signals, Told};
use crate::gateway::listener::Listener;
use crate::gateway::stop::{Manner, Stop};
use crate::supervisor::lifecycle::{Action, End, Event, Outcome, State, step};
use crate::supervisor::notify::Notifier;
use crate::supervisor::orphans;
use crate::unix;

/// The exit status after a second SIGINT: the shells' own number for it.
const INTERRUPTED: u8 = 130;

/// Serves until a signal says to stop.
///
/// What can fail soon fails first: a port that is in use is reported before an application is imported
/// for a minute, and nothing is bound if there is no Python at all.
///
/// # Errors
/// It cannot listen there, or the application cannot be started.
pub fn run(plan: Plan) -> Result<ExitCode, Failure> {
    unix::raise_descriptor_limit();
    runtime()?.block_on(async {
        let mut master = Master::new(plan)?;
        let alive = master.notifier.keep_alive();
        tokio::select! {
            ended = master.live() => ended,
            never = alive => match never {},
            never = orphans::bury() => match never {},
        }
    })
}

/// Answers one CGI request.
///
/// # Errors
/// The application cannot be started.
pub fn run_once(scope: &Scope, application: &graph::Application) -> Result<ExitCode, Failure> {
    let recipe = match Recipe::of(scope, application, Vec::new())? {
        Recipe::Demo => Recipe::Demo,
        Recipe::Wsgi(options) => Recipe::Wsgi(Box::new(settings::for_one_request(*options))),
    };
    let options = settings::cgi(&scope.configuration);
    Identity::of(scope)?.assume()?;
    let patience = scope.configuration.duration("runner.stop_timeout");
    runtime()?.block_on(async {
        let application = recipe.start(Readiness::First).await?;
        let served = crate::gateway::cgi::serve(Arc::clone(&application), options).await;
        application.stop(patience).await;
        served?;
        Ok(ExitCode::SUCCESS)
    })
}

/// One thread owns all connections; the workers do the work.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")
        .map_err(Failure::World)
}

/// A version of what is served: started, but not yet asked anything.
struct Version {
    application: Arc<dyn Application>,
    place: Place,
    /// `None` where the old one goes on.
    listener: Option<Listener>,
    gateway: Gateway,
    announcement: Announcement,
    patience: Duration,
}

/// A version while it is being started.
type Preparation = Pin<Box<dyn Future<Output = Result<Version, Failure>>>>;

/// What serves.
struct Service {
    current: Arc<Current>,
    front: Front,
    patience: Duration,
}

impl Service {
    /// How it goes, for people.
    fn status(&self) -> String {
        format!("serving {}", self.front.shown())
    }
}

struct Master {
    state: State,
    signals: Signals,
    notifier: Notifier,
    preparing: Option<Preparation>,
    prepared: Option<Version>,
    /// Why nothing was prepared.
    failure: Option<Failure>,
    service: Option<Service>,
    /// What ends beside the service, each within its own time.
    leaving: JoinSet<()>,
    /// What ends the gateway that is ending quicker.
    stop: Option<Stop>,
}

impl Master {
    /// Listens, and begins to start the application.
    fn new(plan: Plan) -> anyhow::Result<Self> {
        let signals = Signals::receive()?;
        let listener = plan.identity.listen(&plan.url)?;
        Ok(Self {
            state: State::Starting { reload: false },
            signals,
            notifier: Notifier::from_environment(),
            preparing: Some(Box::pin(start(plan, Some(listener), Readiness::First))),
            prepared: None,
            failure: None,
            service: None,
            leaving: JoinSet::new(),
            stop: None,
        })
    }

    /// Serves, to the end.
    async fn live(&mut self) -> Result<ExitCode, Failure> {
        loop {
            let event = self.next().await;
            let (state, actions) = step(self.state, event);
            self.state = state;
            for action in actions {
                if let Some(exit) = self.act(*action)? {
                    return Ok(exit);
                }
            }
        }
    }

    /// Waits for something to happen.
    async fn next(&mut self) -> Event {
        loop {
            tokio::select! {
                told = self.signals.next() => match told {
                    Told::Stop => return Event::Told(End::Stop),
                    Told::Interrupt => return Event::Interrupted,
                    Told::Reload => return Event::ReloadWanted,
                },
                prepared = prepared(&mut self.preparing) => {
                    self.preparing = None;
                    return self.take_in(prepared);
                }
                Some(ended) = self.leaving.join_next(), if !self.leaving.is_empty() => {
                    if let Err(error) = ended {
                        crate::log!("what was to end failed: {error}");
                    }
                    if self.leaving.is_empty() {
                        return Event::Finished;
                    }
                }
            }
        }
    }

    /// Keeps what was prepared, and says in the log why nothing was.
    fn take_in(&mut self, prepared: Result<Version, Failure>) -> Event {
        match prepared {
            Ok(version) => {
                self.prepared = Some(version);
                Event::Prepared(Outcome::Ready)
            }
            Err(failure) => {
                self.failure = Some(failure);
                Event::Prepared(Outcome::Failed)
            }
        }
    }

    /// Does something; the exit status, if that was the last thing to do.
    fn act(&mut self, action: Action) -> Result<Option<ExitCode>, Failure> {
        match action {
            Action::Prepare => self.prepare(),
            Action::Switch => self.switch()?,
            Action::Answer => self.answer(),
            Action::Abandon => self.preparing = None,
            Action::Refuse => {}
            Action::End(end) => self.end(end),
            Action::Leave => return Ok(Some(ExitCode::SUCCESS)),
            Action::Fail => {
                let unknown = || Failure::World(anyhow!("it could not be started"));
                return Err(self.failure.take().unwrap_or_else(unknown));
            }
            Action::Drop => return Ok(Some(ExitCode::from(INTERRUPTED))),
        }
        Ok(None)
    }

    /// Begins to prepare a version beside the one that serves.
    fn prepare(&mut self) {
        let Some(service) = &self.service else {
            return;
        };
        self.notifier.reloading();
        let place = service.front.place().clone();
        let sockets = service.front.sockets();
        self.preparing = Some(Box::pin(async move {
            let sockets = sockets.context("cannot duplicate a socket")?;
            let plan = tokio::task::spawn_blocking(Plan::anew);
            let plan = plan.await.context("the configuration was not read")??;
            let wanted = plan.place();
            let listener = match () {
                () if wanted == place => None,
                () if wanted.url == place.url => Some(Listener::take_over(&place.url, sockets)?),
                () => Some(plan.identity.listen(&wanted.url)?),
            };
            start(plan, listener, Readiness::All).await
        }));
    }

    /// Has the version that was prepared answer from now on. What the old one has begun, it finishes.
    fn switch(&mut self) -> anyhow::Result<()> {
        let Some(version) = self.prepared.take() else {
            return Ok(());
        };
        let Some(service) = &mut self.service else {
            let service = open(version)?;
            self.notifier.ready(&service.status());
            self.service = Some(service);
            return Ok(());
        };
        match version.listener {
            None => service.front.tune(version.gateway),
            Some(listener) => {
                let moved = service.front.place().url != version.place.url;
                let current: Arc<dyn Application> = Arc::clone(&service.current) as _;
                let front = Front::open(version.place.url, listener, version.gateway, current)?;
                if moved {
                    crate::log!("serving {}", front.shown());
                }
                let mut old = std::mem::replace(&mut service.front, front);
                // The file of a Unix socket at the same place is the new one's.
                old.end(if moved {
                    Manner::Retire
                } else {
                    Manner::HandOver
                });
                let patience = service.patience;
                self.leaving.spawn(async move {
                    // Time over: what is under way is broken off.
                    let _ = tokio::time::timeout(patience, old.ended()).await;
                });
            }
        }
        let old = service.current.replace(version.application);
        let patience = std::mem::replace(&mut service.patience, version.patience);
        self.leaving.spawn(async move { old.stop(patience).await });
        Ok(())
    }

    /// Says how a reload went.
    fn answer(&mut self) {
        if let Some(service) = &self.service {
            self.notifier.ready(&service.status());
        }
        match self.failure.take() {
            None => crate::log!("reloaded"),
            Some(failure) => {
                let text = failure.text();
                crate::log!("the reload failed, and what was served before goes on:\n{text}");
            }
        }
    }

    /// Begins to end. A second time it is for being quicker.
    fn end(&mut self, end: End) {
        let manner = match end {
            End::Stop => Manner::Drain,
            End::Retire => Manner::HandOver,
        };
        let Some(service) = self.service.take() else {
            if let Some(stop) = &self.stop {
                stop.begin(manner);
            }
            return;
        };
        let Service {
            current,
            mut front,
            patience,
        } = service;
        self.notifier.stopping();
        self.stop = Some(front.end(manner));
        let deadline = Instant::now() + patience;
        self.leaving.spawn(async move {
            tokio::select! {
                () = front.ended() => {}
                () = tokio::time::sleep_until(deadline.into()) => {
                    let patience = patience.as_secs_f64();
                    crate::log!("some requests did not finish in {patience} s");
                }
            }
            drop(front);
            let left = deadline.saturating_duration_since(Instant::now());
            current.stop(left).await;
        });
    }
}

/// The end of what is being prepared, if something is.
async fn prepared(preparing: &mut Option<Preparation>) -> Result<Version, Failure> {
    match preparing {
        Some(preparing) => preparing.await,
        None => std::future::pending().await,
    }
}

/// Starts an application.
async fn start(
    plan: Plan,
    listener: Option<Listener>,
    readiness: Readiness,
) -> Result<Version, Failure> {
    let place = plan.place();
    Ok(Version {
        application: plan.recipe.start(readiness).await?,
        place,
        listener,
        gateway: plan.gateway,
        announcement: plan.announcement,
        patience: plan.patience,
    })
}

/// Begins to serve the first version.
fn open(version: Version) -> anyhow::Result<Service> {
    let current = Arc::new(Current::new(version.application));
    let listener = version.listener.context("there is no socket to serve")?;
    let (url, gateway) = (version.place.url, version.gateway);
    let is_tcp = listener.http_url().is_some();
    let front = Front::open(url, listener, gateway, Arc::clone(&current) as _)
        .context("cannot duplicate a socket")?;
    match version.announcement {
        Announcement::Nobody => {}
        Announcement::Log => crate::log!("serving {}", front.shown()),
        Announcement::Browser => {
            crate::log!("serving {}", front.shown());
            match is_tcp {
                true => launch::open(front.shown()),
                false => crate::log!("a browser cannot open a Unix socket"),
            }
        }
    }
    Ok(Service {
        current,
        front,
        patience: version.patience,
    })
}
