//! NGINX Unit's configuration: listeners, routes and applications.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::import::imported_text::{ImportedText, quoted_text};
use crate::import::listen_url::listen_url;
use crate::import::section_lines::{broken, whole};
use crate::import::site::{ApplicationObject, ImportedApplication, ListenProtocol, Placed, Site};
use crate::syntax::{Diagnostic, Place, Source, Span};

/// A value and its place.
#[derive(Clone)]
struct Node<'a> {
    source: &'a Arc<Source>,
    /// The value as it is written, in `text`.
    raw: &'a str,
    /// The whole text, without comments.
    text: &'a str,
}

impl<'a> Node<'a> {
    fn place(&self) -> Place {
        let start = self.raw.as_ptr() as usize - self.text.as_ptr() as usize;
        let first = self.raw.lines().next().unwrap_or_default();
        Place {
            source: Arc::clone(self.source),
            span: Span::new(start, start + first.len()),
        }
    }

    /// The place of the line that begins with the key.
    fn place_of(&self, key: &str) -> Place {
        let place = self.place();
        let value = place.span.start as usize;
        let before = &self.text[..value.min(self.text.len())];
        let start = before.rfind(&format!("\"{key}\"")).unwrap_or(value);
        let behind = self.text[start..].lines().next().unwrap_or_default();
        let end = start + behind.trim_end_matches([',', '{', ' ']).len();
        Place {
            span: Span::new(start, end),
            ..place
        }
    }

    fn with(&self, raw: &'a RawValue) -> Self {
        Self {
            raw: raw.get(),
            ..self.clone()
        }
    }

    fn object(&self) -> Option<BTreeMap<String, Self>> {
        let members: BTreeMap<String, &'a RawValue> = serde_json::from_str(self.raw).ok()?;
        let members = members.into_iter();
        Some(members.map(|(name, raw)| (name, self.with(raw))).collect())
    }

    fn member(&self, name: &str) -> Option<Self> {
        self.object()?.remove(name)
    }

    fn array(&self) -> Option<Vec<Self>> {
        let values: Vec<&'a RawValue> = serde_json::from_str(self.raw).ok()?;
        Some(values.into_iter().map(|raw| self.with(raw)).collect())
    }

    fn text(&self) -> Option<String> {
        serde_json::from_str(self.raw).ok()
    }

    fn number(&self) -> Option<u64> {
        serde_json::from_str(self.raw).ok()
    }

    /// One text, or each of several.
    fn texts(&self) -> Vec<String> {
        match self.text() {
            Some(text) => vec![text],
            None => {
                let values = self.array().unwrap_or_default();
                values.iter().filter_map(Self::text).collect()
            }
        }
    }
}

/// Reads a configuration. `section` is the application that is meant, where there are several.
///
/// # Errors
/// It is no JSON.
pub fn read(source: &Arc<Source>, section: Option<&str>) -> Result<Site, Diagnostic> {
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
    let root = Node {
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
        site: Site::default(),
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
    routes: Option<Node<'a>>,
    applications: BTreeMap<String, Node<'a>>,
    wanted: Option<&'a str>,
    site: Site,
    /// The application that is taken.
    name: Option<String>,
}

impl<'a> Reader<'a> {
    fn listeners(&mut self, root: &Node<'a>, source: &Arc<Source>) {
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
            let is_reached = self.follow(&pass, &place);
            let is_same = before.is_none() || before == self.name;
            if !is_reached || !is_same {
                self.name = before;
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
    fn step(&mut self, step: &Node<'a>) -> bool {
        let place = step.place();
        let Some(action) = step.member("action") else {
            return false;
        };
        let matched = step
            .member("match")
            .and_then(|it| it.object())
            .unwrap_or_default();
        let paths = matched.get("uri").map(Node::texts).unwrap_or_default();
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
    fn share(&mut self, share: &Node<'a>, paths: &[String], fallback: Option<&Node<'a>>) -> bool {
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
                self.python(&application, &place);
            }
            "php" => {
                self.name = Some(name.to_owned());
                self.php(&application, &place);
            }
            "external" => {
                self.name = Some(name.to_owned());
                self.program(&application, &place);
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

    /// PHP, by its own FastCGI server.
    fn php(&mut self, application: &Node<'a>, place: &Place) {
        let target = application
            .member("targets")
            .and_then(|it| it.object()?.into_iter().next())
            .map(|(_, target)| target);
        let target = target.as_ref().unwrap_or(application);
        let text = |name: &str| target.member(name).and_then(|it| it.text());
        let mut words = vec!["upstream", "fastcgi", "--root"];
        let root = text("root").unwrap_or_default();
        words.push(&root);
        let script = text("script");
        if let Some(script) = &script {
            words.extend(["--front", script]);
        }
        words.extend(["exec:", "php-cgi"]);
        let words = words.into_iter().map(ImportedText::known).collect();
        let named = ImportedApplication {
            is_asgi: false,
            object: ApplicationObject::Words(words),
        };
        self.site.application = Some(Placed::new(named, place));
        for (name, member) in application.object().unwrap_or_default() {
            if !["root", "script", "index", "options"].contains(&name.as_str()) {
                self.member(&name, &member);
            }
        }
    }

    /// A program that Unit talks to in its own way: as a server of its own it listens on the port that it is given.
    fn program(&mut self, application: &Node<'a>, place: &Place) {
        let mut words = Vec::new();
        words.extend(application.member("executable").and_then(|it| it.text()));
        let arguments = application.member("arguments").map(|it| it.texts());
        let mut arguments = arguments.unwrap_or_default().into_iter().peekable();
        while let Some(word) = arguments.next() {
            // Node's module that makes a server one of Unit's.
            let is_of_unit = |word: &str| word.starts_with("unit-http");
            match arguments.peek() {
                Some(next) if word.starts_with("--") && is_of_unit(next) => {
                    arguments.next();
                }
                _ => words.push(word),
            }
        }
        let words = words.iter().map(|word| ImportedText::known(word.as_str()));
        let named = ImportedApplication::program(words.collect());
        self.site.application = Some(Placed::new(named, place));
        self.site.leave(
            place,
            "a program of Unit's must listen by HTTP on `$PORT`, which it is given here",
        );
        for (name, member) in application.object().unwrap_or_default() {
            if !["executable", "arguments"].contains(&name.as_str()) {
                self.member(&name, &member);
            }
        }
    }

    fn python(&mut self, application: &Node<'a>, place: &Place) {
        let text = |name: &str| application.member(name).and_then(|it| it.text());
        let target = application
            .member("targets")
            .and_then(|it| it.object()?.into_iter().next())
            .map(|(_, target)| target);
        let of_target = |name: &str| {
            let target = target
                .as_ref()
                .and_then(|target| target.member(name)?.text());
            target.or_else(|| text(name))
        };
        let module = of_target("module").unwrap_or_default();
        let callable = of_target("callable");
        let is_asgi = match text("protocol").as_deref() {
            Some("asgi") => true,
            Some(_) => false,
            // Unit looks at the object; its module says it mostly, too.
            None => module.contains("asgi"),
        };
        if text("protocol").is_none() && !is_asgi {
            self.site.leave(
                place,
                "Unit finds out whether it is WSGI or ASGI: write 'ASGI' if the start says so",
            );
        }
        let object = match application.member("factory").map(|it| it.raw == "true") {
            Some(true) => format!("{}()", callable.as_deref().unwrap_or("application")),
            Some(false) | None => callable.unwrap_or_else(|| "application".to_owned()),
        };
        let module = ImportedApplication::imported(is_asgi, &module, Some(&object));
        self.site.application = Some(Placed::new(module, place));
        for (name, member) in application.object().unwrap_or_default() {
            self.member(&name, &member);
        }
    }

    fn member(&mut self, name: &str, member: &Node<'a>) {
        let place = member.place_of(name);
        let site = &mut self.site;
        let text = ImportedText::known(member.text().unwrap_or_default());
        let number = |node: Option<Node<'a>>| node.and_then(|it| it.number());
        match name {
            "type" | "module" | "callable" | "protocol" | "targets" | "factory" => {}
            "path" => {
                for folder in member.texts() {
                    site.path.push(Placed::new(ImportedText::known(folder), &place));
                }
            }
            "home" => site.set_text("runner.python", &text.before("/bin/python"), &place),
            "working_directory" => site.set_text("runner.workers.directory", &text, &place),
            "user" => site.set_text("runner.user", &text, &place),
            "group" => site.set_text("runner.group", &text, &place),
            "threads" => {
                if let Some(threads) = member.number() {
                    site.set("runner.workers.threads", threads.to_string(), &place);
                }
            }
            "processes" => match member.number() {
                Some(count) => site.set_workers(&ImportedText::known(count.to_string()), &place),
                None => {
                    let most = number(member.member("max")).unwrap_or(1);
                    let spare = number(member.member("spare")).unwrap_or(0).max(1);
                    site.set("runner.workers.max", most.to_string(), &place);
                    site.set("runner.workers.min", spare.min(most).to_string(), &place);
                    if let Some(idle) = number(member.member("idle_timeout")) {
                        site.set("runner.workers.idle_timeout", idle.to_string(), &place);
                    }
                }
            },
            "limits" => {
                if let Some(time) = number(member.member("timeout")) {
                    site.set("runner.request.timeout", time.to_string(), &place);
                }
                if let Some(count) = number(member.member("requests")) {
                    site.set("runner.workers.max_requests", count.to_string(), &place);
                }
            }
            "environment" => {
                for (name, value) in member.object().unwrap_or_default() {
                    let place = value.place_of(&name);
                    let value = ImportedText::known(value.text().unwrap_or_default());
                    site.environment.push(Placed::new((name, value), &place));
                }
            }
            "stdout" | "stderr" => site.leave(&place, "what the application writes is in the log"),
            "isolation" => site.leave(&place, "the service manager isolates: systemd's `ProtectSystem=`, `PrivateTmp=` and others"),
            other => site.leave(&place, format!("`{other}` has no equivalent")),
        }
    }

    fn http(&mut self, http: &Node<'a>) {
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

/// The text with blanks in place of its comments, which Unit allows: every byte stays where it was.
fn without_comments(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let (mut at, mut is_in_text) = (0, false);
    while at < bytes.len() {
        let end = match (bytes[at], bytes.get(at + 1)) {
            (b'\\', _) if is_in_text => at + 2,
            (b'"', _) => {
                is_in_text = !is_in_text;
                at + 1
            }
            (b'/', Some(b'/')) if !is_in_text => {
                let rest = bytes[at..].iter().position(|byte| *byte == b'\n');
                let end = rest.map_or(bytes.len(), |rest| at + rest);
                bytes[at..end].fill(b' ');
                end
            }
            (b'/', Some(b'*')) if !is_in_text => {
                let rest = bytes[at..].windows(2).position(|pair| pair == b"*/");
                let end = rest.map_or(bytes.len(), |rest| at + rest + 2);
                for byte in &mut bytes[at..end] {
                    if *byte != b'\n' {
                        *byte = b' ';
                    }
                }
                end
            }
            _ => at + 1,
        };
        at = end;
    }
    // Whole comments were replaced, so that no character was cut.
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::without_comments;

    #[test]
    fn comments_are_blanks() {
        let text = "{\"a\": \"//x\\\"\", // é\n /* b\n */ \"c\": 1}";
        let masked = without_comments(text);
        assert_eq!(masked.len(), text.len());
        assert_eq!(masked, "{\"a\": \"//x\\\"\",      \n     \n    \"c\": 1}");
    }
}
