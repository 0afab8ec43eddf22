//! The applications that files name, which `check --import` imports as a server would.

use std::collections::HashSet;

use crate::graph::node::Served;
use crate::line::failure::Failure;
use crate::log::{self, Level};
use crate::plan::application::ApplicationName;
use crate::plan::one_request::OneRequest;
use crate::plan::surroundings::module_folders;
use crate::syntax::{Diagnostic, Diagnostics};

/// The applications of all files, each once.
#[derive(Default)]
pub struct Imports {
    applications: Vec<Served>,
    known: HashSet<String>,
}

impl Imports {
    /// Adds an application.
    pub fn add(&mut self, served: &Served) {
        for application in served.application.python() {
            let ApplicationName::Python {
                interface,
                target,
                origin,
                ..
            } = application
            else {
                continue;
            };
            // Mistakes in its own settings are reported without an import.
            let Ok(own) = application.scope(&served.scope) else {
                continue;
            };
            let folders = module_folders(&own, origin);
            let python = own.configuration.text("runner.python");
            let modules = own.configuration.texts("runner.workers.imports");
            let variables = own.configuration.variables("runner.environment");
            // Another file may name the same.
            let identity =
                format!("{interface:?} {target} {folders:?} {python:?} {modules:?} {variables:?}");
            if self.known.insert(identity) {
                self.applications.push(Served {
                    application: application.clone(),
                    ..served.clone()
                });
            }
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.applications.len()
    }

    /// What is needed to import each.
    pub fn requests(&self) -> Vec<Result<OneRequest, Failure>> {
        let request = |one: &Served| OneRequest::new(&one.scope, &one.application, &one.arguments);
        self.applications.iter().map(request).collect()
    }

    /// The problems of imports, which were made in this order, where the applications are named. What has further lines is
    /// for standard error, as is what applications write.
    pub fn problems(&self, imported: Vec<Result<(), Failure>>) -> Vec<Diagnostic> {
        let pairs = self.applications.iter().zip(imported);
        pairs
            .filter_map(|(served, result)| Some((served, result.err()?)))
            .flat_map(|(served, failure)| problems_of(served, failure))
            .collect()
    }
}

fn problems_of(served: &Served, failure: Failure) -> Vec<Diagnostic> {
    let mut problems = match failure {
        Failure::Mistakes(Diagnostics(mistakes)) => mistakes,
        Failure::World(_) | Failure::Usage(_) | Failure::Help(_) => {
            // A module that is imported after the application is named elsewhere.
            let named = match &failure {
                Failure::World(error) => error.downcast_ref::<Diagnostic>(),
                Failure::Mistakes(_) | Failure::Usage(_) | Failure::Help(_) => None,
            };
            let text = failure.text();
            let text = text.strip_prefix("error: ").unwrap_or(&text);
            let place = named.map(|named| format!("{named}: "));
            let text = text
                .strip_prefix(&place.unwrap_or_default())
                .unwrap_or(text);
            let (message, further) = text.split_once('\n').unwrap_or((text, ""));
            if !further.is_empty() {
                log::drawn(Level::Error, text);
            }
            let mut problem = Diagnostic::new("command/line", message);
            problem.labels = named.map(|named| named.labels.clone()).unwrap_or_default();
            vec![problem]
        }
    };
    for problem in &mut problems {
        if problem.labels.is_empty() {
            let placed = served.mistake();
            problem.labels = placed.labels;
        }
        if ["setting/value", "command/line"].contains(&problem.code) {
            problem.code = "name/import";
        }
    }
    problems
}
