//! The control socket: who may use it, how it answers, and that no client can disturb it.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use runner::supervisor::control::client::Client;
use runner::supervisor::control::order::{Answer, HandedSocket, Handover, Order};
use runner::supervisor::control::{BindMode, Control};
use runner::supervisor::trust::Trust;
use serde_json::json;
use support::Folder;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// A master in a thread of its own, which answers each command as the test says.
struct Master {
    path: PathBuf,
    quit: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Master {
    fn start(path: &Path, place: BindMode, answer: fn(Order) -> Option<Answer>) -> Self {
        let (quit, told) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let at = path.to_owned();
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let mut control = Control::open(&at, place).expect("a control socket");
                ready.send(()).expect("the test waits");
                let mut unanswered = Vec::new();
                let obey = async {
                    loop {
                        let asked = control.next().await;
                        match answer(asked.order) {
                            Some(answer) => drop(asked.answer.send(answer)),
                            None => unanswered.push(asked),
                        }
                    }
                };
                tokio::select! {
                    () = obey => {}
                    _ = told => {}
                }
            });
        });
        is_ready.recv().expect("it starts");
        Self {
            path: path.to_owned(),
            quit,
            thread,
        }
    }

    fn ask(&self, order: Order) -> Option<Answer> {
        let mut client = Client::connect(&self.path, Trust::own())
            .expect("a socket")
            .expect("a master");
        client.ask(order).expect("an answer")
    }

    fn status(&self) {
        let answer = self.ask(Order::Status);
        assert!(matches!(answer, Some(Answer::Done(json)) if json == json!("fine")));
    }

    fn quit(self) {
        self.quit.send(()).expect("it runs");
        self.thread.join().expect("it does not panic");
    }
}

fn fine(order: Order) -> Option<Answer> {
    match order {
        Order::Status => Some(Answer::Done(json!("fine"))),
        Order::Reload => Some(Answer::Refused("no module named `nothing`".to_owned())),
        Order::Stop => None,
        Order::Handover => {
            let handed = |url: &str, count: usize| HandedSocket {
                url: url.to_owned(),
                descriptors: (0..count)
                    .map(|_| fs::File::open("/dev/null").expect("a file").into())
                    .collect(),
            };
            Some(Answer::Sockets(Handover {
                sockets: vec![handed("tcp://localhost:1", 2), handed("unix:/a", 1)],
                manager: None,
            }))
        }
    }
}

#[test]
fn each_order_has_its_answer() {
    let folder = Folder::new();
    let master = Master::start(&folder.path("app.pid.socket"), BindMode::Free, fine);
    master.status();
    match master.ask(Order::Reload) {
        Some(Answer::Refused(reason)) => assert_eq!(reason, "no module named `nothing`"),
        other => panic!("{other:?}"),
    }
    match master.ask(Order::Handover) {
        Some(Answer::Sockets(Handover { sockets, .. })) => {
            let found: Vec<_> = sockets
                .iter()
                .map(|handed| (handed.url.as_str(), handed.descriptors.len()))
                .collect();
            assert_eq!(found, [("tcp://localhost:1", 2), ("unix:/a", 1)]);
            for descriptor in sockets.iter().flat_map(|handed| &handed.descriptors) {
                let flags = rustix::io::fcntl_getfd(descriptor.as_fd()).expect("it is open");
                assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
            }
        }
        other => panic!("{other:?}"),
    }
    let client = Client::connect(&master.path, Trust::own())
        .expect("a socket")
        .expect("a master");
    assert_eq!(
        client.peer.as_ref().expect("on this machine").pid(),
        rustix::process::getpid()
    );
    master.quit();
}

/// The response to a client that sends exactly these bytes.
fn raw(master: &Master, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(&master.path).expect("a master");
    stream.write_all(bytes).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    answer
}

#[test]
fn an_answer_is_a_line_and_nonsense_has_one_too() {
    let folder = Folder::new();
    let master = Master::start(&folder.path("control"), BindMode::Free, fine);
    for (order, answer) in [
        ("{\"order\": \"status\"}\n", "{\"done\":\"fine\"}\n"),
        (
            "{\"order\": \"reload\", \"more\": 1}\n",
            "{\"refused\":\"no module named `nothing`\"}\n",
        ),
        (
            "{\"order\": \"dance\"}\n",
            "{\"refused\":\"there is no order `dance`\"}\n",
        ),
        ("[]\n", "{\"refused\":\"there is no order ``\"}\n"),
        (
            "GET / HTTP/1.1\r\n\r\n",
            "{\"refused\":\"an order is a JSON object on a line\"}\n",
        ),
    ] {
        assert_eq!(raw(&master, order.as_bytes()), answer, "{order}");
    }
    let deep = "[".repeat(4000);
    assert!(raw(&master, format!("{deep}\n").as_bytes()).starts_with("{\"refused\""));
    master.quit();
}

#[test]
fn no_client_can_keep_others_from_being_answered() {
    let folder = Folder::new();
    let master = Master::start(&folder.path("control"), BindMode::Free, fine);
    let connect = || UnixStream::connect(&master.path).expect("room for another");
    // One client waits for something all the time.
    let mut patient = connect();
    patient
        .write_all(b"{\"order\": \"stop\"}\n")
        .expect("it reads");
    // Others are silent, stop in the middle of a line, or never end it.
    let mut hostile: Vec<UnixStream> = Vec::new();
    for number in 0..200 {
        let mut stream = connect();
        match number % 3 {
            0 => {}
            1 => stream
                .write_all(b"{\"order\": \"sta")
                .expect("room in the buffer"),
            // The server closes a connection whose line is too long; later bytes are lost.
            _ => drop(stream.write_all(&[b'x'; 8192])),
        }
        hostile.push(stream);
        if number % 20 == 0 {
            master.status();
        }
    }
    master.status();
    drop(hostile);
    master.status();
    // The patient client was not dropped: it gets its heartbeat.
    let mut beat = [0; 1];
    patient.read_exact(&mut beat).expect("an empty line");
    assert_eq!(&beat, b"\n");
    master.quit();
    let mut rest = Vec::new();
    patient.read_to_end(&mut rest).expect("the end");
    assert!(rest.iter().all(|byte| *byte == b'\n'));
}

/// While many clients wait for something slow, `status` is still answered and `stop` obeyed.
#[test]
fn waiting_clients_do_not_keep_others_from_being_answered() {
    let folder = Folder::new();
    let slow = |order| match order {
        Order::Reload => None,
        other => fine(other),
    };
    let master = Master::start(&folder.path("control"), BindMode::Free, slow);
    let mut waiting = Vec::new();
    for _ in 0..100 {
        let mut stream = UnixStream::connect(&master.path).expect("room for another");
        stream
            .write_all(b"{\"order\": \"reload\"}\n")
            .expect("it reads");
        master.status();
        waiting.push(stream);
    }
    let mut refused = 0;
    for stream in &mut waiting {
        // Each gets a heartbeat, or is disconnected.
        let mut answer = [0; 1];
        stream.read_exact(&mut answer).expect("an answer");
        if &answer != b"\n" {
            let mut rest = String::new();
            stream.read_to_string(&mut rest).expect("text");
            let reason = "\"refused\":\"too many others wait for an answer: try again\"}\n";
            assert_eq!(rest, reason);
            refused += 1;
        }
    }
    assert_eq!(refused, 52);
    let mut stop = UnixStream::connect(&master.path).expect("room for another");
    stop.write_all(b"{\"order\": \"stop\"}\n")
        .expect("it reads");
    let mut beat = [0; 1];
    stop.read_exact(&mut beat).expect("it is waited for");
    assert_eq!(&beat, b"\n");
    master.status();
    drop(waiting);
    master.quit();
}

/// A thousand clients that send nothing or half a line, or do not read the responses.
#[test]
fn a_server_with_a_thousand_visitors_answers_and_ends() {
    runner::descriptor_limit::raise();
    let folder = Folder::new().file(
        "app.conf",
        "Command serve tcp://127.0.0.1:0 demo\nPidFile app.pid\n",
    );
    let server = folder.runner(["supervise", "app.conf"]).start();
    let path = folder.path("app.pid.socket");
    let visit = |number: usize| {
        let mut stream = UnixStream::connect(&path).expect("room for another");
        let said: &[u8] = match number % 4 {
            0 => b"",
            1 => b"{\"order\": \"sto",
            2 => b"{\"order\": \"status\"}\n",
            _ => b"{\"order\": \"reload\"}\n",
        };
        // The server may have disconnected it by then.
        drop(stream.write_all(said));
        stream
    };
    let visitors: Vec<UnixStream> = (0..1000).map(visit).collect();
    let status = folder.runner(["status", "app.conf"]).run();
    assert!(status.success().contains(", process "), "{status:?}");
    assert_eq!(server.get("/").status, 200);
    let late: Vec<UnixStream> = (0..1000).map(visit).collect();
    let stop = folder.runner(["stop", "app.conf"]).run();
    stop.is(0, "app.conf has ended\n", "");
    assert_eq!(server.wait().status, 0);
    drop((visitors, late));
}

#[test]
fn only_its_user_can_use_it() {
    let folder = Folder::new();
    let path = folder.path("control");
    let master = Master::start(&path, BindMode::Free, fine);
    let mode = || fs::metadata(&path).expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    if rustix::process::geteuid().is_root() {
        // Even if the file is opened to all: the system tells the client's user.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("our own file");
        fs::set_permissions(folder.path(""), fs::Permissions::from_mode(0o755)).expect("ours");
        const ASK: &str = r#"
import os, socket, sys
os.setuid(int(sys.argv[2]))
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
try:
    client.sendall(b'{"order": "status"}\n')
    print(client.recv(99))
except OSError:
    print("refused")
"#;
        let asked = |user: &str| {
            let arguments = ["-c", ASK, &path.to_string_lossy(), user];
            folder
                .program("python3", arguments)
                .run()
                .success()
                .to_owned()
        };
        assert_eq!(asked("0"), "b'{\"done\":\"fine\"}\\n'\n");
        let stranger = asked("65534");
        assert!(
            ["b''\n", "refused\n"].contains(&stranger.as_str()),
            "{stranger}"
        );
    }
    master.quit();
}

/// In a folder that everyone can write to, another user can replace the server's socket.
#[tokio::test]
async fn a_stranger_is_not_a_successor() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = Folder::new();
    let public = fs::Permissions::from_mode(0o777);
    fs::set_permissions(folder.path(""), public).expect("our own folder");
    let path = folder.path("control");
    let control = Control::open(&path, BindMode::Free).expect("a control socket");
    let listen = "import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX); \
                  s.bind('stranger'); s.listen(); print('listens', file=sys.stderr); s.accept()";
    let stranger = folder.program("python3", ["-c", listen]).begin();
    stranger.wait_for_log(|log| log.contains("listens"));
    fs::rename(folder.path("stranger"), &path).expect("a socket");
    let refusal = |path: &Path| {
        let refused = Client::connect(path, Trust::own()).expect_err("a stranger");
        format!("{refused:#}")
    };
    let theirs = "it belongs to another user (`nobody`, 65534)";
    assert!(refusal(&path).ends_with(theirs), "{}", refusal(&path));
    assert!(!control.has_successor());
    // The socket's file is not the only thing that counts.
    std::os::unix::fs::chown(&path, Some(0), Some(0)).expect("we are root");
    let theirs = "the process that listens there belongs to another user (`nobody`, 65534)";
    assert!(refusal(&path).ends_with(theirs), "{}", refusal(&path));
    assert!(!control.has_successor());
    // Nor is a symbolic link followed.
    let own = UnixListener::bind(folder.path("own")).expect("a socket");
    std::os::unix::fs::symlink(folder.path("own"), folder.path("link")).expect("a link");
    let link = "it is a symbolic link";
    assert!(refusal(&folder.path("link")).ends_with(link));
    drop(own);
    stranger.signal(rustix::process::Signal::KILL);
    assert_eq!(stranger.wait().status, -9);
}

#[test]
fn a_successor_takes_the_place_without_a_gap() {
    let folder = Folder::new();
    let path = folder.path("control");
    let mut masters = vec![Master::start(&path, BindMode::Free, fine)];
    for _ in 0..20 {
        masters.push(Master::start(&path, BindMode::Succession, fine));
        masters[1].status();
        // A master that ends removes its own file, never that of another.
        masters.remove(0).quit();
        masters[0].status();
    }
    masters.remove(0).quit();
    assert_eq!(fs::read_dir(folder.path("")).expect("a folder").count(), 0);
    assert!(
        Client::connect(&path, Trust::own())
            .expect("nothing there")
            .is_none()
    );
}

#[tokio::test]
async fn files_in_place_of_the_socket() {
    let folder = Folder::new().file("file", "");
    let open = |name: &str| Control::open(&folder.path(name), BindMode::Free);
    let refusal = |name: &str| format!("{:#}", open(name).expect_err("something in the way"));
    assert!(refusal("file").ends_with("there is something else than a socket"));
    assert!(refusal("nowhere/control").ends_with("there is no such folder"));
    assert!(refusal(&"x".repeat(200)).ends_with("the name is too long for a socket"));
    let alive = UnixListener::bind(folder.path("control")).expect("a socket");
    assert!(refusal("control").ends_with("another process listens there"));
    // The socket file of a process that was killed.
    drop(alive);
    let control = open("control").expect("a free path");
    let found = fs::symlink_metadata(folder.path("control")).expect("a file");
    assert!(found.file_type().is_socket());
    drop(control);
    assert_eq!(fs::read_dir(folder.path("")).expect("a folder").count(), 1);
}

#[test]
fn a_master_that_does_not_make_sense() {
    let folder = Folder::new();
    let path = folder.path("control");
    let listener = UnixListener::bind(&path).expect("a socket");
    for (said, wanted) in [
        ("", Ok(None)),
        ("\n\n", Ok(None)),
        ("\n\n{\"done\": 1}\n", Ok(Some(json!(1)))),
        ("HTTP/1.1 400\r\n", Err("the master's answer is not JSON")),
        ("{}\n", Err("the master's answer makes no sense")),
        (
            "{\"sockets\": [{\"url\": \"a\", \"descriptors\": 1}]}\n",
            Err("the master has sent fewer sockets than it says"),
        ),
    ] {
        let mut client = Client::connect(&path, Trust::own())
            .expect("a socket")
            .expect("a listener");
        let (mut stream, _) = listener.accept().expect("the client");
        stream.write_all(said.as_bytes()).expect("it reads");
        stream.shutdown(std::net::Shutdown::Write).expect("open");
        let answer = match client.ask(Order::Status) {
            Ok(Some(Answer::Done(done))) => Ok(Some(done)),
            Ok(None) => Ok(None),
            Ok(Some(other)) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        };
        assert_eq!(answer, wanted.map_err(str::to_owned), "{said:?}");
    }
}
