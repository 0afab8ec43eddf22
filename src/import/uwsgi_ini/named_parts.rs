//! What several options of uWSGI say together: the application, the number of its workers, what is logged.

use std::sync::Arc;

use crate::import::imported_site::{ApplicationObject, ImportedApplication, ImportedSite, Placed};
use crate::import::imported_text::{ImportedText, leading_number};
use crate::import::section_lines::whole;
use crate::syntax::{Place, Source};

/// What takes part in naming the application, and the options that are read together.
#[derive(Default)]
pub(super) struct NamedParts {
    pub(super) module: Option<(ImportedText, Place)>,
    pub(super) file: Option<(ImportedText, Place)>,
    pub(super) callable: Option<(ImportedText, Place)>,
    pub(super) directory: Option<(ImportedText, Place)>,
    pub(super) processes: Option<(ImportedText, Place)>,
    pub(super) cheaper: Option<(ImportedText, Place)>,
    pub(super) gevent: Option<(ImportedText, Place)>,
    pub(super) router_timeout: Option<(ImportedText, Place)>,
    /// Applications at paths: `PATH=NAME`.
    pub(super) mounts: Vec<(ImportedText, Place)>,
    /// That requests are not logged.
    pub(super) quiet: Option<Place>,
    /// That errors are logged although other requests are not: `log-4xx`, `log-5xx`.
    pub(super) errors: Vec<(String, Place)>,
}

/// Keeps the value that is said last, and tells an earlier one.
pub(super) fn last(
    slot: &mut Option<(ImportedText, Place)>,
    value: &ImportedText,
    place: &Place,
    site: &mut ImportedSite,
) {
    if let Some((before, earlier)) = slot.replace((value.clone(), place.clone()))
        && before != *value
    {
        site.supersede(&earlier, place);
    }
}

/// The router gives up after so many seconds without a byte unless it is told otherwise, as an application does here.
const USUAL_TIMEOUT: u64 = 60;

/// What several options say together.
pub(super) fn finish(site: &mut ImportedSite, parts: &NamedParts, source: &Arc<Source>) {
    if let Some((folder, place)) = &parts.directory {
        site.set_text("runner.workers.directory", folder, place);
        // The folder that uWSGI is in is one that Python imports from.
        site.path.insert(0, Placed::new(folder.clone(), place));
    }
    if let (Some(_), Some((_, place))) = (&parts.module, &parts.file) {
        site.leave(
            place,
            "`module` names the application: this one is not served",
        );
    }
    site.application = application(site, parts);
    for (mount, place) in &parts.mounts {
        mounted(mount, place, site, parts);
    }
    if !site.is_served() && site.left.iter().all(|left| !left.is_essential) {
        let why = "no application is named (`module`, `wsgi-file`)";
        site.miss(&whole(source), why);
    }
    workers(site, parts);
    if let Some((count, place)) = &parts.gevent {
        let threads = count.literal().and_then(leading_number);
        if !site.settings.contains_key("runner.workers.threads") {
            let threads = threads.unwrap_or(8).clamp(1, 64);
            site.set("runner.workers.threads", threads.to_string(), place);
        }
        site.leave(place, "there is no gevent: each worker has threads instead, as many as `runner.workers.threads`");
    }
    if let Some((time, place)) = &parts.router_timeout {
        let is_longer = time
            .literal()
            .and_then(leading_number)
            .is_none_or(|time| time > USUAL_TIMEOUT);
        // What cannot be so long ends before.
        if is_longer && !site.settings.contains_key("runner.request.timeout") {
            site.set_number("runner.request.timeout", time, place);
        }
    }
    access_log(site, parts);
}

/// The application that `module` or `wsgi-file` names.
fn application(site: &mut ImportedSite, parts: &NamedParts) -> Option<Placed<ImportedApplication>> {
    let callable = callable(parts);
    match (&parts.module, &parts.file) {
        (Some((module, place)), _) => match module.literal() {
            Some(module) => {
                let (name, behind) = module.split_once([' ', '\t']).unwrap_or((module, ""));
                if !behind.is_empty() {
                    site.leave(place, format!("`{}` is no part of the name", behind.trim()));
                }
                let application = ImportedApplication::imported(false, name, callable);
                Some(Placed::new(application, place))
            }
            None => {
                let why = "the application's name is not known: write it into `app`";
                site.miss(place, why);
                None
            }
        },
        (None, Some((path, place))) => {
            let path = inside(path, parts);
            let object = ApplicationObject::File(path, callable.map(str::to_owned));
            let application = ImportedApplication {
                is_asgi: false,
                object,
            };
            Some(Placed::new(application, place))
        }
        (None, None) => None,
    }
}

fn callable(parts: &NamedParts) -> Option<&str> {
    parts.callable.as_ref()?.0.literal()
}

/// A path as it is in the folder that uWSGI is in.
fn inside(path: &ImportedText, parts: &NamedParts) -> ImportedText {
    match &parts.directory {
        Some((folder, _)) if !path.beginning().starts_with('/') => {
            path.clone().after("/").joined_after(folder)
        }
        _ => path.clone(),
    }
}

/// `mount = PATH=NAME`: an application at a path, of a file or a module.
fn mounted(mount: &ImportedText, place: &Place, site: &mut ImportedSite, parts: &NamedParts) {
    let pair = mount.literal().and_then(|it| it.split_once('='));
    let Some((path, name)) = pair.map(|(path, name)| (path.trim(), name.trim())) else {
        return site.miss(place, "write it as a route of `commands.Routes`");
    };
    let callable = callable(parts);
    let is_file = name.ends_with(".py") || name.ends_with(".wsgi");
    let application = match (is_file, inside(&ImportedText::known(name), parts).literal()) {
        (true, Some(file)) => {
            let object = callable.map(|it| format!(":{it}")).unwrap_or_default();
            format!("file:{file}{object}")
        }
        (true, None) => return site.miss(place, "write it as a route of `commands.Routes`"),
        (false, _) => {
            let named = ImportedApplication::imported(false, name, callable);
            match named.object {
                ApplicationObject::Import(name) => format!("import:{name}"),
                ApplicationObject::File(..) | ApplicationObject::Words(_) => {
                    return site.miss(place, format!("`{name}` is no name of an application"));
                }
            }
        }
    };
    let words = vec!["WSGI".to_owned(), application];
    // It is a path, or a host and a path.
    let path = format!("{}/", path.trim_end_matches('/'));
    match path == "/" && site.application.is_some() {
        true => site.leave(place, "`module` or `wsgi-file` names what answers there"),
        false => site.routes.push(Placed::new((path, words), place)),
    }
}

/// The number of workers: `processes`, or from `cheaper` to `processes`.
fn workers(site: &mut ImportedSite, parts: &NamedParts) {
    let known = |text: &ImportedText| text.literal().and_then(leading_number);
    match (&parts.processes, &parts.cheaper) {
        (None, Some((_, place))) => {
            site.leave(place, "it belongs to `workers`, which is not there");
        }
        (Some((most, place)), Some((least, cheaper)))
            if known(least)
                .zip(known(most))
                .is_some_and(|(least, most)| least > most) =>
        {
            site.set_workers(most, place);
            site.miss(
                cheaper,
                format!("`cheaper` is greater than `{most}`, the number of workers"),
            );
        }
        (Some((most, place)), Some((least, cheaper))) => {
            site.set_number("runner.workers.min", least, cheaper);
            site.set_number("runner.workers.max", most, place);
        }
        (Some((count, place)), None) => site.set_workers(count, place),
        (None, None) => {}
    }
}

/// Which requests are logged: uWSGI logs all unless it is told otherwise, then errors of some kinds.
fn access_log(site: &mut ImportedSite, parts: &NamedParts) {
    let least = parts.errors.iter().map(|(name, _)| match name.as_str() {
        "log-4xx" => 400,
        _ => 500,
    });
    let places = parts.errors.iter().map(|(_, place)| place.clone());
    let mut set = |name: &str, value: String, places: Vec<Place>| {
        let setting = Placed { value, places };
        site.settings.insert(name.to_owned(), setting);
    };
    match (least.min(), &parts.quiet) {
        (Some(least), Some(quiet)) => {
            set(
                "runner.log.access_from",
                least.to_string(),
                places.collect(),
            );
            set("runner.log.access", "True".to_owned(), vec![quiet.clone()]);
        }
        (Some(_), None) => set("runner.log.access", "True".to_owned(), places.collect()),
        (None, Some(quiet)) => {
            set("runner.log.access", "False".to_owned(), vec![quiet.clone()]);
        }
        (None, None) => {}
    }
}
