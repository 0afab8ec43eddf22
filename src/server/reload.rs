//! What is to take the place of what serves, while it gets ready: another version in this process, or another process,
//! if the program itself was replaced.

use std::future::Future;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

use crate::gateway::socket::listener::Listener;
use crate::here;
use crate::line::failure::Failure;
use crate::plan::Plan;
use crate::plan::application::Readiness;
use crate::plan::seating::Seating;
use crate::server::running::{self, Running, Version};
use crate::server::signals::Signals;
use crate::supervisor::control::order::Handover;
use crate::supervisor::seat::successor::Successor;

/// Reads everything again: the command line that this process was started with, and all files. `None` if the command
/// line runs no server any more.
pub type Reread = fn() -> Result<Option<Plan>, Failure>;

/// What is being prepared.
pub enum Preparation {
    /// Another version, in this process.
    Version(Pin<Box<dyn Future<Output = Result<Version, Failure>>>>),
    /// Another program, which is to take our place.
    Successor(Box<Successor>),
}

/// How that went.
pub enum Prepared {
    /// There is a version, or why there is none.
    Version(Box<Result<Version, Failure>>),
    /// The other program serves, or why it does not.
    Successor(anyhow::Result<()>),
}

impl Preparation {
    /// The first version, on this socket.
    #[must_use]
    pub fn first(plan: Plan, listener: Listener, readiness: Readiness) -> Self {
        Self::Version(Box::pin(running::start(plan, Some(listener), readiness)))
    }

    /// A version with everything read anew, beside one that serves.
    #[must_use]
    pub fn anew(running: &Running, seating: Seating, reread: Reread) -> Self {
        let neighbour = running.neighbour();
        let (programs, within) = running.beside();
        Self::Version(Box::pin(async move {
            let neighbour = neighbour?;
            let plan = tokio::task::spawn_blocking(move || {
                here::follow();
                let mut plan = reread()?.ok_or_else(|| {
                    Failure::mistake(
                        "what is to be run now does not serve anything",
                        Some("stop it, and start it again".to_owned()),
                    )
                })?;
                plan.find_folder()?;
                Ok::<_, Failure>(plan)
            });
            let plan = plan.await.context("the configuration was not read")??;
            if plan.seating != seating {
                crate::log!("a new pid file or control socket holds from the next start on");
            }
            plan.find_programs()?;
            let listener = neighbour.listen(&plan, || plan.identity.listen(&plan.url))?;
            let version = running::start(plan, listener, Readiness::All).await?;
            Ok(version.with(programs, within).await?)
        }))
    }

    /// A process of another program, which is given this, and whose application has so long to start.
    #[must_use]
    pub fn of_program(
        program: &Path,
        handover: anyhow::Result<Handover>,
        limit: Option<Duration>,
    ) -> Self {
        here::follow();
        match handover.and_then(|handover| Successor::start(program, handover, limit)) {
            Ok(successor) => Self::Successor(Box::new(successor)),
            Err(error) => {
                let failed = Err(Failure::World(error));
                Self::Version(Box::pin(std::future::ready(failed)))
            }
        }
    }
}

/// The end of what is being prepared, if something is. Nothing is lost if the future is dropped.
pub async fn prepared(preparing: &mut Option<Preparation>) -> Prepared {
    match preparing {
        Some(Preparation::Version(version)) => Prepared::Version(Box::new(version.await)),
        Some(Preparation::Successor(successor)) => Prepared::Successor(successor.ready().await),
        None => std::future::pending().await,
    }
}

/// Lets whoever has started us, and waits for our end, deal with the process that has taken our place as if it were
/// we: passes signals on, and ends as it does. If that was somebody who does the same for us, one of the two is enough.
pub async fn stand_in(signals: &mut Signals, mut successor: Box<Successor>) -> ExitCode {
    let relief = successor.offer();
    let relieved = async {
        match relief {
            Some(relief) => relief.await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(relieved);
    loop {
        let told = tokio::select! {
            // Whoever relieves us has sent us before what we are still to pass on.
            biased;
            told = signals.next() => told,
            () = &mut relieved => return ExitCode::SUCCESS,
            ended = successor.ended() => {
                let code = ended.and_then(|status| {
                    status.code().or_else(|| status.signal().map(|signal| 128 + signal))
                });
                return code
                    .and_then(|code| u8::try_from(code).ok())
                    .map_or(ExitCode::FAILURE, ExitCode::from);
            }
        };
        successor.signal(told.signal());
    }
}
