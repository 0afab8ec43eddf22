//! The settings that `runner` itself reads: one table, which checking, suggestions, help and manual read.

use super::setting::{DefaultValue, Setting, SettingKind};

/// Builds a row of the table.
macro_rules! settings {
    ($($name:literal $kind:expr, $default:expr, $help:literal, $example:literal;)*) => {
        &[$(Setting { name: $name, kind: $kind, default: $default, help: $help, example: $example }),*]
    };
}

/// Every setting, sorted by name.
pub const SETTINGS: &[Setting] = settings! {
    "peak.running.app" SettingKind::Command, DefaultValue::Unset,
        "What the file runs, as a command with its words. In the root namespace `app` means this setting.",
        "app = commands.Alias(command=['serve', 'WSGI', 'import:my_app.application'])";
    "peak.tools.server.url" SettingKind::Url, DefaultValue::Text("tcp://localhost:0"),
        "The address that `serve` and `launch` listen on: `tcp://HOST:PORT`, `unix:PATH` or `fd.socket:N`. Port 0 is any free one. Sockets that systemd passes are used instead. In the root namespace `url` means this setting.",
        "url = 'tcp://localhost:8000'";
    "runner.group" SettingKind::Account, DefaultValue::Unset,
        "The group that the server and its workers run as, once it listens. Unless it is set, that of `runner.user`. Only root can change it.",
        "runner.group = 'www-data'";
    "runner.http.max_connections" SettingKind::Integer { min: 1, max: 1_000_000 }, DefaultValue::Unset,
        "How many connections there may be at a time, by HTTP or FastCGI. When there are, the one that was idle for the longest time is closed for each new one; where none is idle, new ones wait. Unless it is set, as many as the system's limit on open files (`ulimit -Hn`) leaves when workers have what they need and each connection one file, and 10000 at most.",
        "runner.http.max_connections = 1000";
    "runner.http.min_rate" SettingKind::Size, DefaultValue::Number(500),
        "How many bytes a second a client has to send of a request's body, and to take of a response. One that is behind that by a minute of waiting is not waited for any longer: its request is answered with status 408, its connection closed. What the application does not give is not waited for. 0 is any number, but not none for a minute.",
        "runner.http.min_rate = '1k'";
    "runner.log.access" SettingKind::Boolean, DefaultValue::Unset,
        "Whether each request is written to the log. Unless it is set, `launch` does it and all else does not.",
        "runner.log.access = True";
    "runner.python" SettingKind::Program, DefaultValue::Unset,
        "The Python interpreter that applications run in. Unless it is set, that of the active virtual environment, of one beside the file (`.venv`, `venv`), or else `python3`.",
        "runner.python = 'venv/bin/python'";
    "runner.request.max_body" SettingKind::Size, DefaultValue::Number(1 << 30),
        "The largest request body that is accepted; a larger one is answered with status 413. 0 is no limit.",
        "runner.request.max_body = '10M'";
    "runner.request.queue_length" SettingKind::Integer { min: 0, max: 1_000_000 }, DefaultValue::Number(4000),
        "How many requests may wait for a worker; more are answered with status 503.",
        "runner.request.queue_length = 100";
    "runner.request.queue_timeout" SettingKind::Duration, DefaultValue::Number(30),
        "How long a request may wait for a worker until it is answered with status 503.",
        "runner.request.queue_timeout = '5s'";
    "runner.request.slow" SettingKind::Duration, DefaultValue::Number(0),
        "After how long the log says what the application is doing for a request that it has not begun to answer: the request and its stack. It goes on undisturbed, and its end is logged, too. 0 is never.",
        "runner.request.slow = '5s'";
    "runner.request.timeout" SettingKind::Duration, DefaultValue::Number(60),
        "How long the application may take to begin its response, until the request is answered with status 504 and its worker is replaced. The log says where the application was. As long may it take for what it does after its response while that keeps a request from being begun. 0 is no limit.",
        "runner.request.timeout = '2m'";
    "runner.response.max_buffer" SettingKind::Size, DefaultValue::Number(1 << 30),
        "How much of a response is kept in a file without a name in `runner.tmp` while its client takes it more slowly than the application makes it, so that the worker does not wait for the client. Beyond that it does. With 0 only a little is kept, in memory.",
        "runner.response.max_buffer = '100M'";
    "runner.start_timeout" SettingKind::Duration, DefaultValue::Number(60),
        "How long the application may take to be imported, until that is given up. The log says where it was.",
        "runner.start_timeout = '5m'";
    "runner.status.url" SettingKind::Url, DefaultValue::Unset,
        "The socket on which the server can be asked how it is and told to reload or stop (`runner status`, `reload`, `stop`): `unix:PATH`. Only root and the user that the server runs as can use it. Unless it is set there is none, but in `supervise`, which has one beside its pid file.",
        "runner.status.url = 'unix:/run/my_app.socket'";
    "runner.stop_timeout" SettingKind::Duration, DefaultValue::Number(30),
        "How long requests may take to finish when `runner` is told to stop, until they are answered with status 504 and their workers are ended. The log says where the application was.",
        "runner.stop_timeout = '10s'";
    "runner.supervise.command" SettingKind::Text, DefaultValue::Unset,
        "The command that `supervise` runs where no command stands behind it: a line as it would be typed after `runner`, with quotes as shells have them; or `exec:` and a program with its arguments, which is kept running.",
        "runner.supervise.command = 'serve WSGI import:my_app.application'";
    "runner.supervise.idle_timeout" SettingKind::Duration, DefaultValue::Number(0),
        "Stop when no request has come for so long. 0 is never. Where a program is supervised and no application (`exec:`), nothing comes, and this does not count.",
        "runner.supervise.idle_timeout = '1h'";
    "runner.supervise.pid_file" SettingKind::Path, DefaultValue::Unset,
        "The file that holds the process id of the master while it runs; its folder must exist. `supervise` needs it: it makes sure that there is one master. Beside it are the locks and `PIDFILE.socket`, through which the master is asked and told things.",
        "runner.supervise.pid_file = '/run/my_app.pid'";
    "runner.supervise.pid_lock" SettingKind::Text, DefaultValue::Unset,
        "The lock that is held while the pid file is read or written: `flockfile:PATH`, `lockfile:PATH`, `shlockfile:PATH` or `nulllockfile:`. Unless it is set, `flockfile:PIDFILE.lock`.",
        "runner.supervise.pid_lock = 'shlockfile:/run/my_app.lock'";
    "runner.supervise.programs" SettingKind::Texts, DefaultValue::Unset,
        "Programs that are kept running beside what is supervised: each a line with quotes as shells have them. A program with a `/` is looked for beside the file, others in `PATH`. A reload tells those of `runner`'s own to reload, and fails if one of them does; it starts others anew only if their words or files have changed, and fails if any of them does not come up, also one that did not run before.",
        "runner.supervise.programs = ['./worker --queue mail']";
    "runner.supervise.run_at_least" SettingKind::Duration, DefaultValue::Number(0),
        "Do not stop by `runner.supervise.stop_after` or `runner.supervise.idle_timeout` before so long.",
        "runner.supervise.run_at_least = '2m'";
    "runner.supervise.startup_lock" SettingKind::Text, DefaultValue::Unset,
        "The lock that is held from the start until requests are answered, so that of two that start at the same time one ends with status 1. As `runner.supervise.pid_lock`; unless it is set, `flockfile:PIDFILE.start`.",
        "runner.supervise.startup_lock = 'flockfile:/run/my_app.start'";
    "runner.supervise.stop_after" SettingKind::Duration, DefaultValue::Number(0),
        "Stop after so long, as by SIGTERM. 0 is never.",
        "runner.supervise.stop_after = '1d'";
    "runner.tmp" SettingKind::Path, DefaultValue::Unset,
        "The folder for request bodies, and for responses that are waiting for their clients, where they are too large to be kept in memory. It must be one that the server can write in. Unless it is set, the first of `$TMPDIR`, `$TEMP`, `$TMP`, `/tmp`, `/var/tmp` and `/usr/tmp` in which it can make a file.",
        "runner.tmp = '/var/tmp'";
    "runner.umask" SettingKind::Rights, DefaultValue::Unset,
        "The rights that files made by the server and its workers do not get, the sockets that it listens on among them. Unless it is set, they are those that `runner` was started with.",
        "runner.umask = '027'";
    "runner.user" SettingKind::Account, DefaultValue::Unset,
        "The user that the server and its workers become, with its groups, once it listens on its ports; files, the sockets of `unix:` among them, are made and removed by that user. Only root can become another user, and there is no way back: files of settings must be readable for that user to be read anew.",
        "runner.user = 'www-data'";
    "runner.workers.idle_timeout" SettingKind::Duration, DefaultValue::Number(60),
        "How long a worker beyond the least number may have nothing to do until it leaves. 0 keeps all that were ever needed.",
        "runner.workers.idle_timeout = '5m'";
    "runner.workers.imports" SettingKind::Texts, DefaultValue::Unset,
        "Modules that are imported with the application, before the workers are forked, so that they start with them.",
        "runner.workers.imports = ['my_app.views']";
    "runner.workers.limits.core" SettingKind::Size, DefaultValue::Unset,
        "The largest core file that a worker may leave when it crashes; 0 is none. Unless it is set, what `runner` was started with.",
        "runner.workers.limits.core = 0";
    "runner.workers.limits.cpu" SettingKind::Duration, DefaultValue::Number(0),
        "How much processor time a worker may use in its life, in whole seconds; it is ended by SIGXCPU then, and replaced. 0 is no limit.",
        "runner.workers.limits.cpu = '1h'";
    "runner.workers.limits.files" SettingKind::Integer { min: 0, max: 1_000_000_000 }, DefaultValue::Number(0),
        "How many files a worker may have open, those included that it needs itself (four and three for each thread). 0 is what `runner` was started with.",
        "runner.workers.limits.files = 4096";
    "runner.workers.limits.memory" SettingKind::Size, DefaultValue::Number(0),
        "How much address space a worker may have, which is more than the memory it uses. The application gets a `MemoryError` when it wants more. 0 is no limit.",
        "runner.workers.limits.memory = '2G'";
    "runner.workers.limits.processes" SettingKind::Integer { min: 0, max: 1_000_000_000 }, DefaultValue::Number(0),
        "How many processes and threads the user that a worker runs as may have in all, for the worker to start another. Not for root, whom the system does not limit. 0 is no limit.",
        "runner.workers.limits.processes = 500";
    "runner.workers.max" SettingKind::Integer { min: 1, max: 10_000 }, DefaultValue::Number(4),
        "How many worker processes there may be. One beyond the least number is started when a request waits and all workers are busy; it leaves when it has had nothing to do for `runner.workers.idle_timeout`. The successor of one that is being replaced comes on top.",
        "runner.workers.max = os.cpu_count()";
    "runner.workers.max_lifetime" SettingKind::Duration, DefaultValue::Number(0),
        "How old a worker may become until it is replaced: it goes on until its successor is ready, and finishes what it is on. 0 is no limit.",
        "runner.workers.max_lifetime = '1d'";
    "runner.workers.max_memory" SettingKind::Size, DefaultValue::Number(0),
        "How much memory a worker may take (its resident set, with what it shares with others) until it is replaced: it goes on until its successor is ready, and finishes what it is on. 0 is no limit.",
        "runner.workers.max_memory = '500M'";
    "runner.workers.max_requests" SettingKind::Integer { min: 0, max: u64::MAX }, DefaultValue::Number(0),
        "How many requests a worker may answer, give or take a tenth, until it is replaced: it goes on until its successor is ready, and finishes what it is on. 0 is no limit.",
        "runner.workers.max_requests = 10000";
    "runner.workers.min" SettingKind::Integer { min: 0, max: 10_000 }, DefaultValue::Number(1),
        "How many worker processes are always kept running. With 0 the first one is started when a request comes in; the application is imported before, unless `runner.workers.preload` is `False`.",
        "runner.workers.min = 2";
    "runner.workers.preload" SettingKind::Automatic, DefaultValue::Text("auto"),
        "Whether the application is imported once, before the workers are forked, so that they share what it loaded. `False` imports it in every worker. `'auto'` does that, too, and the log says why, if the import leaves what a fork cannot share: threads, child processes, sockets that do not listen, locks of files, devices, timers, open files that are read. `True` forks all the same, with a warning.",
        "runner.workers.preload = False";
    "runner.workers.start_interval" SettingKind::Duration, DefaultValue::Number(1),
        "The least time between two starts of workers beyond the least number; in `supervise`, 15 s unless it is set. Replacing a worker does not wait for it, nor does the first one where there is none.",
        "runner.workers.start_interval = '15s'";
    "runner.workers.threads" SettingKind::Integer { min: 1, max: 1000 }, DefaultValue::Number(1),
        "How many threads each worker has, and so how many requests it works on at a time.",
        "runner.workers.threads = 4";
};

/// The setting of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Setting> {
    let place = SETTINGS
        .binary_search_by(|setting| setting.name.cmp(name))
        .ok()?;
    SETTINGS.get(place)
}
