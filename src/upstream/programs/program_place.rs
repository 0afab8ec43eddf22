//! Where the processes of an application are started, and what they are for.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;

use crate::children::mark::Mark;
use crate::current_folder;
use crate::upstream::programs::program_address::{Addresses, OwnAddress};
use crate::upstream::programs::program_process::ProgramProcess;
use crate::upstream::programs::program_roster::ProgramRoster;
use crate::upstream::programs::program_settings::ProgramOptions;
use crate::upstream::servers::Servers;
use crate::workers::id::WorkerId;

/// What starts processes, and whom it tells of them.
#[derive(Debug)]
pub(super) struct ProgramPlace<C> {
    pub(super) options: ProgramOptions,
    /// They are servers of the application once they are ready.
    pub(super) servers: Arc<Servers<C>>,
    roster: Arc<Mutex<ProgramRoster<C>>>,
    /// The folder in which processes begin, wherever its name leads by then.
    folder: File,
    addresses: Addresses,
    /// Known by all processes that these start.
    pub(super) mark: Mark,
}

impl<C: Send + 'static> ProgramPlace<C> {
    /// The place of an application. Opens the folder in which processes begin, and makes one for sockets in a folder.
    ///
    /// # Errors
    /// One of both is not possible.
    pub(super) async fn new(
        options: ProgramOptions,
        sockets: PathBuf,
        servers: Arc<Servers<C>>,
        roster: Arc<Mutex<ProgramRoster<C>>>,
    ) -> anyhow::Result<Self> {
        let (listens, begins_in) = (options.listens(), options.folder().to_owned());
        let made = tokio::task::spawn_blocking(move || {
            let folder = current_folder::hold_folder(&begins_in)
                .with_context(|| format!("cannot enter the folder `{}`", begins_in.display()))?;
            let addresses = Addresses::new(listens, &sockets).with_context(|| {
                let folder = sockets.display();
                format!("cannot make a folder for sockets in `{folder}` (runner.tmp)")
            })?;
            anyhow::Ok((folder, addresses))
        });
        let made = made.await.context("a thread has failed")?;
        let (folder, addresses) =
            made.with_context(|| format!("cannot start `{}`", options.program.command))?;
        Ok(Self {
            options,
            servers,
            roster,
            folder,
            addresses,
            mark: Mark::new(),
        })
    }

    /// The folder of their sockets, if they have any.
    pub(super) fn sockets(&self) -> Option<&Path> {
        self.addresses.folder()
    }

    /// Starts a process.
    ///
    /// # Errors
    /// It cannot be run, or there is no address for it.
    pub(super) fn start(&self, id: WorkerId) -> anyhow::Result<(ProgramProcess, OwnAddress)> {
        let made = self.addresses.next(id);
        let (own, socket) = made.with_context(|| {
            format!(
                "cannot start `{}`: there is no address",
                self.options.program.command
            )
        })?;
        let (folder, mark) = (self.folder.as_fd(), self.mark.of(Some(id)));
        let process = ProgramProcess::start(&self.options, folder, &own.address, socket, &mark)?;
        Ok((process, own))
    }

    /// What the status shows. After a panic elsewhere, it is still the best that there is.
    pub(super) fn roster(&self) -> MutexGuard<'_, ProgramRoster<C>> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
