//! `runner` runs any web application from one executable INI file: in development (`launch`), as an HTTP server
//! (`serve`), behind another web server (`CGI`, `FastCGI`, `uwsgi`), kept running by a master (`supervise`). This page is the map;
//! the page of each module says how the module does what it promises here.
//!
//! ```text
//! run ─► commands ─► graph ─► plan ─► line ─► config ─► eval ─► syntax
//! run ─► server ─► plan
//!        server ─► gateway ─► protocol ─► interface
//!        server ─► application ─► workers ─► protocol
//!                  application ─► upstream ─► protocol
//!        server ─► pages ─► interface
//!        server ─► supervisor ─► interface
//! ```
//!
//! A file is text; [`syntax`] makes it a tree, [`config`] rules, [`eval`] values. [`mod@line`] holds the words of the command
//! line and the settings in force, [`graph`] follows the words down to one of the [`commands`], and [`plan`] turns the
//! settings into a value that says all a server is to do. [`server`] does it: it has a [`gateway`] listen, an
//! [`application`] answer, and a [`supervisor`] see to it that there is one master.
//!
//! - **One process of ours, many of theirs.** This process owns every client connection: it parses, limits, times, buffers
//!   and logs. An application, WSGI or ASGI, runs in worker processes that see complete requests only. A slow client costs no worker, and
//!   a worker that crashes or hangs costs no connection.
//! - **N gateways + M applications, never N × M.** They meet in [`server`] and know nothing of each other but
//!   [`interface::Request`] and [`interface::Response`].
//! - **CGI's variables are the common tongue**, decided once in [`protocol::cgi::environ`].
//! - **One thread** owns all connections, on tokio's current-thread runtime: all requests that arrive in one turn of its
//!   loop go to a worker in one write. It handles 40 000 to 90 000 requests a second ([`server::once::runtime`] says what
//!   decides), more than most Python takes. It never waits for a file, the log or a lock: other threads do.
//! - **Errors start from a place.** A mistake of the user is a [`syntax::Diagnostic`] with file, line and column; an error of
//!   the system is an `anyhow::Error`; a mistake of a client is an HTTP status, and the log has the reason.
//!
//! # Where to begin
//!
//! | to add | begin in | then |
//! |---|---|---|
//! | a setting | a row of `config/settings.rs`; its summary has at most 45 characters | read it in a file of `plan/`, which fills the options of the part that uses it: `gateway/http/http_options.rs`, `workers/options.rs` or others |
//! | a command | a file in `commands/{run,applications,look,master,edit}` with its row, named in the `mod.rs` beside it | add the row to `commands/mod.rs`, and its line to `HELP` in `tests/commands.rs`; `line/scope.rs` has the paths of words |
//! | a function of the language | a row of FUNCTIONS in `eval/functions/mod.rs`, its function in a file beside it; what it makes is charged to the budget | a case in `tests/language/expressions.case`, and its name in `ONLY_HERE` of `tests/differential.rs` if Python does not have it |
//! | a diagnostic | `Diagnostic::new("family/name", …)` where the mistake is found | a case in `tests/diagnostics/` |
//! | an application | a file in `application/` that implements [`interface::Application`] | how it is named: a variant in `plan/application/mod.rs`, how it is started: one in `plan/application/leaf.rs` |
//! | a gateway | a folder in `gateway/` that turns bytes into [`interface::Request`] | `plan/gateway.rs`, `server/gateway_task.rs`, and a command in `commands/run/` |
//! | a message to workers | `protocol/worker/frame.rs` | the pool's side in `workers/`, Python's in `workers/python/exchange.py` and `workers/python/asgi/asgi_lane.py` |
//! | a field of `status` | `interface/master_status.rs` | fill it where it is known, show it in `commands/master/status_text.rs` and `pages/status_view.rs` |
//! | a target of `export` | a file in `export/` and a variant in `export/mod.rs`; a fact that it needs: `export/exported_server.rs`, filled in `commands/edit/exported_facts.rs` | what its own tool says of it: `tests/export.rs` |
//! | a metric | a row of METRICS in `pages/metrics.rs` | count it in `interface/measurements.rs` if `status` does not have it |
//! | a page of the master | a path in `pages/router.rs` | |
//! | a signal | `server/events/signals.rs` | what follows from it: `server/master.rs`, `supervisor/lifecycle.rs` |
//! | a man page | `man/NAME.N.in` | `RUNNER_UPDATE=1 cargo test --test man` fills in the tables, and makes the reference of the book of it; a link in `packaging/wheel/data` |
//! | a page of the book | `docs/src`, with a line in `SUMMARY.md` | `cargo test --test book` tries it out |
//!
//! To find what is decided in the middle of a folder:
//!
//! | what | where |
//! |---|---|
//! | 502, 503 with `Retry-After`, 504 | `workers/gateway_errors.rs` says which part decides each |
//! | which worker gets a request | `workers/pool/chooser.rs` |
//! | when workers are added, replaced, or started again | `workers/staff/{growth,retirement,attempts}.rs` |
//! | what the environ of a request holds | `protocol/cgi/environ.rs`, the path in `protocol/cgi/path_info.rs`; ASGI's scope in `protocol/worker/asgi_scope.rs` |
//! | which application of a site answers, and at what path | `application/routes/mod.rs`; the keys: `application/routes/route_key.rs` |
//! | which script of PHP answers a request | `application/fastcgi/script_search.rs`, what it is told `application/fastcgi/request_params.rs`; when connections to PHP are kept: `upstream/fastcgi/mod.rs` |
//! | whether a request is sent to a server again | `upstream/http/http_exchange.rs`, `upstream/fastcgi/mod.rs`; if it has waited for a process that dies: `upstream/programs/program_address.rs` |
//! | who a request comes from behind a proxy | `protocol/proxy/forwarded.rs` for each request, `protocol/proxy/proxy_head.rs` for a connection; `gateway/http/proxies/` applies them |
//! | what cannot be a WSGI or ASGI application | `workers/python/examine.py` |
//! | which file is the CGI program of a request | `application/cgi_bin/script_path.rs` |
//! | when the process of a CGI program is started and ended | `cgi_host/exchange.rs`, `cgi_host/script_process.rs` |
//! | certificates of clients, and what applications see of them | `gateway/socket/tls/client_certificate.rs`, `gateway/socket/tls/session_variables.rs` |
//! | when a certificate is asked for or renewed (ACME) | `acme/mod.rs`; the answers to the authority: `gateway/socket/tls/acme_store.rs`, `gateway/http/https_only/acme_challenge.rs` |
//! | redirects to https, HSTS | `gateway/http/https_only/`; for which addresses: `plan/tls/https_settings.rs` |
//! | which settings one application can have of its own, and where they come from | `config/prefixes.rs`; `plan/application/mod.rs` applies them |
//! | the environment, the folder and `sys.path` of workers | `plan/surroundings/` |
//! | what runs before an application starts | `plan/supervised.rs` reads it, `supervisor/programs/start_command.rs` runs it |
//! | which user the server is | `plan/user.rs` reads the settings, `supervisor/identity.rs` applies them |
//! | what `launch` watches, and what of it counts | `file_watch/relevance.rs`; `server/development.rs` reloads, `application/development/` is what browsers see of it |
//! | what an event makes of the server | `supervisor/lifecycle.rs`, a table; `server/master.rs` obeys it |
//!
//! Tables feed the rest: help, man pages, completions, `explain` and `check` read SETTINGS, FUNCTIONS and COMMANDS.
//!
//! # What each part may name
//!
//! From the top of the street down: a part names the parts in its third column, which are all below it, and no others. The
//! crates in the fourth column are named only in the parts that list them. A *pure* part touches no file, process or socket.
//! `tests/tidy.rs` reads this table and holds the tree to it; it also holds that imports form no circle, that a file has at
//! most 500 lines and a folder at most 12 files, and that no two types or files share a name.
//!
//! | part | does | names | keeps to itself |
//! |---|---|---|---|
//! | [`run`] | the program: a line a stage | `server` `commands` `graph` `plan` `line` `config` `supervisor` `log` `current_folder` | |
//! | [`server`] | plan → a running server | `plan` `line` `acme` `application` `gateway` `supervisor` `pages` `interface` `file_watch` `panics` `log` `children` `descriptor_limit` `current_folder` `own_file` `permission` `unix` | `webbrowser` |
//! | [`commands`] | a row and a file each | `import` `export` `graph` `plan` `line` `application` `upstream` `gateway` `supervisor` `interface` `config` `eval` `syntax` `log` `secrets` `current_folder` `permission` | `clap` `clap_complete` `similar` `textwrap` |
//! | [`import`] | files of other servers → settings; pure | `syntax` | |
//! | [`export`] | what a server is to do → files of systemd, web servers, containers; pure | | |
//! | [`graph`] | words → the graph of what they run; no single command | `plan` `line` `application` `supervisor` `config` `eval` `syntax` | `clap` |
//! | [`plan`] | settings → what a server is to do; starts nothing | `line` `application` `workers` `cgi_host` `upstream` `gateway` `supervisor` `pages` `interface` `config` `eval` `syntax` `log` `children` `descriptor_limit` `current_folder` `own_file` `permission` | |
//! | [`mod@line`] | the words of a command line, and the settings in force | `config` `eval` `syntax` `log` `current_folder` | `clap` |
//! | [`application`] | what answers requests | `workers` `cgi_host` `upstream` `protocol` `interface` `log` `clock` | `hdrhistogram` `mime_guess` |
//! | [`upstream`] | the servers behind an application, their connections and programs | `workers` `protocol` `interface` `panics` `log` `clients` `children` `current_folder` `descriptor_limit` `permission` `unix` `unix_socket` | `http_body` `hyper` `hyper_util` |
//! | [`workers`] | the processes behind an application | `protocol` `interface` `panics` `log` `clients` `children` `descriptor_limit` `permission` `unix` | |
//! | [`cgi_host`] | CGI programs: a process for each request | `protocol` `interface` `log` `clients` `children` | |
//! | [`acme`] | certificates from an authority, in a thread of their own | `gateway` `log` `clock` | `instant_acme` |
//! | [`gateway`] | where requests come in; HTTP's libraries only in `http`, those of TLS only in `socket` | `protocol` `interface` `panics` `log` `clients` `clock` `own_file` `memory_release` `unix` `unix_socket` | `h2` `hyper` `hyper_util` `http_body` `rcgen` `rustls` `tokio_rustls` `x509_cert` |
//! | [`file_watch`] | which files of an application have changed, for `launch` | | `notify` |
//! | [`supervisor`] | one master and those around it: processes, locks, its own sockets | `interface` `panics` `log` `secrets` `current_folder` `own_file` `children` `descriptor_limit` `permission` `unix` `unix_socket` | `scopeguard` |
//! | [`pages`] | what the master answers about itself: status, metrics, health | `interface` `secrets` | `axum` `minijinja` `prometheus_client` `tower_service` |
//! | [`protocol`] | bytes ↔ types, each protocol once; pure | `interface` | `base64` `brotli` `flate2` `foldhash` `ipnet` `percent_encoding` `sha1` `zstd` |
//! | [`interface`] | requests, responses and the trait between gateways and applications | `log` `clients` `memory_release` `unix` | |
//! | [`config`] | tree → rules, settings; the only reading of configuration files | `eval` `syntax` `log` `secrets` `current_folder` | `dotenvy` `ini` `ipnet` |
//! | [`eval`] | rules → values; pure, lazy, bounded; asks for files through a trait | `syntax` | `icu_casemap` `icu_locale_core` `icu_properties` |
//! | [`syntax`] | text → tree, diagnostics; pure | `secrets` | `pest` `pest_derive` `codespan_reporting` |
//! | [`panics`] | what becomes of a panic | `log` | |
//! | [`mod@log`] | lines for standard error, written by a thread of their own | `clients` `clock` | |
//! | [`secrets`] | what must not be shown: names and texts; pure | | |
//! | [`clients`] | what counts as one client, and what each may take of what all share | | |
//! | [`clock`] | the time of day as text, made once a second | | `httpdate` `humantime` |
//! | [`current_folder`] | the current folder, by the name that it was entered with | `own_file` | |
//! | [`own_file`] | files and sockets that are removed in the end, if they are still ours | | |
//! | [`permission`] | who this process is to the system, and what keeps it from a file | | |
//! | [`memory_release`] | the allocator, and when it gives memory back to the system | `unix` | `mimalloc` |
//! | [`children`] | child processes and how they end | `unix` | |
//! | [`descriptor_limit`] | how many files may be open | | |
//! | [`unix_socket`] | Unix sockets by path | | |
//! | [`unix`] | system calls: the only file with `unsafe` code | | `libmimalloc_sys` `memmap2` |
//!
//! The modules, in reading order:

// What is `pub` is used from outside: by programs, tests and benchmarks.
#![warn(unreachable_pub)]

pub mod run;

pub mod syntax;

pub mod config;

pub mod eval;

pub mod line;

pub mod plan;

pub mod graph;

pub mod commands;

pub mod import;

pub mod export;

pub mod server;

pub mod interface;

pub mod acme;

pub mod gateway;

pub mod application;

pub mod pages;

pub mod protocol;

pub mod workers;

pub mod upstream;

pub mod cgi_host;

pub mod file_watch;

pub mod supervisor;

pub mod log;

pub mod clients;

pub mod clock;

pub mod secrets;

pub mod unix;

pub mod unix_socket;

pub mod descriptor_limit;

pub mod children;

pub mod own_file;

pub mod permission;

pub mod panics;

pub mod current_folder;

pub mod memory_release;
