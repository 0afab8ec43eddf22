//! Every gateway in front of an application, and the same request through each.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use super::http::{self, Address, Reply};
use super::{Folder, Program, Server, free_port, project};

/// A gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gateway {
    HttpTcp,
    HttpUnix,
    HttpDescriptor,
    Cgi,
    FastCgiTcp,
    FastCgiUnix,
    FastCgiDescriptor,
    /// `CGI` that finds a listening socket on descriptor 0.
    CgiDescriptor,
}

/// All of them.
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

/// A request, the same for each gateway.
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
            Self::HttpTcp => Some(run(&["serve", &tcp]).start_at(Address::port(port))),
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

impl Behind {
    /// Sends a request through the gateway.
    #[track_caller]
    pub fn ask(&self, request: &Request) -> Reply {
        match (self.gateway, &self.server) {
            (Gateway::Cgi, _) => {
                let words = [&["CGI"], self.application].concat();
                as_cgi(runner(&self.folder, &words), request)
            }
            (Gateway::HttpTcp | Gateway::HttpUnix | Gateway::HttpDescriptor, Some(server)) => {
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

/// Runs a CGI program, or `cgi-fcgi`, with a request in its environment (RFC 3875 §4.1).
#[track_caller]
pub fn as_cgi(program: Program, request: &Request) -> Reply {
    let mut program = program
        .env("GATEWAY_INTERFACE", "CGI/1.1")
        .env("REQUEST_METHOD", request.method)
        .env("REQUEST_URI", target(request))
        .env("SCRIPT_NAME", "")
        .env("PATH_INFO", request.decoded)
        .env("QUERY_STRING", request.query)
        .env("SERVER_NAME", "localhost")
        .env("SERVER_PORT", "80")
        .env("SERVER_PROTOCOL", "HTTP/1.1")
        .env("SERVER_SOFTWARE", "the tests")
        .env("REMOTE_ADDR", "127.0.0.1")
        .env("HTTP_HOST", "localhost");
    if !request.body.is_empty() {
        program = program.env("CONTENT_LENGTH", request.body.len().to_string());
    }
    for (name, value) in request.headers {
        let variable = name.to_uppercase().replace('-', "_");
        program = match variable.as_str() {
            "CONTENT_TYPE" => program.env("CONTENT_TYPE", value),
            _ => program.env(&format!("HTTP_{variable}"), value),
        };
    }
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
