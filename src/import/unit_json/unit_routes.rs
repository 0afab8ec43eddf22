//! The routes of NGINX Unit: steps, of which the first that matches counts.

use crate::import::imported_site::Placed;
use crate::import::unit_json::placed_json::PlacedJson;
use crate::import::unit_json::unit_reader::Reader;
use crate::syntax::Place;

/// Which requests a step is for.
struct StepMatch {
    /// Their paths; all, if there is none.
    paths: Vec<String>,
    /// The names of other conditions.
    other: Vec<String>,
    place: Place,
}

impl StepMatch {
    fn of(step: &PlacedJson<'_>) -> Self {
        let matched = step.member("match");
        let paths = matched.as_ref().and_then(|it| it.member("uri"));
        let is_array = matched.as_ref().is_some_and(|it| it.array().is_some());
        let matched = matched.and_then(|it| it.object()).unwrap_or_default();
        let other = matched.into_keys().filter(|it| it != "uri");
        Self {
            paths: paths.map(|it| it.texts()).unwrap_or_default(),
            other: match is_array {
                true => vec!["match".to_owned()],
                false => other.collect(),
            },
            place: step.place(),
        }
    }

    /// Whether it is for all requests.
    fn is_always(&self) -> bool {
        let is_all = |path: &String| path == "*" || path == "/*";
        self.other.is_empty() && (self.paths.is_empty() || self.paths.iter().any(is_all))
    }
}

/// The steps of routes, of which the first that matches counts. Returns whether one leads to an application.
fn taken_steps<'a>(reader: &mut Reader<'a>, steps: &[PlacedJson<'a>]) -> bool {
    let mut reached: Vec<StepMatch> = Vec::new();
    for step in steps {
        let place = step.place();
        let matched = StepMatch::of(step);
        if reached.iter().any(StepMatch::is_always) {
            reader
                .site
                .leave(&place, "a step before it answers everything");
            continue;
        }
        if taken_step(reader, step, &matched) {
            reached.push(matched);
        }
    }
    if !reached.iter().any(StepMatch::is_always) {
        for matched in &reached {
            let why = "the application answers all requests here, not only those that match";
            match matched.other.is_empty() {
                true => reader.site.leave(&matched.place, why),
                false => reader.site.miss(&matched.place, why),
            }
        }
    }
    !reached.is_empty()
}

/// A step of routes. Returns whether it leads to an application.
fn taken_step<'a>(reader: &mut Reader<'a>, step: &PlacedJson<'a>, matched: &StepMatch) -> bool {
    let place = step.place();
    let Some(action) = step.member("action") else {
        return false;
    };
    reader.others(step, &["match", "action"]);
    let of_action = ["pass", "share", "fallback", "return", "location", "proxy"];
    reader.others(&action, &of_action);
    let status = action.member("return").and_then(|it| it.number());
    if !matched.other.is_empty() {
        let why = format!(
            "a match by `{}` is not taken over",
            matched.other.join("`, `")
        );
        // Whoever was kept away by it would come in.
        match status.is_some_and(|status| status >= 400) {
            true => reader.site.miss(&place, why),
            false => reader.site.leave(&place, why),
        }
    }
    if let Some(pass) = action.member("pass").and_then(|it| it.text()) {
        return follow(reader, &pass, &place);
    }
    if let Some(share) = action.member("share") {
        let fallback = action.member("fallback");
        if !matched.other.is_empty() {
            return fallback.is_some_and(|it| taken_fallback(reader, &it));
        }
        return shared(reader, &share, &matched.paths, fallback.as_ref());
    }
    if !matched.other.is_empty() {
        return false;
    }
    if let Some(status) = status {
        let location = action.member("location").and_then(|it| it.text());
        let words = match location {
            Some(location) if !location.contains('$') => vec!["redirect".to_owned(), location],
            Some(_) => {
                reader.site.leave(
                    &place,
                    "a redirect with variables: `runner.tls.redirect` leads from http to https",
                );
                return false;
            }
            None => vec!["respond".to_owned(), status.to_string()],
        };
        if matched.paths.is_empty() {
            reader.site.leave(
                &place,
                "the application answers all paths that no route has",
            );
        }
        route(reader, &matched.paths, &words, status >= 400, &place);
        return false;
    }
    let why = match action.member("proxy") {
        Some(_) => "a proxy is a route to `upstream http://…`",
        None => "it is not known what it does",
    };
    reader.site.leave(&place, why);
    false
}

/// What is done with a path that has no file. Returns whether it leads to an application.
fn taken_fallback<'a>(reader: &mut Reader<'a>, action: &PlacedJson<'a>) -> bool {
    let place = action.place_of("fallback");
    if let Some(pass) = action.member("pass").and_then(|it| it.text()) {
        reader.others(action, &["pass"]);
        return follow(reader, &pass, &place);
    }
    reader.site.leave(
        &place,
        "behind files there is one application: `files FOLDER --fallback APPLICATION`",
    );
    action
        .member("fallback")
        .is_some_and(|it| taken_fallback(reader, &it))
}

/// Files. Returns whether what is not there leads to an application.
fn shared<'a>(
    reader: &mut Reader<'a>,
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
            reader.site.files = Some(Placed::new(folder, &place));
        } else {
            let why = "files without an application behind them: `serve files FOLDER`";
            reader.site.leave(&place, why);
        }
        if !first.ends_with("$uri") {
            reader
                .site
                .leave(&place, "each path has the file of its name in a folder");
        }
    } else {
        // Unit puts the whole path behind the folder, and we what is behind the route's.
        let folder = first.replace("$uri", "");
        let folder = folder.trim_end_matches('/');
        for path in paths {
            let mount = path.trim_end_matches('*');
            if mount.contains('*') || !mount.starts_with('/') {
                reader.site.leave(
                    &place,
                    format!("a route is a prefix of paths: `{path}` is none"),
                );
                continue;
            }
            let folder = format!("{folder}{}", mount.trim_end_matches('/'));
            let words = vec!["files".to_owned(), folder];
            let mount = vec![path.clone()];
            route(reader, &mount, &words, false, &place);
        }
        if fallback.is_some() {
            reader.site.leave(
                &place,
                "a path without a file has no answer of the application here",
            );
        }
    }
    if shares.len() > 1 {
        reader.site.leave(
            &place,
            "a single page for other paths is `--spa FILE` behind `files`",
        );
    }
    fallback.is_some_and(|it| taken_fallback(reader, it))
}

/// Adds a route for each path. `restricts` says that it keeps requests away.
fn route<'a>(
    reader: &mut Reader<'a>,
    paths: &[String],
    words: &[String],
    restricts: bool,
    place: &Place,
) {
    for path in paths {
        let mount = path.trim_end_matches('*');
        if mount.contains(['*', '!', '~']) || !mount.starts_with('/') || mount == "/" {
            let why = format!("a route is a prefix of paths: `{path}` is none of an own");
            match restricts {
                true => reader.site.miss(place, why),
                false => reader.site.leave(place, why),
            }
            continue;
        }
        if mount == path {
            let why =
                format!("a route is a prefix of paths: those behind `{path}` lead there, too");
            reader.site.leave(place, why);
        }
        let route = (mount.to_owned(), words.to_vec());
        let is_known = reader.site.routes.iter().any(|it| it.value.0 == route.0);
        if !is_known {
            reader.site.routes.push(Placed::new(route, place));
        }
    }
}

/// Follows a reference to an application. Returns false if it leads to none.
pub(super) fn follow(reader: &mut Reader<'_>, pass: &str, place: &Place) -> bool {
    let mut parts = pass.split('/');
    match (parts.next(), parts.next()) {
        (Some("applications"), Some(name)) => reader.application(name, place),
        (Some("routes"), name) => {
            let steps = match name {
                Some(name) => {
                    reader.used_routes.insert(name.to_owned());
                    reader.routes.as_ref().and_then(|it| it.member(name))
                }
                None => reader.routes.clone(),
            };
            let steps = steps.and_then(|it| it.array()).unwrap_or_default();
            taken_steps(reader, &steps)
        }
        _ => false,
    }
}
