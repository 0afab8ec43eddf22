//! Settings and applications as `export` tells other programs of them: TLS, programs, and what the user may not read.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

use crate::config::{Configuration, SETTINGS};
use crate::current_folder;
use crate::export::exported_server::{ExportedTls, ExportedUnread};
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::plan::Plan;
use crate::plan::application::{ApplicationName, BuiltIn};
use crate::syntax::quoted;
use crate::upstream::upstream_options::ServerSource;

pub(super) fn exported_tls(settings: &Configuration) -> Result<ExportedTls, Failure> {
    let acme_ca = settings.path("runner.tls.acme_ca");
    let acme_ca = acme_ca.map(|path| text(&current_folder::normal(&path)));
    Ok(ExportedTls {
        acme: settings.texts("runner.tls.acme"),
        acme_directory: settings.text("runner.tls.acme_directory"),
        acme_ca: acme_ca.transpose()?,
        client_ca: texts(&settings.paths("runner.tls.client_ca"))?,
        client_crl: texts(&settings.paths("runner.tls.client_crl"))?,
        is_optional: settings.text("runner.tls.client_auth").as_deref() == Some("optional"),
        exports_certificates: settings.boolean("runner.tls.export_cert"),
        redirects: settings.boolean("runner.tls.redirect"),
        redirect_port: settings.optional_integer("runner.tls.redirect_port"),
    })
}

/// The names of all settings that are set.
pub(super) fn set(settings: &Configuration) -> BTreeSet<String> {
    let names = SETTINGS.iter().map(|setting| setting.name);
    let set = names.filter(|name| settings.is_named(name));
    set.map(str::to_owned).collect()
}

/// The programs that applications are, those beside them, and those that run before a start: names, or absolute paths.
pub(super) fn programs(
    applications: &[(&ApplicationName, Scope)],
    plan: &Plan,
) -> Result<Vec<String>, Failure> {
    let before = plan.before_start.iter().map(|command| &command.program);
    let mut programs = Vec::new();
    for program in before.chain(&plan.programs) {
        let name = named(Path::new(&program.program), Path::new(""))?;
        if !programs.contains(&name) {
            programs.push(name);
        }
    }
    for (application, _) in applications {
        let ApplicationName::BuiltIn {
            what: BuiltIn::Upstream(upstream),
            ..
        } = application
        else {
            continue;
        };
        let ServerSource::Program(program) = &upstream.source else {
            continue;
        };
        let name = named(Path::new(&program.command.program), &program.begins_in)?;
        if !programs.contains(&name) {
            programs.push(name);
        }
    }
    Ok(programs)
}

/// A program that is started in a folder: its name in `PATH`, or its absolute path.
fn named(program: &Path, folder: &Path) -> Result<String, Failure> {
    match program.components().count() {
        0 | 1 => text(program),
        _ => text(&current_folder::normal(&folder.join(program))),
    }
}

/// Who reads files: a user of this machine, or one that systemd makes, who has no number yet.
struct ServiceUser {
    user: Option<Uid>,
    groups: Vec<Gid>,
}

impl ServiceUser {
    /// `None` for a user that is not known here.
    fn of(settings: &Configuration) -> Option<Self> {
        let group = |setting| {
            let name: String = settings.text(setting)?;
            Some(match name.parse() {
                Ok(number) => Gid::from_raw(number),
                Err(_) => Group::from_name(&name).ok()??.gid,
            })
        };
        let mut reader = Self {
            user: None,
            groups: Vec::new(),
        };
        if let Some(name) = settings.text("runner.user") {
            let user = match name.parse() {
                Ok(number) => User::from_uid(Uid::from_raw(number)),
                Err(_) => User::from_name(&name),
            };
            let user = user.ok()??;
            let name = CString::new(user.name).ok()?;
            reader.user = Some(user.uid);
            reader.groups = getgrouplist(&name, user.gid).ok()?;
        }
        reader.groups.extend(group("runner.group"));
        reader.groups.extend(group("runner.socket.group"));
        Some(reader)
    }

    fn may(&self, found: &Metadata, rights: u32) -> bool {
        let owner = Some(Uid::from_raw(found.uid()));
        let shift = match self.groups.contains(&Gid::from_raw(found.gid())) {
            _ if owner == self.user => 6,
            true => 3,
            false => 0,
        };
        self.user.is_some_and(Uid::is_root) || found.mode() >> shift & rights == rights
    }

    /// What keeps it from reading a file or folder that is there.
    fn refused<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        const READ: u32 = 4;
        const ENTER: u32 = 1;
        let folders: Vec<&Path> = path.ancestors().skip(1).collect();
        let above = folders.into_iter().rev().map(|folder| (folder, ENTER));
        let own = if path.is_dir() { READ | ENTER } else { READ };
        let mut all = above.chain([(path, own)]);
        all.find_map(|(path, rights)| {
            let found = path.metadata().ok()?;
            (!self.may(&found, rights)).then_some(path)
        })
    }
}

/// What the user of a service cannot read of what is here. Root, who starts a server in another way, could.
pub(super) fn unread<'a>(
    settings: &Configuration,
    paths: impl Iterator<Item = (&'static str, &'a str)>,
) -> Vec<ExportedUnread> {
    let Some(user) = ServiceUser::of(settings) else {
        return Vec::new();
    };
    let unread = paths.filter_map(|(setting, path)| {
        let refused = user.refused(Path::new(path))?;
        Some(ExportedUnread {
            setting,
            path: path.to_owned(),
            refused: refused.display().to_string(),
        })
    });
    unread.collect()
}

/// Paths as files of other programs can have them.
pub(super) fn texts(paths: &[PathBuf]) -> Result<Vec<String>, Failure> {
    paths
        .iter()
        .map(|path| text(&current_folder::normal(path)))
        .collect()
}

/// A path as files of other programs can have it.
pub(super) fn text(path: &Path) -> Result<String, Failure> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        let message = format!("the path {} is not UTF-8", quoted(&path.to_string_lossy()));
        let hint = "other programs cannot be told of it: rename the file or folder".to_owned();
        Failure::mistake(message, Some(hint))
    })
}
