//! What a process that answers one CGI request is to do.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use crate::gateway::cgi::CgiOptions;
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::log::LineForm;
use crate::plan::LogSurroundings;
use crate::plan::application::ApplicationName;
use crate::plan::application::recipe::Recipe;
use crate::plan::gateway_options;
use crate::plan::temporary::Temporary;
use crate::plan::user::identity;
use crate::supervisor::identity::Identity;

/// One request, and what answers it.
#[derive(Debug)]
pub struct OneRequest {
    /// What answers.
    pub recipe: Recipe,
    /// How the request is read.
    pub gateway: CgiOptions,
    /// The user of the process.
    pub identity: Identity,
    /// How long the application has to end after its response.
    pub patience: Duration,
    /// The form of the lines in the log.
    pub line_form: LineForm,
    /// Where bodies are kept that are too large for memory.
    temporary: Temporary,
}

impl OneRequest {
    /// One request to an application with arguments of its own.
    ///
    /// # Errors
    /// There is no Python for the application, or no such user.
    pub fn new(
        scope: &Scope,
        application: &ApplicationName,
        arguments: &[OsString],
    ) -> Result<Self, Failure> {
        let recipe = Recipe::of(scope, application, arguments)?.for_one_request();
        let log = LogSurroundings {
            adds_time: true,
            is_shared: false,
        };
        let line_form = log.line_form(scope, &recipe);
        Ok(Self {
            recipe: recipe.logging(&line_form),
            line_form,
            gateway: gateway_options::cgi(&scope.configuration),
            identity: identity(scope)?,
            patience: scope.configuration.duration("runner.stop_timeout"),
            temporary: Temporary::of(&scope.configuration),
        })
    }

    /// Finds a folder for temporary files. To be called as the user of the server. Blocks.
    ///
    /// # Errors
    /// The configured folder cannot be written.
    pub fn find_folder(&mut self) -> anyhow::Result<()> {
        let folder = self.temporary.find()?;
        Arc::make_mut(&mut self.gateway.spool)
            .folder
            .clone_from(&folder);
        self.recipe.keep_in(&folder);
        Ok(())
    }
}
