//! What a server is to do → the files of what stands around it: service managers, web servers, containers.
//!
//! An [`ExportedServer`] has the facts of the plan that would run. Each target has a file
//! here, which writes texts of these facts and quotes each by the rules of its reader. What a target cannot express is an
//! [`ExportRemark`](export_remarks::ExportRemark), which stands in the text, too.

use crate::export::containers::{compose_file, dockerfile, kubernetes_objects};
use crate::export::export_remarks::ExportRemarks;
use crate::export::exported_server::ExportedServer;
use crate::export::web_servers::{apache_host, caddy_site, nginx_server};

mod containers;
pub mod export_remarks;
pub mod exported_server;
mod systemd_units;
mod web_servers;

/// What is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportTarget {
    /// Units of systemd.
    Systemd,
    /// nginx in front.
    Nginx,
    /// Apache in front.
    Apache,
    /// Caddy in front.
    Caddy,
    /// Objects of Kubernetes.
    Kubernetes,
    /// A file for Docker Compose.
    Compose,
    /// An image of a container.
    Dockerfile,
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedFile {
    /// Its usual name.
    pub name: String,
    /// What is in it.
    pub text: String,
    /// Whether it is for a folder only, and only where there is none of its name.
    pub is_extra: bool,
}

impl ExportTarget {
    /// Each with its name.
    pub const ALL: [(&'static str, Self); 7] = [
        ("systemd", Self::Systemd),
        ("nginx", Self::Nginx),
        ("apache", Self::Apache),
        ("caddy", Self::Caddy),
        ("kubernetes", Self::Kubernetes),
        ("compose", Self::Compose),
        ("dockerfile", Self::Dockerfile),
    ];

    /// The one with a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|(known, _)| *known == name)
            .map(|(_, target)| target)
    }

    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        let mut all = Self::ALL.into_iter();
        all.find(|(_, target)| *target == self)
            .map_or("", |(name, _)| name)
    }

    /// The files for a server, and what they cannot express.
    #[must_use]
    pub fn files(self, server: &ExportedServer) -> (Vec<ExportedFile>, ExportRemarks) {
        let mut remarks = ExportRemarks::default();
        let named = |ending: &str| format!("{}.{ending}", server.identifier);
        let found = &mut remarks;
        for name in &server.shell_variables {
            let what = format!(
                "`{name}` is set in this shell, and what is written follows its value: the server needs the same"
            );
            found.note(server, "", what);
        }
        let texts = match self {
            Self::Systemd => {
                let (service, socket) = systemd_units::texts(server, found);
                let socket = socket.map(|text| (named("socket"), text));
                [(named("service"), service)]
                    .into_iter()
                    .chain(socket)
                    .collect()
            }
            Self::Nginx => vec![(named("conf"), nginx_server::text(server, found))],
            Self::Apache => vec![(named("conf"), apache_host::text(server, found))],
            Self::Caddy => vec![("Caddyfile".to_owned(), caddy_site::text(server, found))],
            Self::Kubernetes => vec![(named("yaml"), kubernetes_objects::text(server, found))],
            Self::Compose => vec![("compose.yaml".to_owned(), compose_file::text(server, found))],
            Self::Dockerfile => vec![("Dockerfile".to_owned(), dockerfile::text(server, found))],
        };
        let file = |(name, text)| ExportedFile {
            name,
            text,
            is_extra: false,
        };
        let mut files: Vec<ExportedFile> = texts.into_iter().map(file).collect();
        for file in &mut files {
            let opening = remarks.opening(&format!(
                "By `runner export {} {}`: the plan of the server as it would run.",
                self.name(),
                server.written
            ));
            file.text.insert_str(0, &opening);
        }
        if self == Self::Dockerfile {
            files.push(ExportedFile {
                name: ".dockerignore".to_owned(),
                text: dockerfile::IGNORED.to_owned(),
                is_extra: true,
            });
        }
        (files, remarks)
    }
}
