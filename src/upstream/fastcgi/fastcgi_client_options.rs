//! What FastCGI servers are told of each request.

use std::path::PathBuf;

/// What each request is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FastCgiClientOptions {
    /// The scripts that answer; `None` if the servers decide that.
    pub scripts: Option<ScriptOptions>,
    /// Variables that replace others or are added to them.
    pub added: Vec<(String, String)>,
}

/// The scripts of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptOptions {
    /// The folder that they are in: `DOCUMENT_ROOT`.
    pub root: PathBuf,
    /// The script of a folder.
    pub index: String,
    /// The script for what no other one is there for.
    pub front: Option<String>,
    /// The endings of their names.
    pub endings: Vec<String>,
    /// Whether links may lead out of the folder.
    pub follow: bool,
    /// Whether they see the folder by the name that it has once all links in its path are followed.
    pub resolve: bool,
    /// Whether the folder is on another machine, so that nothing can be looked for here.
    pub is_remote: bool,
}
