//! Gateway × application: the one place where the two meet. Binds the socket, starts the application, lets
//! the gateway serve until it is told to stop, and ends what stands behind the application.

use std::cell::Cell;
use std::ffi::OsString;
use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::application;
use crate::application::demo::Demo;
use crate::application::wsgi::Wsgi;
use crate::command::failure::Failure;
use crate::command::graph::Application;
use crate::command::identity::Identity;
use crate::command::line::{Origin, Scope};
use crate::command::settings;
use crate::command::target::Target;
use crate::eval::Value;
use crate::gateway::listener::Listener;
use crate::gateway::socket_url::SocketUrl;
use crate::supervisor::notify::Notifier;
use crate::unix;
use crate::workers::{WorkerOptions, interpreter};

/// The exit status after a second SIGINT: the shells' own number for it.
const INTERRUPTED: u8 = 130;

/// The property that names the Python interpreter.
const PYTHON: &str = "runner.python";

/// Serves an application through a gateway, until a signal says to stop.
///
/// What can fail soon fails first: a port that is in use is reported before an application is imported
/// for a minute, and nothing is bound if there is no Python at all.
///
/// # Errors
/// It cannot listen there, or the application cannot be started.
pub fn run<F: Future<Output = ()>>(
    scope: &Scope,
    url: &SocketUrl,
    application: &Application,
    arguments: Vec<OsString>,
    gateway: impl FnOnce(Listener, Arc<dyn application::Application>, CancellationToken) -> F,
) -> Result<ExitCode, Failure> {
    let identity = Identity::of(scope)?;
    let recipe = Recipe::of(scope, application, arguments)?;
    unix::raise_descriptor_limit();
    let patience = scope.configuration.duration("runner.stop_timeout");
    runtime()?.block_on(async {
        let mut signals = Signals::receive()?;
        let listener = identity.listen(url)?;
        let stop = CancellationToken::new();
        let notifier = Notifier::from_environment();
        let stopped = Cell::new(None);
        let serving = async {
            let Some(application) = stop.run_until_cancelled(recipe.start()).await else {
                return Ok(());
            };
            let application = application?;
            notifier.ready(&format!(
                "serving {}",
                listener.http_url().unwrap_or(url.to_string())
            ));
            let gateway = gateway(listener, Arc::clone(&application), stop.clone());
            tokio::select! {
                () = gateway => {}
                () = too_late(&stop, patience) => {
                    crate::log!("some requests did not finish in {}", seconds(patience));
                }
            }
            let taken = stopped
                .get()
                .map_or(Duration::ZERO, |at: Instant| at.elapsed());
            application.stop(patience.saturating_sub(taken)).await;
            Ok(())
        };
        let interrupted = async {
            signals.stop().await;
            stopped.set(Some(Instant::now()));
            notifier.stopping();
            stop.cancel();
            signals.interrupt().await;
        };
        tokio::select! {
            served = serving => served.map(|()| ExitCode::SUCCESS),
            () = interrupted => Ok(ExitCode::from(INTERRUPTED)),
            never = notifier.keep_alive() => match never {},
        }
    })
}

/// Waits until the time for a graceful stop is over.
async fn too_late(stop: &CancellationToken, patience: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(patience).await;
}

/// A time for people.
fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

/// Answers one CGI request.
///
/// # Errors
/// The application cannot be started.
pub fn run_once(scope: &Scope, application: &Application) -> Result<ExitCode, Failure> {
    let recipe = match Recipe::of(scope, application, Vec::new())? {
        Recipe::Demo => Recipe::Demo,
        Recipe::Wsgi(options) => Recipe::Wsgi(Box::new(settings::for_one_request(*options))),
    };
    let options = settings::cgi(&scope.configuration);
    Identity::of(scope)?.assume()?;
    let patience = scope.configuration.duration("runner.stop_timeout");
    runtime()?.block_on(async {
        let application = recipe.start().await?;
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

/// The signals that a server obeys.
struct Signals {
    terminate: Signal,
    /// What process managers of the FastCGI specification's time send.
    retire: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From here on, signals are received rather than ending the process.
    fn receive() -> anyhow::Result<Self> {
        let of = |kind| signal(kind).context("cannot receive signals");
        Ok(Self {
            terminate: of(SignalKind::terminate())?,
            retire: of(SignalKind::user_defined1())?,
            interrupt: of(SignalKind::interrupt())?,
        })
    }

    /// Waits for one that says to stop.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.retire.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits for somebody at a terminal who has no more patience.
    async fn interrupt(&mut self) {
        self.interrupt.recv().await;
    }
}

/// All that is needed to start an application.
enum Recipe {
    Demo,
    Wsgi(Box<WorkerOptions>),
}

impl Recipe {
    fn of(
        scope: &Scope,
        application: &Application,
        arguments: Vec<OsString>,
    ) -> Result<Self, Failure> {
        match application {
            Application::Demo { .. } => Ok(Self::Demo),
            Application::Wsgi { target, .. } => {
                let options = settings::workers(scope, target, arguments)?;
                Ok(Self::Wsgi(Box::new(options)))
            }
        }
    }

    async fn start(self) -> anyhow::Result<Arc<dyn application::Application>> {
        match self {
            Self::Demo => Ok(Arc::new(Demo)),
            Self::Wsgi(options) => Ok(Arc::new(Wsgi::start(*options).await?)),
        }
    }
}

/// The Python that runs applications.
///
/// # Errors
/// There is none, or not where the setting says.
pub fn python(scope: &Scope) -> Result<PathBuf, Failure> {
    let setting = match scope.get(PYTHON)? {
        Some(Value::Str(python)) => Some(python.to_string()),
        Some(_) | None => None,
    };
    let origin = Origin::Property(PYTHON.into());
    let found = match &setting {
        Some(python) => interpreter::named(python, &scope.folder(&origin)),
        None => interpreter::nearest(&scope.search_path()),
    };
    found.map_err(|missing| match setting {
        Some(_) => scope.mistake(&origin, missing.message, missing.hint),
        None => Failure::mistake(missing.message, missing.hint),
    })
}

/// What a Python program sees as `sys.argv`: the file that is run, or the name of the object, then its
/// own arguments.
#[must_use]
pub fn python_arguments(scope: &Scope, target: &Target, arguments: Vec<OsString>) -> Vec<OsString> {
    let program = match &scope.file {
        Some(file) => file.exact.clone(),
        None => target.to_string().into(),
    };
    [program].into_iter().chain(arguments).collect()
}
