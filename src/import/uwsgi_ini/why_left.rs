//! The options of uWSGI that are not taken over, and why.

use crate::import::imported_site::ImportedSite;
use crate::import::imported_text::ImportedText;
use crate::syntax::{Place, did_you_mean};

/// The options that uWSGI knows: a name and a form on each line.
const KNOWN_OPTIONS: &str = include_str!("known_options.txt");

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
pub const ALWAYS: &[&str] = &[
    "auto-procname",
    "catch-exceptions",
    "cheaper-algo",
    "cheaper-initial",
    "cheaper-step",
    "close-on-exec",
    "close-on-exec2",
    "die-on-term",
    "disable-write-exception",
    "enable-threads",
    "gevent-monkey-patch",
    "http-auto-chunked",
    "http-chunked-input",
    "http-manage-expect",
    "http-raw-body",
    "ignore-sigpipe",
    "ignore-write-errors",
    "log-date",
    "log-master",
    "log-reopen",
    "logdate",
    "manage-script-name",
    "master",
    "memory-report",
    "need-app",
    "need-plugin",
    "need-plugins",
    "no-defer-accept",
    "no-orphans",
    "offload-thread",
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
    "shutdown-sockets",
    "so-keepalive",
    "so-send-timeout",
    "so-write-timeout",
    "socket-send-timeout",
    "socket-timeout",
    "socket-write-timeout",
    "strict",
    "tcp-nodelay",
    "thread-stack-size",
    "thread-stacksize",
    "threads-stack-size",
    "threads-stacksize",
    "thunder-lock",
    "unlink",
    "vacuum",
    "wsgi-accept-buffer",
    "wsgi-accept-buffers",
    "wsgi-env-behavior",
    "wsgi-env-behaviour",
    "wsgi-manage-chunked-input",
    "wsgi-strict",
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
        | "log-slow" | "log-encoder" | "log-req-encoder" | "req-logger" => {
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
        "log-x-forwarded-for" => "the log has the address that `runner.http.trusted_proxies` tell",
        "http-auto-gzip" => "`runner.http.compress` says how responses are compressed",
        "listen" => "the backlog of a socket is what the system allows (`net.core.somaxconn`)",
        "add-header" | "del-header" => "the application sets fields of responses",
        "cron" | "cron2" | "unique-cron" | "spooler" | "spool" | "mule" | "mules" | "farm"
        | "cache2" | "cache" | "sharedarea" | "queue" | "locks" | "rpc" | "import"
        | "spooler-import" | "shared-import" | "timer" => NEEDS_UWSGI,
        "hook-post-app" | "hook-master-start" | "hook-accepting1" | "hook-pre-app"
        | "hook-asap" | "hook-as-user" | "exec-as-user" | "exec-as-root" | "hook-as-root"
        | "exec-post-app" => "commands before the start are `runner.before_start`",
        "ini" | "include" | "inherit" | "xml" | "xmlconfig" | "yaml" | "yml" | "json" | "js"
        | "config" | "fallback-config" => "what another file says is not read: add it by hand",
        "https2" => "write its address into `url`, its certificate into `runner.tls.cert`",
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
        other => match of_family(other) {
            Some(why) => why,
            None => return site.leave(&option.place, unknown(other, names)),
        },
    };
    site.leave(&option.place, why);
}

/// Why options of some kinds are not taken over, by what their names begin with.
const FAMILIES: &[(&[&str], &str)] = &[
    (
        &["if", "ifdir", "ifenv", "ifexists", "ifplugin", "for"],
        "its lines are not taken over, since they depend on it",
    ),
    (
        &[
            "alarm",
            "carbon",
            "metric",
            "metrics",
            "rrdtool",
            "snmp",
            "stats-push",
            "nagios",
        ],
        "metrics are at `runner.status.http`, for Prometheus",
    ),
    (
        &[
            "cache",
            "add-cache-item",
            "load-file-in-cache",
            "spooler",
            "mule",
            "farm",
            "sharedarea",
        ],
        NEEDS_UWSGI,
    ),
    (
        &[
            "emperor",
            "vassal",
            "vassals",
            "legion",
            "fastrouter",
            "rawrouter",
            "sslrouter",
            "zerg",
            "subscribe",
            "subscription",
            "subscriptions",
            "imperial",
        ],
        "it belongs to other servers of uWSGI",
    ),
    (
        &["route", "error-route", "final-route", "response-route"],
        "paths and hosts are keys of `commands.Routes`",
    ),
    (
        &[
            "static",
            "check-static",
            "file-serve-mode",
            "fileserve-mode",
            "mimefile",
            "mime-file",
        ],
        "static files are a route to `files FOLDER`",
    ),
    (
        &[
            "cgroup",
            "chroot",
            "jail",
            "namespace",
            "ns",
            "unshare",
            "cap",
            "pivot-root",
            "setns",
            "privileged-binary",
            "unprivileged-binary",
            "mount",
            "umount",
        ],
        "the service manager isolates: systemd's `ProtectSystem=`, `PrivateTmp=` and others",
    ),
    (
        &["hook", "exec", "call"],
        "commands before the start are `runner.before_start`",
    ),
    (
        &[
            "log",
            "logger",
            "logfile",
            "req-logger",
            "rsyslog",
            "threaded-logger",
        ],
        "the log goes to standard error; `runner.log.*` says what is in it, and the service manager keeps it",
    ),
    (
        &["ssl", "sni", "https"],
        "certificates are `runner.tls.*`; several are a list, of which a client gets the one for its name",
    ),
    (
        &[
            "scgi",
            "raw",
            "puwsgi-socket",
            "suwsgi-socket",
            "fastcgi-nph-socket",
            "protocol",
            "socket-protocol",
        ],
        "a server speaks HTTP, FastCGI or uwsgi here: say one of them to the web server in front",
    ),
    (
        &[
            "perl", "psgi", "rack", "rb", "ruby", "rails", "php", "cgi", "pypy", "rvm", "gemset",
        ],
        "another language is a program of its own: `upstream http exec:`, `upstream fastcgi exec:` or `cgi-bin`",
    ),
    (
        &["paste", "ini-paste", "pecan", "web3", "pump", "wsgi-lite"],
        "WSGI and ASGI are called: name a function that makes such an application",
    ),
    (
        &["master-fifo"],
        "`runner reload`, `stop` and `status` are its commands",
    ),
    (
        &["fs", "touch"],
        "`runner.touch_reload` reloads when a file changes",
    ),
];

/// Why an option is not taken over, if its kind has a reason.
fn of_family(name: &str) -> Option<&'static str> {
    let is_of = |family: &str| {
        name.strip_prefix(family)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let mut rows = FAMILIES.iter();
    let row = rows.find(|(families, _)| families.iter().any(|it| is_of(it)));
    row.map(|(_, why)| *why)
}

const NEEDS_UWSGI: &str = "it needs the module `uwsgi`, which only uWSGI has";

/// What is said of an option that nothing else is said of.
fn unknown(name: &str, names: &[String]) -> String {
    let is_known = known_options().any(|(it, _)| it == name);
    match did_you_mean(name, known_options().map(|(it, _)| it)) {
        Some(meant) if !is_known && !names.contains(&meant) => {
            format!("`{name}` is not known; {meant}")
        }
        _ if is_known => format!("`{name}` has no equivalent"),
        _ => format!("uWSGI has no option `{name}`, and no value refers to it"),
    }
}

/// The options of uWSGI, and whether each has a value: `flag`, `maybe` or `value`.
pub fn known_options() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = KNOWN_OPTIONS.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(' '))
}
