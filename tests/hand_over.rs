//! One gateway after the other on the same socket, under load: clients notice nothing but the new answers.
//!
//! The gateways are in the test's own process, so that the test covers how they end, whatever makes them end.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use runner::gateway::fastcgi::{self, FastCgiOptions};
use runner::gateway::graceful_stop::{Manner, Stop};
use runner::gateway::http::{self as http_gateway, HttpOptions};
use runner::gateway::socket::listener::Listener;
use runner::gateway::socket::url::SocketUrl;
use runner::interface::{Application, Pending, Request, Response, ResponseBody};
use support::nginx::{nginx_keeping_connections as nginx, start_nginx};
use support::{Address, Folder, Load, free_port};
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How often the next gateway takes over.
const TIMES: usize = 5;

/// The number of responses of each version before the next one takes over.
const MANY: u64 = 300;

/// Answers with its version.
struct Version(usize);

impl Version {
    fn says(number: usize) -> String {
        format!("version {number}")
    }
}

impl Application for Version {
    fn respond(self: Arc<Self>, _: Request) -> Pending<'static, Response> {
        Box::pin(async move {
            // Other requests arrive in between.
            tokio::task::yield_now().await;
            Response {
                status: StatusCode::OK,
                reason: None,
                about: None,
                headers: HeaderMap::new(),
                body: ResponseBody::Bytes(Self::says(self.0).into()),
            }
        })
    }
}

/// The kinds of gateway.
#[derive(Clone, Copy, Debug)]
enum Protocol {
    Http,
    FastCgi,
}

/// A gateway that serves one version.
struct Gateway {
    sockets: Vec<OwnedFd>,
    stop: Stop,
    task: JoinHandle<()>,
}

impl Gateway {
    fn start(protocol: Protocol, listener: Listener, version: usize) -> Self {
        let stop = Stop::new();
        let sockets = listener
            .sockets()
            .map(|socket| socket.try_clone_to_owned().unwrap())
            .collect();
        let application = Arc::new(Version(version));
        let task = match protocol {
            Protocol::Http => {
                let options = watch::channel(HttpOptions::default()).1;
                tokio::spawn(http_gateway::serve(
                    listener,
                    application,
                    options,
                    stop.clone(),
                ))
            }
            Protocol::FastCgi => {
                let options = watch::channel(FastCgiOptions::default()).1;
                tokio::spawn(fastcgi::serve(listener, application, options, stop.clone()))
            }
        };
        Self {
            sockets,
            stop,
            task,
        }
    }

    /// Hands over to the next version, and ends.
    fn succeeded(
        self,
        protocol: Protocol,
        url: &SocketUrl,
        version: usize,
        manner: Manner,
    ) -> Self {
        let listener = Listener::take_over(url, self.sockets).unwrap();
        let next = Self::start(protocol, listener, version);
        self.stop.begin(manner);
        next
    }
}

/// Runs a test beside the gateways' event loop, so that the test may block.
fn beside_gateways(test: impl FnOnce() + Send + 'static) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let tested = runtime.spawn_blocking(test);
    runtime.block_on(tested).unwrap();
}

/// While one version takes over from another, every request is answered, at last only by the new version.
fn succession(protocol: Protocol, url: &SocketUrl, socket: OwnedFd, manner: Manner, load: Load) {
    let listener = Listener::take_over(url, vec![socket]).unwrap();
    let mut gateway = Gateway::start(protocol, listener, 0);
    let load = load.start();
    for version in 1..=TIMES {
        load.more(MANY);
        gateway = gateway.succeeded(protocol, url, version, manner);
        let new = Version::says(version);
        let says = format!("{new} answers");
        load.until(&says, |report| report.bodies.contains_key(&new));
    }
    load.more(MANY);
    let report = load.stop();
    report.is_whole();
    gateway.stop.begin(Manner::Drain);
    Handle::current().block_on(gateway.task).unwrap();
}

#[test]
fn http_clients_notice_nothing() {
    beside_gateways(|| {
        for manner in [Manner::HandOver, Manner::Drain] {
            let socket = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("tcp://{}", socket.local_addr().unwrap());
            let load = Load::new(&Address::of_url(&url).unwrap());
            let load = load.fresh(8).kept(8).post(b"x");
            let url = url.parse().unwrap();
            succession(Protocol::Http, &url, socket.into(), manner, load);
        }
    });
}

/// nginx repeats a request if its connection turns out to be closed, but not if the request may change something: only
/// a successor that gets the connections as well loses none.
#[test]
fn nginx_that_keeps_its_fastcgi_connections_notices_nothing() {
    beside_gateways(|| {
        for manner in [Manner::HandOver, Manner::Drain] {
            let folder = Folder::new().file("run/.keep", "");
            let port = free_port();
            let path = folder.path("run/socket");
            let socket = UnixListener::bind(&path).unwrap();
            // A gateway that stops for good removes the socket file that it made; a file that a process manager made
            // stays.
            let url = match manner {
                Manner::HandOver => format!("unix:{}", path.display()),
                Manner::Drain | Manner::Retire => "fd.socket:stdin".to_owned(),
            };
            let nginx = start_nginx(&folder, nginx(&folder, port), port);
            let load = Load::new(nginx.address()).fresh(4).kept(8);
            let load = match manner {
                Manner::HandOver => load.post(b"x"),
                Manner::Drain | Manner::Retire => load,
            };
            let url = url.parse().unwrap();
            succession(Protocol::FastCgi, &url, socket.into(), manner, load);
            nginx.stop();
        }
    });
}

/// A hand-over names the address of each socket, which is compared with the socket's own.
#[test]
fn sockets_that_are_handed_over_are_what_they_are_said_to_be() {
    let folder = Folder::new();
    let path = folder.path("web");
    let bound = |url: &str| -> Vec<OwnedFd> {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        let listener = Listener::bind(&url.parse().unwrap()).unwrap();
        let sockets = listener.sockets().map(|one| one.try_clone_to_owned());
        sockets.collect::<Result<_, _>>().unwrap()
    };
    let port = free_port();
    let tcp = format!("tcp://127.0.0.1:{port}");
    let other = format!("tcp://127.0.0.1:{}", free_port());
    let unix = format!("unix:{}", path.display());
    let elsewhere = "a socket that was handed over listens elsewhere";
    let (web, file) = (bound(&tcp), UnixListener::bind(&path).unwrap());
    let file = || vec![OwnedFd::from(file.try_clone().unwrap())];
    let web = || vec![web[0].try_clone().unwrap(), web[1].try_clone().unwrap()];
    let alone = || {
        vec![OwnedFd::from(
            std::net::UdpSocket::bind("127.0.0.1:0").unwrap(),
        )]
    };
    let device = || vec![OwnedFd::from(std::fs::File::open("/dev/null").unwrap())];
    let connected = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        vec![OwnedFd::from(
            std::net::TcpStream::connect(address).unwrap(),
        )]
    };
    let anywhere = bound("tcp://*:0");
    let cases: [(&str, Vec<OwnedFd>, &str); 17] = [
        (&tcp, web(), ""),
        ("tcp://127.0.0.1:0", web(), ""),
        (&format!("tcp://localhost:{port}"), web(), ""),
        (&format!("tcp://a.name.of.it:{port}"), web(), ""),
        ("tcp://*:0", anywhere, ""),
        ("fd.socket:*", web(), ""),
        (&unix, file(), ""),
        (&other, web(), elsewhere),
        (&format!("tcp://127.0.0.2:{port}"), web(), elsewhere),
        (&format!("tcp://[::1]:{port}"), web(), elsewhere),
        (&format!("tcp://*:{port}"), web(), elsewhere),
        (&tcp, file(), elsewhere),
        (&unix, web(), elsewhere),
        (&format!("{unix}2"), file(), elsewhere),
        (&tcp, alone(), "what was handed over is not a stream socket"),
        (&tcp, device(), "what was handed over is not a socket"),
        (
            &tcp,
            connected(),
            "a socket that was handed over does not listen",
        ),
    ];
    for (url, sockets, wanted) in cases {
        let said = Listener::check(&url.parse().unwrap(), &sockets);
        let said = said.map_or_else(|error| error.to_string(), |()| String::new());
        assert_eq!(said, wanted, "{url}");
    }
}

/// Of two servers with the same path, the one that ends never removes the file of the one that begins.
#[test]
fn a_server_that_ends_leaves_the_socket_of_one_that_begins() {
    let folder = Folder::new();
    let path = folder.path("web");
    let url: SocketUrl = format!("unix:{}", path.display()).parse().unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let mut old = Listener::bind(&url).unwrap();
    for round in 0..500 {
        let ends = std::thread::spawn({
            let inside = Handle::current();
            move || {
                let _inside = inside.enter();
                old.close(Manner::Drain);
            }
        });
        let new = loop {
            if let Ok(new) = Listener::bind(&url) {
                break new;
            }
        };
        ends.join().unwrap();
        let client = std::os::unix::net::UnixStream::connect(&path);
        assert!(client.is_ok(), "round {round}: {client:?}");
        old = new;
    }
}
