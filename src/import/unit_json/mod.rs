//! NGINX Unit's configuration: listeners, routes and applications.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::import::imported_site::{ImportedSite, ListenProtocol};
use crate::import::imported_text::{ImportedText, quoted_text};
use crate::import::listen_url::listen_url;
use crate::import::section_lines::{broken, whole};
use crate::import::unit_json::placed_json::{PlacedJson, without_comments};
use crate::import::unit_json::unit_reader::Reader;
use crate::import::uwsgi_ini::no_ini;
use crate::syntax::{Diagnostic, Place, Source, Span};

mod placed_json;
mod unit_application;
mod unit_reader;
mod unit_routes;

pub use unit_reader::ALWAYS;

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
    if root.member("uwsgi").is_some() && root.member("listeners").is_none() {
        return Err(no_ini(source, "JSON"));
    }
    let mut reader = Reader {
        routes: root.member("routes"),
        applications: root
            .member("applications")
            .and_then(|it| it.object())
            .unwrap_or_default(),
        wanted: section,
        site: ImportedSite::default(),
        name: None,
        used_routes: BTreeSet::new(),
    };
    listeners(&mut reader, &root, source);
    if let Some(log) = root.member("access_log") {
        let path = log.text().or_else(|| log.member("path")?.text());
        let place = log.place_of("access_log");
        match path.as_deref() {
            Some("/dev/stdout" | "/dev/stderr") => {
                reader.site.set("runner.log.access", "True", &place);
            }
            None => reader.site.leave(&place, "it has no path"),
            Some(path) => {
                let path = ImportedText::known(path);
                reader
                    .site
                    .set_text("runner.log.access_file", &path, &place);
            }
        }
    }
    let settings = root.member("settings");
    if let Some(http) = settings.as_ref().and_then(|it| it.member("http")) {
        reader.http(&http);
    }
    // The certificates are told where a listener has them.
    let known = [
        "listeners",
        "routes",
        "applications",
        "access_log",
        "settings",
        "certificates",
    ];
    reader.others(&root, &known);
    for (member, known) in [(settings, "http"), (root.member("access_log"), "path")] {
        if let Some(member) = member {
            reader.others(&member, &[known]);
        }
    }
    reader.unserved();
    if reader.site.application.is_none() && reader.site.left.iter().all(|it| !it.is_essential) {
        reader
            .site
            .miss(&whole(source), "no listener leads to an application");
    }
    Ok(reader.site)
}

fn listeners<'a>(reader: &mut Reader<'a>, root: &PlacedJson<'a>, source: &Arc<Source>) {
    let listeners = root.member("listeners").and_then(|it| it.object());
    let Some(listeners) = listeners.filter(|it| !it.is_empty()) else {
        return reader.site.miss(&whole(source), "it has no listeners");
    };
    for (address, listener) in listeners {
        let place = listener.place_of(&address);
        let pass = listener
            .member("pass")
            .or_else(|| listener.member("application"));
        let Some(pass) = pass.and_then(|it| it.text()) else {
            reader.site.leave(&place, "it has no `pass`");
            continue;
        };
        let pass = match pass.contains('/') || pass == "routes" {
            true => pass,
            false => format!("applications/{pass}"),
        };
        let before = reader.name.clone();
        let site = reader.site.clone();
        let is_reached = unit_routes::follow(reader, &pass, &place);
        let is_same = before.is_none() || before == reader.name;
        if !is_reached || !is_same {
            reader.name = before;
            // Its routes are those of another site.
            reader.site = site;
            reader.site.leave(
                &place,
                "what listens there is no application of this file: a second file can serve it",
            );
            continue;
        }
        let url = listen_url(&ImportedText::known(address.trim_start_matches('*')));
        let url = match (listener.member("tls"), url.without_beginning("tcp://")) {
            (Some(tls), Some(rest)) => {
                let place = tls.place_of("tls");
                reader.site.miss(&place, "write the paths of the certificate and its key into `runner.tls.cert` and `runner.tls.key`");
                reader.others(&tls, &["certificate"]);
                rest.after("https://")
            }
            _ => url,
        };
        reader.site.listen(ListenProtocol::Http, url, &place);
        let mut known = vec!["pass", "tls", "forwarded", "client_ip"];
        if listener.member("pass").is_none() {
            known.push("application");
        }
        reader.others(&listener, &known);
        for name in ["forwarded", "client_ip"] {
            if let Some(forwarded) = listener.member(name) {
                reader.forwarded(&forwarded);
            }
        }
        if let Some(sources) = listener
            .member("forwarded")
            .or_else(|| listener.member("client_ip"))
            .and_then(|it| it.member("source"))
        {
            let list: Vec<String> = sources.texts().iter().map(|it| quoted_text(it)).collect();
            let place = sources.place_of("source");
            let list = format!("[{}]", list.join(", "));
            reader.site.set("runner.http.trusted_proxies", list, &place);
        }
    }
}
