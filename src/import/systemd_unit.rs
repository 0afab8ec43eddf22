//! A service of systemd whose program is a server that is known.

use std::sync::Arc;

use crate::import::imported_site::{ImportedSite, Placed};
use crate::import::imported_text::ImportedText;
use crate::import::procfile::served;
use crate::import::section_lines::{GoesOn, SectionSyntax, sections, whole};
use crate::import::servers::command_words::CommandWords;
use crate::import::servers::said::Facts;
use crate::syntax::{Diagnostic, Source};

const SYNTAX: SectionSyntax = SectionSyntax {
    separators: &['='],
    has_comments_behind: false,
    goes_on: GoesOn::Backslash,
    has_flags: false,
};

/// Reads a unit.
///
/// # Errors
/// It is broken.
pub fn read(source: &Arc<Source>, facts: &Facts<'_>) -> Result<ImportedSite, Diagnostic> {
    let sections = sections(source, SYNTAX)?;
    let mut site = ImportedSite::default();
    let services = sections.iter().filter(|section| section.name == "Service");
    let mut is_served = false;
    for line in services.flat_map(|section| &section.lines) {
        let value = line.value.as_deref().unwrap_or_default();
        let place = &line.place;
        let text = ImportedText::known(value);
        match line.key.as_str() {
            "ExecStart" => {
                is_served = true;
                // A sign before the path changes how systemd runs it.
                let command = value.trim_start_matches(['-', '@', ':', '+', '!']);
                site.add(served(command, place, facts)?);
            }
            "ExecStartPre" => {
                let command = value.trim_start_matches(['-', '@', ':', '+', '!']);
                site.before_start
                    .push(Placed::new(command.to_owned(), place));
            }
            "WorkingDirectory" => {
                site.set_text("runner.workers.directory", &text, place);
                site.path.insert(0, Placed::new(text, place));
            }
            "Environment" => {
                let words = CommandWords::parse(value).unwrap_or_default();
                for pair in words.environment {
                    site.environment.push(Placed::new(pair, place));
                }
            }
            "EnvironmentFile" => {
                match value.strip_prefix('-') {
                    // It may be missing there, but not here.
                    Some(path) => site.leave(
                        place,
                        format!("if the file is there, write `runner.environment_file = '{path}'`"),
                    ),
                    None => site.set_text("runner.environment_file", &text, place),
                }
            }
            "TimeoutStopSec" => site.set_number("runner.stop_timeout", &text, place),
            // What systemd does stays with it: the unit that starts `runner` says so, too.
            _ => {}
        }
    }
    if !is_served {
        site.miss(&whole(source), "it has no `ExecStart`");
    }
    Ok(site)
}
