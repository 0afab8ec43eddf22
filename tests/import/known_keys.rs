//! Each key that another server knows is taken over, is always so here, or is told at its place: none is lost in silence, and
//! none that is unknown. The lists of keys are in `known/`, each with its source.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use runner::import::ImportKind;
use runner::import::imported_site::ImportedSite;
use runner::import::imported_text::ImportedText;
use runner::import::section_lines::whole;
use runner::import::servers::command_words::CommandWords;
use runner::import::servers::gunicorn_names::setting_of;
use runner::import::servers::said::{Facts, GunicornFile, OtherFile, Said, SaidValue};
use runner::import::servers::{command_options, gunicorn_names, server_program};
use runner::import::uwsgi_ini::known_options;
use runner::import::written_site::written;
use runner::import::{supervisord_file, systemd_unit, unit_json, uwsgi_ini};
use runner::syntax::Source;
use serde_json::{Value, json};

use crate::support::project;

/// A key that no server knows.
const UNKNOWN: &str = "zzz_unknown";

/// What a site says, without what its texts are written in: two that say the same are the same here.
fn meaning(mut site: ImportedSite) -> String {
    let left = site.left.len();
    let text = written(&mut site, "#!", "file");
    let lines = text.lines().map(str::trim);
    let said: Vec<&str> = lines.filter(|line| !line.starts_with('#')).collect();
    format!("{}\n{left} told", said.join("\n"))
}

fn source(name: &str, text: impl Into<String>) -> Arc<Source> {
    Arc::new(Source {
        name: name.to_owned(),
        text: text.into(),
    })
}

/// No file of gunicorn's is there.
fn nothing(_: &str) -> GunicornFile {
    Ok(None)
}

/// No other file is there.
fn no_file(_: &str) -> OtherFile {
    Ok(None)
}

/// What a file means.
fn meaning_of(kind: ImportKind, name: &str, text: &str) -> String {
    let facts = Facts {
        gunicorn: &nothing,
        file: &no_file,
    };
    let site = kind.read(&source(name, text), None, &facts);
    let site = site.unwrap_or_else(|error| panic!("{}\n{text}", error.message));
    meaning(site)
}

/// The lines of a list.
fn known(name: &str) -> Vec<String> {
    let path = project("tests/import/known").join(format!("{name}.txt"));
    let text = fs::read_to_string(&path).expect("a list");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

/// Fails with the keys that make no difference.
fn assert_none(kind: &str, lost: &[String]) {
    assert!(lost.is_empty(), "{kind} loses {}", lost.join(", "));
}

#[test]
fn no_option_of_uwsgi_is_lost() {
    // What ends a block, and what is as long or as large here.
    const SILENT: &[&str] = &["endif", "end-if", "endfor", "end-for"];
    let base = "[uwsgi]\nmodule = shop\n";
    let before = meaning_of(ImportKind::Uwsgi, "uwsgi.ini", base);
    let is_told = |line: String| {
        let text = format!("{base}{line}\n");
        meaning_of(ImportKind::Uwsgi, "uwsgi.ini", &text) != before
    };
    let mut lost = Vec::new();
    for (name, form) in known_options().chain([(UNKNOWN, "value")]) {
        let lines = ["100000", "/srv/x", "a=b"].map(|value| format!("{name} = {value}"));
        let told: Vec<bool> = match form {
            "flag" => vec![is_told(name.to_owned()), is_told(format!("{name} = true"))],
            _ => lines.map(is_told).to_vec(),
        };
        let is_always = uwsgi_ini::ALWAYS.contains(&name) || SILENT.contains(&name);
        if told.contains(&false) && !is_always {
            lost.push(name.to_owned());
        }
    }
    assert_none("uwsgi.ini", &lost);
}

#[test]
fn no_setting_of_gunicorn_is_lost() {
    let place = whole(&source("gunicorn.conf.py", "x = 1\n"));
    let text = |text: &str| SaidValue::Text(ImportedText::known(text));
    let of = |said: Option<(&str, SaidValue)>| {
        let read = |_: &str| -> GunicornFile {
            let settings = [Some(("wsgi_app", text("shop"))), said.clone()];
            let said = settings.into_iter().flatten().map(|(name, value)| Said {
                name: name.to_owned(),
                value,
                place: place.clone(),
            });
            Ok(Some(said.collect()))
        };
        let facts = Facts {
            gunicorn: &read,
            file: &no_file,
        };
        let source = source("gunicorn.conf.py", "x = 1\n");
        let site = ImportKind::Gunicorn.read(&source, None, &facts);
        meaning(site.unwrap_or_else(|error| panic!("{}", error.message)))
    };
    let before = of(None);
    let mut lost = Vec::new();
    let known = known("gunicorn");
    let names = known.iter().filter_map(|line| line.split(' ').next());
    for name in names.chain([UNKNOWN]) {
        let is_read = gunicorn_names::SETTINGS.contains(&name) || name == UNKNOWN;
        assert!(is_read, "`{name}` is not looked for in a file");
        let list = SaidValue::List(vec![ImportedText::known("x")]);
        for value in [
            text("100000"),
            text("x"),
            SaidValue::Flag(true),
            list,
            SaidValue::Code,
        ] {
            // That an application is imported before workers are started is so here.
            let is_preload = name == "preload_app" && value != SaidValue::Code;
            let is_silent = gunicorn_names::ALWAYS.contains(&name) || is_preload;
            if of(Some((name, value.clone()))) == before && !is_silent {
                lost.push(format!("{name} = {value:?}"));
            }
        }
    }
    assert_none("gunicorn.conf.py", &lost);
}

/// The meaning of a command line.
fn meaning_of_line(words: &[&str]) -> String {
    let source = source("Procfile", words.join(" "));
    let place = whole(&source);
    let words = words
        .iter()
        .map(|word| ImportedText::known(*word))
        .collect();
    let facts = Facts {
        gunicorn: &nothing,
        file: &no_file,
    };
    let site = server_program::site(&CommandWords::of(words), &place, &facts);
    let site = site.unwrap_or_else(|error| panic!("{}\n{}", error.message, source.text));
    meaning(site.expect("a server that is known"))
}

/// Each option of a server's command line, with and without a value: the application is found behind it, and it is not lost.
fn options_of(server: &str, before: &[&str], application: &str, always: impl Fn(&str) -> bool) {
    // They name the application.
    const NAMES: &[&str] = &["--app", "-A", "--entrypoint", "-e"];
    let line = |option: &[&str]| meaning_of_line(&[before, option, &[application]].concat());
    let usual = line(&[]);
    assert!(usual.contains("shop"), "{usual}");
    let mut lost = Vec::new();
    for row in known(server)
        .iter()
        .map(String::as_str)
        .chain(["value --zzz-unknown"])
    {
        let mut words = row
            .split(' ')
            .skip_while(|word| !matches!(*word, "flag" | "maybe" | "value"));
        let Some(form) = words.next() else { continue };
        let names: Vec<&str> = words.collect();
        let is_always = names
            .iter()
            .any(|name| always(name.trim_start_matches('-')));
        for name in names {
            let found = match form {
                "value" => vec![line(&[name, "100000"]), line(&[name, "x"])],
                _ => vec![line(&[name])],
            };
            for meaning in found {
                let is_named = meaning.contains("shop") || NAMES.contains(&name);
                if !is_named || meaning == usual && !is_always {
                    lost.push(name.to_owned());
                }
            }
        }
    }
    assert_none(server, &lost);
}

#[test]
fn no_option_of_a_command_line_is_lost() {
    let always = |name: &str| command_options::ALWAYS.contains(&name);
    for server in ["uvicorn", "hypercorn", "daphne"] {
        options_of(server, &[server], "shop:app", always);
    }
    // Granian has WebSockets unless it is told otherwise.
    options_of(
        "granian",
        &["granian", "--interface", "asgi"],
        "shop:app",
        |name| always(name) || name == "ws",
    );
    options_of("waitress", &["waitress-serve"], "shop:app", always);
    options_of("flask", &["env", "FLASK_APP=shop", "flask"], "run", always);
    options_of("fastapi", &["fastapi", "run"], "shop.py", always);
    options_of("gunicorn", &["gunicorn"], "shop:app", |name| {
        let name = name.replace('-', "_");
        let setting = setting_of(&name);
        gunicorn_names::ALWAYS.contains(&setting) || setting == "preload_app"
    });
}

#[test]
fn no_option_of_uwsgis_command_line_hides_another() {
    let mut lost = Vec::new();
    for (name, form) in known_options() {
        let option = format!("--{name}");
        let words: &[&str] = match form {
            "value" => &["uwsgi", &option, "100000", "--module", "shop"],
            _ => &["uwsgi", &option, "--module", "shop"],
        };
        if !meaning_of_line(words).contains("shop") {
            lost.push(option);
        }
    }
    assert_none("uwsgi", &lost);
}

#[test]
fn no_key_of_supervisord_is_lost() {
    let base = [
        ("supervisord", ""),
        ("program:web", "command=gunicorn shop\n"),
        ("program:beside", "command=celery\n"),
    ];
    let of = |section: &str, line: &str| {
        let mut text = String::new();
        for (name, lines) in base {
            let added = if name == section { line } else { "" };
            text.push_str(&format!("[{name}]\n{lines}{added}\n"));
        }
        if base.iter().all(|(name, _)| *name != section) {
            text.push_str(&format!("[{section}]\n{line}\n"));
        }
        meaning_of(ImportKind::Supervisord, "supervisord.conf", &text)
    };
    let before = of("supervisord", "");
    let mut lost = Vec::new();
    for row in known("supervisord") {
        let (section, keys) = row[1..].split_once("] ").expect("a section");
        let always = match section {
            "supervisord" => supervisord_file::ALWAYS_OF_DAEMON,
            _ => supervisord_file::ALWAYS,
        };
        // They are of the daemon, and of commands to it.
        let is_daemons = ["group", "supervisorctl", "unix_http_server", "rpcinterface"];
        let is_daemons = is_daemons.iter().any(|it| section.starts_with(it));
        for key in keys.split(' ').chain([UNKNOWN]) {
            let told = ["7", "/srv/x", "A=b", "false"];
            let mut told = told
                .iter()
                .map(|it| of(section, &format!("{key}={it}")) != before);
            if !told.any(|it| it) && !always.contains(&key) && !is_daemons {
                lost.push(format!("[{section}] {key}"));
            }
        }
    }
    assert_none("supervisord.conf", &lost);
}

#[test]
fn no_key_of_a_service_is_lost() {
    let of = |line: &str| {
        let text = format!("[Service]\nExecStart=/bin/gunicorn shop\n{line}\n");
        meaning_of(ImportKind::Systemd, "shop.service", &text)
    };
    let before = of("");
    let known = known("systemd");
    let mut lost = Vec::new();
    for key in known.iter().map(String::as_str).chain([UNKNOWN]) {
        let mut told = ["7", "/srv/x", "A=b"]
            .iter()
            .map(|value| of(&format!("{key}={value}")) != before);
        if !told.any(|it| it) && !systemd_unit::ALWAYS.contains(&key) {
            lost.push(key.to_owned());
        }
    }
    assert_none("a service", &lost);
}

/// A configuration of Unit with an object of each kind, and where it is.
fn unit() -> (Value, Vec<(&'static str, &'static str)>) {
    let python = json!({
        "type": "python", "module": "shop", "protocol": "asgi",
        "limits": {}, "processes": {"max": 4},
    });
    let value = json!({
        "listeners": {
            "*:80": {"pass": "routes", "forwarded": {"source": ["10.0.0.1"]}},
            "*:81": {"pass": "routes", "client_ip": {"source": ["10.0.0.1"]}},
            "*:82": {"pass": "routes", "tls": {"certificate": "shop"}},
        },
        "settings": {"http": {}},
        "access_log": {"path": "/srv/log"},
        "routes": [
            {"match": {"uri": "/a/*"}, "action": {"share": "/srv$uri"}},
            {"match": {"uri": "/b/*"}, "action": {"return": 404}},
            {"match": {"uri": "/c/*"}, "action": {"proxy": "http://127.0.0.1:3000"}},
            {"action": {"pass": "applications/shop"}},
        ],
        "applications": {"shop": python},
    });
    let places = vec![
        ("root", ""),
        ("settings", "/settings"),
        ("settings.http", "/settings/http"),
        ("access_log", "/access_log"),
        ("listener", "/listeners/*:80"),
        ("forwarded", "/listeners/*:80/forwarded"),
        ("client_ip", "/listeners/*:81/client_ip"),
        ("tls", "/listeners/*:82/tls"),
        ("step", "/routes/0"),
        ("match", "/routes/0/match"),
        ("share", "/routes/0/action"),
        ("return", "/routes/1/action"),
        ("proxy", "/routes/2/action"),
        ("pass", "/routes/3/action"),
        ("application", "/applications/shop"),
        ("python", "/applications/shop"),
        ("limits", "/applications/shop/limits"),
        ("processes", "/applications/shop/processes"),
    ];
    (value, places)
}

#[test]
fn no_member_of_units_configuration_is_lost() {
    let (value, mut places) = unit();
    let with = |application: Value| {
        let mut other = value.clone();
        other["applications"]["shop"] = application;
        other
    };
    places.push(("target", "/applications/shop/targets/a"));
    places.push(("php", "/applications/shop"));
    places.push(("php_target", "/applications/shop/targets/a"));
    places.push(("external", "/applications/shop"));
    let lists = known("unit");
    let mut lost = Vec::new();
    let mut seen = BTreeSet::new();
    for (kind, pointer) in places {
        let base = match kind {
            "target" => with(json!({"type": "python", "targets": {"a": {"module": "shop"}}})),
            "php" => with(json!({"type": "php", "root": "/srv"})),
            "php_target" => with(json!({"type": "php", "targets": {"a": {"root": "/srv"}}})),
            "external" => with(json!({"type": "external", "executable": "/srv/shop"})),
            _ => value.clone(),
        };
        let before = meaning_of(ImportKind::Unit, "unit.json", &base.to_string());
        let row = lists
            .iter()
            .find_map(|row| row.strip_prefix(&format!("{kind} ")));
        seen.insert(kind);
        for member in row
            .expect("a list of its members")
            .split(' ')
            .chain([UNKNOWN])
        {
            let values = [
                json!("x"),
                json!(7),
                json!(true),
                json!(["x"]),
                json!({"x": "y"}),
            ];
            let mut told = values.into_iter().map(|new| {
                let mut changed = base.clone();
                changed.pointer_mut(pointer).expect("an object")[member] = new;
                meaning_of(ImportKind::Unit, "unit.json", &changed.to_string()) != before
            });
            // Each certificate, and each proxy, is told.
            let is_told = matches!((kind, member), ("tls", "certificate") | ("proxy", "proxy"));
            let is_always =
                kind == "settings.http" && unit_json::ALWAYS.contains(&member) || is_told;
            if !told.any(|it| it) && !is_always {
                lost.push(format!("{kind}: {member}"));
            }
        }
    }
    assert_eq!(seen.len(), lists.len(), "each list has an object");
    assert_none("Unit's JSON", &lost);
}
