//! A supervised server under faults in any order: kills, reloads, warm restarts, stops. In the end there is one master,
//! no process of the others is left, and requests are answered.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use rustix::process::{Pid, Signal, kill_process};
use support::process::children;
use support::{Folder, Server, Waits};

const APPLICATION: &str = "\
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'hello']
";

const FILE: &str = "\
Command serve unix:web WSGI import:app.application
PidFile app.pid
MinProcesses 2
MaxProcesses 2
Program tail -f /dev/null
Program runner serve unix:own demo
";

/// The events.
#[derive(Clone, Copy, Debug)]
enum Fault {
    NewMaster,
    Signal(Signal),
    Order(&'static str),
    KillMaster,
    KillTemplate,
    KillWorker,
    KillProgram,
}

/// Warm restarts and reloads come twice as often as other events, so that faults meet them.
const FAULTS: [Fault; 12] = [
    Fault::NewMaster,
    Fault::NewMaster,
    Fault::Signal(Signal::HUP),
    Fault::Signal(Signal::HUP),
    Fault::Order("reload"),
    Fault::Order("reload"),
    Fault::Order("stop"),
    Fault::Signal(Signal::TERM),
    Fault::KillMaster,
    Fault::KillTemplate,
    Fault::KillWorker,
    Fault::KillProgram,
];

/// The number of rounds, and of events in each.
const ROUNDS: u64 = 5;
const AT_ONCE: usize = 8;

/// splitmix64
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end.max(1) as u64).expect("less than a usize")
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        let place = self.below(all.len());
        all.get(place).copied()
    }
}

/// The started masters, and the commands that run.
struct Scene {
    folder: Folder,
    masters: Vec<Server>,
    orders: Vec<Server>,
}

impl Scene {
    fn begin(&mut self) {
        let master = self.folder.runner(["supervise", "app.conf"]).begin();
        self.masters.push(master);
    }

    /// Children of processes whose command line contains a word.
    fn children(&self, parents: &[Pid], word: &str) -> Vec<Pid> {
        let all: Vec<(Pid, String)> = self.masters.iter().flat_map(Server::processes).collect();
        let is = |pid: &Pid| {
            all.iter()
                .any(|(one, line)| one == pid && line.contains(word))
        };
        let children = parents.iter().flat_map(|parent| children(*parent));
        children.filter(is).collect()
    }

    fn happens(&mut self, fault: Fault, chance: &mut Chance) {
        let alive = |server: &mut Server| (!server.has_ended()).then(|| server.pid());
        let masters: Vec<Pid> = self.masters.iter_mut().filter_map(alive).collect();
        let templates = self.children(&masters, "python");
        let (victims, signal) = match fault {
            Fault::NewMaster => return self.begin(),
            Fault::Order(order) => {
                let order = self.folder.runner([order, "app.conf"]).begin();
                return self.orders.push(order);
            }
            Fault::Signal(signal) => (masters, signal),
            Fault::KillMaster => (masters, Signal::KILL),
            Fault::KillWorker => (self.children(&templates, "python"), Signal::KILL),
            Fault::KillTemplate => (templates, Signal::KILL),
            Fault::KillProgram => {
                let word = ["tail", "unix:own"][chance.below(2)];
                (self.children(&masters, word), Signal::KILL)
            }
        };
        if let Some(victim) = chance.of(&victims) {
            // It may have ended meanwhile.
            let _ = kill_process(victim, signal);
        }
    }

    /// Starts masters until one serves, and waits for the end of all others.
    fn settle(&mut self) -> Server {
        for order in self.orders.drain(..) {
            order.wait();
        }
        let mut waits = Waits::new();
        let last = loop {
            self.begin();
            let last = self.masters.pop().expect("just begun");
            let serves =
                |log: &str| log.contains("runner: serving unix:") && log.contains("/web\n");
            let log = last.wait_for_log(|log| serves(log) || log.contains("error: "));
            if serves(&log) {
                break last;
            }
            last.wait();
            waits.wait(|| format!("no master can be started:\n{log}"));
        };
        for master in self.masters.drain(..) {
            // This asserts that none of its processes is left.
            master.wait();
        }
        last
    }
}

/// Whether the server of a socket answers.
fn answers(folder: &Folder, socket: &str, wanted: &str) -> bool {
    let ask = || {
        let mut stream = UnixStream::connect(folder.path(socket))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    };
    ask().is_ok_and(|answer: String| answer.starts_with("HTTP/1.1 200") && answer.contains(wanted))
}

/// Asserts that this process is the master, and that it is complete.
#[track_caller]
fn is_whole(folder: &Folder, master: &Server) {
    let pid = master.pid().as_raw_nonzero().get();
    assert_eq!(folder.read("app.pid"), format!("{pid}\n"));
    let mut waits = Waits::new();
    loop {
        let said = folder
            .runner(["status", "--format", "json", "app.conf"])
            .run();
        let status: serde_json::Value = serde_json::from_str(said.success()).expect("JSON");
        assert_eq!(status["pid"], pid);
        let count = |what: &str, good: &[&str]| {
            let all = status[what].as_array().expect("a list").iter();
            let is_good = |one: &&serde_json::Value| {
                let state = one["state"].as_str();
                state.is_some_and(|state| good.contains(&state))
            };
            all.filter(is_good).count()
        };
        let counts = (
            count("workers", &["idle", "busy"]),
            count("programs", &["running"]),
        );
        if status["state"] == "serving"
            && counts == (2, 2)
            && answers(folder, "own", "PATH_INFO=/\n")
        {
            break;
        }
        waits.wait(|| format!("it is not whole: {status}\n{}", master.log()));
    }
    assert!(answers(folder, "web", "hello"));
    // The master, its template, two workers, two programs, and nothing else.
    Waits::until(
        || master.processes().len() == 6,
        || format!("{:#?}", master.processes()),
    );
}

#[test]
fn after_any_faults_one_master_serves() {
    let folder = Folder::new()
        .file("app.py", APPLICATION)
        .file("app.conf", FILE);
    for seed in 0..ROUNDS {
        let mut chance = Chance(seed);
        let mut scene = Scene {
            folder: folder.clone(),
            masters: Vec::new(),
            orders: Vec::new(),
        };
        let master = scene.settle();
        is_whole(&folder, &master);
        scene.masters.push(master);
        for _ in 0..AT_ONCE {
            let fault = chance.of(&FAULTS).expect("there are some");
            scene.happens(fault, &mut chance);
            if chance.below(2) == 0 {
                // Commands that have begun get as long as a `status` takes.
                folder.runner(["status", "app.conf"]).run();
            }
        }
        let master = scene.settle();
        is_whole(&folder, &master);
        folder.runner(["stop", "app.conf"]).run().success();
        assert_eq!(master.wait().status, 0);
        let left = fs::read_dir(folder.path("")).expect("a folder");
        let mut left: Vec<_> = left.map(|one| one.expect("an entry").file_name()).collect();
        left.sort();
        assert_eq!(
            left,
            ["app.conf", "app.pid.lock", "app.pid.start", "app.py"],
            "seed {seed}"
        );
    }
}
