//! What is read of NGINX Unit's configuration so far.

use std::collections::{BTreeMap, BTreeSet};

use crate::import::imported_site::ImportedSite;
use crate::import::unit_json::placed_json::PlacedJson;
use crate::import::unit_json::unit_application;
use crate::syntax::Place;

/// What of `settings.http` is always so here, or has no meaning here.
pub const ALWAYS: &[&str] = &[
    "body_buffer_size",
    "body_temp_path",
    "chunked_transform",
    "discard_unsafe_fields",
    "log_route",
    "server_version",
];

/// Collects a site.
pub(super) struct Reader<'a> {
    pub(super) routes: Option<PlacedJson<'a>>,
    pub(super) applications: BTreeMap<String, PlacedJson<'a>>,
    pub(super) wanted: Option<&'a str>,
    pub(super) site: ImportedSite,
    /// The application that is taken.
    pub(super) name: Option<String>,
    /// The lists of routes, by their names, that a listener or a step leads to.
    pub(super) used_routes: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    /// Tells members that nothing here knows.
    pub(super) fn others(&mut self, object: &PlacedJson<'a>, known: &[&str]) {
        for (name, value) in object.object().unwrap_or_default() {
            if !known.contains(&name.as_str()) {
                let place = value.place_of(&name);
                self.site
                    .leave(&place, format!("`{name}` has no equivalent"));
            }
        }
    }

    /// From which addresses a proxy's word counts, and what it says there.
    pub(super) fn forwarded(&mut self, forwarded: &PlacedJson<'a>) {
        for (name, value) in forwarded.object().unwrap_or_default() {
            let place = value.place_of(&name);
            let is_usual = match name.as_str() {
                "source" => true,
                "client_ip" | "header" => value.text().as_deref() == Some("X-Forwarded-For"),
                "protocol" => value.text().as_deref() == Some("X-Forwarded-Proto"),
                _ => false,
            };
            if !is_usual {
                let why = "fields of proxies are those that `runner.http.forwarded` names";
                self.site.leave(&place, why);
            }
        }
    }

    /// Tells routes and applications that nothing was said about yet.
    pub(super) fn unserved(&mut self) {
        let routes = self.routes.as_ref().and_then(PlacedJson::object);
        for (name, steps) in routes.unwrap_or_default() {
            if !self.used_routes.contains(&name) {
                let why = format!("no listener leads to the routes `{name}`");
                self.site.leave(&steps.place_of(&name), why);
            }
        }
        for (name, application) in self.applications.clone() {
            let is_told = |why: &str| why.contains(&format!("`{name}`"));
            if self.name.as_deref() != Some(&name)
                && self.wanted.is_none()
                && !self.site.left.iter().any(|left| is_told(&left.why))
            {
                let place = application.place_of(&name);
                self.site
                    .leave(&place, format!("`{name}` is not served here"));
            }
        }
    }

    pub(super) fn application(&mut self, name: &str, place: &Place) -> bool {
        if self.name.as_deref() == Some(name) {
            return true;
        }
        if self.wanted.is_some_and(|wanted| wanted != name) {
            return false;
        }
        let Some(application) = self.applications.get(name).cloned() else {
            self.site
                .leave(place, format!("there is no application `{name}`"));
            return false;
        };
        if self.name.is_some() {
            let why = format!("`{name}` is a second application: it can be a route of its own");
            self.site.leave(place, why);
            return false;
        }
        let kind = application
            .member("type")
            .and_then(|it| it.text())
            .unwrap_or_default();
        let place = application.place_of(name);
        let word = kind.trim_end_matches(|c: char| c.is_ascii_digit() || ". ".contains(c));
        match word {
            "python" => {
                self.name = Some(name.to_owned());
                unit_application::python(&mut self.site, &application, &place);
            }
            "php" => {
                self.name = Some(name.to_owned());
                unit_application::php(&mut self.site, &application, &place);
            }
            "external" => {
                self.name = Some(name.to_owned());
                unit_application::program(&mut self.site, &application, &place);
            }
            kind => {
                let why = format!(
                    "an application of `{kind}` is a server of its own: `'upstream', 'http', 'exec:', …` runs one that listens on `$PORT`"
                );
                self.site.miss(&place, why);
                self.name = Some(name.to_owned());
            }
        }
        true
    }

    pub(super) fn http(&mut self, http: &PlacedJson<'a>) {
        for (name, value) in http.object().unwrap_or_default() {
            let place = value.place_of(&name);
            let setting = match name.as_str() {
                "max_body_size" => "runner.request.max_body",
                "header_read_timeout" => "runner.http.head_timeout",
                "body_read_timeout" => "runner.http.body_timeout",
                "send_timeout" => "runner.http.write_timeout",
                "idle_timeout" => "runner.http.keep_alive",
                name if ALWAYS.contains(&name) => continue,
                _ => {
                    self.site
                        .leave(&place, format!("`{name}` has no equivalent"));
                    continue;
                }
            };
            match value.number() {
                Some(number) => self.site.set(setting, number.to_string(), &place),
                None => self.site.leave(&place, "it is no number"),
            }
        }
    }
}
