//! `runner serve` behind proxies: whom it believes, and what the application sees then. nginx, HAProxy, Apache and Caddy stand
//! in front, each as its users configure it. The client of a proxy is 127.0.0.2, the proxy 127.0.0.1.

mod support;

use support::http::{Address, Connection, request};
use support::nginx::start_nginx;
use support::{Folder, Server, free_port};

/// An ASGI application that reports what proxies can change in its scope.
const SCOPE: &str = "\
async def application(scope, receive, send):
    if scope['type'] != 'http':
        return
    names = ['client', 'path', 'raw_path', 'root_path', 'scheme', 'server']
    text = ''.join('%s=%r\\n' % (name, scope[name]) for name in names)
    text += ''.join('%s\\n' % (field,) for field in sorted(scope['headers']) if b'forwarded' in field[0] or field[0] == b'host')
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': text.encode()})
";

/// `serve` with the application that reports its environ, and with these settings.
fn serve(settings: &str) -> Server {
    let folder = Folder::new()
        .copy("tests/apps/report.py")
        .file("settings.ini", settings);
    let words = "-c settings.ini serve tcp://127.0.0.1:0 WSGI import:report.application";
    folder.runner(words.split(' ')).start()
}

/// The lines of a report that proxies can change.
fn lines(report: &str) -> Vec<&str> {
    let names = "HTTPS HTTP_FORWARDED HTTP_HOST HTTP_X_ PATH_INFO REMOTE_ REQUEST_URI SCRIPT_NAME SERVER_NAME \
                 SERVER_PORT wsgi.url_scheme";
    let has_name = |line: &&str| names.split(' ').any(|name| line.starts_with(name));
    report.lines().filter(has_name).collect()
}

/// A request with these fields; what it reports without the client's own port.
#[track_caller]
fn report(server: &Server, fields: &[&str]) -> Vec<String> {
    let text = request(server.address(), "GET", "/a%20b?c", fields, b"").ok();
    let own =
        |line: &&str| !line.starts_with("REMOTE_PORT=") || line.len() == "REMOTE_PORT=4711".len();
    lines(&text)
        .into_iter()
        .filter(own)
        .map(str::to_owned)
        .collect()
}

fn port(server: &Server) -> u16 {
    match server.address() {
        Address::Tcp(_, port) => *port,
        Address::Unix(_) => panic!("no port"),
    }
}

const SENT: [&str; 8] = [
    "X-Forwarded-For: 6.6.6.6, 192.0.2.1:4711",
    "X-Forwarded-Proto: http, https",
    "X-Forwarded-Host: example.org",
    "X-Forwarded-Prefix: /shop%20x",
    "X-Forwarded-Port: 443",
    "X-Real-IP: 192.0.2.1",
    "X-Other: 1",
    "Forwarded: for=6.6.6.6",
];

#[test]
fn by_default_the_application_decides() {
    let server = serve("");
    let port = port(&server);
    assert_eq!(
        report(&server, &SENT),
        [
            "HTTP_FORWARDED=for=6.6.6.6",
            "HTTP_HOST=localhost",
            "HTTP_X_FORWARDED_FOR=6.6.6.6, 192.0.2.1:4711",
            "HTTP_X_FORWARDED_HOST=example.org",
            "HTTP_X_FORWARDED_PORT=443",
            "HTTP_X_FORWARDED_PREFIX=/shop%20x",
            "HTTP_X_FORWARDED_PROTO=http, https",
            "HTTP_X_OTHER=1",
            "HTTP_X_REAL_IP=192.0.2.1",
            "PATH_INFO=/a b",
            "REMOTE_ADDR=127.0.0.1",
            "REQUEST_URI=/a%20b?c",
            "SCRIPT_NAME=",
            "SERVER_NAME=127.0.0.1",
            &format!("SERVER_PORT={port}"),
            "wsgi.url_scheme=http",
        ]
    );
}

#[test]
fn other_peers_are_not_believed_and_cannot_lie() {
    for settings in [
        "runner.http.trusted_proxies = []",
        "runner.http.trusted_proxies = ['127.0.0.2', '::1', 'unix']",
    ] {
        let server = serve(settings);
        let port = port(&server);
        assert_eq!(
            report(&server, &SENT),
            [
                "HTTP_HOST=localhost",
                "HTTP_X_OTHER=1",
                "PATH_INFO=/a b",
                "REMOTE_ADDR=127.0.0.1",
                "REQUEST_URI=/a%20b?c",
                "SCRIPT_NAME=",
                "SERVER_NAME=127.0.0.1",
                &format!("SERVER_PORT={port}"),
                "wsgi.url_scheme=http",
            ]
        );
    }
}

#[test]
fn a_trusted_proxy_tells_address_and_scheme() {
    let server = serve("runner.http.trusted_proxies = ['127.0.0.0/8']\nrunner.log.access = True\n");
    assert_eq!(
        report(&server, &SENT),
        [
            "HTTPS=on",
            "HTTP_HOST=localhost",
            "HTTP_X_FORWARDED_FOR=192.0.2.1:4711",
            "HTTP_X_FORWARDED_PORT=443",
            "HTTP_X_FORWARDED_PROTO=https",
            "HTTP_X_OTHER=1",
            "HTTP_X_REAL_IP=192.0.2.1",
            "PATH_INFO=/a b",
            "REMOTE_ADDR=192.0.2.1",
            "REMOTE_PORT=4711",
            "REQUEST_URI=/a%20b?c",
            "SCRIPT_NAME=",
            "SERVER_NAME=localhost",
            "SERVER_PORT=443",
            "wsgi.url_scheme=https",
        ]
    );
    server.wait_for_log(|log| log.contains("192.0.2.1 - - ["));
    for (field, name) in [
        ("X-Forwarded-For: here", "X-Forwarded-For"),
        ("X-Forwarded-Proto: gopher", "X-Forwarded-Proto"),
    ] {
        let reply = request(server.address(), "GET", "/", &[field], b"");
        assert_eq!(reply.status, 400, "{field}");
        let said = format!(
            "refused a request from 127.0.0.1: the `{name}` field of a trusted proxy is malformed (400)"
        );
        server.wait_for_log(|log| log.contains(&said));
    }
}

#[test]
fn a_trusted_proxy_tells_host_and_prefix_if_it_sets_them() {
    let server = serve(
        "runner.http.trusted_proxies = ['127.0.0.1']\n\
         runner.http.forwarded = ['X-Forwarded-Host', 'X-Forwarded-Prefix']\n",
    );
    assert_eq!(
        report(&server, &SENT[2..]),
        [
            "HTTP_HOST=example.org",
            "HTTP_X_FORWARDED_HOST=example.org",
            "HTTP_X_FORWARDED_PORT=443",
            "HTTP_X_FORWARDED_PREFIX=/shop%20x",
            "HTTP_X_OTHER=1",
            "HTTP_X_REAL_IP=192.0.2.1",
            "PATH_INFO=/a b",
            "REMOTE_ADDR=127.0.0.1",
            "REQUEST_URI=/shop%20x/a%20b?c",
            "SCRIPT_NAME=/shop x",
            "SERVER_NAME=example.org",
            "SERVER_PORT=80",
            "wsgi.url_scheme=http",
        ]
    );
    for field in [
        "X-Forwarded-Host: a/b",
        "X-Forwarded-Host: a:65536",
        "X-Forwarded-Prefix: /a/%2E%2e/b",
        "X-Forwarded-Prefix: //evil",
    ] {
        let reply = request(server.address(), "GET", "/", &[field], b"");
        assert_eq!(reply.status, 400, "{field}");
    }
}

#[test]
fn the_scope_of_asgi_is_that_of_the_client() {
    let folder = Folder::new().file("seen.py", SCOPE).file(
        "settings.ini",
        "runner.http.trusted_proxies = ['unix']\n\
         runner.http.forwarded = ['Forwarded', 'X-Forwarded-Prefix']\n",
    );
    let socket = folder.path("socket");
    let url = format!("unix:{}", socket.display());
    let words = format!("-c settings.ini serve {url} ASGI import:seen.application");
    let server = folder
        .runner(words.split(' '))
        .start_at(Address::Unix(socket.clone()));
    let fields = [
        "Forwarded: for=6.6.6.6;proto=http",
        "Forwarded: for=\"[2001:db8::1]:4711\";proto=https;host=\"example.org:8443\"",
        "X-Forwarded-For: 6.6.6.6",
        "X-Forwarded-Prefix: /shop/",
    ];
    let text = request(server.address(), "GET", "/a%20b", &fields, b"").ok();
    assert_eq!(
        text,
        "client=('2001:db8::1', 4711)\n\
         path='/shop/a b'\n\
         raw_path=b'/shop/a%20b'\n\
         root_path='/shop'\n\
         scheme='https'\n\
         server=('example.org', 8443)\n\
         (b'forwarded', b'for=\"[2001:db8::1]:4711\";proto=https;host=\"example.org:8443\"')\n\
         (b'host', b'example.org:8443')\n\
         (b'x-forwarded-prefix', b'/shop/')\n"
    );
    // Nobody says what the client has asked for: it has reached the socket.
    let text = request(server.address(), "GET", "/", &[], b"").ok();
    let reached = format!("server=('{}', None)\n", socket.display());
    assert!(text.contains(&reached), "{text}");
}

/// A head of version 2.
fn binary(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).expect("short").to_be_bytes();
    [
        b"\r\n\r\n\0\r\nQUIT\n",
        &[command, family][..],
        &length,
        block,
    ]
    .concat()
}

const GET: &[u8] = b"GET /a%20b?c HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[test]
fn a_connection_begins_with_a_head() {
    let server = serve(
        "runner.http.trusted_proxies = ['127.0.0.1', '10.0.0.0/8']\nrunner.http.proxy_protocol = True\n",
    );
    let own = port(&server).to_string();
    let v4 = [192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x67, 0x01, 0xbb];
    let tls = [&v4[..], b"\x20\0\x05\x01\0\0\0\0"].concat();
    for (head, client, to, scheme) in [
        (
            b"PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r\n".to_vec(),
            "192.0.2.1",
            "443",
            "http",
        ),
        (
            b"PROXY TCP6 2001:db8::1 2001:db8::2 4711 443\r\n".to_vec(),
            "2001:db8::1",
            "443",
            "http",
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1", &own, "http"),
        (binary(0x21, 0x11, &v4), "192.0.2.1", "443", "http"),
        (binary(0x21, 0x11, &tls), "192.0.2.1", "443", "https"),
        (binary(0x20, 0, b""), "127.0.0.1", &own, "http"),
    ] {
        // All at once, and each byte alone.
        for size in [head.len() + GET.len(), 1] {
            let mut connection = Connection::open(server.address());
            for part in [&head, GET].concat().chunks(size) {
                connection.send(part);
            }
            let report = connection.reply("GET").ok();
            let lines = lines(&report);
            for line in [
                format!("REMOTE_ADDR={client}"),
                format!("SERVER_PORT={to}"),
                format!("wsgi.url_scheme={scheme}"),
                "PATH_INFO=/a b".to_owned(),
            ] {
                assert!(lines.contains(&line.as_str()), "no {line} in {lines:#?}");
            }
        }
    }
    // Where the client of the head is a trusted proxy itself, its fields are read.
    for (client, address) in [("10.0.0.1", "192.0.2.9"), ("192.0.2.1", "192.0.2.1")] {
        let mut connection = Connection::open(server.address());
        let head = format!("PROXY TCP4 {client} 127.0.0.1 4711 80\r\n");
        let fields =
            b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.9\r\nConnection: close\r\n\r\n";
        connection.send(&[head.as_bytes(), fields].concat());
        let report = connection.reply("GET").ok();
        assert!(
            report.contains(&format!("REMOTE_ADDR={address}\n")),
            "{report}"
        );
    }
}

#[test]
fn a_connection_without_a_good_head_is_closed() {
    let server =
        serve("runner.http.trusted_proxies = ['127.0.0.1']\nrunner.http.proxy_protocol = True\n");
    let mut long = b"PROXY UNKNOWN ".to_vec();
    long.resize(200, b'x');
    for (bytes, reason) in [
        (
            GET.to_vec(),
            "it does not begin with a head of the PROXY protocol",
        ),
        (
            b"PROXY TCP4 here there 1 2\r\n".to_vec(),
            "the head of the PROXY protocol is malformed",
        ),
        (long, "the head of the PROXY protocol is too long"),
    ] {
        let mut connection = Connection::open(server.address());
        connection.send(&bytes);
        assert_eq!(connection.rest(), b"");
        let said =
            format!("refused a connection from 127.0.0.1: {reason} (runner.http.proxy_protocol)");
        server.wait_for_log(|log| log.contains(&said));
    }
    // A head that does not come to its end.
    let mut slow = Connection::open(server.address());
    slow.send(b"PROXY TCP4 ");
    assert_eq!(slow.rest(), b"");
    server.wait_for_log(|log| log.contains("the head of the PROXY protocol took too long"));
    // A look at the port, which is no event for the log.
    let before = server.log();
    let mut look = Connection::open(server.address());
    look.end_writing();
    assert_eq!(look.rest(), b"");
    assert_eq!(server.log(), before);

    let server =
        serve("runner.http.trusted_proxies = ['10.0.0.1']\nrunner.http.proxy_protocol = True\n");
    let mut connection = Connection::open(server.address());
    connection.send(&[b"PROXY TCP4 192.0.2.1 127.0.0.1 4711 80\r\n", GET].concat());
    assert_eq!(connection.rest(), b"");
    let said = "refused a connection from 127.0.0.1: it is not one of `runner.http.trusted_proxies` (runner.http.proxy_protocol)";
    server.wait_for_log(|log| log.contains(said));
}

/// A request from 127.0.0.2 through a proxy, with fields that lie.
#[track_caller]
fn through(folder: &Folder, port: u16) -> String {
    let url = format!("http://127.0.0.1:{port}/a%20b?c");
    let lies = [
        "Host: example.org",
        "X-Forwarded-For: 6.6.6.6",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Prefix: /evil",
        "Forwarded: for=6.6.6.6;proto=https;host=evil.example",
    ];
    let fields = lies.iter().flat_map(|field| ["-H", field]);
    let outcome = folder.curl(["--interface", "127.0.0.2", &url].into_iter().chain(fields));
    outcome.success().to_owned()
}

/// Asserts that the application has seen the client as it is.
#[track_caller]
fn sees_the_client(report: &str, more: &[&str]) {
    let lines = lines(report);
    let expected = "REMOTE_ADDR=127.0.0.2,wsgi.url_scheme=http,HTTP_HOST=example.org,SCRIPT_NAME=,PATH_INFO=/a b";
    for line in expected.split(',').chain(more.iter().copied()) {
        assert!(lines.contains(&line), "no {line} in {lines:#?}");
    }
    let is_lie = ["6.6.6.6", "evil"].iter().any(|lie| report.contains(lie));
    assert!(!is_lie, "{report}");
}

const TOLD: [&str; 2] = [
    "HTTP_X_FORWARDED_FOR=127.0.0.2",
    "HTTP_X_FORWARDED_PROTO=http",
];
const BY_FIELDS: &str = "runner.http.trusted_proxies = ['127.0.0.1']\n";
const BY_HEADS: &str =
    "runner.http.trusted_proxies = ['127.0.0.1']\nrunner.http.proxy_protocol = True\n";

#[test]
fn behind_haproxy() {
    let (fields, heads) = (serve(BY_FIELDS), serve(BY_HEADS));
    let standard = serve(&format!(
        "{BY_FIELDS}runner.http.forwarded = ['Forwarded']\n"
    ));
    let ports: [u16; 4] = std::array::from_fn(|_| free_port());
    let listen = |number: usize, server: &Server, how: &str, options: &str| {
        let (from, to) = (ports[number], port(server));
        format!(
            "listen l{number}\n bind 127.0.0.1:{from}\n{how}\n server app 127.0.0.1:{to} {options}\n"
        )
    };
    let configuration = [
        "defaults\n mode http\n timeout connect 10s\n timeout client 60s\n timeout server 60s\n".to_owned(),
        listen(0, &heads, "", "send-proxy"),
        listen(1, &heads, "", "send-proxy-v2-ssl check inter 100ms"),
        listen(2, &fields, " option forwardfor\n http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]", ""),
        listen(3, &standard, " http-request set-header Forwarded for=%[src];proto=%[ssl_fc,iif(https,http)]", ""),
    ]
    .concat();
    let folder = Folder::new().file("haproxy.cfg", configuration);
    let haproxy = folder
        .program("haproxy", ["-db", "-f", "haproxy.cfg"])
        .start_at(Address::port(ports[3]));
    for number in [0, 1] {
        sees_the_client(&through(&folder, ports[number]), &[]);
    }
    let lines = [
        "HTTP_X_FORWARDED_FOR=127.0.0.2",
        "HTTP_X_FORWARDED_PROTO=http",
        "SERVER_NAME=example.org",
        "SERVER_PORT=80",
    ];
    sees_the_client(&through(&folder, ports[2]), &lines);
    sees_the_client(&through(&folder, ports[3]), &["SERVER_NAME=example.org"]);
    haproxy.stop();
    assert!(!heads.log().contains("refused"), "{}", heads.log());
}

#[test]
fn behind_nginx() {
    let fields = serve(BY_FIELDS);
    let (from, to) = (free_port(), port(&fields));
    let configuration = format!(
        "daemon off; master_process off; pid nginx.pid; error_log stderr;\n\
         events {{}}\n\
         http {{\n\
         access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n\
         uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
         server {{ listen 127.0.0.1:{from};\n\
         location / {{ proxy_pass http://127.0.0.1:{to}; proxy_set_header Host $host;\n\
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme; }}}}}}\n"
    );
    let folder = Folder::new();
    let nginx = start_nginx(&folder, configuration, from);
    let lines = TOLD;
    sees_the_client(&through(&folder, from), &lines);
    nginx.stop();
}

#[test]
fn behind_apache() {
    // `mod_proxy_http` appends to what the client has sent, in `X-Forwarded-For` and `X-Forwarded-Host`.
    let fields = serve(&format!(
        "{BY_FIELDS}runner.http.forwarded = ['X-Forwarded-For', 'X-Forwarded-Host']\n"
    ));
    let (from, to) = (free_port(), port(&fields));
    let folder = Folder::new();
    let here = folder.path("").display().to_string();
    let modules: String = ["mpm_event", "authz_core", "proxy", "proxy_http"]
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .concat();
    let configuration = format!(
        "ServerRoot {here}\nDefaultRuntimeDir {here}\nPidFile {here}/apache.pid\n\
         Listen 127.0.0.1:{from}\nServerName localhost\nErrorLog /dev/stderr\nUser www-data\nGroup www-data\n\
         {modules}ProxyPass / http://127.0.0.1:{to}/\n"
    );
    let folder = folder.file("apache.conf", configuration);
    let path = folder.path("apache.conf");
    let apache = folder
        .program("apache2", ["-D", "FOREGROUND", "-f"])
        .arguments([path])
        .start_at(Address::port(from));
    let lines = [
        "HTTP_X_FORWARDED_FOR=127.0.0.2",
        "HTTP_X_FORWARDED_HOST=example.org",
        "SERVER_NAME=example.org",
    ];
    sees_the_client(&through(&folder, from), &lines);
    apache.stop();
}

#[test]
fn behind_caddy() {
    let fields = serve(BY_FIELDS);
    let (from, to) = (free_port(), port(&fields));
    let configuration = format!(
        "{{\n\tadmin off\n\tauto_https off\n}}\n\
         http://:{from} {{\n\tbind 127.0.0.1\n\treverse_proxy 127.0.0.1:{to}\n}}\n"
    );
    let folder = Folder::new().file("Caddyfile", configuration);
    let words = "run --config Caddyfile --adapter caddyfile";
    let mut caddy = folder.program("caddy", words.split(' '));
    for name in ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
        caddy = caddy.env(name, folder.path("home"));
    }
    let caddy = caddy.start_at(Address::port(from));
    let lines = TOLD;
    sees_the_client(&through(&folder, from), &lines);
    caddy.stop();
}
