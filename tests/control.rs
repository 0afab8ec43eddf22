//! The control socket: who may use it, what it answers, and that nobody can disturb it.

mod support;

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use runner::supervisor::client::Client;
use runner::supervisor::control::{Answer, Control, Handed, Order, Place};
use serde_json::json;
use support::Folder;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// A master in a thread of its own: it answers each order as a test wants it to.
struct Master {
    path: PathBuf,
    quit: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Master {
    fn start(path: &Path, place: Place, answer: fn(Order) -> Option<Answer>) -> Self {
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
        let mut client = Client::connect(&self.path)
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
            let handed = |url: &str, count: usize| Handed {
                url: url.to_owned(),
                descriptors: (0..count)
                    .map(|_| fs::File::open("/dev/null").expect("a file").into())
                    .collect(),
            };
            Some(Answer::Sockets(vec![
                handed("tcp://localhost:1", 2),
                handed("unix:/a", 1),
            ]))
        }
    }
}

#[test]
fn each_order_has_its_answer() {
    let folder = Folder::new();
    let master = Master::start(&folder.path("app.pid.socket"), Place::Free, fine);
    master.status();
    match master.ask(Order::Reload) {
        Some(Answer::Refused(reason)) => assert_eq!(reason, "no module named `nothing`"),
        other => panic!("{other:?}"),
    }
    match master.ask(Order::Handover) {
        Some(Answer::Sockets(sockets)) => {
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
    let client = Client::connect(&master.path)
        .expect("a socket")
        .expect("a master");
    assert_eq!(
        client.peer().expect("on this machine").pid(),
        rustix::process::getpid()
    );
    master.quit();
}
