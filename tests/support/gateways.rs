//! Every gateway in front of an application, and the same request through each.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use runner::protocol::uwsgi::request_packet::packet;
use rustix::process::Signal;

use super::http::{self, Address, Connection, Reply};
use super::{Folder, Program, Server, free_port, project};

/// A gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gateway {
    HttpTcp,
    /// HTTP/2 without TLS.
    Http2,
    /// HTTP/1.1 over TLS.
    Tls,
    /// HTTP/2 over TLS.
    TlsHttp2,
    /// `launch`, by HTTP/1.1.
    Launch,
    HttpUnix,
    HttpDescriptor,
    Cgi,
    FastCgiTcp,
    FastCgiUnix,
    FastCgiDescriptor,
    /// `CGI` that finds a listening socket on descriptor 0.
    CgiDescriptor,
    UwsgiTcp,
    UwsgiUnix,
}

/// Those by which a request looks the same to CGI and ASGI: its protocol is HTTP/1.1, its scheme http.
pub const GATEWAYS: [Gateway; 8] = [
    Gateway::HttpTcp,
    Gateway::HttpUnix,
    Gateway::HttpDescriptor,
    Gateway::Cgi,
    Gateway::FastCgiTcp,
    Gateway::FastCgiUnix,
    Gateway::FastCgiDescriptor,
    Gateway::CgiDescriptor,
];

/// The others. Those with TLS need `cert.pem` and `key.pem`, and a file that names them.
pub const FURTHER_GATEWAYS: [Gateway; 6] = [
    Gateway::Http2,
    Gateway::Tls,
    Gateway::TlsHttp2,
    Gateway::Launch,
    Gateway::UwsgiTcp,
    Gateway::UwsgiUnix,
];

/// A request, the same for each gateway.
#[derive(Clone)]
pub struct Request {
    pub method: &'static str,
    pub path: &'static str,
    pub decoded: &'static str,
    pub query: &'static str,
    pub headers: &'static [(&'static str, &'static str)],
    pub body: Vec<u8>,
}

/// A GET of a path.
pub fn get(path: &'static str, decoded: &'static str) -> Request {
    Request {
        method: "GET",
        path,
        decoded,
        query: "",
        headers: &[],
        body: Vec::new(),
    }
}

/// The words that name an application.
pub type Words = &'static [&'static str];

/// An application behind a gateway, ready for requests.
pub struct Behind {
    folder: Folder,
    application: Words,
    gateway: Gateway,
    server: Option<Server>,
}

impl Gateway {
    /// Starts it, where it is a server.
    pub fn in_front_of(self, folder: &Folder, application: Words) -> Behind {
        let port = free_port();
        let socket = folder.path(format!("{self:?}-{}.socket", application[0]));
        let unix = format!("unix:{}", socket.display());
        let tcp = format!("tcp://127.0.0.1:{port}");
        let run = |words: &[&str]| {
            let words = words.iter().chain(application).copied();
            runner(folder, &words.collect::<Vec<_>>())
        };
        let tcp_listener =
            || OwnedFd::from(TcpListener::bind(("127.0.0.1", port)).expect("a free port"));
        let unix_listener = || OwnedFd::from(UnixListener::bind(&socket).expect("a new socket"));
        let server = match self {
            Self::HttpTcp | Self::Http2 => {
                Some(run(&["serve", &tcp]).start_at(Address::port(port)))
            }
            Self::Tls | Self::TlsHttp2 => {
                let url = format!("https://127.0.0.1:{port}");
                Some(run(&["serve", &url]).start_at(Address::port(port)))
            }
            Self::Launch => Some(run(&["launch", &tcp]).start()),
            Self::UwsgiTcp => Some(run(&["uwsgi", &tcp]).start_at(Address::port(port))),
            Self::UwsgiUnix => Some(run(&["uwsgi", &unix]).start_at(Address::Unix(socket))),
            Self::HttpUnix => Some(run(&["serve", &unix]).start_at(Address::Unix(socket))),
            Self::HttpDescriptor => {
                let server = run(&["serve", "fd.socket:stdin"]).start_with(tcp_listener());
                Some(server.at(Address::port(port)))
            }
            Self::Cgi => None,
            Self::FastCgiTcp => Some(run(&["FastCGI", &tcp]).start_at(Address::port(port))),
            Self::FastCgiUnix => Some(run(&["FastCGI", &unix]).start_at(Address::Unix(socket))),
            Self::FastCgiDescriptor => {
                let server = run(&["FastCGI"]).start_with(unix_listener());
                Some(server.at(Address::Unix(socket)))
            }
            Self::CgiDescriptor => {
                let server = run(&["CGI"]).start_with(tcp_listener());
                Some(server.at(Address::port(port)))
            }
        };
        Behind {
            folder: folder.clone(),
            application,
            gateway: self,
            server,
        }
    }
}

/// `runner` with a Python that has the packages of the tests.
pub fn runner(folder: &Folder, words: &[&str]) -> Program {
    let program = folder.runner(words);
    let program = match folder.path("site.ini").exists() {
        true => program.env("PEAK_CONFIG", folder.path("site.ini")),
        false => program,
    };
    program.env("VIRTUAL_ENV", project("target/venv"))
}

/// A client that leaves before the end of its answer.
pub enum Client {
    Connected(Connection),
    Runs(Server),
}

impl Client {
    /// Leaves.
    #[track_caller]
    pub fn leave(self) {
        match self {
            Self::Connected(connection) => drop(connection),
            Self::Runs(program) => {
                program.signal(Signal::KILL);
                program.wait();
            }
        }
    }
}

impl Behind {
    /// The server.
    #[track_caller]
    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("a gateway that is a server")
    }

    /// Sends a GET for which no answer is awaited.
    #[track_caller]
    pub fn begin(&self, request: &Request) -> Client {
        let address = self.server().address();
        let connected = |bytes: &[u8]| {
            let mut connection = Connection::open(address);
            connection.send(bytes);
            Client::Connected(connection)
        };
        match self.gateway {
            Gateway::HttpTcp | Gateway::HttpUnix => {
                let head = format!(
                    "GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n",
                    target(request)
                );
                connected(head.as_bytes())
            }
            Gateway::UwsgiTcp | Gateway::UwsgiUnix => connected(&uwsgi_packet(request)),
            Gateway::Http2 => {
                let url = format!("http://{address}{}", target(request));
                let words = [
                    "--silent",
                    "--http2-prior-knowledge",
                    "--output",
                    "/dev/null",
                ];
                let curl = self.folder.program("curl", words);
                Client::Runs(curl.arguments([url]).begin())
            }
            Gateway::FastCgiTcp => {
                let client = ["-bind", "-connect", &address.to_string()];
                let client = self.folder.program("cgi-fcgi", client);
                Client::Runs(with_variables(client, request).begin())
            }
            other => panic!("{other:?}"),
        }
    }

    /// Sends a request through the gateway.
    #[track_caller]
    pub fn ask(&self, request: &Request) -> Reply {
        match (self.gateway, &self.server) {
            (Gateway::Cgi, _) => {
                let words = [&["CGI"], self.application].concat();
                as_cgi(runner(&self.folder, &words), request)
            }
            (Gateway::Http2, Some(server)) => {
                self.by_curl(server, &["--http2-prior-knowledge"], "http", request)
            }
            (Gateway::Tls, Some(server)) => {
                self.by_curl(server, &["--insecure", "--http1.1"], "https", request)
            }
            (Gateway::TlsHttp2, Some(server)) => {
                self.by_curl(server, &["--insecure", "--http2"], "https", request)
            }
            (Gateway::UwsgiTcp | Gateway::UwsgiUnix, Some(server)) => {
                let mut connection = Connection::open(server.address());
                connection.send(&uwsgi_packet(request));
                connection.send(&request.body);
                connection.reply(request.method)
            }
            (
                Gateway::HttpTcp | Gateway::HttpUnix | Gateway::HttpDescriptor | Gateway::Launch,
                Some(server),
            ) => {
                let headers: Vec<String> = request
                    .headers
                    .iter()
                    .map(|(name, value)| format!("{name}: {value}"))
                    .collect();
                let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
                let target = target(request);
                http::request(
                    server.address(),
                    request.method,
                    &target,
                    &headers,
                    &request.body,
                )
            }
            (_, Some(server)) => {
                let address = match server.address() {
                    Address::Tcp(host, port) => format!("{host}:{port}"),
                    Address::Unix(path) => path.display().to_string(),
                };
                let client = ["-bind", "-connect", address.as_str()];
                as_cgi(self.folder.program("cgi-fcgi", client), request)
            }
            (gateway, None) => panic!("{gateway:?} has a server"),
        }
    }

    #[track_caller]
    fn by_curl(&self, server: &Server, options: &[&str], scheme: &str, request: &Request) -> Reply {
        let Address::Tcp(host, port) = server.address() else {
            panic!("a port was asked for");
        };
        let url = format!("{scheme}://{host}:{port}{}", target(request));
        let mut words = vec!["--include", "--path-as-is", "--header", "Host: localhost"];
        words.extend(options);
        match request.method {
            "HEAD" => words.push("--head"),
            method => words.extend(["--request", method]),
        }
        let fields = request.headers.iter();
        let mut fields: Vec<String> = fields
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        let body = self.folder.path("body");
        let body = format!("@{}", body.display());
        if !request.body.is_empty() {
            let _folder = self.folder.clone().file("body", &request.body);
            words.extend(["--data-binary", &body, "--header", "Expect:"]);
            if !request
                .headers
                .iter()
                .any(|(name, _)| *name == "Content-Type")
            {
                fields.push("Content-Type:".to_owned());
            }
        }
        for field in &fields {
            words.extend(["--header", field]);
        }
        words.push(&url);
        let outcome = self.folder.curl(words);
        let text = outcome.success();
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let mut lines = head.split("\r\n");
        let mut status = lines.next().unwrap_or_default().splitn(3, ' ').skip(1);
        let fields = lines.filter_map(|line| line.split_once(": "));
        Reply {
            status: status.next().unwrap_or_default().parse().expect("a number"),
            // HTTP/2 has none.
            reason: status.next().unwrap_or_default().to_owned(),
            headers: fields
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect(),
            body: body.as_bytes().to_vec(),
            complete: true,
        }
    }

    /// Ends the server.
    #[track_caller]
    pub fn stop(self) {
        if let Some(server) = self.server {
            let outcome = server.stop();
            assert_eq!(outcome.status, 0, "{:?}: {outcome:#?}", self.gateway);
        }
    }
}

fn target(request: &Request) -> String {
    match request.query {
        "" => request.path.to_owned(),
        query => format!("{}?{query}", request.path),
    }
}

/// The variables that a web server makes of a request (RFC 3875 §4.1).
fn variables(request: &Request) -> Vec<(String, String)> {
    let mut variables: Vec<(String, String)> = [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("REQUEST_METHOD", request.method),
        ("REQUEST_URI", &target(request)),
        ("SCRIPT_NAME", ""),
        ("PATH_INFO", request.decoded),
        ("QUERY_STRING", request.query),
        ("SERVER_NAME", "localhost"),
        ("SERVER_PORT", "80"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_SOFTWARE", "the tests"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("HTTP_HOST", "localhost"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    if !request.body.is_empty() {
        let length = request.body.len().to_string();
        variables.push(("CONTENT_LENGTH".to_owned(), length));
    }
    for (name, value) in request.headers {
        let variable = name.to_uppercase().replace('-', "_");
        let variable = match variable.as_str() {
            "CONTENT_TYPE" => variable,
            _ => format!("HTTP_{variable}"),
        };
        variables.push((variable, (*value).to_owned()));
    }
    variables
}

fn uwsgi_packet(request: &Request) -> Vec<u8> {
    let variables = variables(request);
    let variables: Vec<(&[u8], &[u8])> = variables
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
    packet(&variables).expect("a small packet")
}

fn with_variables(program: Program, request: &Request) -> Program {
    let variables = variables(request);
    let variables = variables.iter();
    variables.fold(program, |program, (name, value)| program.env(name, value))
}

/// Runs a CGI program, or `cgi-fcgi`, with a request in its environment.
#[track_caller]
pub fn as_cgi(program: Program, request: &Request) -> Reply {
    let program = with_variables(program, request);
    let outcome = program.stdin(request.body.clone()).run();
    assert!(outcome.status == 0, "{outcome:#?}");
    let (head, body) = outcome
        .stdout
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no head: {outcome:#?}"));
    let fields = head.split("\r\n").filter_map(|line| line.split_once(": "));
    let mut headers: Vec<(String, String)> = fields
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let (name, status) = headers.remove(0);
    assert_eq!(name, "status", "the answer begins with it:\n{head}");
    let (status, reason) = status.split_once(' ').expect("a reason");
    Reply {
        status: status.parse().expect("a number"),
        reason: reason.to_owned(),
        headers,
        body: body.as_bytes().to_vec(),
        complete: true,
    }
}
