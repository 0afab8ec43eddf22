//! The result of a command line: a node of the graph, which can be run, drawn and supervised.

use std::ffi::OsString;
use std::process::ExitCode;
use std::rc::Rc;

use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::word::Origin;
use crate::plan::Plan;
use crate::plan::address::{PlacedUrl, takes_passed};
use crate::plan::application::circles::upstream_circles;
use crate::plan::application::{ApplicationName, BuiltIn};
use crate::plan::gateway::Endpoint;
use crate::plan::one_request::OneRequest;
use crate::supervisor::programs::side_program::SideProgram;
use crate::supervisor::supervision::Supervision;
use crate::syntax::Diagnostic;

/// A command with all that it needs, resolved but not started.
pub trait Node {
    /// What is to be done to run it. `supervision` comes from a `supervise` before it.
    ///
    /// # Errors
    /// It cannot be run: there is no Python for an application, or no such user.
    fn job(&self, supervision: Option<&Supervision>) -> Result<Job<'_>, Failure>;

    /// Adds this node and those below it to a drawing.
    fn draw(&self, depth: usize, tree: &mut Vec<Branch>);

    /// The same for `graph FILE`: without the command that reads the file.
    fn draw_file(&self, depth: usize, tree: &mut Vec<Branch>) {
        self.draw(depth, tree);
    }

    /// The settings of the server that it runs, if `supervise` may stand before it.
    fn supervisable(&self) -> Option<&Scope> {
        None
    }

    /// What is wrong with its addresses and the settings about them, if it is a server whose addresses they are.
    fn address_problems(&self) -> Option<Vec<Diagnostic>> {
        None
    }

    /// The application that it serves, if it serves one.
    fn served(&self) -> Option<Served> {
        None
    }

    /// What it keeps running, if it is `supervise` itself.
    fn supervised(&self) -> Option<&Supervised> {
        None
    }
}

/// What there is to do.
pub enum Job<'a> {
    /// Run a server until it is told to stop.
    Serve(Box<Plan>),
    /// Answer one CGI request.
    Answer(Box<OneRequest>),
    /// Import applications, in this order, and report the outcome.
    Import(Vec<Result<OneRequest, Failure>>, Report<'a>),
    /// Run a command that ends by itself.
    Run(Box<dyn FnOnce() -> Result<ExitCode, Failure> + 'a>),
}

/// Reports the outcome of imports.
pub type Report<'a> = Box<dyn FnOnce(Vec<Result<(), Failure>>) -> ExitCode + 'a>;

/// An application that a command serves.
#[derive(Clone)]
pub struct Served {
    /// The settings.
    pub scope: Scope,
    /// Its name.
    pub application: ApplicationName,
    /// Its own arguments.
    pub arguments: Vec<OsString>,
    /// Where it is served.
    pub endpoints: Vec<Endpoint>,
    /// Whether a web server before it passes requests on, and logs them.
    pub is_behind_web_server: bool,
    /// Whether sockets that a service manager passes are served in place of those that it would open.
    pub takes_passed: bool,
}

impl Served {
    /// What a command serves behind a web server, on one socket. Without an origin of its URL, any sockets that are passed are
    /// served.
    #[must_use]
    pub fn behind_web_server(
        scope: &Scope,
        application: &ApplicationName,
        endpoint: Endpoint,
        origin: Option<&Origin>,
    ) -> Self {
        let takes_passed = origin.is_none_or(|origin| {
            takes_passed(&[PlacedUrl {
                url: endpoint.url.clone(),
                origin: origin.clone(),
            }])
        });
        Self {
            scope: scope.clone(),
            application: application.clone(),
            arguments: Vec::new(),
            endpoints: vec![endpoint],
            is_behind_web_server: true,
            takes_passed,
        }
    }

    /// The servers behind it that are this server.
    #[must_use]
    pub fn circles(&self) -> Vec<Diagnostic> {
        upstream_circles(&self.scope, &self.application, &self.endpoints)
    }

    /// A mistake in its name, without a message.
    #[must_use]
    pub fn mistake(&self) -> Diagnostic {
        self.scope
            .diagnose(self.application.origin(), String::new(), None)
    }
}

/// A command that ends by itself.
pub struct Action<F> {
    name: &'static str,
    run: F,
}

/// What `supervise` keeps running, and how.
#[derive(Clone)]
pub struct Supervised {
    /// Its settings.
    pub scope: Scope,
    /// How it is supervised.
    pub supervision: Supervision,
    /// What is kept running.
    pub what: KeptRunning,
    /// Whether a file of keys says so (rather than an INI file or the command line).
    pub has_keys: bool,
}

/// What can be kept running.
#[derive(Clone)]
pub enum KeptRunning {
    /// `serve` or `FastCGI`, perhaps by way of INI files.
    Application(Rc<dyn Node>),
    /// A program that is no application, and the place where its name was written.
    Program(SideProgram, Origin),
}

/// A line of a drawing, which is a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// How many lines are above it in the tree.
    pub depth: usize,
    /// What it is.
    pub text: String,
    /// The file and line where it was written; may be empty.
    pub origin: String,
}

impl Branch {
    /// A line without an origin.
    #[must_use]
    pub fn new(depth: usize, text: impl Into<String>) -> Self {
        Self::written(depth, text, "")
    }

    /// A line with its origin.
    #[must_use]
    pub fn written(depth: usize, text: impl Into<String>, origin: impl Into<String>) -> Self {
        Self {
            depth,
            text: text.into(),
            origin: origin.into(),
        }
    }
}

/// Adds an application to a drawing.
pub fn draw_application(
    scope: &Scope,
    application: &ApplicationName,
    depth: usize,
    tree: &mut Vec<Branch>,
) {
    match application {
        ApplicationName::BuiltIn {
            what,
            options,
            origin,
            ..
        } => {
            let text = with_options(&what.to_string(), what.name(), options);
            tree.push(Branch::written(depth, text, scope.place(origin)));
            if let BuiltIn::Routes(routes) = what {
                for route in routes {
                    let place = scope.place(&route.origin);
                    tree.push(Branch::written(depth + 1, route.key.to_string(), place));
                    draw_application(scope, &route.application, depth + 2, tree);
                }
                return;
            }
            for inner in what.inner() {
                draw_application(scope, inner, depth + 1, tree);
            }
        }
        ApplicationName::Python {
            interface,
            target,
            origin,
            adapter,
            ..
        } => {
            let adapter = scope.place(adapter.as_ref().unwrap_or(origin));
            tree.push(Branch::written(depth, interface.word(), adapter));
            tree.push(Branch::written(
                depth + 1,
                target.to_string(),
                scope.place(origin),
            ));
        }
    }
}

/// Words with options behind the name that they begin with: what follows may be the words of a program.
#[must_use]
pub fn with_options(words: &str, name: &str, options: &[String]) -> String {
    let rest = words.strip_prefix(name).unwrap_or_default();
    let quoted = options.iter().map(|option| match option.starts_with("--") {
        true => option.into(),
        false => shell_words::quote(option),
    });
    quoted.fold(name.to_owned(), |words, option| words + " " + &option) + rest
}

/// A command that ends by itself: the name for a drawing, and the function that runs it.
#[must_use]
pub fn action<F>(name: &'static str, run: F) -> Box<dyn Node>
where
    F: Fn() -> Result<ExitCode, Failure> + 'static,
{
    Box::new(Action { name, run })
}

impl<F: Fn() -> Result<ExitCode, Failure>> Node for Action<F> {
    fn job(&self, _: Option<&Supervision>) -> Result<Job<'_>, Failure> {
        Ok(Job::Run(Box::new(&self.run)))
    }

    fn draw(&self, depth: usize, tree: &mut Vec<Branch>) {
        tree.push(Branch::new(depth, self.name));
    }
}
