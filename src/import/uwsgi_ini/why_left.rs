//! The options of uWSGI that are not taken over, and why.

use crate::import::imported_site::ImportedSite;
use crate::import::imported_text::ImportedText;
use crate::syntax::{Place, did_you_mean};

/// An option with its value.
#[derive(Debug)]
pub(in crate::import) struct UwsgiOption {
    /// Its name, with `-` between its words.
    pub(in crate::import) name: String,
    /// Its value; `None` for a flag.
    pub(in crate::import) value: Option<ImportedText>,
    /// Where it stands.
    pub(in crate::import) place: Place,
    /// Whether another value refers to it.
    pub(in crate::import) is_used: bool,
}

/// What is always so here, or has no meaning here.
pub(in crate::import) const ALWAYS: &[&str] = &[
    "auto-procname",
    "catch-exceptions",
    "cheaper-algo",
    "close-on-exec",
    "die-on-term",
    "disable-write-exception",
    "enable-threads",
    "gevent-monkey-patch",
    "http-auto-chunked",
    "http-chunked-input",
    "http-raw-body",
    "ignore-sigpipe",
    "ignore-write-errors",
    "log-date",
    "log-master",
    "log-reopen",
    "log-x-forwarded-for",
    "logdate",
    "manage-script-name",
    "master",
    "memory-report",
    "need-app",
    "need-plugin",
    "no-defer-accept",
    "no-orphans",
    "offload-threads",
    "plugin",
    "plugins",
    "post-buffering",
    "post-buffering-bufsize",
    "procname",
    "procname-master",
    "procname-prefix",
    "procname-prefix-spaced",
    "py-call-osafterfork",
    "py-call-uwsgi-fork-hooks",
    "reuse-port",
    "set",
    "set-ph",
    "set-placeholder",
    "show-config",
    "single-interpreter",
    "so-keepalive",
    "socket-timeout",
    "http-timeout",
    "strict",
    "tcp-nodelay",
    "threads-stacksize",
    "thunder-lock",
    "unlink",
    "vacuum",
    "wsgi-env-behavior",
    "wsgi-env-behaviour",
    "wsgi-manage-chunked-input",
    "stats-http",
    "harakiri-verbose",
    "max-worker-lifetime-delta",
    "max-requests-delta",
    "py-tracebacker",
    "python-worker-override",
    "limit-as-soft",
    "master-as-root",
    "immediate-uid",
    "skip-atexit",
    "skip-atexit-teardown",
    "lazy-apps-fork",
    "honour-stdin",
    "honour-range",
];

/// What has no equivalent: why.
pub(super) fn leave(option: &UwsgiOption, names: &[String], site: &mut ImportedSite) {
    // A key that a value refers to is a variable.
    if option.is_used {
        return;
    }
    let why = match option.name.as_str() {
        "logto" | "logto2" | "logger" | "log-format" | "logformat" | "log-maxsize"
        | "log-backupname" | "log-zeromq" | "log-syslog" | "logformat-strftime" | "log-micros"
        | "log-slow" | "log-encoder" | "log-req-encoder" => {
            "the log goes to standard error; `runner.log.*` says what is in it, and the service manager keeps it"
        }
        "daemonize" | "daemonize2" | "emperor" | "vassals" => {
            "a server stays in the foreground: let the service manager start it (`supervise`)"
        }
        "py-autoreload" | "python-autoreload" | "fs-reload" | "py-auto-reload" => {
            "`launch` reloads when files change; a server does at `runner reload`"
        }
        "static-expires"
        | "static-expires-uri"
        | "static-expires-type"
        | "static-expires-type-mtime"
        | "static-expires-uri-mtime" => "write it as `--cache 'PATTERN=VALUE'` behind `files`",
        "check-static" | "static-index" | "static-safe" | "static-gzip" | "static-gzip-all"
        | "static-gzip-ext" | "static-gzip-dir" | "static-skip-ext" => {
            "static files are a route to `files FOLDER`"
        }
        "route" | "route-host" | "route-uri" | "route-if" | "route-label" | "route-run"
        | "mount" | "route-remote-addr" | "error-route" | "final-route" => {
            "paths and hosts are keys of `commands.Routes`"
        }
        "listen" => "the backlog of a socket is what the system allows (`net.core.somaxconn`)",
        "add-header" | "del-header" => "the application sets fields of responses",
        "cron" | "cron2" | "unique-cron" | "spooler" | "spool" | "mule" | "mules" | "farm"
        | "cache2" | "cache" | "sharedarea" | "queue" | "locks" | "rpc" | "import"
        | "spooler-import" | "shared-import" | "timer" => {
            "it needs the module `uwsgi`, which only uWSGI has"
        }
        "hook-post-app" | "hook-master-start" | "hook-accepting1" | "hook-pre-app"
        | "hook-asap" | "hook-as-user" | "exec-as-user" | "exec-as-root" | "hook-as-root"
        | "exec-post-app" => "commands before the start are `runner.before_start`",
        "ini" | "include" | "inherit" | "xml" | "yaml" | "yml" | "json" | "for" | "for-glob"
        | "for-range" | "for-times" | "endfor" | "if-env" | "if-not-env" | "if-file"
        | "if-not-file" | "if-exists" | "if-opt" | "if-not-opt" | "if-dir" | "endif" => {
            "what another file or a condition says is not read: add it by hand"
        }
        "http-to" | "http-socket-to" => {
            "the router sends requests to this server itself, by no address"
        }
        "plugin-dir" | "plugins-dir" => "there are no plugins",
        "subscribe-to" | "subscribe2" | "fastrouter" | "legion" | "zerg" | "emperor-broodlord" => {
            "it belongs to other servers of uWSGI"
        }
        "cpu-affinity" => "the system chooses processors; `CPUAffinity=` of systemd can, too",
        "http-websockets" | "websockets" => "WebSockets are for ASGI applications",
        "php" | "php-docroot" | "php-index" | "php-app" => "PHP is `upstream fastcgi`",
        other => {
            let meant = did_you_mean(other, ALWAYS.iter().copied().chain(KNOWN.iter().copied()));
            let why = match meant {
                Some(meant) if !names.contains(&meant) => {
                    format!("`{other}` is not known; {meant}")
                }
                _ => format!("`{other}` has no equivalent"),
            };
            return site.leave(&option.place, why);
        }
    };
    site.leave(&option.place, why);
}

/// Options that are taken over, for suggestions.
const KNOWN: &[&str] = &[
    "module",
    "wsgi-file",
    "callable",
    "chdir",
    "http",
    "http-socket",
    "socket",
    "processes",
    "workers",
    "threads",
    "pythonpath",
    "home",
    "virtualenv",
    "harakiri",
    "max-requests",
    "chmod-socket",
    "chown-socket",
    "pidfile",
    "static-map",
    "lazy-apps",
    "disable-logging",
    "touch-reload",
];
