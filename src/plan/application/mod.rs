//! An application before any process of it runs: how it is named, and how it is started.
//!
//! Applications stand in one another: a [`BuiltIn`] may pass requests on to any number of them. What is asked of the names
//! of all of them is asked by one walk ([`ApplicationName::all`]). A [`recipe`] has the same tree, and in a list beside it,
//! each once, its leaves: those that answer requests, which settings belong to, and which may have processes. A new kind of
//! application is a variant of [`BuiltIn`], and a leaf or a node of the recipe's tree.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;

use crate::application::cgi_bin::CgiBinOptions;
use crate::application::files::FilesOptions;
use crate::application::fixed_answer::FixedAnswer;
use crate::application::routes::route_key::RouteKey;
use crate::config::Configuration;
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::target::Target;
use crate::line::word::{Origin, SettingsPrefix};
use crate::plan::supervised::unrunnable;
use crate::plan::surroundings;
use crate::supervisor::programs::side_program::SideProgram;
use crate::syntax::{Diagnostic, Diagnostics};
use crate::upstream::upstream_options::UpstreamName;

pub mod circles;
mod imported;
mod leaf;
pub mod recipe;
pub mod start;
mod upstream_start;

/// The folders whose files applications can name.
const SEND_FILES: &str = "runner.response.send_files";

/// An application by its name.
#[derive(Clone, Debug)]
pub enum ApplicationName {
    /// One that is built in.
    BuiltIn {
        /// What it is.
        what: BuiltIn,
        /// The options that its words have, as they can be written.
        options: Vec<String>,
        /// Where its name was written.
        origin: Origin,
        /// The prefixes of settings of its own, the first one first.
        settings: Vec<SettingsPrefix>,
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
        /// The prefixes of settings of its own, the first one first.
        settings: Vec<SettingsPrefix>,
    },
}

impl ApplicationName {
    /// Where its name was written.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        match self {
            Self::BuiltIn { origin, .. } | Self::Python { origin, .. } => origin,
        }
    }

    /// The prefixes of settings of its own, the first one first.
    fn settings(&self) -> &[SettingsPrefix] {
        match self {
            Self::BuiltIn { settings, .. } | Self::Python { settings, .. } => settings,
        }
    }

    /// The settings as it has them.
    ///
    /// # Errors
    /// There are mistakes in those of its own.
    pub fn scope(&self, all: &Scope) -> Result<Scope, Failure> {
        all.of_application(self.settings())
    }

    /// What tells it from the same application with other settings.
    fn settings_identity(&self) -> String {
        let names = self.settings().iter().map(|prefix| &*prefix.name);
        names.collect::<Vec<_>>().join(" ")
    }

    /// The Python file that it is in, if its name is that of a file.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::BuiltIn { .. } => None,
            Self::Python { target, .. } => target.file(),
        }
    }

    /// The mistake in its name if there is no such file.
    fn missing_file(&self, scope: &Scope) -> Option<Diagnostic> {
        let file = self.file().filter(|file| !file.is_file())?;
        let message = format!("there is no file `{}`", file.display());
        Some(scope.diagnose(self.origin(), message, None))
    }

    /// What keeps the program that it starts from being run.
    fn missing_program(&self, scope: &Scope) -> Option<Diagnostic> {
        let Self::BuiltIn {
            what: BuiltIn::Upstream(servers),
            origin,
            ..
        } = self
        else {
            return None;
        };
        let program = servers.program()?;
        let command = &program.command;
        let program = SideProgram {
            program: command.program.clone(),
            arguments: command.arguments.clone(),
            begins_in: program.begins_in.clone(),
            path: command.path.clone(),
            is_served: false,
        };
        unrunnable(scope, origin, &program)
    }

    /// The applications that it passes requests on to.
    #[must_use]
    pub fn inner(&self) -> Vec<&Self> {
        match self {
            Self::BuiltIn { what, .. } => what.inner(),
            Self::Python { .. } => Vec::new(),
        }
    }

    /// It and all applications in it, each before those that are in it.
    #[must_use]
    pub fn all(&self) -> Vec<&Self> {
        let mut all = vec![self];
        let mut next = 0;
        while let Some(application) = all.get(next) {
            next += 1;
            let inner = application.inner();
            all.splice(next..next, inner);
        }
        all
    }

    /// The Python applications among [`Self::all`].
    pub fn python(&self) -> impl Iterator<Item = &Self> {
        let all = self.all().into_iter();
        all.filter(|application| matches!(application, Self::Python { .. }))
    }

    /// The built-in applications among [`Self::all`].
    pub fn built_in(&self) -> impl Iterator<Item = &BuiltIn> {
        self.all()
            .into_iter()
            .filter_map(|application| match application {
                Self::BuiltIn { what, .. } => Some(what),
                Self::Python { .. } => None,
            })
    }

    /// The problems of the names and settings of all the applications.
    #[must_use]
    pub fn problems(&self, all: &Scope) -> Vec<Diagnostic> {
        let applications = self.all().into_iter();
        let problems = applications.flat_map(|application| application.own_problems(all));
        problems.collect()
    }

    /// The problems of its name and its settings, whatever is in it.
    fn own_problems(&self, all: &Scope) -> Vec<Diagnostic> {
        let mut problems = match self.scope(all) {
            Ok(own) => {
                let mut problems = surroundings::missing(&own.configuration);
                problems.extend(surroundings::unreadable(&own));
                problems.extend(own.configuration.keys_without_effect());
                problems.extend(self.misfit(&own.configuration));
                problems
            }
            Err(Failure::Mistakes(Diagnostics(mistakes))) => mistakes,
            Err(failure) => failure.problems(|message| Diagnostic {
                message,
                ..all.diagnose(self.origin(), String::new(), None)
            }),
        };
        problems.extend(self.missing_file(all));
        problems.extend(self.missing_program(all));
        problems
    }

    /// The settings as it has them, if it can be started with them.
    ///
    /// # Errors
    /// There are mistakes in those of its own, one does not go with such an application, or there is no such file.
    fn startable(&self, all: &Scope) -> Result<Scope, Failure> {
        let own = self.scope(all)?;
        let misfit = self.misfit(&own.configuration);
        match misfit.or_else(|| self.missing_file(all)) {
            Some(mistake) => Err(mistake.into()),
            None => Ok(own),
        }
    }

    /// A setting that does not go with this application, whatever is in it.
    fn misfit(&self, settings: &Configuration) -> Option<Diagnostic> {
        const THREADS: &str = "runner.workers.threads";
        for (_, folder) in settings.folders(SEND_FILES) {
            if let Err(error) = folder.join(".").metadata() {
                let folder = folder.display();
                let is_missing = error.kind() == ErrorKind::NotFound;
                let message = format!("files of `{folder}` cannot be sent: {error}");
                let hint =
                    is_missing.then(|| format!("make it before the start: `mkdir {folder}`"));
                return Some(settings.complain(SEND_FILES, message, hint));
            }
        }
        let one_thread = match self {
            Self::BuiltIn { .. } => false,
            Self::Python { interface, .. } => *interface == PythonInterface::Asgi,
        };
        let threads = settings.integer(THREADS);
        (one_thread && threads > 1).then(|| {
            let name = settings.written_name(THREADS);
            let message = format!(
                "setting `{name}` is {threads}, but each worker of an ASGI application has one thread"
            );
            let hint = "`runner.asgi.concurrency` is the number of requests that a worker handles at a time";
            settings.complain(THREADS, message, Some(hint.to_owned()))
        })
    }
}

/// An application that is built in.
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
    /// CGI programs.
    CgiBin(Box<CgiBinOptions>),
    /// Which application answers is decided by host and path.
    Routes(Vec<Route>),
}

/// An application for some hosts and paths.
#[derive(Clone, Debug)]
pub struct Route {
    /// Which requests it is for.
    pub key: RouteKey,
    /// Where the key was written.
    pub origin: Origin,
    /// The application.
    pub application: ApplicationName,
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
            Self::CgiBin(_) => "cgi-bin",
            Self::Routes(_) => "routes",
        }
    }

    /// The applications that it passes requests on to.
    #[must_use]
    pub fn inner(&self) -> Vec<&ApplicationName> {
        match self {
            Self::Demo | Self::Fixed(_) | Self::Upstream(_) | Self::CgiBin(_) => Vec::new(),
            Self::Files(_, fallback) => fallback.iter().map(|fallback| &**fallback).collect(),
            Self::Routes(routes) => routes.iter().map(|route| &route.application).collect(),
        }
    }
}

/// How it is written, with its most important word.
impl fmt::Display for BuiltIn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())?;
        match self {
            Self::Demo | Self::Routes(_) => Ok(()),
            Self::Files(options, _) => write!(formatter, " {}", options.folder.display()),
            Self::Fixed(answer) => write!(formatter, " {answer}"),
            Self::Upstream(name) => write!(formatter, " {name}"),
            Self::CgiBin(options) => write!(formatter, " {}", options.place.path().display()),
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
