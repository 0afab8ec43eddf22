//! The settings that `runner` itself reads: one table for checks, suggestions, help and the manual.

use super::setting::{DefaultValue, Setting, SettingKind};

/// Builds a row of the table.
macro_rules! settings {
    ($($name:literal $kind:expr, $default:expr, $summary:literal, $help:literal, $example:literal;)*) => {
        &[$(Setting { name: $name, kind: $kind, default: $default, summary: $summary, help: $help, example: $example }),*]
    };
}

/// Every setting, sorted by name.
pub const SETTINGS: &[Setting] = settings! {
    "peak.running.app" SettingKind::Command, DefaultValue::Unset,
        "Command that the file runs",
        "The command that the file runs, with its words. In the root namespace, `app` is short for this name.",
        "app = commands.Alias(command=['serve', 'WSGI', 'import:my_app.application'])";
    "peak.tools.server.url" SettingKind::Urls, DefaultValue::Text("tcp://localhost:0"),
        "Addresses that `serve` and `launch` listen on",
        "The address that `serve` and `launch` listen on, or a list of them: `http://HOST:PORT` (or `tcp:`), `https://HOST:PORT` (see `runner.tls.cert`), `unix:PATH` or `fd.socket:N`. Port 0 takes any free port; without a port, it is 80 or 443. Sockets that systemd passes are used instead: all of them for one address; of several addresses, each takes the sockets that listen there. In the root namespace, `url` is short for this name.",
        "url = ['http://*:80', 'https://*:443']";
    "runner.asgi.concurrency" SettingKind::Integer { min: 1, max: 1_000_000 }, DefaultValue::Number(1000),
        "Requests of an ASGI worker at a time",
        "The number of requests that a worker of an ASGI application works on at a time. Further requests wait for a worker. Open WebSockets do not count, and neither do requests whose clients have left (`runner.asgi.disconnect_grace`). Lower it if each request takes much memory, or a connection of a small pool.",
        "runner.asgi.concurrency = 100";
    "runner.asgi.disconnect_grace" SettingKind::Duration, DefaultValue::Number(10),
        "Time to end after a client has left (ASGI)",
        "The time that an ASGI application may go on with a request after it was told that the client has left (`http.disconnect`, `websocket.disconnect`). After it, the task of the request is cancelled. With 0, it is cancelled at once. An application that sends more than a few messages to a client that has left is cancelled sooner (`send()` raises `asyncio.CancelledError`), and so are those that have gone on longest if more than `runner.asgi.concurrency` requests of a worker go on without a client.",
        "runner.asgi.disconnect_grace = '1m'";
    "runner.asgi.drain" SettingKind::Duration, DefaultValue::Number(0),
        "Time for WebSockets and streams at a reload",
        "The time that open WebSockets and streams of events (`text/event-stream`, `multipart/x-mixed-replace`) may go on when their worker is to end: at a reload, a stop, or when it is replaced. After it, WebSockets are closed (code 1012 where the client may connect again at once, 1001 at a stop), and the application is told that the clients have left. By default, that is at once, since such clients connect again. Other requests finish, at a reload and a stop within `runner.stop_timeout`.",
        "runner.asgi.drain = '30s'";
    "runner.asgi.lifespan" SettingKind::Choice(&["auto", "on", "off"]), DefaultValue::Text("auto"),
        "Whether ASGI applications see start and stop",
        "Whether an ASGI application is told that its worker begins and ends (`lifespan`). With `'auto'`, an application that raises an exception when it is asked is taken for one that does not use it; with `'on'`, the start fails then. `'off'` does not ask. A start that the application itself calls failed (`lifespan.startup.failed`) fails in any case.",
        "runner.asgi.lifespan = 'on'";
    "runner.asgi.loop" SettingKind::ChoiceOrFunction(&["auto", "asyncio", "uvloop"]), DefaultValue::Text("auto"),
        "Event loop of ASGI applications",
        "The event loop that ASGI applications run in: that of `asyncio`, that of `uvloop`, or what a function returns, as in `'my_app.loops:new_loop'`. `'auto'` is `uvloop` where it is installed, else `asyncio`; and the loop that an application has made at its import, where each worker imports it itself (`runner.workers.preload`).",
        "runner.asgi.loop = 'asyncio'";
    "runner.before_start" SettingKind::Programs, DefaultValue::Unset,
        "Commands that run before the application",
        "A command line, or a list of them, that run before the application is imported: one after the other, each in a process group of its own, as the user of the server, in the folder of the file (or in `runner.workers.directory`), with the programs of the applications' Python (`.venv/bin`) first in `PATH`. Each line that they write becomes one of the log, behind the name and number of the process, and `runner.start_timeout` is the time for each. If one fails, the start fails. What they leave in the background ends when the server stops. A stop tells the one that runs to end, and kills it after five seconds. They run before the start and before each reload, where the old version goes on if one fails; `launch` runs them at its start only, and `CGI` does not. The words are separated as a shell does it; a program with a `/` is relative to the file.",
        "runner.before_start = ['python3 manage.py migrate --noinput', './warm_cache']";
    "runner.environment" SettingKind::Variables, DefaultValue::Unset,
        "Variables of the applications' environment",
        "Variables that the environment of applications and of the programs beside them has, besides those that `runner` was started with; `None` removes one. They come after those of `runner.environment_file`. A reload applies new ones.",
        "runner.environment = {'DJANGO_SETTINGS_MODULE': 'shop.settings', 'LANG': None}";
    "runner.environment_file" SettingKind::Paths, DefaultValue::Unset,
        "Files of variables for applications (.env)",
        "A file of variables, `NAME=value` on each line, for the environment of applications and of the programs beside them, or a list of such files, of which later ones count. A value with blanks is in quotes; within `'single quotes'` every character is itself. Elsewhere `$OTHER` or `${OTHER}` is a variable of the environment that `runner` was started with, or of a line before (an error if there is none), a backslash makes `$`, quotes, blanks and itself plain, and `#` behind a blank begins a comment. A reload reads the files again, as the user of the server.",
        "runner.environment_file = '.env'";
    "runner.group" SettingKind::Account, DefaultValue::Unset,
        "Group that the server and its workers run as",
        "The group that the server and its workers run as, once the server listens. By default, it is the group of `runner.user`. Only root can change it.",
        "runner.group = 'www-data'";
    "runner.http.body_timeout" SettingKind::Duration, DefaultValue::Number(60),
        "Time without a byte of a request's body",
        "The time in which a client may send no byte of a request's body, and how far it may be behind `runner.http.min_rate`. After it, the request is answered with status 408 and the connection is closed. 0 is no limit.",
        "runner.http.body_timeout = '20s'";
    "runner.http.compress" SettingKind::Choices(&["br", "zstd", "gzip"]), DefaultValue::Unset,
        "How responses are compressed",
        "The codings that responses are compressed by for clients that accept them; of those that a client likes equally, the first. By default, no response is compressed. Texts of at least 1 KiB are (HTML, CSS, JavaScript, JSON, XML, SVG), unless they have a `Content-Encoding`, `Content-Range` or `Cache-Control: no-transform`; event streams are not. They get `Vary: accept-encoding` and a weak `ETag`. Do not compress pages that show both a secret, such as a token against CSRF, and what somebody else may have written, such as a parameter of the URL: their length can tell the secret (BREACH). Django masks its token.",
        "runner.http.compress = ['br', 'zstd', 'gzip']";
    "runner.http.forwarded" SettingKind::Choices(&["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Prefix", "Forwarded"]), DefaultValue::Unset,
        "Fields that trusted proxies set",
        "The fields by which the proxies of `runner.http.trusted_proxies` tell about their clients. A proxy passes on a field that it does not set, as the client has sent it: name only those that it sets or removes. The others of these five are removed. `X-Forwarded-Host` replaces `Host`; `X-Forwarded-Prefix` is the beginning of the path, which the proxy has taken away, and becomes `SCRIPT_NAME` (`root_path`). `Forwarded` (RFC 7239) stands in place of the first three. By default, they are `X-Forwarded-For` and `X-Forwarded-Proto`.",
        "runner.http.forwarded = ['Forwarded']";
    "runner.http.head_timeout" SettingKind::Duration, DefaultValue::Number(30),
        "Time for a client to send a request's head",
        "The time that a client may take for the head of a request, from its first byte on. After it, the request is answered with status 408 and the connection is closed. A new connection on which nothing comes for this time is closed, too. 0 is no limit.",
        "runner.http.head_timeout = '10s'";
    "runner.http.http2" SettingKind::Boolean, DefaultValue::Boolean(true),
        "Whether clients may speak HTTP/2",
        "Whether clients may speak HTTP/2: over TLS those that ask for it (ALPN), as browsers do, and without TLS those that begin with it (`curl --http2-prior-knowledge`, `grpc`). An upgrade from HTTP/1.1 (`h2c`) is not offered, as RFC 9113 gave it up. HTTP/1.1 is spoken in any case.",
        "runner.http.http2 = False";
    "runner.http.keep_alive" SettingKind::Duration, DefaultValue::Number(75),
        "Time that a connection waits for a request",
        "The time that a connection may wait for its next request. After it, the connection is closed. If a load balancer is in front, it should be longer than the time for which that keeps idle connections (often 60 s), so that it never sends a request on a connection that is just being closed. With 0, each connection is closed after its first response.",
        "runner.http.keep_alive = '10s'";
    "runner.http.keep_alive_requests" SettingKind::Integer { min: 0, max: u64::MAX }, DefaultValue::Number(0),
        "Requests on one connection, at most",
        "The largest number of requests on one connection. Its last response tells the client that the connection closes. Set it if a load balancer should spread long-lived connections again. 0 is no limit.",
        "runner.http.keep_alive_requests = 1000";
    "runner.http.max_connections" SettingKind::Integer { min: 1, max: 1_000_000 }, DefaultValue::Unset,
        "Open connections, by HTTP or FastCGI, at most",
        "The largest number of connections that are open at a time, by HTTP or FastCGI. At the limit, each new connection closes the one that has been idle longest; while none is idle, new connections wait. One client (an address, or of IPv6 the first 64 bits) cannot keep others out: of the last tenth it has no more requests than it leaves for others. Its further ones wait for their turn, for up to 30 s or until another connection needs the place, and are answered with status 503 then. A trusted proxy (`runner.http.trusted_proxies`) is not limited so; any other is one client. By default, it is what the limit on open files (`ulimit -Hn`) leaves after the share of the workers, at one file a connection, and at most 10000.",
        "runner.http.max_connections = 1000";
    "runner.http.max_field" SettingKind::Integer { min: 256, max: 65_000 }, DefaultValue::Number(16_384),
        "Largest field of a request, in bytes",
        "The largest field of a request, in bytes, with its name: cookies are one field. A larger one is answered with status 431.",
        "runner.http.max_field = 32768";
    "runner.http.max_fields" SettingKind::Integer { min: 10, max: 10_000 }, DefaultValue::Number(100),
        "Fields of a request, at most",
        "The largest number of fields of a request. More are answered with status 431.",
        "runner.http.max_fields = 200";
    "runner.http.max_head" SettingKind::Integer { min: 1024, max: 10_000_000 }, DefaultValue::Number(65_536),
        "Largest head of a request, in bytes",
        "The largest head of a request, in bytes: its first line and all fields. A larger one is answered with status 431. Each connection may take this much memory.",
        "runner.http.max_head = 32768";
    "runner.http.max_per_address" SettingKind::Integer { min: 0, max: 1_000_000 }, DefaultValue::Number(0),
        "Open connections of one address, at most",
        "The largest number of connections that one client address has open at a time; of IPv6, the first 64 bits of an address are one client. Further ones are answered with status 503 and closed. A trusted proxy (`runner.http.trusted_proxies`) has no limit; of its connections, those of one client are counted where it says who that is (`runner.http.proxy_protocol`). Behind any other load balancer, all clients have its address. 0 is no limit but `runner.http.max_connections`.",
        "runner.http.max_per_address = 100";
    "runner.http.max_streams" SettingKind::Integer { min: 1, max: 10_000 }, DefaultValue::Number(100),
        "Requests at a time on one connection",
        "The largest number of requests that a client has under way at a time on one connection by HTTP/2; further ones wait at the client. Each may take up to 1 MiB of memory for a response that its client does not take. The requests beside the first one of each connection take at most half of `runner.http.max_connections`, and those of one client no more than it leaves for others; further ones are refused so that the client may send them again.",
        "runner.http.max_streams = 250";
    "runner.http.max_target" SettingKind::Integer { min: 256, max: 65_000 }, DefaultValue::Number(16_384),
        "Longest target (path and query), in bytes",
        "The longest target of a request, in bytes: its path and query, or all of an absolute address. A longer one is answered with status 414.",
        "runner.http.max_target = 8192";
    "runner.http.min_rate" SettingKind::Size, DefaultValue::Number(500),
        "Slowest client accepted, in bytes per second",
        "The bytes per second that a client must send of a request's body, and read of a response. A client that is behind by `runner.http.body_timeout` or `runner.http.write_timeout` of waiting is given up: its request is answered with status 408 and its connection is closed. Time in which the application itself sends nothing does not count. 0 accepts any rate, but not that time without a byte. Lower it for clients with very slow links.",
        "runner.http.min_rate = '1k'";
    "runner.http.proxy_protocol" SettingKind::Boolean, DefaultValue::Boolean(false),
        "Whether connections begin with a PROXY head",
        "Whether each connection begins with a head of the PROXY protocol, version 1 or 2, by which a proxy such as HAProxy tells the address of its client, and by version 2 also whether that has used TLS. Then a connection without such a head is closed, as is one that does not come from `runner.http.trusted_proxies`.",
        "runner.http.proxy_protocol = True";
    "runner.http.request_id" SettingKind::Boolean, DefaultValue::Boolean(false),
        "Whether each request has an id",
        "Whether each request has an id: 128 random bits in hexadecimal digits. It is in the header field `X-Request-Id` that the application sees (`HTTP_X_REQUEST_ID`) and in that of the response, in the access log and in each line of the log about the request, tracebacks included. That of a trusted proxy (`runner.http.trusted_proxies`) is kept; one that another client sends is replaced. By `FastCGI` and `CGI`, it is the one that the web server passes in the variable `REQUEST_ID` or `UNIQUE_ID`, if there is one. The trace id of `traceparent`, which is passed on as it is, stands beside it.",
        "runner.http.request_id = True";
    "runner.http.trusted_proxies" SettingKind::Networks, DefaultValue::Unset,
        "Proxies that tell the client's address",
        "The proxies in front of the server whose fields about their clients are believed (`runner.http.forwarded`): addresses, networks, `'unix'` for whatever connects to a Unix socket, `'*'` for everything. The client's address is then `REMOTE_ADDR`, its scheme `wsgi.url_scheme`, for ASGI `client` and `scheme`. The address is found from the end of the list: proxies of this setting are stepped over. From other peers, and with `[]` from all, every `X-Forwarded-…` field, `X-Real-IP` and `Forwarded` are removed. By default, no proxy is trusted, and the application gets the fields as they were sent. The setting is for HTTP: by CGI and FastCGI, the web server says who the client is.",
        "runner.http.trusted_proxies = ['127.0.0.1', '10.0.0.0/8']";
    "runner.http.write_timeout" SettingKind::Duration, DefaultValue::Number(60),
        "Time in which a client takes no byte",
        "The time in which a client may take no byte of a response, and how far it may be behind `runner.http.min_rate`. After it, the connection is closed with a reset. 0 is no limit.",
        "runner.http.write_timeout = '20s'";
    "runner.launch.reload" SettingKind::BooleanOr(&["browser"]), DefaultValue::Boolean(true),
        "What `launch` reloads when a file changes",
        "Whether `launch` reloads the application when one of its files changes: Python code, templates (also style sheets and scripts) in the folder of the file that runs, or the current folder, and the configuration files. With `'browser'`, pages that the application shows are reloaded, too. `serve` does not watch files.",
        "runner.launch.reload = 'browser'";
    "runner.log.access" SettingKind::BooleanOr(&["common", "combined", "json"]), DefaultValue::Unset,
        "Whether each request is logged, and how",
        "Whether each request is written to the log, and in which form. A line is written when the response has ended; for a client that left before it, with status 499; for a WebSocket, when it is closed, with status 101. `'common'` and `'combined'` are the forms of NCSA and Apache, for programs that read the logs of web servers; `True` is `'combined'` with the duration behind it, and the request id (`runner.http.request_id`), if there is one. `'json'` writes an object a line, whose members runner(1) describes. By default, `launch` logs requests and `serve` does not. It has no effect on `FastCGI` and `CGI`, where the web server logs requests.",
        "runner.log.access = 'combined'";
    "runner.log.access_file" SettingKind::Path, DefaultValue::Unset,
        "File that the access log goes to",
        "The file that the lines of the access log are appended to, instead of the log. It is opened before `runner.user` takes effect, and given to that user if it is new; a reload, SIGUSR2 and SIGUSR1 open it again by its name, for logrotate. If it was removed, it is made again; while that is not possible, since its folder has gone too, its lines are in the log. If it cannot be written, the server goes on, and the log says once a minute how many lines are missing. `/dev/stdout` is standard output. With a file, there is an access log even if `runner.log.access` is not set.",
        "runner.log.access_file = '/var/log/shop/access.log'";
    "runner.log.access_from" SettingKind::Integer { min: 100, max: 599 }, DefaultValue::Number(100),
        "Least status that the access log has",
        "The least status of a response that the access log has a line for. With 400, it has the requests that failed: refused ones, and those whose clients left before a response (499).",
        "runner.log.access_from = 400";
    "runner.log.access_syslog" SettingKind::BooleanOr(&["user", "daemon", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"]), DefaultValue::Boolean(false),
        "Whether the access log goes to syslog",
        "Whether the lines of the access log go to the system's log, through the socket `/dev/log`, and under which facility; `True` is `'daemon'`. Lines longer than 8 KiB are cut. The server does not wait for it: lines that it does not take are counted. There is an access log then even if `runner.log.access` is not set.",
        "runner.log.access_syslog = 'local0'";
    "runner.log.access_without" SettingKind::Texts, DefaultValue::Unset,
        "Paths that the access log leaves out",
        "Paths for which the access log has no line, unless the request fails (a status from 400 on), such as those that a load balancer asks for every second. A path is compared as the client sent it, without the part behind a `?`.",
        "runner.log.access_without = ['/healthz']";
    "runner.log.format" SettingKind::Choice(&["auto", "time", "journal", "plain", "json"]), DefaultValue::Text("auto"),
        "Form of the lines of the log",
        "What stands before each line that `runner` writes to the log. With `'time'`, the time (RFC 3339, UTC) and the level (`error`, `warning` or `info`); with `'journal'`, the level as a priority that the journal of systemd takes away (`<3>`, `<4>`, `<6>`); with `'plain'`, neither, for a reader that adds the time. With `'json'`, each line is an object, also those of the application and of the programs that it runs; runner.ini(5) describes the members. By default, it is `'journal'` where standard error is the journal (`JOURNAL_STREAM`), `'plain'` for CGI and for FastCGI on standard input, since web servers add the time, and `'time'` elsewhere. Lines of the access log have a time in any case. What the application writes to its log gets nothing before it. Control characters in any line are escaped (`\\x1b`), so that no client and no exception clears a terminal; colours that the application writes stay on a terminal, or where `FORCE_COLOR` is set. What other programs write to standard error is passed on as it is.",
        "runner.log.format = 'plain'";
    "runner.log.name" SettingKind::Text, DefaultValue::Unset,
        "Name before the lines of the log",
        "The name that stands before each line that `runner` writes to the log, the access log included. By default, there is one where `supervise` keeps several programs running, which share a log: that of the file without its ending, or of the application.",
        "runner.log.name = 'shop'";
    "runner.path" SettingKind::Paths, DefaultValue::Unset,
        "Folders in which Python looks for modules",
        "A folder in which Python looks for modules, or a list of them: they stand in front of `sys.path`, before the folder of the file that is run. `launch` watches them.",
        "runner.path = ['src', 'vendor']";
    "runner.python" SettingKind::Program, DefaultValue::Unset,
        "Python interpreter of applications",
        "The Python interpreter that applications run in. By default, it is that of the virtual environment whose `runner` was called by its path (`venv/bin/runner`), else that of the active one, else that of one beside the file (`.venv`, `venv`), else `python3`.",
        "runner.python = 'venv/bin/python'";
    "runner.request.max_body" SettingKind::Size, DefaultValue::Number(1 << 30),
        "Largest request body, in bytes",
        "The largest request body that is accepted, in bytes. A larger one is answered with status 413. It bounds the space that one request can take in `runner.tmp`, which has a limit for each client as well. 0 is no limit.",
        "runner.request.max_body = '10M'";
    "runner.request.queue_length" SettingKind::Integer { min: 0, max: 1_000_000 }, DefaultValue::Number(4000),
        "Requests that may wait for a worker",
        "The number of requests that may wait for a worker. Further requests are answered with status 503, or one of a client that has closed its side of the connection, or of the client that has the most of them. Clients take turns: none waits for more than one request of each other client at a time, however many those have sent. Requests of clients that have closed their side come last: most of these have left. A client is an address; of IPv6, the first 64 bits of one.",
        "runner.request.queue_length = 100";
    "runner.request.queue_timeout" SettingKind::Duration, DefaultValue::Number(30),
        "Time that a request may wait for a worker",
        "The time that a request may wait for a worker. After it, the request is answered with status 503. No request waits where no worker is left and three attempts to start one have failed: until the next attempt, each is answered with status 503 at once.",
        "runner.request.queue_timeout = '5s'";
    "runner.request.slow" SettingKind::Duration, DefaultValue::Number(0),
        "Time after which a slow request is logged",
        "The time after which the log shows a request whose response has not begun, with the stack of the application. The request continues undisturbed, and its end is logged too. 0 is never. Set it to find out where an application is slow.",
        "runner.request.slow = '5s'";
    "runner.request.timeout" SettingKind::Duration, DefaultValue::Number(60),
        "Time for the application to begin a response",
        "The time that the application may take to begin its response. After it, the request is answered with status 504, and the log shows where the application was. The worker of a WSGI application is replaced; the limit also covers code that runs after the response, when it delays the next request. The worker of an ASGI application cancels the task of the request and goes on with the others; it is replaced only if its event loop does not run either. 0 is no limit. Raise it for requests that take long by design.",
        "runner.request.timeout = '2m'";
    "runner.response.max_buffer" SettingKind::Size, DefaultValue::Number(1 << 30),
        "Bytes of a response kept for a slow client",
        "The bytes of a response that are kept, in a file without a name in `runner.tmp`, while the client reads more slowly than the application writes. The worker is free meanwhile. Beyond this size, the worker waits for the client. With 0, only a little is kept, in memory.",
        "runner.response.max_buffer = '100M'";
    "runner.response.max_buffers" SettingKind::Size, DefaultValue::Number(10 << 30),
        "Bytes kept for all slow clients together",
        "The bytes that are kept in files of all responses together, while their clients read slowly (`runner.response.max_buffer` is for each). Each client address has as much at most as it leaves for others, so one alone half of it. Beyond this size, nothing more is kept: workers wait for their clients, as they do beyond `runner.response.max_buffer`; while requests wait for a worker, a response is broken off whose client takes nothing for 5 s and has its share. When all of them wait, requests wait in the queue (`runner.request.queue_length`, `.queue_timeout`) and are answered 503 beyond it; the connection of a client slower than `runner.http.min_rate` is closed. A client that is quicker than that keeps its worker as long as it reads: if requests wait meanwhile for more than 5 s, the log names its request. 0 is no limit.",
        "runner.response.max_buffers = '2G'";
    "runner.response.max_memory" SettingKind::Size, DefaultValue::Number(256 << 20),
        "Bytes of all responses in memory",
        "The bytes of all responses together that are in memory because their clients have not received them yet. Each may have up to 1 MiB. Beyond this size, each has some 16 KiB at each place, and the rest goes to files at once (`runner.response.max_buffer`), so that clients that do not read use up no memory, however many they are. What the system has taken for a client, and messages of WebSockets, are not counted. 0 is no limit.",
        "runner.response.max_memory = '64M'";
    "runner.response.send_files" SettingKind::Folders, DefaultValue::Unset,
        "Folders whose files applications can name",
        "Folders whose files are sent when an application names one in place of a body, by beginnings of paths that mean them: with `{'/protected/': 'uploads'}`, `X-Accel-Redirect: /protected/a.pdf` sends `uploads/a.pdf`, as nginx does. `X-Sendfile` has the path of the file in the system, which must be below one of the folders. Ranges and conditional requests are answered, and no worker is busy meanwhile. The folders have to be there at the start. The application's status, `Content-Type`, `Content-Disposition`, `Cache-Control` and other fields stay. Links lead no further than the folder. By default, both fields are passed on for a web server in front.",
        "runner.response.send_files = {'/protected/': '/srv/protected'}";
    "runner.socket.group" SettingKind::Account, DefaultValue::Unset,
        "Group of the Unix socket that is listened on",
        "The group of the file of a `unix:` socket that the server listens on, so that a web server (nginx) in that group can connect; `runner.socket.mode` must allow it. The user of the server must be in the group, too. By default, it is the group of the server.",
        "runner.socket.group = 'www-data'";
    "runner.socket.mode" SettingKind::Rights, DefaultValue::Unset,
        "Permissions of the Unix socket listened on",
        "The permissions of the file of a `unix:` socket that the server listens on. A user needs the permission to write to connect. By default, they are what `runner.umask` leaves of `'777'`: with the usual `'022'`, only the user of the server and root can connect. `'0660'` is the same as `'660'`.",
        "runner.socket.mode = '660'";
    "runner.start_timeout" SettingKind::Duration, DefaultValue::Number(60),
        "Time for the import, and for lifespan startup",
        "The time that the application may take to be imported. After it, the import is given up, and the log shows where it was. Each command of `runner.before_start` has as long. An ASGI application has as long for its lifespan startup, which each worker waits for (`runner.asgi.lifespan`): if that is not complete by then, the start or reload fails. Raise it for applications that load much data.",
        "runner.start_timeout = '5m'";
    "runner.status.http" SettingKind::Url, DefaultValue::Unset,
        "Address of the status page and metrics",
        "The address of the master's own pages: `tcp://HOST:PORT` or `unix:PATH`. `/` is the state for people, `/status.json` for programs, `/metrics` for Prometheus; `/healthz` and `/readyz` are for load balancers and Kubernetes. They are served while all workers hang and the server is full. Everybody who can connect can read them, so give them an address that only you reach: `localhost`, or a private network. They answer to IP addresses, `localhost` and HOST as `Host`, and show requests without their queries. runner.status(5) describes them.",
        "runner.status.http = 'tcp://localhost:9090'";
    "runner.status.url" SettingKind::Url, DefaultValue::Unset,
        "Control socket for `status`, `reload`, `stop`",
        "The control socket, through which `runner status`, `reload` and `stop` reach the server: `unix:PATH`. Only root and the user that the server runs as can use it. By default there is none, except in `supervise`, which has one beside its pid file. A reload does not move it: another path holds from the next start on.",
        "runner.status.url = 'unix:/run/my_app.socket'";
    "runner.stop_timeout" SettingKind::Duration, DefaultValue::Number(30),
        "Time for requests to finish at a stop",
        "The time that requests may take to finish after `runner` is told to stop. After it, they are answered with status 504 and their workers are ended; the log shows where the application was.",
        "runner.stop_timeout = '10s'";
    "runner.supervise.command" SettingKind::Text, DefaultValue::Unset,
        "Command that `supervise` runs",
        "The command that `supervise` runs if none follows it: a line as it would be typed after `runner`, with quotes as in a shell; or `exec:` and a program with its arguments, which is kept running.",
        "runner.supervise.command = 'serve WSGI import:my_app.application'";
    "runner.supervise.idle_timeout" SettingKind::Duration, DefaultValue::Number(0),
        "Time without requests until `supervise` stops",
        "Stop after this time without a request. 0 is never. It has no effect where a program is supervised instead of an application (`exec:`), since requests to a program are not seen.",
        "runner.supervise.idle_timeout = '1h'";
    "runner.supervise.pid_file" SettingKind::Path, DefaultValue::Unset,
        "File with the process id of the master",
        "The file that holds the process id of the master while it runs. `supervise` needs it, to make sure that there is one master. Its folder must exist. Beside it are the lock files and `PIDFILE.socket`, the control socket.",
        "runner.supervise.pid_file = '/run/my_app.pid'";
    "runner.supervise.pid_lock" SettingKind::Text, DefaultValue::Unset,
        "Lock for reading and writing the pid file",
        "The lock that is held while the pid file is read or written: `flockfile:PATH`, `lockfile:PATH`, `shlockfile:PATH` or `nulllockfile:`. By default, it is `flockfile:PIDFILE.lock`.",
        "runner.supervise.pid_lock = 'shlockfile:/run/my_app.lock'";
    "runner.supervise.programs" SettingKind::Texts, DefaultValue::Unset,
        "Programs kept running beside the application",
        "Programs that are kept running beside what is supervised: each a line with quotes as in a shell. They begin in the folder of the file (or in `runner.workers.directory`). A program with a `/` is found relative to the file, others in `PATH`, where the programs of the applications' Python (`.venv/bin`) come first. A reload makes those that are commands of `runner` reload, and fails if one of them cannot. Other programs are restarted only if their words, variables, files or folder (a link to another release) have changed; the reload fails if one does not come up, even if it did not run before.",
        "runner.supervise.programs = ['./worker --queue mail']";
    "runner.supervise.run_at_least" SettingKind::Duration, DefaultValue::Number(0),
        "Shortest time that `supervise` runs",
        "The time before which `runner.supervise.stop_after` and `runner.supervise.idle_timeout` do not stop the master.",
        "runner.supervise.run_at_least = '2m'";
    "runner.supervise.startup_lock" SettingKind::Text, DefaultValue::Unset,
        "Lock that is held while the master starts",
        "The lock that is held from the start until requests are answered: of two masters that start at the same time, one ends with status 1. It is written like `runner.supervise.pid_lock`. By default, it is `flockfile:PIDFILE.start`.",
        "runner.supervise.startup_lock = 'flockfile:/run/my_app.start'";
    "runner.supervise.stop_after" SettingKind::Duration, DefaultValue::Number(0),
        "Time after which `supervise` stops",
        "Stop after this time, as at SIGTERM. 0 is never.",
        "runner.supervise.stop_after = '1d'";
    "runner.tls.acme" SettingKind::Texts, DefaultValue::Unset,
        "Hosts to get a certificate for by ACME",
        "Names of hosts that a certificate is asked for by ACME (RFC 8555), of Let's Encrypt or of the authority in `runner.tls.acme_directory`, whose terms of service you agree to by this setting. The names have to lead to this server: the authority checks them by http at port 80 if `url` has an address for http (HTTP-01), else by https at port 443 (TLS-ALPN-01). The certificate is renewed after two thirds of its life, without a restart; the log says until when it is valid, and why there is none. Until there is the first, handshakes for https are refused. It stands beside those of `runner.tls.cert`.",
        "runner.tls.acme = ['example.org', 'www.example.org']";
    "runner.tls.acme_ca" SettingKind::Path, DefaultValue::Unset,
        "Authority that vouches for the ACME directory",
        "The file with the certificate (PEM) that vouches for the server of `runner.tls.acme_directory`, where that is an authority of your own. By default, the certificates of the system are believed.",
        "runner.tls.acme_ca = '/etc/my_app/acme_ca.pem'";
    "runner.tls.acme_contact" SettingKind::Texts, DefaultValue::Unset,
        "Addresses for letters of the ACME authority",
        "Addresses that the authority of `runner.tls.acme` may write to, as `mailto:` URLs. They are told to it when the account is made.",
        "runner.tls.acme_contact = ['mailto:ada@example.org']";
    "runner.tls.acme_directory" SettingKind::Text, DefaultValue::Text("https://acme-v02.api.letsencrypt.org/directory"),
        "URL of the ACME authority's directory",
        "The URL of the directory of the authority that `runner.tls.acme` asks. Try a server with `https://acme-staging-v02.api.letsencrypt.org/directory` first, whose certificates no browser accepts: Let's Encrypt counts failures.",
        "runner.tls.acme_directory = 'https://acme-staging-v02.api.letsencrypt.org/directory'";
    "runner.tls.acme_folder" SettingKind::Path, DefaultValue::Unset,
        "Folder for what ACME has issued",
        "The folder in which the certificate of `runner.tls.acme`, its key and the account are kept, readable for their owner only. It is made if there is none, by the user of the server (`runner.user`). A server that is started again has the certificate at once. Of several processes with the same folder, one asks at a time.",
        "runner.tls.acme_folder = '/var/lib/my_app/acme'";
    "runner.tls.cert" SettingKind::Paths, DefaultValue::Unset,
        "Certificate for addresses with https",
        "The file with the certificate for addresses that begin with `https:`, in PEM format: first that of the server, then those that vouch for it (`fullchain.pem`). In a list, each client gets the certificate for the name that it asks for (SNI), or else the first. A reload reads the files again; the user that the server runs as must be able to read them then. `check` finds certificates that have expired, or are for other names; the log warns of one that expires within two weeks.",
        "runner.tls.cert = '/etc/letsencrypt/live/example.com/fullchain.pem'";
    "runner.tls.client_auth" SettingKind::Choice(&["required", "optional"]), DefaultValue::Text("required"),
        "Whether clients must have a certificate",
        "Whether a client without a certificate is refused, where `runner.tls.client_ca` is set. With `'optional'`, the application decides: `SSL_CLIENT_VERIFY` is `SUCCESS` or `NONE`. A certificate that is not valid ends the connection in any case.",
        "runner.tls.client_auth = 'optional'";
    "runner.tls.client_ca" SettingKind::Paths, DefaultValue::Unset,
        "Authorities that sign clients' certificates",
        "A file with the certificates of the authorities that sign those of clients, in PEM format, or a list of such files. Each client of an https address then has to show a certificate (see `runner.tls.client_auth`). Applications see what it says in variables that have the names and forms of Apache's mod_ssl (`SSL_CLIENT_S_DN`, `SSL_CLIENT_M_SERIAL` and others; runner.ini(5) lists them), and by ASGI in the extension `tls`. No field of a request can set them. By default, clients are not asked for a certificate.",
        "runner.tls.client_ca = '/etc/my_app/clients.pem'";
    "runner.tls.client_crl" SettingKind::Paths, DefaultValue::Unset,
        "Lists of clients' revoked certificates",
        "A file with lists of revoked certificates (CRL), in PEM format, or a list of such files. A client whose certificate is in one of them is refused, and so is one whose authority has none here. A list is used beyond its date. A reload reads the files again; if they have changed, connections end once their present requests are answered. A client that is not accepted any more gets 421 for a further request on its connection, and its WebSockets are closed (code 1008).",
        "runner.tls.client_crl = '/etc/my_app/revoked.pem'";
    "runner.tls.export_cert" SettingKind::Boolean, DefaultValue::Boolean(false),
        "Whether variables have clients' certificates",
        "Whether the variables `SSL_CLIENT_CERT` and `SSL_CLIENT_CERT_CHAIN_n` hold the client's certificate and those that it has sent with it, in PEM format. They make each request a few kilobytes larger. ASGI's extension `tls` has them in any case.",
        "runner.tls.export_cert = True";
    "runner.tls.handshake_timeout" SettingKind::Duration, DefaultValue::Number(10),
        "Time for the handshake of TLS",
        "The time from the beginning of a connection to an https address to the end of its handshake. After it, the connection is closed. 0 is no limit.",
        "runner.tls.handshake_timeout = '5s'";
    "runner.tls.hsts" SettingKind::Duration, DefaultValue::Unset,
        "Time for which browsers use https only (HSTS)",
        "The time for which a browser that has reached the server by https asks it by https only, also for `http://` URLs, and lets its user accept no bad certificate. Responses by https get the field `Strict-Transport-Security` (RFC 6797), unless the application has set it; behind proxies, `runner.http.trusted_proxies` says which requests came by https. Begin with a short time: browsers keep to it. `0` makes them forget it. By default, there is no such field.",
        "runner.tls.hsts = '365d'";
    "runner.tls.hsts_flags" SettingKind::Choices(&["includeSubDomains", "preload"]), DefaultValue::Unset,
        "What `Strict-Transport-Security` adds",
        "What stands behind the time of `runner.tls.hsts` in the field `Strict-Transport-Security`. With `'includeSubDomains'`, it holds for all hosts below the server's, too. With `'preload'`, the owner of the host agrees that browsers come with it in their list; that list takes only hosts with both and a time of a year.",
        "runner.tls.hsts_flags = ['includeSubDomains']";
    "runner.tls.key" SettingKind::Paths, DefaultValue::Unset,
        "Private key of the certificate",
        "The file with the private key of the certificate in `runner.tls.cert`, in PEM format, without a passphrase. For a list of certificates it is a list in the same order. By default, the key is in the file of the certificate.",
        "runner.tls.key = '/etc/letsencrypt/live/example.com/privkey.pem'";
    "runner.tls.max_handshakes" SettingKind::Integer { min: 1, max: 1_000_000 }, DefaultValue::Unset,
        "Handshakes of TLS under way at a time",
        "The largest number of handshakes of TLS that are under way at a time. For each further one, the one that began first is given up: so clients that stall displace one another, and no others. By default, it is half of `runner.http.max_connections`.",
        "runner.tls.max_handshakes = 500";
    "runner.tls.redirect" SettingKind::Boolean, DefaultValue::Boolean(false),
        "Whether http requests are redirected to https",
        "Whether a request by http is answered with a redirect to the same host and path by https (status 301; for other methods than `GET` and `HEAD` 308, by which they stay the same). That holds for clients that reach the server itself if an address of `url` is for https, and for those whose proxy says that they came by http (`X-Forwarded-Proto`; see `runner.http.trusted_proxies`). What a trusted proxy sends without saying so, and what comes over a Unix socket, is not redirected. Paths of `runner.tls.redirect_without` and those by which an authority checks the host (`/.well-known/acme-challenge/TOKEN`) are not, either.",
        "runner.tls.redirect = True";
    "runner.tls.redirect_port" SettingKind::Integer { min: 1, max: 65_535 }, DefaultValue::Unset,
        "Port of https that clients are redirected to",
        "The port in the URLs that `runner.tls.redirect` sends clients to, where it is not the one that the server knows: such as 443 for a container whose port 8443 is published as 443. By default, it is the port of the first https address of `url`; behind proxies, 443.",
        "runner.tls.redirect_port = 443";
    "runner.tls.redirect_without" SettingKind::Texts, DefaultValue::Unset,
        "Paths that are answered by http, too",
        "Paths that `runner.tls.redirect` does not redirect, such as those by which a load balancer checks that the server answers. A path is compared as the client sent it, without the part behind a `?`.",
        "runner.tls.redirect_without = ['/healthz']";
    "runner.tmp" SettingKind::Path, DefaultValue::Unset,
        "Folder for large request and response bodies",
        "The folder for request bodies, and for responses that wait for their clients, where they are too large to be kept in memory. The server must be able to write in it. By default, it is the first of `$TMPDIR`, `$TEMP`, `$TMP`, `/tmp`, `/var/tmp` and `/usr/tmp` in which the server can create a file. One client (an address, or of IPv6 the first 64 bits) cannot fill it for the others: of the last tenth of its file system, the bodies of its requests have no more than they leave free. A body beyond that, or that finds the disk full, is answered with status 507, and the log says so.",
        "runner.tmp = '/var/tmp'";
    "runner.touch_reload" SettingKind::Paths, DefaultValue::Unset,
        "Files whose change reloads the server",
        "A file, or a list of them, whose change reloads the server as SIGHUP does: each time that it is written, touched or made. It need not exist yet, but its folder must. `launch` reloads anyway when code changes.",
        "runner.touch_reload = 'reload.txt'";
    "runner.umask" SettingKind::Rights, DefaultValue::Unset,
        "Permission bits cleared on new files (umask)",
        "Permission bits that are cleared on files that the server and its workers create, the sockets that it listens on included (umask). By default, they are those that `runner` was started with. `'0027'` is the same as `'027'`.",
        "runner.umask = '027'";
    "runner.user" SettingKind::Account, DefaultValue::Unset,
        "User that the server and its workers run as",
        "The user that the server and its workers run as, with its groups, once the server listens. That user creates and removes all files, the sockets of `unix:` included. Only root can become another user, and there is no way back: for a reload, that user must be able to read the configuration files. A group that the user was added to later counts from the next start on.",
        "runner.user = 'www-data'";
    "runner.websocket.compression" SettingKind::Boolean, DefaultValue::Boolean(true),
        "Whether WebSocket messages are compressed",
        "Whether the messages of a WebSocket are compressed if the client offers it (`permessage-deflate`, RFC 7692). Browsers do. `False` saves memory and CPU time where messages are short, or compressed already.",
        "runner.websocket.compression = False";
    "runner.websocket.keep_context" SettingKind::Boolean, DefaultValue::Boolean(true),
        "Whether WebSocket messages compress together",
        "Whether a compressed message of a WebSocket may point back to the last 2 KiB of earlier ones, so that short messages that resemble one another take a tenth of their size. It costs up to 4 KiB for each WebSocket, and some 10 µs for each message. With `False`, each message is compressed for itself, from 1 KiB on.",
        "runner.websocket.keep_context = False";
    "runner.websocket.max_message" SettingKind::Size, DefaultValue::Number(16 << 20),
        "Largest message from a WebSocket, in bytes",
        "The largest message that is accepted from the client of a WebSocket, in bytes, after decompression. A larger one closes the WebSocket with code 1009. 0 is no limit.",
        "runner.websocket.max_message = '1M'";
    "runner.websocket.ping_interval" SettingKind::Duration, DefaultValue::Number(20),
        "Time between pings to a WebSocket client",
        "The time between the pings that are sent to the client of a WebSocket. They keep proxies from closing a quiet connection, and find clients that are gone. 0 is never.",
        "runner.websocket.ping_interval = '1m'";
    "runner.websocket.ping_timeout" SettingKind::Duration, DefaultValue::Number(20),
        "Time for a WebSocket client to answer a ping",
        "The time in which the client of a WebSocket must answer a ping. After it, the connection is closed, and the application sees code 1006. 0 is no limit.",
        "runner.websocket.ping_timeout = '5s'";
    "runner.workers.directory" SettingKind::Path, DefaultValue::Unset,
        "Current folder of the workers",
        "The folder that is the current one of workers, from before the application is imported. The server's own stays. By default, it is the one that `runner` was started in.",
        "runner.workers.directory = 'data'";
    "runner.workers.idle_timeout" SettingKind::Duration, DefaultValue::Number(60),
        "Idle time after which an extra worker ends",
        "The time that a worker beyond `runner.workers.min` may be idle. After it, the worker ends. 0 keeps every worker that was ever needed.",
        "runner.workers.idle_timeout = '5m'";
    "runner.workers.imports" SettingKind::Texts, DefaultValue::Unset,
        "Modules imported with the application",
        "Modules that are imported after the application, before the workers are forked, so that workers start with them. A mistake in one of them is found at the start or reload rather than by the first request: name what the application imports late, such as the `urls` of a Django project.",
        "runner.workers.imports = ['my_app.views']";
    "runner.workers.limits.core" SettingKind::Size, DefaultValue::Unset,
        "Largest core file of a worker, in bytes",
        "The largest core file that a worker may leave when it crashes, in bytes. 0 is none. By default, it is the limit that `runner` was started with.",
        "runner.workers.limits.core = 0";
    "runner.workers.limits.cpu" SettingKind::Duration, DefaultValue::Number(0),
        "CPU time of a worker",
        "The CPU time that a worker may use in its life, in whole seconds. Then SIGXCPU ends it, and it is replaced. 0 is no limit.",
        "runner.workers.limits.cpu = '1h'";
    "runner.workers.limits.files" SettingKind::Integer { min: 0, max: 1_000_000_000 }, DefaultValue::Number(0),
        "Open files of a worker",
        "The number of files that a worker may have open. The worker itself needs four, and three more for each thread. 0 is the limit that `runner` was started with.",
        "runner.workers.limits.files = 4096";
    "runner.workers.limits.memory" SettingKind::Size, DefaultValue::Number(0),
        "Address space of a worker, in bytes",
        "The address space that a worker may have, in bytes. It is larger than the memory in use. Beyond it, the application gets a `MemoryError`. 0 is no limit.",
        "runner.workers.limits.memory = '2G'";
    "runner.workers.limits.processes" SettingKind::Integer { min: 0, max: 1_000_000_000 }, DefaultValue::Number(0),
        "Processes of the user that a worker runs as",
        "The number of processes and threads that the user of a worker may have in all; at this number, the worker cannot start another. It does not apply to root, which the system does not limit. 0 is no limit.",
        "runner.workers.limits.processes = 500";
    "runner.workers.max" SettingKind::Integer { min: 1, max: 10_000 }, DefaultValue::Number(4),
        "Worker processes, at most",
        "The largest number of worker processes. A worker beyond `runner.workers.min` is started when a request waits and all workers are busy, and ends after `runner.workers.idle_timeout` without work. A worker that is being replaced does not count.",
        "runner.workers.max = os.cpu_count()";
    "runner.workers.max_lifetime" SettingKind::Duration, DefaultValue::Number(0),
        "Age at which a worker is replaced",
        "The age at which a worker is replaced. It works on until its replacement is ready, and finishes its requests. 0 is no limit. Set it if the application leaks memory or files.",
        "runner.workers.max_lifetime = '1d'";
    "runner.workers.max_memory" SettingKind::Size, DefaultValue::Number(0),
        "Memory use at which a worker is replaced",
        "The memory use at which a worker is replaced, in bytes: its resident set, with shared memory. It works on until its replacement is ready, and finishes its requests. 0 is no limit. Set it if the application leaks memory.",
        "runner.workers.max_memory = '500M'";
    "runner.workers.max_requests" SettingKind::Integer { min: 0, max: u64::MAX }, DefaultValue::Number(0),
        "Requests after which a worker is replaced",
        "The number of requests after which a worker is replaced (±10 % jitter, so that not all are replaced at a time). It works on until its replacement is ready, and finishes its requests. 0 is no limit. Set it if the application leaks memory.",
        "runner.workers.max_requests = 10000";
    "runner.workers.min" SettingKind::Integer { min: 0, max: 10_000 }, DefaultValue::Number(1),
        "Worker processes, at least",
        "The number of worker processes that are always running. With 0, the first one is started when a request arrives; the application is imported before that, unless `runner.workers.preload` is `False`.",
        "runner.workers.min = 2";
    "runner.workers.preload" SettingKind::Automatic, DefaultValue::Text("auto"),
        "Whether workers share one import",
        "Whether the application is imported once, before the workers are forked, so that they share the memory of what it loaded. `False` imports it in every worker. `'auto'` does that too, and the log says why, if the import leaves what a fork cannot share: threads, child processes, sockets that do not listen, file locks, devices, timers, files open for reading. `True` forks in any case, with a warning.",
        "runner.workers.preload = False";
    "runner.workers.start_interval" SettingKind::Duration, DefaultValue::Number(1),
        "Least time between starts of extra workers",
        "The least time between two starts of workers beyond `runner.workers.min`; in `supervise`, the default is 15 s. A replacement does not wait for it, nor does the first worker where there is none.",
        "runner.workers.start_interval = '15s'";
    "runner.workers.threads" SettingKind::Integer { min: 1, max: 1000 }, DefaultValue::Number(1),
        "Threads of each worker",
        "The number of threads of each worker, which is the number of requests that it handles at a time. Raise it if the application is safe for threads and waits for other servers. An ASGI application has one thread, and `runner.asgi.concurrency` instead.",
        "runner.workers.threads = 4";
};

/// The setting with a name.
#[must_use]
pub(super) fn find(name: &str) -> Option<&'static Setting> {
    let place = SETTINGS
        .binary_search_by(|setting| setting.name.cmp(name))
        .ok()?;
    SETTINGS.get(place)
}
