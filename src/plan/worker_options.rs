//! Settings (`runner.workers.*`, `runner.request.*`) to the options of a pool of workers.

use std::env;
use std::ffi::OsString;
use std::iter;

use crate::cgi_host::CgiHostOptions;
use crate::config::Configuration;
use crate::current_folder;
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::target::Target;
use crate::line::word::Origin;
use crate::log::LineForm;
use crate::plan::python::{program_path, python, python_arguments, python_origin};
use crate::plan::surroundings;
use crate::syntax::Diagnostic;
use crate::workers::options::{AsgiOptions, LINGERING, Lifespan, Preload, WorkerOptions};
use crate::workers::options::{Limits, Resources, RetireAfter};

/// The setting with the modules that are imported after the application.
const IMPORTS: &str = "runner.workers.imports";

/// The options for the workers of a WSGI application.
///
/// # Errors
/// There is no Python, or no such user.
pub fn workers(
    scope: &Scope,
    target: &Target,
    origin: &Origin,
    arguments: Vec<OsString>,
) -> Result<WorkerOptions, Failure> {
    let settings = &scope.configuration;
    let count = |name| usize::try_from(settings.integer(name)).unwrap_or(usize::MAX);
    let mut python = python(scope, origin)?;
    if python.is_relative() {
        // It may be run in another folder.
        python = current_folder::absolute(&python);
    }
    Ok(WorkerOptions {
        python_origin: python_origin(scope, &python),
        python,
        target: target.as_str().to_owned(),
        search_path: surroundings::module_folders(scope, origin),
        arguments: python_arguments(scope, target, arguments),
        environment: surroundings::environment(scope)?,
        begins_in: surroundings::directory(scope)?,
        imports: settings.texts(IMPORTS),
        min: count("runner.workers.min"),
        max: count("runner.workers.max"),
        retire_after: retire_after(settings),
        threads: count("runner.workers.threads"),
        start_interval: settings.duration("runner.workers.start_interval"),
        preload: match settings.optional_boolean("runner.workers.preload") {
            None => Preload::Auto,
            Some(true) => Preload::Always,
            Some(false) => Preload::Never,
        },
        run_once: false,
        only_imported: false,
        start_timeout: settings.duration("runner.start_timeout"),
        stop_timeout: settings.duration("runner.stop_timeout"),
        limits: Limits {
            request_timeout: settings.duration("runner.request.timeout"),
            request_slow: settings.duration("runner.request.slow"),
            queue_length: count("runner.request.queue_length"),
            queue_timeout: settings.duration("runner.request.queue_timeout"),
        },
        resources: resources(settings),
        // Replaced later, as for request bodies.
        folder: env::temp_dir(),
        line_form: LineForm::default(),
        names_requests: settings.boolean("runner.http.request_id"),
        max_buffer: settings.integer("runner.response.max_buffer"),
        max_buffers: match settings.integer("runner.response.max_buffers") {
            0 => u64::MAX,
            limit => limit,
        },
        asgi: None,
        development: None,
    })
}

/// What else there is to say of an ASGI application.
#[must_use]
pub fn asgi(settings: &Configuration) -> AsgiOptions {
    AsgiOptions {
        lifespan: match settings.text("runner.asgi.lifespan").as_deref() {
            Some("on") => Lifespan::On,
            Some("off") => Lifespan::Off,
            Some(_) | None => Lifespan::Auto,
        },
        event_loop: settings.text("runner.asgi.loop").unwrap_or_default(),
        concurrency: usize::try_from(settings.integer("runner.asgi.concurrency"))
            .unwrap_or(usize::MAX),
        disconnect_grace: settings.duration("runner.asgi.disconnect_grace"),
        drain: settings.duration("runner.asgi.drain"),
        lingering: LINGERING,
    }
}

/// The options for CGI programs that are named at the origin, of which so many run at a time. Their environment has `PATH`, as
/// that of all programs beside an application, and these variables.
#[must_use]
pub fn cgi_host(
    scope: &Scope,
    origin: &Origin,
    processes: usize,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> CgiHostOptions {
    /// Where programs are on every system.
    const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
    let settings = &scope.configuration;
    let count = |name| usize::try_from(settings.integer(name)).unwrap_or(usize::MAX);
    let path = program_path(scope, origin).value();
    let path = path.or_else(|| env::var_os("PATH"));
    let path = path.unwrap_or_else(|| PATH.into());
    CgiHostOptions {
        processes,
        queue_length: count("runner.request.queue_length"),
        queue_timeout: settings.duration("runner.request.queue_timeout"),
        request_timeout: settings.duration("runner.request.timeout"),
        environment: iter::once(("PATH".into(), path))
            .chain(environment)
            .collect(),
        // Replaced later, as for request bodies.
        folder: env::temp_dir(),
        max_buffer: settings.integer("runner.response.max_buffer"),
        max_buffers: match settings.integer("runner.response.max_buffers") {
            0 => u64::MAX,
            limit => limit,
        },
    }
}

/// Where each of the modules that are imported after the application is named: the key or setting, and its place.
pub(super) fn imports(scope: &Scope) -> Vec<Diagnostic> {
    let settings = &scope.configuration;
    let name = format!("`{}`", settings.written_name(IMPORTS));
    let numbers = 0..settings.texts(IMPORTS).len();
    let named = numbers.map(|number| {
        let origin = Origin::Element(IMPORTS.into(), number);
        scope.diagnose(&origin, name.clone(), None)
    });
    named.collect()
}

/// When workers are replaced or leave though nothing is wrong with them.
pub(super) fn retire_after(settings: &Configuration) -> RetireAfter {
    RetireAfter {
        requests: settings.integer("runner.workers.max_requests"),
        lifetime: settings.duration("runner.workers.max_lifetime"),
        memory: settings.integer("runner.workers.max_memory"),
        idle: settings.duration("runner.workers.idle_timeout"),
    }
}

/// The resource limits of workers. 0 means no limit, except for core files.
pub(super) fn resources(settings: &Configuration) -> Resources {
    let limit = |name| Some(settings.integer(name)).filter(|&limit| limit > 0);
    Resources {
        memory: limit("runner.workers.limits.memory"),
        files: limit("runner.workers.limits.files"),
        cpu: Some(settings.duration("runner.workers.limits.cpu")).filter(|time| !time.is_zero()),
        processes: limit("runner.workers.limits.processes"),
        core: settings.optional_integer("runner.workers.limits.core"),
    }
}

/// The same for a process that answers one request and ends.
#[must_use]
pub fn for_one_request(options: WorkerOptions) -> WorkerOptions {
    WorkerOptions {
        min: 1,
        max: 1,
        retire_after: RetireAfter::default(),
        threads: 1,
        preload: Preload::Never,
        run_once: true,
        ..options
    }
}
