//! An application before any process of it runs: how it is named, and how it is started.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::application::demo::Demo;
use crate::application::files::{Files, FilesOptions};
use crate::application::fixed_answer::FixedAnswer;
use crate::application::http_upstream::HttpUpstream;
use crate::application::python_application::PythonApplication;
use crate::config::Configuration;
use crate::interface::Application;
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::target::Target;
use crate::line::word::Origin;
use crate::log::LineForm;
use crate::plan::{upstream, worker_options};
use crate::syntax::Diagnostic;
use crate::upstream::upstream_options::{UpstreamName, UpstreamOptions, UpstreamProtocol};
use crate::workers::options::{Lifespan, WorkerOptions};
use crate::workers::python::import_failure::ImportFailure;
use crate::workers::python::imported_folders::ImportedFolders;

/// An application by its name.
#[derive(Clone, Debug)]
pub enum ApplicationName {
    /// One that is built in.
    BuiltIn {
        /// What it is.
        what: BuiltIn,
        /// Where its name was written.
        origin: Origin,
    },
    /// A Python object.
    Python {
        /// How it is called.
        interface: PythonInterface,
        /// The object.
        target: Target,
        /// Where its name was written.
        origin: Origin,
        /// Where the word `WSGI` or `ASGI` was written, if it was.
        adapter: Option<Origin>,
    },
}

impl ApplicationName {
    /// A setting that does not go with such an application.
    #[must_use]
    pub fn misfit(&self, settings: &Configuration) -> Option<Diagnostic> {
        const THREADS: &str = "runner.workers.threads";
        let one_thread = match self {
            Self::BuiltIn { what, .. } => {
                return what.inner().and_then(|inner| inner.misfit(settings));
            }
            Self::Python { interface, .. } => *interface == PythonInterface::Asgi,
        };
        let threads = settings.integer(THREADS);
        (one_thread && threads > 1).then(|| {
            let message = format!(
                "setting `{THREADS}` is {threads}, but each worker of an ASGI application has one thread"
            );
            let hint = "`runner.asgi.concurrency` is the number of requests that a worker handles at a time";
            settings.complain(THREADS, message, Some(hint.to_owned()))
        })
    }
}

impl ApplicationName {
    /// Where its name was written.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        match self {
            Self::BuiltIn { origin, .. } | Self::Python { origin, .. } => origin,
        }
    }

    /// The Python application in it: itself, or the one behind it.
    #[must_use]
    pub fn python(&self) -> Option<&Self> {
        match self {
            Self::BuiltIn { what, .. } => what.inner()?.python(),
            Self::Python { .. } => Some(self),
        }
    }
}

/// An application that needs no process of its own.
#[derive(Clone, Debug)]
pub enum BuiltIn {
    /// The demonstration.
    Demo,
    /// The files of a folder, and what answers where there is none.
    Files(FilesOptions, Option<Box<ApplicationName>>),
    /// The same answer for each request.
    Fixed(FixedAnswer),
    /// Servers that are asked.
    Upstream(UpstreamName),
}

impl BuiltIn {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Demo => "demo",
            Self::Files(..) => "files",
            Self::Fixed(answer) => answer.name(),
            Self::Upstream(_) => "upstream",
        }
    }

    /// The application that it passes requests on to.
    #[must_use]
    pub fn inner(&self) -> Option<&ApplicationName> {
        match self {
            Self::Demo | Self::Fixed(_) | Self::Files(_, None) | Self::Upstream(_) => None,
            Self::Files(_, Some(inner)) => Some(inner),
        }
    }
}

/// How it is written, with its most important word.
impl fmt::Display for BuiltIn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())?;
        match self {
            Self::Demo => Ok(()),
            Self::Files(options, _) => write!(formatter, " {}", options.folder.display()),
            Self::Fixed(answer) => write!(formatter, " {answer}"),
            Self::Upstream(name) => write!(formatter, " {name}"),
        }
    }
}

/// How a Python application is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PythonInterface {
    /// By WSGI (PEP 3333).
    Wsgi,
    /// By ASGI 3.
    Asgi,
}

impl PythonInterface {
    /// The word that stands before the name of such an application.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Wsgi => "WSGI",
            Self::Asgi => "ASGI",
        }
    }
}

/// What is needed to start an application.
#[derive(Debug)]
pub enum Recipe {
    /// The built-in demonstration.
    Demo,
    /// The files of a folder, and what answers where there is none.
    Files(FilesOptions, Option<Box<Recipe>>),
    /// The same answer for each request.
    Fixed(FixedAnswer),
    /// Servers that are asked.
    Upstream(Box<UpstreamOptions>),
    /// A Python application.
    Python(Box<Imported>),
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
            Self::Files(..) => "files",
            Self::Fixed(answer) => answer.name(),
            Self::Upstream(_) => "upstream",
            Self::Python(imported) => &imported.options.target,
        }
    }

    /// What is imported for it.
    fn imported(&self) -> Option<&Imported> {
        match self {
            Self::Demo | Self::Fixed(_) | Self::Files(_, None) | Self::Upstream(_) => None,
            Self::Files(_, Some(inner)) => inner.imported(),
            Self::Python(imported) => Some(imported),
        }
    }

    fn imported_mut(&mut self) -> Option<&mut Imported> {
        match self {
            Self::Demo | Self::Fixed(_) | Self::Files(_, None) | Self::Upstream(_) => None,
            Self::Files(_, Some(inner)) => inner.imported_mut(),
            Self::Python(imported) => Some(imported),
        }
    }

    /// The same, with lines of this form in the log.
    #[must_use]
    pub fn logging(mut self, form: &LineForm) -> Self {
        if let Some(imported) = self.imported_mut() {
            imported.options.line_form.clone_from(form);
        }
        self
    }

    /// Sets the folder for responses that are too large for memory.
    pub fn keep_in(&mut self, folder: PathBuf) {
        match self {
            Self::Demo | Self::Fixed(_) | Self::Files(_, None) => {}
            Self::Files(_, Some(inner)) => inner.keep_in(folder),
            Self::Upstream(options) => options.folder = folder,
            Self::Python(imported) => imported.options.folder = folder,
        }
    }

    /// Has its processes say which folders they import from, and show exceptions.
    pub fn report_imports(&mut self, folders: &Arc<ImportedFolders>) {
        if let Some(imported) = self.imported_mut() {
            imported.options.development = Some(Arc::clone(folders));
        }
    }

    /// The same where nothing but the import is wanted.
    #[must_use]
    pub fn only_imported(mut self) -> Self {
        if let Some(imported) = self.imported_mut() {
            imported.options.only_imported = true;
            // What it writes is for the person who has typed the command.
            imported.options.line_form = LineForm::default();
            if let Some(asgi) = &mut imported.options.asgi {
                asgi.lifespan = Lifespan::Off;
            }
        }
        self
    }

    /// What is needed to start an application.
    ///
    /// # Errors
    /// There is no Python for it, or a setting does not go with it.
    pub fn of(
        scope: &Scope,
        application: &ApplicationName,
        arguments: Vec<OsString>,
    ) -> Result<Self, Failure> {
        if let Some(misfit) = application.misfit(&scope.configuration) {
            return Err(misfit.into());
        }
        match application {
            ApplicationName::BuiltIn { what, .. } => Ok(match what {
                BuiltIn::Demo => Self::Demo,
                BuiltIn::Fixed(answer) => Self::Fixed(answer.clone()),
                BuiltIn::Files(options, inner) => {
                    let inner = inner
                        .as_ref()
                        .map(|inner| Self::of(scope, inner, arguments));
                    Self::Files(options.clone(), inner.transpose()?.map(Box::new))
                }
                BuiltIn::Upstream(name) => {
                    let options = upstream::upstream(&scope.configuration, name.clone());
                    Self::Upstream(Box::new(options))
                }
            }),
            ApplicationName::Python {
                interface,
                target,
                origin,
                ..
            } => Ok(Self::Python(Box::new(Imported {
                options: WorkerOptions {
                    asgi: match interface {
                        PythonInterface::Wsgi => None,
                        PythonInterface::Asgi => Some(worker_options::asgi(&scope.configuration)),
                    },
                    ..worker_options::workers(scope, target, origin, arguments)?
                },
                mistake: scope.diagnose(origin, String::new(), None),
                imports: worker_options::imports(scope),
            }))),
        }
    }

    /// The same for a process that answers one request and ends.
    #[must_use]
    pub fn for_one_request(mut self) -> Self {
        if let Some(imported) = self.imported_mut() {
            imported.options = worker_options::for_one_request(imported.options.clone());
        }
        self
    }

    /// The time limit for its start; `None` for no limit.
    #[must_use]
    pub fn start_timeout(&self) -> Option<Duration> {
        let limit = self.imported()?.options.start_timeout;
        (!limit.is_zero()).then_some(limit)
    }

    /// Starts it.
    ///
    /// # Errors
    /// It does not start. Nothing is left running.
    pub async fn start(&self, readiness: Readiness) -> Result<Arc<dyn Application>, Failure> {
        match self {
            Self::Demo => Ok(Arc::new(Demo)),
            Self::Fixed(answer) => Ok(Arc::new(answer.clone())),
            Self::Files(options, inner) => {
                let fallback = match inner {
                    Some(inner) => Some(Box::pin(inner.start(readiness)).await?),
                    None => None,
                };
                Ok(Arc::new(Files::new(options.clone(), fallback)))
            }
            Self::Upstream(options) => match &options.name.protocol {
                UpstreamProtocol::Http(http) => Ok(Arc::new(HttpUpstream::new(options, http))),
            },
            Self::Python(imported) => Ok(Arc::new(imported.start(readiness).await?)),
        }
    }
}

impl Imported {
    async fn start(&self, readiness: Readiness) -> Result<PythonApplication, Failure> {
        let started = PythonApplication::start(self.options.clone()).await;
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
