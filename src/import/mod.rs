//! The files of other servers, as settings of `runner`; pure.
//!
//! Each reader takes a text apart with the places of what it says, and puts what it understands into a [`Site`]: the
//! application, the addresses, settings as expressions, programs. [`written_site`] writes the site as an INI file, in which
//! each value has the line that it came from above it. What is always so in `runner` is left out; what it has no equivalent
//! for is listed, since a user has to decide about it.
//!
//! | file | reader |
//! |---|---|
//! | `uwsgi.ini` | [`uwsgi_file`], its options in [`uwsgi_options`] |
//! | `gunicorn.conf.py` | a script in Python, which executes it; [`gunicorn_settings`] takes what it says |
//! | a command line | [`command_words`], by program in [`server_program`] |
//! | `Procfile` | [`procfile`] |
//! | `supervisord.conf` | [`supervisord_file`] |
//! | a unit of systemd | [`systemd_unit`] |
//! | NGINX Unit's JSON | [`unit_json`] |

pub mod command_words;
pub mod gunicorn_settings;
pub mod imported_text;
pub mod listen_url;
pub mod procfile;
pub mod section_lines;
pub mod server_program;
pub mod site;
pub mod supervisord_file;
pub mod systemd_unit;
pub mod unit_json;
pub mod uwsgi_file;
pub mod uwsgi_options;
pub mod written_site;

use std::sync::Arc;

use crate::import::site::Site;
use crate::syntax::{Diagnostic, Source};

/// What kind of file a user wants to move from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportKind {
    /// uWSGI's INI.
    Uwsgi,
    /// gunicorn's Python.
    Gunicorn,
    /// Processes by name, as Heroku and foreman read them.
    Procfile,
    /// NGINX Unit's configuration.
    Unit,
    /// supervisord's INI.
    Supervisord,
    /// A service of systemd.
    Systemd,
}

impl ImportKind {
    /// All kinds, by the word that names each on a command line.
    pub const ALL: [(&'static str, Self); 6] = [
        ("uwsgi", Self::Uwsgi),
        ("gunicorn", Self::Gunicorn),
        ("procfile", Self::Procfile),
        ("unit", Self::Unit),
        ("supervisord", Self::Supervisord),
        ("systemd", Self::Systemd),
    ];

    /// The kind of a file, by its name or by what it says.
    #[must_use]
    pub fn of(name: &str, text: &str) -> Option<Self> {
        let has_line = |start: &str| text.lines().any(|line| line.trim().starts_with(start));
        let lower = name.to_lowercase();
        if lower.starts_with("procfile") || lower.ends_with(".procfile") {
            return Some(Self::Procfile);
        }
        if lower.ends_with(".py") {
            return Some(Self::Gunicorn);
        }
        if lower.ends_with(".service") {
            return Some(Self::Systemd);
        }
        if lower.ends_with(".json") || text.trim_start().starts_with('{') {
            return Some(Self::Unit);
        }
        if has_line("[uwsgi]") || lower.contains("uwsgi") {
            return Some(Self::Uwsgi);
        }
        if has_line("[program:") || has_line("[supervisord]") {
            return Some(Self::Supervisord);
        }
        if has_line("[Service]") {
            return Some(Self::Systemd);
        }
        None
    }

    /// Reads a text of this kind. `section` is the one that is asked for, where a file has several.
    ///
    /// # Errors
    /// The text is broken.
    pub fn read(
        self,
        source: &Arc<Source>,
        section: Option<&str>,
        facts: &Facts<'_>,
    ) -> Result<Site, Diagnostic> {
        match self {
            Self::Uwsgi => uwsgi_file::read(source, section),
            Self::Gunicorn => gunicorn_settings::of_file(source, facts),
            Self::Procfile => procfile::read(source, facts),
            Self::Unit => unit_json::read(source, section),
            Self::Supervisord => supervisord_file::read(source, section, facts),
            Self::Systemd => systemd_unit::read(source, facts),
        }
    }
}

/// The settings of a file of gunicorn's; `None` if there is no such file.
pub type GunicornFile = Result<Option<Vec<gunicorn_settings::Said>>, Diagnostic>;

/// What a text alone does not say.
pub struct Facts<'a> {
    /// Executes a file of gunicorn's and returns its settings; `None` if there is no such file. The path is relative to the
    /// text's folder.
    pub gunicorn: &'a dyn Fn(&str) -> GunicornFile,
}
