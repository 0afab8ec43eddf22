//! Command lines of servers, by their programs.

use crate::import::imported_site::{ImportedSite, Placed};
use crate::import::imported_text::ImportedText;
use crate::import::section_lines::broken;
use crate::import::servers::command_options::{CommandOption, Form, options};
use crate::import::servers::command_words::CommandWords;
use crate::import::servers::gunicorn_names::setting_of;
use crate::import::servers::gunicorn_settings;
use crate::import::servers::other_servers::{daphne, flask, granian, hypercorn, waitress};
use crate::import::servers::said::{Facts, Said, SaidValue};
use crate::import::servers::uvicorn_command::{fastapi, uvicorn};
use crate::import::uwsgi_ini::why_left::{UwsgiOption, known_options};
use crate::import::uwsgi_ini::{self, option_settings};
use crate::syntax::{Diagnostic, Place};

/// The programs that serve applications, which a command line can be taken over from.
pub const SERVERS: &[&str] = &[
    "gunicorn",
    "uvicorn",
    "granian",
    "hypercorn",
    "daphne",
    "waitress-serve",
    "uwsgi",
    "flask",
    "fastapi",
];

/// The site that a command line describes; `None` if its program is none that serves an application.
///
/// # Errors
/// A file that it names is broken.
pub fn site(
    command: &CommandWords,
    place: &Place,
    facts: &Facts<'_>,
) -> Result<Option<ImportedSite>, Diagnostic> {
    let Some((at, program)) = command.program() else {
        return Ok(None);
    };
    let words = &command.words[at + 1..];
    let mut site = ImportedSite::default();
    match program {
        "gunicorn" => gunicorn(words, place, facts, &mut site)?,
        "uvicorn" => uvicorn(words, command, place, &mut site),
        "fastapi" => fastapi(words, place, &mut site),
        "granian" => granian(words, place, &mut site),
        "hypercorn" => hypercorn(words, place, &mut site),
        "daphne" => daphne(words, place, &mut site),
        "waitress-serve" => waitress(words, place, &mut site),
        "flask" => flask(words, command, place, &mut site),
        "uwsgi" => uwsgi(words, place, facts, &mut site)?,
        _ => return Ok(None),
    }
    if let Some(python) = environment_python(&command.words[..=at]) {
        let python = ImportedText::known(python);
        site.set_text("runner.python", &python, place);
    }
    for (name, value) in &command.environment {
        let pair = (name.clone(), value.clone());
        site.environment.push(Placed::new(pair, place));
    }
    Ok(Some(site))
}

/// The Python of the virtual environment that a program is started from.
fn environment_python(words: &[ImportedText]) -> Option<String> {
    let mut words = words.iter().rev().filter_map(ImportedText::literal);
    let (folder, _) = words.find_map(|word| word.rsplit_once('/'))?;
    let is_of_system = ["/usr/bin", "/bin", "/usr/local/bin"].contains(&folder);
    let is_bin = folder == "bin" || folder.ends_with("/bin");
    (is_bin && !is_of_system).then(|| format!("{folder}/python"))
}

fn gunicorn(
    words: &[ImportedText],
    place: &Place,
    facts: &Facts<'_>,
    site: &mut ImportedSite,
) -> Result<(), Diagnostic> {
    const FORM: Form = Form {
        is_flag: is_flag_of_gunicorn,
        letters: &[
            ('b', "bind"),
            ('w', "workers"),
            ('k', "worker-class"),
            ('t', "timeout"),
            ('c', "config"),
            ('e', "env"),
            ('n', "name"),
            ('u', "user"),
            ('g', "group"),
            ('m', "umask"),
            ('p', "pid"),
            ('D', "daemon"),
            ('R', "enable-stdio-inheritance"),
        ],
    };
    let options = options(words, &FORM);
    let mut said = Vec::new();
    let config = options.iter().rev().find(|option| option.name == "config");
    match config.map(CommandOption::text) {
        // It reads this file if it is there.
        None => said = (facts.gunicorn)("gunicorn.conf.py")?.unwrap_or_default(),
        Some(path) => match path.literal() {
            Some(path) => {
                let path = path.strip_prefix("file:").unwrap_or(path);
                match (facts.gunicorn)(path)? {
                    Some(settings) => said = settings,
                    None => site.miss(
                        place,
                        format!("`{path}` is not here: what it says is missing"),
                    ),
                }
            }
            None => site.miss(place, "the path of the configuration file is not known"),
        },
    }
    let mut application = None;
    let mut binds = Vec::new();
    for option in &options {
        let text = option.text();
        match option.name.as_str() {
            // Which version of the PROXY protocol; both are known here.
            "" if matches!(text.literal(), Some("off" | "auto" | "v1" | "v2"))
                && said.last().is_some_and(|it| it.name == "proxy_protocol") =>
            {
                if let Some(before) = said.last_mut() {
                    before.value = SaidValue::Text(text);
                }
            }
            "" if application.is_some() => {
                let surplus = format!("`{text}` follows the name of the application");
                let hint = "a name has no blanks: `module:object`";
                return Err(broken(place, surplus).with_hint(hint));
            }
            "" => application = option.value,
            "bind" => binds.push(text),
            name => {
                let is_off = name == "no-sendfile";
                let is_flag = option.joined.is_none() && option.value.is_none();
                said.push(Said {
                    value: match is_flag {
                        true => SaidValue::Flag(!is_off),
                        false => SaidValue::Text(text),
                    },
                    name: setting_of(&name.replace('-', "_")).to_owned(),
                    place: place.clone(),
                });
            }
        }
    }
    if !binds.is_empty() {
        said.push(Said {
            name: "bind".to_owned(),
            value: SaidValue::List(binds),
            place: place.clone(),
        });
    }
    let application = application.map(|name| (name, place));
    gunicorn_settings::take(&said, application, site, place);
    Ok(())
}

/// Whether an option of gunicorn takes no value.
fn is_flag_of_gunicorn(name: &str) -> bool {
    matches!(
        name,
        "capture-output"
            | "casefold-http-method"
            | "check-config"
            | "daemon"
            | "disable-redirect-access-to-syslog"
            | "do-handshake-on-connect"
            | "enable-backlog-metric"
            | "enable-stdio-inheritance"
            | "initgroups"
            | "log-syslog"
            | "permit-obsolete-folding"
            | "permit-unconventional-http-method"
            | "permit-unconventional-http-version"
            | "preload"
            | "print-config"
            | "proxy-protocol"
            | "reload"
            | "reuse-port"
            | "spew"
            | "strip-header-spaces"
            | "suppress-ragged-eofs"
    )
}

/// Of several options with one name the last one counts, whether it stands in a file or on the line.
fn uwsgi(
    words: &[ImportedText],
    place: &Place,
    facts: &Facts<'_>,
    site: &mut ImportedSite,
) -> Result<(), Diagnostic> {
    const FORM: Form = Form {
        is_flag: |name| {
            let known = known_options().find(|(it, _)| *it == name);
            // What may have a value has it behind `=`.
            known.is_some_and(|(_, form)| form != "value")
        },
        letters: &[
            ('M', "master"),
            ('p', "processes"),
            ('s', "socket"),
            ('w', "module"),
            ('H', "home"),
            ('T', "enable-threads"),
            ('L', "disable-logging"),
            ('C', "chmod-socket"),
            ('z', "socket-timeout"),
            ('b', "buffer-size"),
            ('d', "daemonize"),
            ('i', "single-interpreter"),
            ('l', "listen"),
            ('m', "memory-report"),
            ('R', "max-requests"),
            ('r', "reaper"),
            ('S', "set"),
            ('t', "harakiri"),
        ],
    };
    let mut taken = Vec::new();
    let mut files = Vec::new();
    for option in options(words, &FORM) {
        let text = option.text();
        match (option.name.as_str(), text.literal()) {
            ("", Some(file)) if file.ends_with(".py") || file.ends_with(".wsgi") => {
                taken.push(UwsgiOption {
                    name: "wsgi-file".to_owned(),
                    value: Some(text),
                    place: place.clone(),
                    is_used: false,
                });
            }
            ("" | "ini", Some(named)) => {
                // `app.ini:shop` is the section `[shop]` of the file.
                let (path, section) = match named.rsplit_once(':') {
                    Some((path, section)) if !path.is_empty() => (path, Some(section)),
                    Some(_) | None => (named, None),
                };
                match (facts.file)(path)? {
                    Some(source) => {
                        let mut said = uwsgi_ini::options(&source, section)?;
                        taken.append(&mut said.options);
                        files.push(said);
                    }
                    None => site.miss(
                        place,
                        format!("`{path}` is not here: what it says is missing"),
                    ),
                }
            }
            _ => taken.push(UwsgiOption {
                value: (option.value.is_some() || option.joined.is_some()).then_some(text),
                name: option.name,
                place: place.clone(),
                is_used: false,
            }),
        }
    }
    if !taken.is_empty() || site.left.is_empty() {
        site.add(option_settings::site(&taken, &place.source));
    }
    files.into_iter().for_each(|file| file.leave(site));
    Ok(())
}
