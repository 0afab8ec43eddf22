//! The files of other servers, as settings of `runner`; pure.
//!
//! Each reader takes a text apart with the places of what it says, and puts what it understands into an [`ImportedSite`]: the
//! application, the addresses, settings as expressions, programs. [`written_site`] writes the site as an INI file, in which
//! each value has the line that it came from above it. What is always so in `runner` is left out; what it has no equivalent
//! for is listed, since a user has to decide about it.
//!
//! | file | reader |
//! |---|---|
//! | `uwsgi.ini` | [`uwsgi_ini`] |
//! | `gunicorn.conf.py` | a script in Python, which executes it; [`servers`] takes what it says |
//! | a command line | [`servers`] |
//! | `Procfile` | [`procfile`] |
//! | `supervisord.conf` | [`supervisord_file`] |
//! | a unit of systemd | [`systemd_unit`] |
//! | NGINX Unit's JSON | [`unit_json`] |

pub mod imported_site;
pub mod imported_text;
pub mod listen_url;
pub mod procfile;
pub mod section_lines;
pub mod servers;
pub mod shell_command;
pub mod supervisord_file;
pub mod systemd_unit;
pub mod systemd_values;
pub mod systemd_variables;
pub mod unit_json;
pub mod uwsgi_ini;
pub mod written_site;

use std::sync::Arc;

use crate::import::imported_site::ImportedSite;
use crate::import::section_lines::whole;
use crate::import::servers::gunicorn_settings;
use crate::import::servers::said::Facts;
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
    ) -> Result<ImportedSite, Diagnostic> {
        match self {
            Self::Uwsgi => uwsgi_ini::read(source, section),
            Self::Gunicorn => of_gunicorn(source, facts),
            Self::Procfile => procfile::read(source, section, facts),
            Self::Unit => unit_json::read(source, section),
            Self::Supervisord => supervisord_file::read(source, section, facts),
            Self::Systemd => systemd_unit::read(source, facts),
        }
    }
}

/// The site that a file of gunicorn's describes.
fn of_gunicorn(source: &Arc<Source>, facts: &Facts<'_>) -> Result<ImportedSite, Diagnostic> {
    let said = (facts.gunicorn)(&source.name)?.unwrap_or_default();
    let mut site = ImportedSite::default();
    gunicorn_settings::take(&said, None, &mut site, &whole(source));
    Ok(site)
}
