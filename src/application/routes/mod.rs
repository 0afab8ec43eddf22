//! `commands.Routes({…})`: the host and the path of a request decide which application answers it.
//!
//! The path is that from which `PATH_INFO` is made, decoded, and without the parts that mean nothing (`//`, `.`, `..`). So no
//! spelling of a path reaches another application than the one that takes the path for its own: where the spelling would
//! decide, the application sees the path as it was matched. The application's `SCRIPT_NAME` (ASGI's `root_path`) is the route;
//! its `PATH_INFO` is what follows.

pub mod named_application;
mod normal_path;
pub mod on_demand;
pub mod route_key;
mod route_table;
pub mod site;
pub(super) mod slash_redirect;

use std::sync::Arc;

use bytes::Bytes;
use http::{StatusCode, header};

use crate::application::routes::normal_path::NormalPath;
use crate::application::routes::route_key::RouteKey;
use crate::application::routes::route_table::RouteTable;
use crate::application::routes::slash_redirect::with_slash;
use crate::interface::{Application, Pending, Request, Response};

/// Applications by host and path.
pub struct Routes {
    table: RouteTable<Arc<dyn Application>>,
}

impl Routes {
    /// Routes to applications, in any order. No two keys are the same.
    #[must_use]
    pub fn new(routes: Vec<(RouteKey, Arc<dyn Application>)>) -> Self {
        Self {
            table: RouteTable::new(routes),
        }
    }

    /// The application for a request, which is changed to what that application is to see; or the answer, if there is none.
    ///
    /// # Errors
    /// There is no route for it, or one that wants a slash.
    pub fn route(&self, request: &mut Request) -> Result<&Arc<dyn Application>, Box<Response>> {
        let host = match request.headers.get(header::HOST) {
            Some(host) => host.as_bytes(),
            None => request.connection.server_name.as_bytes(),
        };
        let normal = NormalPath::of(&request.path_info);
        let path = normal.path(&request.path_info);
        let Some(found) = self.table.find(host, path) else {
            return Err(Response::plain(StatusCode::NOT_FOUND).into());
        };
        // A WebSocket follows no redirect, and `*` is the server as a whole (RFC 9112 §3.2.4).
        let may_redirect = !request.offers_web_socket && request.target != "*";
        if found.wants_slash && path.len() == found.length && may_redirect {
            let status = StatusCode::PERMANENT_REDIRECT;
            return Err(with_slash(&request.target, status).into());
        }
        let leads_elsewhere = || {
            let other = self.table.find(host, &request.path_info);
            other.is_none_or(|other| !std::ptr::eq(other.to, found.to))
        };
        if let Some(path) = normal.replacement(leads_elsewhere) {
            request.path_info = path;
        }
        let mount = request.path_info.slice(..found.length);
        request.path_info = request.path_info.slice(found.length..);
        request.script_name = match request.script_name.is_empty() {
            true => mount,
            false => [&*request.script_name, &mount].concat().into(),
        };
        Ok(found.to)
    }
}

impl Application for Routes {
    fn respond(self: Arc<Self>, mut request: Request) -> Pending<'static, Response> {
        match self.route(&mut request) {
            Ok(application) => Arc::clone(application).respond(request),
            Err(response) => Box::pin(std::future::ready(*response)),
        }
    }

    fn name_for(&self, host: &[u8], path: &Bytes) -> Option<Arc<str>> {
        let normal = NormalPath::of(path);
        let path = normal.path(path);
        let found = self.table.find(host, path)?;
        let rest = Bytes::copy_from_slice(path.get(found.length..)?);
        found.to.name_for(host, &rest)
    }

    fn inner(&self) -> Vec<&dyn Application> {
        let mut inner: Vec<&Arc<dyn Application>> = Vec::new();
        for application in self.table.all() {
            if !inner.iter().any(|known| Arc::ptr_eq(known, application)) {
                inner.push(application);
            }
        }
        inner.into_iter().map(|one| &**one).collect()
    }
}

#[cfg(test)]
mod tests;
