//! A Python application: what is needed to import it, and why it could not be imported.

use std::ffi::OsString;
use std::sync::Arc;

use crate::application::python_application::PythonApplication;
use crate::application::routes::on_demand::OnDemand;
use crate::interface::Application;
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::target::Target;
use crate::line::word::Origin;
use crate::plan::application::PythonInterface;
use crate::plan::application::start::{Readiness, Starting};
use crate::plan::worker_options;
use crate::syntax::Diagnostic;
use crate::workers::options::WorkerOptions;
use crate::workers::python::import_failure::ImportFailure;

/// What is needed to import an application.
#[derive(Clone, Debug)]
pub(super) struct Imported {
    /// Its workers.
    pub(super) options: WorkerOptions,
    mistakes: Mistakes,
}

/// What is reported where, if it cannot be imported.
#[derive(Clone, Debug)]
struct Mistakes {
    /// A mistake in its name, without a message.
    name: Diagnostic,
    /// The same for each of the modules that are imported after it; the message is the key or setting that names it.
    imports: Vec<Diagnostic>,
}

impl Imported {
    /// An object that was named at the origin.
    ///
    /// # Errors
    /// There is no Python for it, or no such user.
    pub(super) fn of(
        scope: &Scope,
        interface: PythonInterface,
        target: &Target,
        origin: &Origin,
        arguments: Vec<OsString>,
    ) -> Result<Self, Failure> {
        Ok(Self {
            options: WorkerOptions {
                asgi: match interface {
                    PythonInterface::Wsgi => None,
                    PythonInterface::Asgi => Some(worker_options::asgi(&scope.configuration)),
                },
                ..worker_options::workers(scope, target, origin, arguments)?
            },
            mistakes: Mistakes {
                name: scope.diagnose(origin, String::new(), None),
                imports: worker_options::imports(scope),
            },
        })
    }

    /// Begins to start it.
    pub(super) fn begin(&self, readiness: Readiness) -> Starting {
        let (application, first) = PythonApplication::begin(self.options.clone());
        let application = Arc::new(application);
        let (python, mistakes) = (Arc::clone(&application), self.mistakes.clone());
        let ready = async move {
            first.await?;
            match readiness {
                Readiness::First => Ok(()),
                Readiness::All => python.all_ready().await,
            }
        };
        Starting {
            application: application as Arc<dyn Application>,
            ready: Box::pin(async move { ready.await.map_err(|error| mistakes.failure(error)) }),
        }
    }
}

impl Imported {
    /// The application, which is started when a request needs it.
    pub(super) fn on_demand(&self) -> Arc<dyn Application> {
        let imported = self.clone();
        Arc::new(OnDemand::new(Box::new(move || {
            let Starting { application, ready } = imported.begin(Readiness::First);
            Box::pin(async move {
                let started = ready.await.map(|()| application);
                started.map_err(|failure| failure.text())
            })
        })))
    }
}

impl Mistakes {
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
                ..import.unwrap_or(&self.name).clone()
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
