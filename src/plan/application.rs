//! An application before any process of it runs: how it is named, and how it is started.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::application::demo::Demo;
use crate::application::wsgi::Wsgi;
use crate::interface::Application;
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::target::Target;
use crate::line::word::Origin;
use crate::plan::worker_options;
use crate::workers::options::WorkerOptions;

/// An application by its name.
#[derive(Clone, Debug)]
pub enum ApplicationName {
    /// The built-in demonstration.
    Demo {
        /// Where its name was written.
        origin: Origin,
    },
    /// A Python object.
    Wsgi {
        /// The object.
        target: Target,
        /// Where its name was written.
        origin: Origin,
        /// Where the word `WSGI` was written, if it was.
        adapter: Option<Origin>,
    },
}

/// What is needed to start an application.
#[derive(Debug)]
pub enum Recipe {
    /// The built-in demonstration.
    Demo,
    /// A WSGI application.
    Wsgi(Box<WorkerOptions>),
}

/// How much of an application must run before it counts as started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// One worker.
    First,
    /// All workers that are always kept running.
    All,
}

impl Recipe {
    /// Sets the folder for responses that are too large for memory.
    pub fn keep_in(&mut self, folder: PathBuf) {
        match self {
            Self::Wsgi(options) => options.folder = folder,
            Self::Demo => {}
        }
    }

    /// What is needed to start an application.
    ///
    /// # Errors
    /// There is no Python for it.
    pub fn of(
        scope: &Scope,
        application: &ApplicationName,
        arguments: Vec<OsString>,
    ) -> Result<Self, Failure> {
        match application {
            ApplicationName::Demo { .. } => Ok(Self::Demo),
            ApplicationName::Wsgi { target, origin, .. } => {
                let options = worker_options::workers(scope, target, origin, arguments)?;
                Ok(Self::Wsgi(Box::new(options)))
            }
        }
    }

    /// The time limit for its start; `None` for no limit.
    #[must_use]
    pub fn start_timeout(&self) -> Option<Duration> {
        match self {
            Self::Demo => None,
            Self::Wsgi(options) => Some(options.start_timeout).filter(|limit| !limit.is_zero()),
        }
    }

    /// Starts it.
    ///
    /// # Errors
    /// It does not start. Nothing is left running.
    pub async fn start(&self, readiness: Readiness) -> anyhow::Result<Arc<dyn Application>> {
        let options = match self {
            Self::Demo => return Ok(Arc::new(Demo)),
            Self::Wsgi(options) => options,
        };
        let wsgi = Wsgi::start(options.as_ref().clone()).await?;
        match readiness {
            Readiness::First => {}
            Readiness::All => {
                if let Err(error) = wsgi.all_ready().await {
                    wsgi.stop(Duration::ZERO).await;
                    return Err(error);
                }
            }
        }
        Ok(Arc::new(wsgi))
    }
}
