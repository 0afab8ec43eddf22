//! NGINX Unit's configuration: listeners, routes and applications.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::import::imported_site::{ImportedSite, ListenProtocol, Placed};
use crate::import::imported_text::{ImportedText, quoted_text};
use crate::import::listen_url::listen_url;
use crate::import::section_lines::{broken, whole};
use crate::import::unit_json::placed_json::{PlacedJson, without_comments};
use crate::syntax::{Diagnostic, Place, Source, Span};

mod placed_json;
mod unit_application;

/// Reads a configuration. `section` is the application that is meant, where there are several.
///
/// # Errors
/// It is no JSON.
pub fn read(source: &Arc<Source>, section: Option<&str>) -> Result<ImportedSite, Diagnostic> {
    let text = without_comments(&source.text);
    let raw: &RawValue = serde_json::from_str(&text).map_err(|error| {
        let lines = text
            .split_inclusive('\n')
            .take(error.line().saturating_sub(1));
        let start = lines.map(str::len).sum::<usize>() + error.column().saturating_sub(1);
        let place = Place {
            source: Arc::clone(source),
            span: Span::new(start, start + 1),
        };
        broken(&place, format!("it is no JSON: {error}"))
    })?;
    let root = PlacedJson {
        source,
        raw: raw.get(),
        text: &text,
    };
    let mut reader = Reader {
        routes: root.member("routes"),
        applications: root
            .member("applications")
            .and_then(|it| it.object())
            .unwrap_or_default(),
        wanted: section,
        site: ImportedSite::default(),
        name: None,
    };
    reader.listeners(&root, source);
    if let Some(log) = root.member("access_log") {
        let path = log.text().or_else(|| log.member("path")?.text());
        let place = log.place_of("access_log");
        match path.as_deref() {
            Some("/dev/stdout" | "/dev/stderr") | None => {}
            Some(path) => {
                let path = ImportedText::known(path);
                reader
                    .site
                    .set_text("runner.log.access_file", &path, &place);
            }
        }
    }
    if let Some(http) = root.member("settings").and_then(|it| it.member("http")) {
        reader.http(&http);
    }
    if reader.site.application.is_none() && reader.site.left.iter().all(|it| !it.is_essential) {
        reader
            .site
            .miss(&whole(source), "no listener leads to an application");
    }
    Ok(reader.site)
}

/// Collects a site.
struct Reader<'a> {
    routes: Option<PlacedJson<'a>>,
    applications: BTreeMap<String, PlacedJson<'a>>,
    wanted: Option<&'a str>,
    site: ImportedSite,
    /// The application that is taken.
    name: Option<String>,
}

impl<'a> Reader<'a> {
    fn listeners(&mut self, root: &PlacedJson<'a>, source: &Arc<Source>) {
        let listeners = root.member("listeners").and_then(|it| it.object());
        let Some(listeners) = listeners.filter(|it| !it.is_empty()) else {
            return self.site.miss(&whole(source), "it has no listeners");
        };
        for (address, listener) in listeners {
            let place = listener.place_of(&address);
            let pass = listener
                .member("pass")
                .or_else(|| listener.member("application"));
            let Some(pass) = pass.and_then(|it| it.text()) else {
                self.site.leave(&place, "it has no `pass`");
                continue;
            };
            let pass = match pass.contains('/') || pass == "routes" {
                true => pass,
                false => format!("applications/{pass}"),
            };
            let before = self.name.clone();
            let site = self.site.clone();
            let is_reached = self.follow(&pass, &place);
            let is_same = before.is_none() || before == self.name;
            if !is_reached || !is_same {
                self.name = before;
                // Its routes are those of another site.
                self.site = site;
                self.site.leave(
                    &place,
                    "what listens there is no application of this file: a second file can serve it",
                );
                continue;
            }
            let url = listen_url(&ImportedText::known(address.trim_start_matches('*')));
            let url = match (listener.member("tls"), url.without_beginning("tcp://")) {
                (Some(tls), Some(rest)) => {
                    let place = tls.place_of("tls");
                    self.site.leave(&place, "write the paths of the certificate and its key into `runner.tls.cert` and `runner.tls.key`");
                    rest.after("https://")
                }
                _ => url,
            };
            self.site.listen(ListenProtocol::Http, url, &place);
            if let Some(sources) = listener
                .member("forwarded")
                .or_else(|| listener.member("client_ip"))
                .and_then(|it| it.member("source"))
            {
                let list: Vec<String> = sources.texts().iter().map(|it| quoted_text(it)).collect();
                let place = sources.place_of("source");
                let list = format!("[{}]", list.join(", "));
                self.site.set("runner.http.trusted_proxies", list, &place);
            }
        }
    }

    /// Follows a reference to an application. Returns false if it leads to none.
    fn follow(&mut self, pass: &str, place: &Place) -> bool {
        let mut parts = pass.split('/');
        match (parts.next(), parts.next()) {
            (Some("applications"), Some(name)) => self.application(name, place),
            (Some("routes"), name) => {
                let steps = match name {
                    Some(name) => self.routes.as_ref().and_then(|it| it.member(name)),
                    None => self.routes.clone(),
                };
                let steps = steps.and_then(|it| it.array()).unwrap_or_default();
                let mut is_reached = false;
                for step in steps {
                    is_reached |= self.step(&step);
                }
                is_reached
            }
            _ => false,
        }
    }

    /// A step of routes. Returns whether it leads to an application.
    fn step(&mut self, step: &PlacedJson<'a>) -> bool {
        let place = step.place();
        let Some(action) = step.member("action") else {
            return false;
        };
        let matched = step
            .member("match")
            .and_then(|it| it.object())
            .unwrap_or_default();
        let paths = matched
            .get("uri")
            .map(PlacedJson::texts)
            .unwrap_or_default();
        let other: Vec<&str> = matched
            .keys()
            .map(String::as_str)
            .filter(|it| *it != "uri")
            .collect();
        if let Some(pass) = action.member("pass").and_then(|it| it.text()) {
            if !other.is_empty() {
                self.site.leave(
                    &place,
                    format!("a match by `{}` is not taken over", other.join("`, `")),
                );
            }
            return self.follow(&pass, &place);
        }
        if let Some(share) = action.member("share") {
            let fallback = action.member("fallback");
            return self.share(&share, &paths, fallback.as_ref());
        }
        if let Some(status) = action.member("return").and_then(|it| it.number()) {
            let location = action.member("location").and_then(|it| it.text());
            let words = match location {
                Some(location) if !location.contains('$') => vec!["redirect".to_owned(), location],
                Some(_) => {
                    self.site.leave(
                        &place,
                        "a redirect with variables: `runner.tls.redirect` leads from http to https",
                    );
                    return false;
                }
                None => vec!["respond".to_owned(), status.to_string()],
            };
            self.route(&paths, &words, &place);
            return false;
        }
        let why = match action.member("proxy") {
            Some(_) => "a proxy is a route to `upstream http://…`",
            None => "it is not known what it does",
        };
        self.site.leave(&place, why);
        false
    }

    /// Files. Returns whether what is not there leads to an application.
    fn share(
        &mut self,
        share: &PlacedJson<'a>,
        paths: &[String],
        fallback: Option<&PlacedJson<'a>>,
    ) -> bool {
        let place = share.place_of("share");
        let shares = share.texts();
        let Some(first) = shares.first() else {
            return false;
        };
        if paths.is_empty() || paths.iter().any(|it| it == "*" || it == "/*") {
            let folder = first.replace("$uri", "");
            if fallback.is_some() && !folder.is_empty() {
                self.site.files = Some(Placed::new(folder, &place));
            } else {
                let why = "files without an application behind them: `serve files FOLDER`";
                self.site.leave(&place, why);
            }
        } else {
            // Unit puts the whole path behind the folder, and we what is behind the route's.
            let folder = first.replace("$uri", "");
            let folder = folder.trim_end_matches('/');
            for path in paths {
                let mount = path.trim_end_matches('*');
                if mount.contains('*') || !mount.starts_with('/') {
                    self.site.leave(
                        &place,
                        format!("a route is a prefix of paths: `{path}` is none"),
                    );
                    continue;
                }
                let folder = format!("{folder}{}", mount.trim_end_matches('/'));
                let words = vec!["files".to_owned(), folder];
                let mount = vec![path.clone()];
                self.route(&mount, &words, &place);
            }
        }
        if shares.len() > 1 {
            self.site.leave(
                &place,
                "a single page for other paths is `--spa FILE` behind `files`",
            );
        }
        match fallback.and_then(|it| it.member("pass")?.text()) {
            Some(pass) => self.follow(&pass, &place),
            None => false,
        }
    }

    fn route(&mut self, paths: &[String], words: &[String], place: &Place) {
        for path in paths {
            let mount = path.trim_end_matches('*');
            if mount.contains(['*', '!', '~']) || !mount.starts_with('/') || mount == "/" {
                let why = format!("a route is a prefix of paths: `{path}` is none of an own");
                self.site.leave(place, why);
                continue;
            }
            let route = (mount.to_owned(), words.to_vec());
            let is_known = self.site.routes.iter().any(|it| it.value.0 == route.0);
            if !is_known {
                self.site.routes.push(Placed::new(route, place));
            }
        }
    }

    fn application(&mut self, name: &str, place: &Place) -> bool {
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

    fn http(&mut self, http: &PlacedJson<'a>) {
        for (name, value) in http.object().unwrap_or_default() {
            let place = value.place_of(&name);
            let setting = match name.as_str() {
                "max_body_size" => "runner.request.max_body",
                "header_read_timeout" => "runner.http.head_timeout",
                "body_read_timeout" => "runner.http.body_timeout",
                "send_timeout" => "runner.http.write_timeout",
                "idle_timeout" => "runner.http.keep_alive",
                "server_version"
                | "discard_unsafe_fields"
                | "log_route"
                | "body_buffer_size"
                | "body_temp_path"
                | "chunked_transform" => continue,
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
