//! The next version while it gets ready: in this process, or as another process if the program itself was replaced.

use std::future::Future;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

use crate::children::orphan_guard;
use crate::current_folder;
use crate::gateway::socket::listener::Listener;
use crate::line::failure::Failure;
use crate::plan::Plan;
use crate::plan::application::start::Readiness;
use crate::plan::seating::Seating;
use crate::server::events::signals::Signals;
use crate::server::running::{self, Running, Version};
use crate::server::status_pages::PresentPages;
use crate::supervisor::control::order::Handover;
use crate::supervisor::seat::successor::Successor;

/// Reads the command line of this process and all files again. `None` if the command is no server any more.
pub type Reread = fn() -> Result<Option<Plan>, Failure>;

/// What is being prepared.
pub enum Preparation {
    /// A version in this process.
    Version(Pin<Box<dyn Future<Output = Result<Version, Failure>>>>),
    /// A process of another program, which is handed the sockets and must serve within a time limit.
    Successor(Box<Successor>),
}

/// The result of a preparation.
pub enum Prepared {
    /// A version, or why it did not start.
    Version(Box<Result<Version, Failure>>),
    /// The other process serves, or why it does not.
    Successor(anyhow::Result<()>),
}

impl Preparation {
    /// The first version, which gets these sockets.
    #[must_use]
    pub fn first(plan: Plan, listeners: Vec<Listener>, readiness: Readiness) -> Self {
        let listeners = listeners.into_iter().map(Some).collect();
        orphan_guard::set_grace(plan.patience);
        Self::Version(Box::pin(async move {
            plan.run_start_commands().await?;
            running::start(plan, listeners, readiness).await
        }))
    }

    /// A version with all settings read again, beside the running one.
    #[must_use]
    pub fn anew(
        running: &Running,
        pages: anyhow::Result<PresentPages>,
        seating: Seating,
        reread: Reread,
    ) -> Self {
        let neighbours = running.neighbours();
        let (programs, within) = running.beside();
        Self::Version(Box::pin(async move {
            let (neighbours, pages) = (neighbours?, pages?);
            let plan = tokio::task::spawn_blocking(move || {
                current_folder::follow();
                let mut plan = reread()?.ok_or_else(|| {
                    Failure::mistake(
                        "the command does not run a server any more",
                        Some("stop it, and start it again".to_owned()),
                    )
                })?;
                plan.find_folder()?;
                Ok::<_, Failure>(plan)
            });
            let plan = plan.await.context("the configuration was not read")??;
            if plan.seating != seating {
                crate::log_warning!(
                    "a new pid file or control socket holds from the next start on"
                );
            }
            plan.find_programs()?;
            // A developer's change of a file is no new version that is put to use.
            if plan.development.is_none() {
                plan.run_start_commands().await?;
            }
            let listeners = neighbours.listen(&plan)?;
            let pages = pages.listen(&plan)?;
            plan.apply_socket_rights()?;
            let version = running::start(plan, listeners, Readiness::All).await?;
            let version = version.with_pages(pages);
            Ok(version.with(programs, within).await?)
        }))
    }

    /// A process of another program, which is handed the sockets and must serve within a time limit.
    #[must_use]
    pub fn of_program(
        program: &Path,
        handover: anyhow::Result<Handover>,
        limit: Option<Duration>,
    ) -> Self {
        current_folder::follow();
        match handover.and_then(|handover| Successor::start(program, handover, limit)) {
            Ok(successor) => Self::Successor(Box::new(successor)),
            Err(error) => {
                let failed = Err(Failure::World(error));
                Self::Version(Box::pin(std::future::ready(failed)))
            }
        }
    }
}

/// Waits for the result of the preparation; for ever, if there is none. Cancel-safe.
pub async fn prepared(preparing: &mut Option<Preparation>) -> Prepared {
    match preparing {
        Some(Preparation::Version(version)) => Prepared::Version(Box::new(version.await)),
        Some(Preparation::Successor(successor)) => Prepared::Successor(successor.ready().await),
        None => std::future::pending().await,
    }
}

/// Keeps this process as a stand-in for its successor, for a parent that waits for this process: passes signals on,
/// and ends with the status of the successor. If the parent is itself such a stand-in, this process ends at once.
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
            // Signals that came before the relief are passed on first.
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
