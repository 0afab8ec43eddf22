//! The man pages in `man/` follow from `man/*.in` (the prose) and the program's own tables, and the reference of the book,
//! `docs/src/reference`, follows from the man pages.
//!
//! `RUNNER_UPDATE=1 cargo test --test man` writes all of them anew.

mod support;

#[path = "man/reference.rs"]
mod reference;
#[path = "man/roff.rs"]
mod roff;

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use runner::commands::COMMANDS;
use runner::config::{KEYS, Key, SETTINGS, SPECIAL, Setting, SettingKind};
use runner::eval::{CONSTANTS, FUNCTIONS, Function};
use runner::graph::entry::Entry;
use runner::graph::entry::clap_command;
use runner::line::program_options;
use runner::pages::metrics::{METRICS, Metric, MetricKind};
use support::{Folder, project};

use reference::{REFERENCE, left_out};

const PAGES: [&str; 8] = [
    "runner.1",
    "runner.launch.1",
    "runner.upstream.1",
    "invoke.1",
    "runner.environ.5",
    "runner.ini.5",
    "runner.status.5",
    "runner.supervise.5",
];

#[test]
fn the_man_pages_are_up_to_date() {
    for name in PAGES {
        is_committed(&folder().join(name), &generate(name));
    }
}

#[test]
fn the_reference_of_the_book_is_up_to_date() {
    for page in REFERENCE {
        let path = project("docs/src/reference").join(page.file);
        is_committed(&path, &reference::reference(page, &generate(page.man)));
    }
    let forgotten: Vec<String> = PAGES
        .iter()
        .flat_map(|name| left_out(name, &generate(name)))
        .collect();
    assert_eq!(forgotten, [] as [&str; 0], "sections that the book lacks");
}

/// Compares a generated page with the committed one, or writes it.
#[track_caller]
fn is_committed(path: &Path, page: &str) {
    if env::var_os("RUNNER_UPDATE").is_some() {
        fs::write(path, page).expect("a writable page");
    }
    let committed = fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == page,
        "{} is not what the tables say: run RUNNER_UPDATE=1 cargo test --test man",
        path.display()
    );
}

#[test]
fn each_name_and_option_is_documented() {
    let page = generate("runner.1");
    for entry in COMMANDS.entries {
        let heading = [".SS ", ".SS \""].map(|start| format!("{start}{}", entry.name));
        assert!(
            heading.iter().any(|heading| page.contains(heading)),
            "{} is missing",
            entry.name
        );
        assert!(
            entry.summary.len() > 10 && entry.help.len() > 40 && !entry.summary.ends_with('.'),
            "{} says too little",
            entry.name
        );
        let length = entry.summary.chars().count();
        assert!(length <= 70, "{}: {length} characters", entry.name);
        for option in clap_command(entry).get_opts() {
            assert!(option.get_help().is_some(), "{}: {option}", entry.name);
        }
    }
    for option in program_options::command().get_opts() {
        assert!(option.get_help().is_some(), "{option}");
    }
}

#[test]
fn each_setting_function_and_section_is_documented() {
    let page = generate("runner.ini.5");
    let shown = |name: &str| page.contains(&escaped(name));
    for setting in SETTINGS {
        assert!(
            shown(setting.name) && setting.help.ends_with('.'),
            "{}",
            setting.name
        );
        let summary = setting.summary;
        let short = (10..=70).contains(&summary.chars().count());
        assert!(short && !summary.ends_with('.'), "{summary}");
    }
    for function in FUNCTIONS {
        assert!(
            shown(function.name) && function.help.ends_with('.'),
            "{}",
            function.name
        );
    }
    for constant in CONSTANTS {
        assert!(
            shown(constant.name) && constant.help.ends_with('.'),
            "{}",
            constant.name
        );
    }
    for section in SPECIAL {
        let name = format!("[{}]", section.name);
        assert!(page.to_lowercase().contains(&name.to_lowercase()), "{name}");
    }
}

#[test]
fn each_key_is_documented() {
    let page = generate("runner.supervise.5");
    for key in KEYS {
        assert!(page.contains(&escaped(key.name)), "{}", key.name);
        assert!(page.contains(&escaped(key.example)), "{}", key.name);
    }
}

/// runner.environ(5) has each variable of a request, and no other.
#[test]
fn the_variables_of_a_request_are_documented() {
    let source = "\
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [' '.join(environ).encode()]
";
    let server = Folder::new()
        .file("app.py", source)
        .runner(["serve", "WSGI", "import:app.application"])
        .start();
    let outcome = server.folder().curl(["--data", "body", server.url()]);
    let found: BTreeSet<&str> = outcome.success().split(' ').collect();
    assert_eq!(server.stop().status, 0);
    let page = generate("runner.environ.5");
    let is_name = |word: &&str| {
        let is_cgi = word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        word.starts_with("wsgi.") || is_cgi && word.len() > 4 && !word.ends_with('_')
    };
    let tags = page.split(".TP\n").skip(1);
    let tags = tags.filter_map(|paragraph| paragraph.lines().next());
    let documented: BTreeSet<&str> = tags
        .flat_map(|tag| tag.split([' ', '"', ',']))
        .filter(is_name)
        .collect();
    let fields = found.iter().filter(|name| name.starts_with("HTTP_"));
    assert!(fields.count() > 1, "{found:?}");
    let found: BTreeSet<&str> = found
        .into_iter()
        .filter(|name| !name.starts_with("HTTP_"))
        .chain(["HTTPS"])
        .collect();
    assert_eq!(documented, found);
}

/// Everything that a page shows as a file is correct, and each setting's example sets that setting.
#[test]
fn the_examples_are_right() {
    for name in PAGES {
        let page = generate(name);
        let files = page.split(".EX\n").skip(1);
        let files = files.filter_map(|rest| rest.split(".EE\n").next());
        let is_file = |file: &&str| file.contains("app = ") || file.contains("PidFile ");
        for file in files.filter(is_file) {
            let file = file.replace("\\-", "-");
            Folder::new()
                .file(
                    "my_app.ini",
                    "app = commands.Alias(command=['serve', 'demo'])\n",
                )
                .file("public/index.html", "")
                .file("app.ini", file)
                .runner(["graph", "app.ini"])
                .run()
                .success();
        }
    }
    for setting in SETTINGS {
        let (name, value) = setting.example.split_once('=').expect("a setting");
        let full = format!("{}={value}", setting.name);
        assert!(setting.name.ends_with(name.trim()), "{}", setting.example);
        for text in [setting.example, &full] {
            // The PROXY protocol needs a proxy.
            let proxies = "runner.http.trusted_proxies? = ['unix']";
            Folder::new()
                .file("app.ini", format!("{proxies}\n{text}\n"))
                .runner(["-c", "app.ini", "true"])
                .run()
                .is(0, "", "");
        }
    }
}

/// A man page: its prose, with tables at the marked places.
fn generate(name: &str) -> String {
    let prose = fs::read_to_string(folder().join(format!("{name}.in"))).expect("prose");
    let mut page = format!(".\\\" Generated from {name}.in and the program's tables.\n");
    for line in prose.lines() {
        match line {
            "@OPTIONS@" => page.push_str(&options(program_options::command())),
            "@COMMANDS@" => COMMANDS
                .entries
                .iter()
                .for_each(|entry| page.push_str(&command(entry))),
            "@SETTINGS@" => SETTINGS.iter().for_each(|row| page.push_str(&setting(row))),
            "@METRICS@" => METRICS.iter().for_each(|row| page.push_str(&metric(row))),
            "@KEYS@" => KEYS.iter().for_each(|row| page.push_str(&key(row))),
            "@CONSTANTS@" => {
                for constant in CONSTANTS {
                    page.push_str(&tagged(vec![bold(constant.name)], constant.help));
                }
            }
            "@FUNCTIONS@" => FUNCTIONS
                .iter()
                .for_each(|row| page.push_str(&function(row))),
            _ => {
                page.push_str(&line.replace("@VERSION@", env!("CARGO_PKG_VERSION")));
                page.push('\n');
            }
        }
    }
    let is_placeholder =
        |word: &str| word.len() > 2 && word.starts_with('@') && word.ends_with('@');
    let mut words = page.split_whitespace();
    assert!(
        !words.any(is_placeholder),
        "a placeholder without a table: {name}"
    );
    page
}

/// The options of a command, without a heading.
fn options(command: clap::Command) -> String {
    let mut section = Vec::new();
    Man::new(command)
        .render_options_section(&mut section)
        .expect("memory is writable");
    let section = String::from_utf8(section).expect("clap writes UTF-8");
    let heading = section.find(".TP").expect("there are options");
    // The string for an apostrophe is defined in what is cut off here.
    section[heading..].replace("\\*(Aq", "\\(aq")
}

/// One command of the table.
fn command(entry: &Entry) -> String {
    let mut roff = Roff::new();
    roff.control("SS", [format!("{} {}", entry.name, entry.usage).trim_end()]);
    roff.text(inline(&format!("{}.", entry.summary)));
    for paragraph in entry.help.split("\n\n") {
        roff.control("PP", []);
        roff.text(inline(&paragraph.replace('\n', " ")));
    }
    let mut section = roff.to_roff();
    let command = clap_command(entry).mut_arg("help", |help| help.hide(true));
    if command.get_opts().any(|option| !option.is_hide_set()) {
        section.push_str(&options(command));
    }
    section
}

/// One setting of the table.
fn setting(setting: &Setting) -> String {
    let mut text = setting.help.to_owned();
    if let Some(default) = setting.default_text() {
        text.push_str(&format!(" The default is {default}."));
    }
    text.push_str(&format!(" Example: `{}`", setting.example));
    let tag = vec![
        bold(setting.name),
        roman(" = "),
        italic(wanted(setting.kind)),
    ];
    tagged(tag, &text)
}

/// One metric of the table.
fn metric(metric: &Metric) -> String {
    let mut tag = vec![bold(metric.name)];
    if !metric.labels.is_empty() {
        let labels = metric.labels.join(", ");
        tag.extend([roman("{"), italic(labels), roman("}")]);
    }
    let kind = match metric.kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
    };
    tagged(tag, &format!("{} ({kind}).", metric.help))
}

/// One key of the table.
fn key(key: &Key) -> String {
    let mut text = key.setting().help.to_owned();
    if key.is_repeatable() {
        text.push_str(" The key may be given several times.");
    }
    if let Some(default) = key.default_text() {
        text.push_str(&format!(" The default is {default}."));
    }
    let (setting, example) = (key.setting, key.example);
    text.push_str(&format!(" Setting: `{setting}`. Example: `{example}`"));
    let wanted = key.wanted();
    let wanted = wanted.strip_prefix("a ").unwrap_or(&wanted);
    let tag = vec![bold(key.name), roman(" "), italic(wanted)];
    tagged(tag, &text)
}

/// The kind of value that a setting takes, as a word.
fn wanted(kind: SettingKind) -> String {
    let words = kind.wanted();
    let words = words.replace('`', "");
    ["a ", "an "]
        .iter()
        .find_map(|article| words.strip_prefix(article))
        .unwrap_or(&words)
        .to_owned()
}

/// One function of the table.
fn function(function: &Function) -> String {
    let tag = vec![
        bold(function.name),
        roman("("),
        italic(function.parameters_shown()),
        roman(")"),
    ];
    let (example, result) = function.example;
    tagged(tag, &format!("{} `{example}` is `{result}`", function.help))
}

/// A paragraph with a tag.
fn tagged(tag: Vec<Inline>, text: &str) -> String {
    let mut roff = Roff::new();
    roff.control("TP", []);
    roff.text(tag);
    roff.text(inline(text));
    roff.to_roff()
}

/// A name as it is written in a page.
fn escaped(name: &str) -> String {
    name.replace('-', "\\-")
}

/// Text with code between backticks.
fn inline(text: &str) -> Vec<Inline> {
    text.split('`')
        .enumerate()
        .map(|(index, part)| match index % 2 {
            0 => roman(part),
            _ => bold(part),
        })
        .collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("man")
}
