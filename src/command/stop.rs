//! `stop FILE` and `reload FILE`: what a running master can be told to do.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;

use crate::command::arguments::Options;
use crate::command::failure::Failure;
use crate::command::graph::Node;
use crate::command::master::{self, Master};
use crate::command::{Entry, Kind, no_options, print};
use crate::supervisor::control::order::{Answer, Order};

/// `stop`.
pub const STOP: Entry = Entry {
    name: "stop",
    usage: "[FILE]",
    about: "Ends a running server and waits until it has ended",
    help: "\
The server finishes what it is doing, for `runner.stop_timeout` at most, as it
does when it gets SIGTERM. The exit status is 1 if it was not running.

FILE is what `status` takes.",
    kind: Kind::Command {
        options: Options::BeforeDashes,
        arguments: no_options,
        resolve: |scope, arguments| {
            let master = master::named(scope, arguments)?;
            Ok(Node::Order(Told::Stop(master)))
        },
    },
};

/// `reload`.
pub const RELOAD: Entry = Entry {
    name: "reload",
    usage: "[FILE]",
    about: "Has a running server read its configuration and application anew",
    help: "\
The new version is started beside the old one, and takes over when it is ready:
no request is lost. If it cannot be started, the old one goes on; what is wrong
is printed, and the exit status is 1. SIGHUP to the server does the same.

FILE is what `status` takes.",
    kind: Kind::Command {
        options: Options::BeforeDashes,
        arguments: no_options,
        resolve: |scope, arguments| {
            let master = master::named(scope, arguments)?;
            Ok(Node::Order(Told::Reload(master)))
        },
    },
};

/// How long a process may take to be gone once it has closed its last connection.
const LAST_MOMENTS: Duration = Duration::from_secs(10);

/// An order to a master.
#[derive(Debug)]
pub enum Told {
    /// `stop`.
    Stop(Master),
    /// `reload`.
    Reload(Master),
}

impl Told {
    /// The name of the command.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Stop(_) => STOP.name,
            Self::Reload(_) => RELOAD.name,
        }
    }

    /// Gives the order and waits until it is obeyed.
    ///
    /// # Errors
    /// The master does not run, or cannot obey.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        match self {
            Self::Stop(master) => stop(master),
            Self::Reload(master) => {
                master.order(Order::Reload)?;
                Ok(print(&format!(
                    "{} serves the new version\n",
                    master.shown()
                )))
            }
        }
    }
}

fn stop(master: &Master) -> Result<ExitCode, Failure> {
    let mut client = master.connect()?;
    match client.ask(Order::Stop)? {
        // The connection is closed when the process ends, and no sooner.
        None => {}
        Some(Answer::Refused(reason)) => return Err(anyhow!(reason).into()),
        Some(Answer::Done(_) | Answer::Sockets(_)) => {
            return Err(anyhow!("the master's answer makes no sense").into());
        }
    }
    let gone = client
        .peer()
        .is_none_or(|process| process.wait(LAST_MOMENTS));
    match gone {
        true => Ok(print(&format!("{} has ended\n", master.shown()))),
        false => Err(anyhow!("`{}` does not end", master.shown()).into()),
    }
}
