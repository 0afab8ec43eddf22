//! The command lines of uvicorn, and of FastAPI, which calls it.

use crate::import::imported_site::{ImportedSite, ListenProtocol};
use crate::import::imported_text::ImportedText;
use crate::import::servers::command_options::{
    Form, application, common, finish, not_taken, options, workers_of_environment,
};
use crate::import::servers::command_words::CommandWords;
use crate::syntax::Place;

pub(super) fn uvicorn(
    words: &[ImportedText],
    command: &CommandWords,
    place: &Place,
    site: &mut ImportedSite,
) {
    const FORM: Form = Form {
        is_flag: |name| {
            matches!(
                name,
                "access-log"
                    | "date-header"
                    | "factory"
                    | "http2"
                    | "proxy-headers"
                    | "reload"
                    | "reset-contextvars"
                    | "server-header"
                    | "use-colors"
                    | "version"
            )
        },
        letters: &[],
    };
    let (mut name, mut host, mut port) = (None, None, None);
    let (mut is_asgi, mut is_factory, mut trusts) = (true, false, true);
    let words = [&*words_of_environment(command, &FORM), words].concat();
    for option in &options(&words, &FORM) {
        match option.name.as_str() {
            "" => name = name.or(option.value),
            "host" => host = Some(option.text()),
            "port" => port = Some(option.text()),
            "uds" => {
                let url = option.text().after("unix:");
                site.listen(ListenProtocol::Http, url, place);
            }
            "factory" => is_factory = true,
            "proxy-headers" => trusts = true,
            "no-proxy-headers" => trusts = false,
            "interface" => match option.text().literal() {
                Some("wsgi") => is_asgi = false,
                Some("auto" | "asgi3") => {}
                _ => site.leave(
                    place,
                    "`--interface`: an application is one of ASGI 3 or of WSGI",
                ),
            },
            _ if common(option, site, place) => {}
            _ => not_taken(option, place, site),
        }
    }
    let mut set = command.environment.iter();
    let set = set.find(|(name, _)| name == "UVICORN_APP");
    let name = name.or(set.map(|(_, value)| value));
    application(name, is_asgi, "app", is_factory, place, site);
    if trusts {
        trust_neighbours(site, place);
    }
    workers_of_environment(site, place);
    finish(host, port, "8000", place, site);
}

/// `UVICORN_PORT=80` is `--port=80`, unless that is said, too.
fn words_of_environment(command: &CommandWords, form: &Form) -> Vec<ImportedText> {
    let said = command.environment.iter().filter_map(|(name, value)| {
        let name = match name.as_str() {
            "FORWARDED_ALLOW_IPS" => name,
            _ => name.strip_prefix("UVICORN_").filter(|it| *it != "APP")?,
        };
        let name = name.to_ascii_lowercase().replace('_', "-");
        let is_off = matches!(value.literal(), Some("" | "0" | "false" | "False"));
        Some(match ((form.is_flag)(&name), is_off) {
            (false, _) => value.clone().after(&format!("--{name}=")),
            (true, false) => ImportedText::known(format!("--{name}")),
            (true, true) => ImportedText::known(format!("--no-{name}")),
        })
    });
    said.collect()
}

/// It believes proxies on its own machine, unless it is told otherwise.
fn trust_neighbours(site: &mut ImportedSite, place: &Place) {
    if !site.settings.contains_key("runner.http.trusted_proxies") {
        site.set("runner.http.trusted_proxies", "['127.0.0.1']", place);
    }
}

/// `fastapi run main.py`, or `dev`.
pub(super) fn fastapi(words: &[ImportedText], place: &Place, site: &mut ImportedSite) {
    const FORM: Form = Form {
        is_flag: |name| matches!(name, "proxy-headers" | "reload" | "verbose"),
        letters: &[('e', "entrypoint"), ('v', "verbose")],
    };
    let (mut file, mut host, mut port, mut entrypoint) = (None, None, None, None);
    let mut object = "app".to_owned();
    let (mut usual, mut trusts) = ("0.0.0.0", true);
    for option in &options(words, &FORM) {
        let text = option.text();
        match option.name.as_str() {
            "" if text.literal() == Some("run") => {}
            "" if text.literal() == Some("dev") => {
                usual = "127.0.0.1";
                site.leave(
                    place,
                    "`dev`: `launch` reloads when files change; a server does at `runner reload`",
                );
            }
            "" => file = file.or(option.value),
            "host" => host = Some(text),
            "port" => port = Some(text),
            "app" => object = text.literal().unwrap_or_default().to_owned(),
            "entrypoint" => entrypoint = Some(text),
            "proxy-headers" => trusts = true,
            "no-proxy-headers" => trusts = false,
            _ if common(option, site, place) => {}
            _ => not_taken(option, place, site),
        }
    }
    let name = entrypoint.as_ref().or(file);
    application(name, true, &object, false, place, site);
    let host = host.unwrap_or_else(|| ImportedText::known(usual));
    if trusts {
        trust_neighbours(site, place);
    }
    workers_of_environment(site, place);
    finish(Some(host), port, "8000", place, site);
}
