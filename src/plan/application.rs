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
use crate::log::LineForm;
use crate::plan::worker_options;
use crate::syntax::Diagnostic;
use crate::workers::options::WorkerOptions;
use crate::workers::python::import_failure::ImportFailure;

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
    Wsgi(Box<Imported>),
}

/// What is needed to import an application.
#[derive(Debug)]
pub struct Imported {
    /// Its workers.
    pub options: WorkerOptions,
    /// A mistake in its name, without a message.
    mistake: Diagnostic,
    /// The same for each of the modules that are imported after it; the message is the key or setting that names it.
    imports: Vec<Diagnostic>,
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
    /// The application's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Demo => "demo",
            Self::Wsgi(imported) => &imported.options.target,
        }
    }

    /// The same, with lines of this form in the log.
    #[must_use]
    pub fn logging(mut self, form: &LineForm) -> Self {
        match &mut self {
            Self::Wsgi(imported) => imported.options.line_form.clone_from(form),
            Self::Demo => {}
        }
        self
    }

    /// Sets the folder for responses that are too large for memory.
    pub fn keep_in(&mut self, folder: PathBuf) {
        match self {
            Self::Wsgi(imported) => imported.options.folder = folder,
            Self::Demo => {}
        }
    }

    /// The same where nothing but the import is wanted.
    #[must_use]
    pub fn only_imported(mut self) -> Self {
        match &mut self {
            Self::Wsgi(imported) => imported.options.only_imported = true,
            Self::Demo => {}
        }
        self
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
            ApplicationName::Wsgi { target, origin, .. } => Ok(Self::Wsgi(Box::new(Imported {
                options: worker_options::workers(scope, target, origin, arguments)?,
                mistake: scope.diagnose(origin, String::new(), None),
                imports: worker_options::imports(scope),
            }))),
        }
    }

    /// The same for a process that answers one request and ends.
    #[must_use]
    pub fn for_one_request(self) -> Self {
        match self {
            Self::Demo => Self::Demo,
            Self::Wsgi(imported) => Self::Wsgi(Box::new(Imported {
                options: worker_options::for_one_request(imported.options),
                mistake: imported.mistake,
                imports: imported.imports,
            })),
        }
    }

    /// The time limit for its start; `None` for no limit.
    #[must_use]
    pub fn start_timeout(&self) -> Option<Duration> {
        match self {
            Self::Demo => None,
            Self::Wsgi(imported) => {
                Some(imported.options.start_timeout).filter(|limit| !limit.is_zero())
            }
        }
    }

    /// Starts it.
    ///
    /// # Errors
    /// It does not start. Nothing is left running.
    pub async fn start(&self, readiness: Readiness) -> Result<Arc<dyn Application>, Failure> {
        match self {
            Self::Demo => Ok(Arc::new(Demo)),
            Self::Wsgi(imported) => Ok(Arc::new(imported.start(readiness).await?)),
        }
    }
}

impl Imported {
    async fn start(&self, readiness: Readiness) -> Result<Wsgi, Failure> {
        let started = Wsgi::start(self.options.clone()).await;
        let wsgi = started.map_err(|error| self.failure(error))?;
        match readiness {
            Readiness::First => {}
            Readiness::All => {
                if let Err(error) = wsgi.all_ready().await {
                    wsgi.stop(Duration::ZERO).await;
                    return Err(self.failure(error));
                }
            }
        }
        Ok(wsgi)
    }

    /// A mistake in a name is shown where the name was written. A traceback needs room of its own, so it has the place of
    /// the line that names the module alone, unless that is the application.
    fn failure(&self, error: anyhow::Error) -> Failure {
        let failure = match error.downcast::<ImportFailure>() {
            Ok(failure) => failure,
            Err(error) => return Failure::World(error),
        };
        let import = failure.import.and_then(|number| self.imports.get(number));
        if failure.traceback.is_empty() {
            return Diagnostic {
                message: failure.reason,
                hint: failure.hint,
                ..import.unwrap_or(&self.mistake).clone()
            }
            .into();
        }
        let error = anyhow::Error::from(failure);
        Failure::World(match import {
            Some(named) => error.context(named.clone()),
            None => error,
        })
    }
}
