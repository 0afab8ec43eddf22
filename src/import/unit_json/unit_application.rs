//! The applications of NGINX Unit.

use crate::import::imported_site::{ApplicationObject, ImportedApplication, ImportedSite, Placed};
use crate::import::imported_text::ImportedText;
use crate::import::unit_json::placed_json::PlacedJson;
use crate::syntax::Place;

/// PHP, by its own FastCGI server.
pub(super) fn php(site: &mut ImportedSite, application: &PlacedJson<'_>, place: &Place) {
    let target = application
        .member("targets")
        .and_then(|it| it.object()?.into_iter().next())
        .map(|(_, target)| target);
    if let Some(target) = &target {
        others_of(target, &["root", "script"], site);
    }
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
    site.application = Some(Placed::new(named, place));
    for (name, member) in application.object().unwrap_or_default() {
        let is_usual = match name.as_str() {
            "root" | "script" => true,
            "index" => member.text().as_deref() == Some("index.php"),
            _ => false,
        };
        if !is_usual {
            member_of(site, &name, &member);
        }
    }
}

/// A program that Unit talks to in its own way: as a server of its own it listens on the port that it is given.
pub(super) fn program(site: &mut ImportedSite, application: &PlacedJson<'_>, place: &Place) {
    let mut words = Vec::new();
    words.extend(application.member("executable").and_then(|it| it.text()));
    let arguments = application.member("arguments").map(|it| it.texts());
    let mut arguments = arguments.unwrap_or_default().into_iter().peekable();
    while let Some(word) = arguments.next() {
        // PlacedJson's module that makes a server one of Unit's.
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
    site.application = Some(Placed::new(named, place));
    site.leave(
        place,
        "a program of Unit's must listen by HTTP on `$PORT`, which it is given here",
    );
    for (name, member) in application.object().unwrap_or_default() {
        if !["executable", "arguments"].contains(&name.as_str()) {
            member_of(site, &name, &member);
        }
    }
}

pub(super) fn python(site: &mut ImportedSite, application: &PlacedJson<'_>, place: &Place) {
    let text = |name: &str| application.member(name).and_then(|it| it.text());
    let target = application
        .member("targets")
        .and_then(|it| it.object()?.into_iter().next())
        .map(|(_, target)| target);
    if let Some(target) = &target {
        others_of(target, &["module", "callable", "factory"], site);
    }
    let of_target = |name: &str| {
        let target = target
            .as_ref()
            .and_then(|target| target.member(name)?.text());
        target.or_else(|| text(name))
    };
    let module = of_target("module").unwrap_or_default();
    if module.is_empty() {
        return site.miss(place, "it has no `module`");
    }
    let callable = of_target("callable");
    let is_asgi = match text("protocol").as_deref() {
        Some("asgi") => true,
        Some(_) => false,
        // Unit looks at the object; its module says it mostly, too.
        None => module.contains("asgi"),
    };
    if text("protocol").is_none() && !is_asgi {
        site.leave(
            place,
            "Unit finds out whether it is WSGI or ASGI: write 'ASGI' if the start says so",
        );
    }
    let factory = target.as_ref().and_then(|it| it.member("factory"));
    let factory = factory.or_else(|| application.member("factory"));
    let object = match factory.map(|it| it.raw == "true") {
        Some(true) => format!("{}()", callable.as_deref().unwrap_or("application")),
        Some(false) | None => callable.unwrap_or_else(|| "application".to_owned()),
    };
    let module = ImportedApplication::imported(is_asgi, &module, Some(&object));
    site.application = Some(Placed::new(module, place));
    for (name, member) in application.object().unwrap_or_default() {
        member_of(site, &name, &member);
    }
    if is_asgi && let Some(threads) = site.settings.remove("runner.workers.threads") {
        for place in &threads.places {
            site.leave(
                place,
                "a worker has one thread that calls an ASGI application",
            );
        }
    }
}

/// The members of the first target, but for those that say what it is.
fn others_of(target: &PlacedJson<'_>, known: &[&str], site: &mut ImportedSite) {
    for (name, member) in target.object().unwrap_or_default() {
        if !known.contains(&name.as_str()) {
            site.leave(
                &member.place_of(&name),
                format!("`{name}` has no equivalent"),
            );
        }
    }
}

pub(super) fn member_of(site: &mut ImportedSite, name: &str, member: &PlacedJson<'_>) {
    let place = member.place_of(name);
    let is_text = [
        "type",
        "module",
        "callable",
        "protocol",
        "home",
        "working_directory",
        "user",
        "group",
    ];
    let is_object = ["targets", "limits", "environment"];
    let is_right = match name {
        name if is_text.contains(&name) => member.text().is_some(),
        name if is_object.contains(&name) => member.object().is_some(),
        "processes" => member.number().is_some() || member.object().is_some(),
        "path" => !member.texts().is_empty(),
        _ => true,
    };
    if !is_right {
        return site.miss(&place, format!("Unit takes no such value of `{name}`"));
    }
    let text = ImportedText::known(member.text().unwrap_or_default());
    let number = |node: Option<PlacedJson<'_>>| node.and_then(|it| it.number());
    match name {
        "type" | "module" | "callable" | "protocol" | "factory" => {}
        "targets" => {
            if member.object().is_some_and(|targets| targets.len() > 1) {
                site.leave(&place, "the first of several targets is served");
            }
        }
        "path" => {
            for folder in member.texts() {
                site.path
                    .push(Placed::new(ImportedText::known(folder), &place));
            }
        }
        "home" => site.set_text("runner.python", &text.before("/bin/python"), &place),
        "working_directory" => site.set_text("runner.workers.directory", &text, &place),
        "user" => site.set_identity("runner.user", &text, &place),
        "group" => site.set_identity("runner.group", &text, &place),
        "threads" => match member.number() {
            Some(threads) => site.set("runner.workers.threads", threads.to_string(), &place),
            None => site.miss(&place, "it is no number"),
        },
        "processes" => match member.number() {
            Some(count) => site.set_workers(&ImportedText::known(count.to_string()), &place),
            None => {
                others_of(member, &["max", "spare", "idle_timeout"], site);
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
            for (name, limit) in member.object().unwrap_or_default() {
                if !["timeout", "requests"].contains(&name.as_str()) {
                    site.leave(
                        &limit.place_of(&name),
                        format!("`{name}` has no equivalent"),
                    );
                }
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
        "isolation" => site.leave(
            &place,
            "the service manager isolates: systemd's `ProtectSystem=`, `PrivateTmp=` and others",
        ),
        other => site.leave(&place, format!("`{other}` has no equivalent")),
    }
}
