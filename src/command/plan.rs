//! What a server is to do, with all settings read: a value that can be made anew at any time, in another thread,
//! and compared with the one that is in force.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::application::demo::Demo;
use crate::application::wsgi::Wsgi;
use crate::cli::Wish;
use crate::command::failure::Failure;
use crate::command::fastcgi::FastCgi;
use crate::command::front::{Gateway, Place};
use crate::command::graph::{self, Node};
use crate::command::identity::Identity;
use crate::command::line::{Origin, Scope};
use crate::command::seating::Seating;
use crate::command::settings;
use crate::command::target::Target;
use crate::command::temporary::Temporary;
use crate::eval::Value;
use crate::gateway::socket::url::SocketUrl;
use crate::here;
use crate::interface::Application;
use crate::run;
use crate::supervisor::lifetime::Lifetime;
use crate::supervisor::supervision::{SideProgram, Supervision};
use crate::workers::options::WorkerOptions;
use crate::workers::python::executable;

/// The property that names the Python interpreter.
const PYTHON: &str = "runner.python";

/// All that a server is to do.
#[derive(Debug)]
pub struct Plan {
    /// Where to listen.
    pub url: SocketUrl,
    /// Who the server is to be.
    pub identity: Identity,
    /// What is spoken there.
    pub gateway: Gateway,
    /// Who is told when it answers.
    pub announcement: Announcement,
    /// Whether it is a master.
    pub seating: Seating,
    /// What answers.
    pub recipe: Recipe,
    /// How long what is under way has to finish at the end.
    pub patience: Duration,
    /// When it ends by itself.
    pub lifetime: Lifetime,
    /// What is kept running beside it.
    pub programs: Vec<SideProgram>,
    /// Where it keeps what is too large for memory.
    pub temporary: Temporary,
}

/// Who is told that an application is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// Whoever reads the log.
    Log,
    /// Somebody in front of a browser.
    Browser,
    /// Nobody: a web server knows where.
    Nobody,
}

/// All that is needed to start an application.
#[derive(Debug)]
pub enum Recipe {
    /// The built-in demonstration.
    Demo,
    /// A WSGI application.
    Wsgi(Box<WorkerOptions>),
}

/// How much of an application has to be there before it counts as started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// One worker.
    First,
    /// All that are always kept running.
    All,
}

impl Plan {
    /// A server as its settings have it; what they say of supervision counts only where there is any.
    ///
    /// # Errors
    /// No user is as it is to be, or a lock or the place for orders makes no sense.
    pub fn new(
        scope: &Scope,
        url: SocketUrl,
        gateway: Gateway,
        announcement: Announcement,
        recipe: Recipe,
        supervision: Option<Supervision>,
    ) -> Result<Self, Failure> {
        let seating = Seating::of(scope, supervision.as_ref())?;
        let (lifetime, programs) = supervision
            .map(|how| (how.lifetime, how.programs))
            .unwrap_or_default();
        Ok(Self {
            url,
            identity: Identity::of(scope)?,
            gateway,
            announcement,
            seating,
            recipe,
            patience: scope.configuration.duration("runner.stop_timeout"),
            lifetime,
            programs,
            temporary: Temporary::of(&scope.configuration),
        })
    }

    /// Reads everything anew: the command line that this process was started with, and all files, in the folder
    /// that has the name of the current one by now.
    ///
    /// # Errors
    /// What is wrong with them now, or that they do not serve anything any more.
    pub fn anew() -> Result<Self, Failure> {
        here::follow();
        let node = match run::parse(std::env::args_os())? {
            Wish::Run(line) => Some(run::resolve(line)?),
            // They end before anything is served.
            Wish::Help(_) | Wish::Usage(_) => None,
        };
        match node.and_then(Node::plan) {
            Some(plan) => plan,
            None => Err(Failure::mistake(
                "what is to be run now does not serve anything",
                Some("stop it, and start it again".to_owned()),
            )),
        }
    }

    /// Finds a folder for temporary files. To be called as the user that the server is to be; blocks.
    ///
    /// # Errors
    /// The one that was set cannot be written.
    pub fn find_folder(&mut self) -> anyhow::Result<()> {
        let folder = self.temporary.find()?;
        let spool = match &mut self.gateway {
            Gateway::Http(options) => &mut options.spool,
            Gateway::FastCgi(options) => &mut options.spool,
        };
        Arc::make_mut(spool).folder.clone_from(&folder);
        self.recipe.keep_in(folder);
        Ok(())
    }

    /// Looks whether the programs beside it can be run.
    ///
    /// # Errors
    /// One cannot.
    pub fn find_programs(&self) -> anyhow::Result<()> {
        self.programs.iter().try_for_each(SideProgram::find)
    }

    /// Where it is to listen, and what is spoken there.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            url: self.url.clone(),
            protocol: self.gateway.protocol(),
        }
    }
}

impl Node {
    /// Whether it serves, for as long as it runs.
    #[must_use]
    pub fn serves(&self) -> bool {
        match self {
            Self::RunIni(node) => node.node.serves(),
            Self::Serve(_) | Self::FastCgi(_) | Self::Supervise(_) => true,
            Self::Cgi(_)
            | Self::Call(_)
            | Self::Tree(_)
            | Self::Init(_)
            | Self::Format(_)
            | Self::Completions(_)
            | Self::Report(_)
            | Self::Check(_)
            | Self::Status(_)
            | Self::Order(_)
            | Self::Help(_)
            | Self::Exit(_) => false,
        }
    }

    /// What is to be done if this is run; `None` for what is no server.
    #[must_use]
    pub fn plan(self) -> Option<Result<Plan, Failure>> {
        match self {
            Self::RunIni(node) => node.node.plan(),
            Self::Serve(node) => Some(node.plan()),
            Self::FastCgi(node) => Some(node.plan()),
            Self::Cgi(node) => node.gateway().ok().map(FastCgi::plan),
            Self::Supervise(node) => node.plan(),
            Self::Call(_)
            | Self::Tree(_)
            | Self::Init(_)
            | Self::Format(_)
            | Self::Completions(_)
            | Self::Report(_)
            | Self::Check(_)
            | Self::Status(_)
            | Self::Order(_)
            | Self::Help(_)
            | Self::Exit(_) => None,
        }
    }
}

impl Recipe {
    /// Says where responses are kept.
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
        application: &graph::Application,
        arguments: Vec<OsString>,
    ) -> Result<Self, Failure> {
        match application {
            graph::Application::Demo { .. } => Ok(Self::Demo),
            graph::Application::Wsgi { target, origin, .. } => {
                let options = settings::workers(scope, target, origin, arguments)?;
                Ok(Self::Wsgi(Box::new(options)))
            }
        }
    }

    /// How long it may take to start; `None` for as long as it likes.
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
    /// It cannot be started. Nothing is left running.
    pub async fn start(self, readiness: Readiness) -> anyhow::Result<Arc<dyn Application>> {
        let options = match self {
            Self::Demo => return Ok(Arc::new(Demo)),
            Self::Wsgi(options) => options,
        };
        let wsgi = Wsgi::start(*options).await?;
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

/// The Python that runs an object whose name was written somewhere.
///
/// # Errors
/// There is none, or not where the setting says.
pub fn python(scope: &Scope, origin: &Origin) -> Result<PathBuf, Failure> {
    let setting = match scope.get(PYTHON)? {
        Some(Value::Str(python)) => Some(python.to_string()),
        Some(_) | None => None,
    };
    let named = Origin::Property(PYTHON.into());
    let found = match &setting {
        Some(python) => executable::named(python, &scope.folder(&named)),
        None => executable::nearest(&scope.search_path(origin)),
    };
    found.map_err(|missing| match setting {
        Some(_) => scope.mistake(&named, missing.message, missing.hint),
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
