//! What is needed to start an application with all those in it, and their start.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::application::files::{Files, FilesOptions};
use crate::application::routes::Routes;
use crate::application::routes::named_application::NamedApplication;
use crate::application::routes::route_key::RouteKey;
use crate::application::routes::site::Site;
use crate::application::send_file::SendFolder;
use crate::config::Configuration;
use crate::interface::Application;
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::log::LineForm;
use crate::plan::application::circles::redirect_circles;
use crate::plan::application::imported::Imported;
use crate::plan::application::leaf::{Leaf, LeafKind};
use crate::plan::application::start::{Readiness, all_started};
use crate::plan::application::{ApplicationName, BuiltIn, SEND_FILES};
use crate::plan::upstream;
use crate::syntax::Diagnostics;
use crate::workers::options::Lifespan;
use crate::workers::python::imported_folders::ImportedFolders;

/// What is needed to start an application: its leaves, and the tree through which requests get to them.
#[derive(Debug)]
pub struct Recipe {
    name: String,
    /// Each once, however often the tree has it.
    leaves: Vec<Leaf>,
    tree: Tree,
    /// There is one request, which needs one of them.
    is_for_one_request: bool,
}

/// How requests get to leaves.
#[derive(Debug)]
enum Tree {
    /// The files of a folder, what answers where there is none, and what the log calls it where there are several
    /// applications: the route that leads to it.
    Files {
        options: FilesOptions,
        fallback: Option<Box<Tree>>,
        name: Option<String>,
    },
    /// What answers is decided by host and path.
    Routes(Vec<(RouteKey, Tree)>),
    /// The leaf with this number.
    Leaf(usize),
}

impl Recipe {
    /// The demonstration.
    #[must_use]
    pub fn demo() -> Self {
        let demo = Leaf {
            identity: String::new(),
            name: String::new(),
            what: LeafKind::Demo,
            sends: Vec::new(),
        };
        Self {
            name: BuiltIn::Demo.name().to_owned(),
            leaves: vec![demo],
            tree: Tree::Leaf(0),
            is_for_one_request: false,
        }
    }

    /// What is needed to start an application.
    ///
    /// # Errors
    /// There is no Python for one, a setting does not go with it, or a redirect leads to itself.
    pub fn of(
        scope: &Scope,
        application: &ApplicationName,
        arguments: &[OsString],
    ) -> Result<Self, Failure> {
        let circles = redirect_circles(scope, application);
        if !circles.is_empty() {
            return Err(Diagnostics(circles).into());
        }
        let mut planting = Planting {
            scope,
            arguments,
            leaves: Vec::new(),
        };
        let tree = planting.tree(application, None)?;
        Ok(Self {
            name: match application {
                ApplicationName::BuiltIn { what, .. } => what.name().to_owned(),
                ApplicationName::Python { target, .. } => target.as_str().to_owned(),
            },
            leaves: planting.leaves,
            tree,
            is_for_one_request: false,
        })
    }

    /// The application's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn imported(&self) -> impl Iterator<Item = &Imported> {
        self.leaves.iter().filter_map(Leaf::imported)
    }

    fn imported_mut(&mut self) -> impl Iterator<Item = &mut Imported> {
        self.leaves.iter_mut().filter_map(Leaf::imported_mut)
    }

    /// The same, with lines of this form in the log.
    #[must_use]
    pub fn logging(mut self, form: &LineForm) -> Self {
        let are_named = self.has_several();
        for leaf in &mut self.leaves {
            leaf.log_in(form, are_named);
        }
        self
    }

    /// Whether lines of the log name the application that they are about.
    fn has_several(&self) -> bool {
        self.leaves.iter().filter(|leaf| leaf.has_state()).count() > 1
    }

    /// Sets the folder for responses that are too large for memory.
    pub fn keep_in(&mut self, folder: &Path) {
        for leaf in &mut self.leaves {
            leaf.keep_in(folder.to_owned());
        }
    }

    /// Has its processes say which folders they import from, and show exceptions.
    pub fn report_imports(&mut self, folders: &Arc<ImportedFolders>) {
        for imported in self.imported_mut() {
            imported.options.development = Some(Arc::clone(folders));
        }
    }

    /// The same where nothing but the import is wanted.
    #[must_use]
    pub fn only_imported(mut self) -> Self {
        for imported in self.imported_mut() {
            imported.options.only_imported = true;
            // What it writes is for the person who has typed the command.
            imported.options.line_form = LineForm::default();
            if let Some(asgi) = &mut imported.options.asgi {
                asgi.lifespan = Lifespan::Off;
            }
        }
        self
    }

    /// The same for a process that answers one request and ends.
    #[must_use]
    pub fn for_one_request(mut self) -> Self {
        self.leaves.iter_mut().for_each(Leaf::for_one_request);
        self.is_for_one_request = true;
        self
    }

    /// The time limit for its start; `None` for no limit.
    #[must_use]
    pub fn start_timeout(&self) -> Option<Duration> {
        // All start at the same time, so that the longest limit is that of all.
        let limits = self.leaves.iter().filter_map(Leaf::start_timeout);
        let limits = limits.map(|limit| (!limit.is_zero()).then_some(limit));
        limits.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// Starts it, all processes at the same time; those of several applications for one request when it needs them.
    ///
    /// # Errors
    /// One of the applications does not start. Nothing is left running.
    pub async fn start(&self, readiness: Readiness) -> Result<Arc<dyn Application>, Failure> {
        let is_on_demand = self.is_for_one_request && self.imported().count() > 1;
        let starting = self.leaves.iter().map(|leaf| match is_on_demand {
            true => leaf.on_demand(),
            false => leaf.begin(readiness),
        });
        let started = all_started(starting.collect()).await?;
        let front = self.front(&started);
        if matches!(self.tree, Tree::Leaf(_)) {
            return Ok(front);
        }
        let (named, others) = self
            .leaves
            .iter()
            .zip(started)
            .partition::<Vec<_>, _>(|(leaf, _)| leaf.has_state());
        let named = named
            .into_iter()
            .map(|(leaf, one)| (leaf.name.clone(), one));
        let others = others.into_iter().map(|(_, one)| one);
        Ok(Arc::new(Site::new(
            front,
            named.collect(),
            others.collect(),
        )))
    }
}

impl Recipe {
    /// What passes requests on to the applications of the leaves, which run.
    fn front(&self, started: &[Arc<dyn Application>]) -> Arc<dyn Application> {
        if !self.has_several() {
            return application(&self.tree, started, false);
        }
        let named = self.leaves.iter().zip(started).map(|(leaf, one)| {
            let named = NamedApplication::new(&leaf.name, Arc::clone(one));
            Arc::new(named) as Arc<dyn Application>
        });
        application(&self.tree, &named.collect::<Vec<_>>(), true)
    }
}

/// The making of a tree.
struct Planting<'a> {
    scope: &'a Scope,
    arguments: &'a [OsString],
    leaves: Vec<Leaf>,
}

impl Planting<'_> {
    /// The tree of an application to which a route leads.
    fn tree(
        &mut self,
        application: &ApplicationName,
        route: Option<&RouteKey>,
    ) -> Result<Tree, Failure> {
        let own = application.startable(self.scope)?;
        match application {
            ApplicationName::BuiltIn { what, origin, .. } => {
                let identity = format!("{origin:?} {what:?} {}", application.settings_identity());
                self.built_in(&own, what, identity, route)
            }
            ApplicationName::Python {
                interface,
                target,
                origin,
                ..
            } => {
                let arguments = self.arguments.to_vec();
                let imported = Imported::of(&own, *interface, target, origin, arguments)?;
                let folders = own.search_path(origin);
                let name = target.as_str();
                let settings = application.settings_identity();
                let identity = format!("{interface:?} {name} {folders:?} {settings}");
                let what = LeafKind::Python(Box::new(imported));
                Ok(self.leaf(identity, target.as_str(), route, (what, &own)))
            }
        }
    }

    /// The same for one that is built in. Words at one place are one application, unless they are within routes that have one
    /// place for all words, or have settings of their own: that is its identity.
    fn built_in(
        &mut self,
        own: &Scope,
        what: &BuiltIn,
        identity: String,
        route: Option<&RouteKey>,
    ) -> Result<Tree, Failure> {
        let leaf = match what {
            BuiltIn::Files(options, fallback) => {
                let fallback = fallback.as_ref().map(|inner| self.tree(inner, route));
                let fallback = fallback.transpose()?.map(Box::new);
                return Ok(Tree::Files {
                    options: options.clone(),
                    fallback,
                    name: route.map(RouteKey::to_string),
                });
            }
            BuiltIn::Routes(routes) => {
                let routes = routes.iter().map(|inner| {
                    let joined = route.map(|outer| outer.join(&inner.key));
                    let joined = joined.as_ref().unwrap_or(&inner.key);
                    Ok((
                        inner.key.clone(),
                        self.tree(&inner.application, Some(joined))?,
                    ))
                });
                return Ok(Tree::Routes(routes.collect::<Result<_, Failure>>()?));
            }
            BuiltIn::Demo => LeafKind::Demo,
            BuiltIn::Fixed(answer) => LeafKind::Fixed(answer.clone()),
            BuiltIn::CgiBin(options) => LeafKind::CgiBin(options.clone()),
            BuiltIn::Upstream(name) => {
                let options = upstream::upstream(own, name.clone())?;
                LeafKind::Upstream(Box::new(options))
            }
        };
        Ok(self.leaf(identity, what.name(), route, (leaf, own)))
    }

    /// A leaf of the tree, which is a new one unless it is there already.
    fn leaf(
        &mut self,
        identity: String,
        name: &str,
        route: Option<&RouteKey>,
        (what, own): (LeafKind, &Scope),
    ) -> Tree {
        let mut known = self.leaves.iter();
        let number = known.position(|known| known.identity == identity);
        Tree::Leaf(number.unwrap_or_else(|| {
            let name = route.map_or_else(|| name.to_owned(), RouteKey::to_string);
            self.leaves.push(Leaf {
                identity,
                name,
                what,
                sends: send_folders(&own.configuration),
            });
            self.leaves.len() - 1
        }))
    }
}

/// The folders whose files an application can name.
fn send_folders(settings: &Configuration) -> Vec<SendFolder> {
    let folders = settings.folders(SEND_FILES).into_iter();
    folders
        .map(|(prefix, folder)| SendFolder { prefix, folder })
        .collect()
}

/// The application of a tree before its leaves, which run. `are_named` if the log names applications.
fn application(
    tree: &Tree,
    started: &[Arc<dyn Application>],
    are_named: bool,
) -> Arc<dyn Application> {
    match tree {
        Tree::Files {
            options,
            fallback,
            name,
        } => {
            let fallback = fallback.as_ref();
            let fallback = fallback.map(|inner| application(inner, started, are_named));
            let files = Arc::new(Files::new(options.clone(), fallback));
            match name {
                Some(name) if are_named => Arc::new(NamedApplication::new(name, files)),
                Some(_) | None => files,
            }
        }
        Tree::Routes(routes) => {
            let routes = routes
                .iter()
                .map(|(key, inner)| (key.clone(), application(inner, started, are_named)));
            Arc::new(Routes::new(routes.collect()))
        }
        Tree::Leaf(number) => Arc::clone(&started[*number]),
    }
}
