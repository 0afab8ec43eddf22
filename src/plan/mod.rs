//! Settings to a plan of what a server is to do. A [`Plan`] is a value: it can be made again at any time, in another
//! thread, and compared with the plan in force. Nothing here starts anything.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};

use crate::application::development::{EVENTS_PATH, SCRIPT_PATH};
use crate::config::{Layer, PID_FILE};
use crate::gateway::http::HttpOptions;
use crate::gateway::socket::file_rights::FileRights;
use crate::gateway::socket::server_url::ServerUrl;
use crate::gateway::socket::url::SocketUrl;
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::word::Origin;
use crate::log::{AccessDestination, LineForm, LineStyle};
use crate::own_file::folder_of;
use crate::permission;
use crate::plan::application::recipe::Recipe;
use crate::plan::development::{Development, ReloadMode};
use crate::plan::gateway::{Audience, Endpoint, Gateway, Protocol};
use crate::plan::seating::Seating;
use crate::plan::supervised::start_commands;
use crate::plan::temporary::Temporary;
use crate::plan::user::{identity, socket_rights};
use crate::supervisor::identity::Identity;
use crate::supervisor::lifetime::Lifetime;
use crate::supervisor::programs::parent_link;
use crate::supervisor::programs::side_program::SideProgram;
use crate::supervisor::programs::start_command::StartCommand;
use crate::supervisor::supervision::Supervision;
use crate::syntax::Diagnostic;

pub mod address;
pub mod application;
pub mod development;
pub mod gateway;
pub mod gateway_options;
pub mod one_request;
pub mod pages;
pub mod python;
pub mod seating;
pub mod supervised;
pub mod surroundings;
pub mod temporary;
pub mod tls;
pub mod upstream;
pub mod user;
pub mod worker_options;

/// All that a server is to do.
#[derive(Debug)]
pub struct Plan {
    /// Where to listen; nowhere, for programs that are only kept running.
    pub urls: Vec<ServerUrl>,
    /// Where the master's own pages are served, if they are.
    pub pages: Option<ServerUrl>,
    /// Who may connect to those that are Unix sockets.
    pub socket_rights: FileRights,
    /// The user of the server.
    pub identity: Identity,
    /// The protocol.
    pub gateway: Gateway,
    /// Who is told that it answers.
    pub audience: Audience,
    /// Whether it is a master.
    pub seating: Seating,
    /// Where its pid file is set, for messages.
    pub pid_file_place: String,
    /// What answers.
    pub recipe: Recipe,
    /// How many bytes of all responses may be in memory.
    pub response_memory: usize,
    /// How long running requests have to finish at the end.
    pub patience: Duration,
    /// When it ends by itself.
    pub lifetime: Lifetime,
    /// The programs beside it.
    pub programs: Vec<SideProgram>,
    /// What has to end well before the application starts, one after the other.
    pub before_start: Vec<StartCommand>,
    /// The time for each of these; `None` for no limit.
    pub start_limit: Option<Duration>,
    /// What the environment of programs has besides that of the server; `None` for variables that are removed.
    pub environment: Vec<(String, Option<String>)>,
    /// Files whose change reloads it.
    pub touch_reload: BTreeSet<PathBuf>,
    /// Where bodies are kept that are too large for memory.
    pub temporary: Temporary,
    /// What the settings are probably meant to say and do not: shown at the start.
    pub warnings: Vec<Diagnostic>,
    /// The form of the lines in the log.
    pub line_form: LineForm,
    /// Where the access log goes.
    pub access: AccessDestination,
    /// What is to be logged of a limit of the system.
    pub limit_warning: Option<String>,
    /// What else the log says once the server answers.
    pub note: Option<&'static str>,
    /// What `launch` does for a developer.
    pub development: Option<Development>,
}

impl Plan {
    /// The plan of a server, from its settings and from how it is supervised.
    ///
    /// # Errors
    /// There is no such user, or the control socket or the status pages have no valid URL.
    pub fn new(
        scope: &Scope,
        urls: Vec<ServerUrl>,
        mut gateway: Gateway,
        audience: Audience,
        recipe: Recipe,
        supervision: Option<&Supervision>,
    ) -> Result<Self, Failure> {
        let seating = Seating::of(scope, supervision)?;
        let (lifetime, programs) = supervision
            .map(|how| (how.lifetime, how.programs.clone()))
            .unwrap_or_default();
        let is_given = urls
            .iter()
            .any(|url| matches!(&url.socket, SocketUrl::Descriptor(socket) if socket.number == 0));
        let log = LogSurroundings {
            adds_time: is_given && gateway.protocol() == Protocol::FastCgi,
            is_shared: parent_link::is_there() || programs.iter().any(|program| !program.is_served),
        };
        let line_form = log.line_form(scope, &recipe);
        let access = match &gateway {
            Gateway::Http(HttpOptions {
                access_log: Some(_),
                ..
            }) => {
                let name = program_name(scope, &recipe);
                gateway_options::access_destination(&scope.configuration, &name)
            }
            Gateway::Http(_) | Gateway::FastCgi(_) | Gateway::Uwsgi(_) => {
                AccessDestination::default()
            }
        };
        let pages = pages::url(scope, &urls)?;
        gateway.set_measures(pages.is_some());
        Ok(Self {
            pages,
            urls,
            socket_rights: socket_rights(scope)?,
            identity: identity(scope)?,
            gateway,
            audience,
            seating,
            pid_file_place: scope.place(&Origin::Property(PID_FILE.into())),
            response_memory: gateway_options::response_memory(&scope.configuration),
            patience: scope.configuration.duration("runner.stop_timeout"),
            lifetime,
            programs,
            before_start: start_commands(scope)?,
            start_limit: Some(scope.configuration.duration("runner.start_timeout"))
                .filter(|limit| !limit.is_zero()),
            environment: surroundings::environment(scope)?,
            touch_reload: surroundings::touched(scope)?,
            temporary: Temporary::of(&scope.configuration),
            warnings: scope.configuration.warnings_at_start().to_vec(),
            recipe: recipe.logging(&line_form),
            line_form,
            access,
            limit_warning: gateway_options::warning(&scope.configuration),
            note: None,
            development: None,
        })
    }

    /// The same for a developer.
    #[must_use]
    pub fn developing(mut self, development: Development) -> Self {
        self.recipe.report_imports(&development.imported);
        if let Gateway::Http(options) = &mut self.gateway
            && let Some(log) = &mut options.access_log
            && development.reload != ReloadMode::Off
        {
            let log = Arc::make_mut(log);
            log.without
                .extend([SCRIPT_PATH, EVENTS_PATH].map(str::to_owned));
        }
        self.development = Some(development);
        self
    }

    /// Opens the file of the access log, if there is one and it is not open yet. To be called before the process becomes the
    /// user of the server: that user may have no right to make the file. Blocks.
    ///
    /// # Errors
    /// Neither that user nor root can open it.
    pub fn open_access_log(&mut self) -> anyhow::Result<()> {
        let Some(file) = &mut self.access.file else {
            return Ok(());
        };
        let opened = self.identity.act(|| Ok(file.open()?));
        let opened = match (&self.identity.account, opened) {
            (Some(account), Err(_)) if permission::is_root() => file
                .open_as_root(|file| account.give(file))
                .map_err(Into::into),
            (_, opened) => opened,
        };
        opened.with_context(|| {
            let (path, setting) = (file.path().display(), gateway_options::ACCESS_FILE);
            format!("cannot open the access log `{path}` ({setting})")
        })
    }

    /// Finds a folder for temporary files, and opens the access log if it is not open yet. To be called as the user of the
    /// server. Blocks.
    ///
    /// # Errors
    /// The configured folder cannot be written, or the access log not opened.
    pub fn find_folder(&mut self) -> anyhow::Result<()> {
        self.open_access_log()?;
        let folder = self.temporary.find()?;
        let spool = match &mut self.gateway {
            Gateway::Http(options) => &mut options.spool,
            Gateway::FastCgi(options) => &mut options.spool,
            Gateway::Uwsgi(options) => &mut options.spool,
        };
        Arc::make_mut(spool).folder.clone_from(&folder);
        self.recipe.keep_in(&folder);
        Ok(())
    }

    /// Checks that a master can make its pid file. To be called as the user of the server.
    ///
    /// # Errors
    /// That user may not write to the folder.
    pub fn check_pid_folder(&self) -> anyhow::Result<()> {
        let Seating::Supervised(options) = &self.seating else {
            return Ok(());
        };
        match permission::no_writing(folder_of(&options.pid_file)) {
            Some(refusal) => Err(anyhow!(
                "{} cannot make the pid file `{}` ({PID_FILE}, {}): it {refusal}",
                permission::present_user(),
                options.pid_file.display(),
                self.pid_file_place
            )),
            None => Ok(()),
        }
    }

    /// Checks that the programs beside it can be run.
    ///
    /// # Errors
    /// One cannot.
    pub fn find_programs(&self) -> anyhow::Result<()> {
        let before = self.before_start.iter().map(|command| &command.program);
        let mut all = before.chain(&self.programs);
        all.try_for_each(SideProgram::find)
    }

    /// Runs what has to end well before the application starts.
    ///
    /// # Errors
    /// One does not.
    pub async fn run_start_commands(&self) -> anyhow::Result<()> {
        for command in &self.before_start {
            command.run(&self.environment, self.start_limit).await?;
        }
        Ok(())
    }

    /// Gives the files of Unix sockets their group and permissions.
    ///
    /// # Errors
    /// The user of this process does not belong to the group, or does not own a file.
    pub fn apply_socket_rights(&self) -> anyhow::Result<()> {
        let mut urls = self.urls.iter().chain(&self.pages);
        urls.try_for_each(|url| self.socket_rights.apply(&url.socket))
    }

    /// All that it listens on: for requests, and last for the pages of the master.
    #[must_use]
    pub fn all_urls(&self) -> Vec<ServerUrl> {
        self.urls.iter().chain(&self.pages).cloned().collect()
    }

    /// Its sockets and the protocol on them.
    pub fn endpoints(&self) -> impl Iterator<Item = Endpoint> {
        let protocol = self.gateway.protocol();
        let urls = self.urls.iter().cloned();
        urls.map(move |url| Endpoint { url, protocol })
    }
}

/// What the lines of a process have to do with others in the same log.
#[derive(Clone, Copy, Debug)]
pub struct LogSurroundings {
    /// A web server has started the process, and adds the time to what it writes.
    pub adds_time: bool,
    /// Other programs write to it, too.
    pub is_shared: bool,
}

impl LogSurroundings {
    /// The form of the lines that the settings give.
    #[must_use]
    pub fn line_form(self, scope: &Scope, recipe: &Recipe) -> LineForm {
        let settings = &scope.configuration;
        let style = match settings.text("runner.log.format").as_deref() {
            Some("time") => LineStyle::Time,
            Some("journal") => LineStyle::Journal,
            Some("plain") => LineStyle::Plain,
            Some("json") => LineStyle::Json,
            Some(_) | None if self.adds_time => LineStyle::automatic(LineStyle::Plain),
            Some(_) | None => LineStyle::automatic(LineStyle::Time),
        };
        let is_named = self.is_shared || settings.text(NAME).is_some();
        LineForm {
            style,
            name: is_named.then(|| program_name(scope, recipe)),
            application: None,
        }
    }
}

/// The setting with the name of the program in the log.
const NAME: &str = "runner.log.name";

/// The name of the program in the log: the one that is set, or that of the file or of the application.
fn program_name(scope: &Scope, recipe: &Recipe) -> String {
    let mut layers = scope.layers.iter().rev();
    let file = layers.find_map(|layer| match layer {
        Layer::File(path) | Layer::Keys(path) => path.file_stem(),
        Layer::Own(_) | Layer::Listed(_) | Layer::Named(_) | Layer::Option { .. } => None,
    });
    let name = match (scope.configuration.text(NAME), file) {
        (Some(name), _) => name,
        (None, Some(stem)) => stem.to_string_lossy().into_owned(),
        (None, None) => recipe.name().to_owned(),
    };
    // It must not begin another line.
    name.replace(char::is_control, " ")
}
