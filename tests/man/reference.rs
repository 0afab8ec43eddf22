//! The pages of the book that are made from the man pages: which sections they have.

use crate::roff::{Form, Section, markdown, sections};

/// A page of `docs/src/reference`.
pub struct Page {
    /// Its file.
    pub file: &'static str,
    title: &'static str,
    /// The man page that it is made of.
    pub man: &'static str,
    /// The sections of that.
    pub sections: &'static [&'static str],
}

const fn page(
    file: &'static str,
    title: &'static str,
    man: &'static str,
    sections: &'static [&'static str],
) -> Page {
    Page {
        file,
        title,
        man,
        sections,
    }
}

/// The pages, each with the sections of a man page.
#[rustfmt::skip]
pub const REFERENCE: &[Page] = &[
    page("command-line.md", "The command line", "runner.1",
        &["SYNOPSIS", "DESCRIPTION", "OPTIONS", "FILES", "ENVIRONMENT", "EXIT STATUS", "EXAMPLES"]),
    page("commands.md", "Commands and applications", "runner.1", &["NAMES"]),
    page("variables.md", "The variables of a request", "runner.environ.5", &["DESCRIPTION"]),
    page("asgi.md", "ASGI", "runner.1", &["ASGI APPLICATIONS"]),
    page("http.md", "HTTP", "runner.1", &["HTTP/2", "BEHIND A PROXY", "ACCESS LOG"]),
    page("ini-files.md", "INI files", "runner.ini.5", &["SYNOPSIS", "DESCRIPTION"]),
    page("settings.md", "Settings", "runner.ini.5", &["SETTINGS"]),
    page("tls.md", "TLS", "runner.ini.5", &["TLS"]),
    page("expressions.md", "Expressions", "runner.ini.5", &["EXPRESSIONS"]),
    page("log.md", "The log", "runner.ini.5", &["LOG"]),
    page("supervise-files.md", "Files for `supervise`", "runner.supervise.5",
        &["SYNOPSIS", "DESCRIPTION", "KEYS", "DIRECTIVES"]),
    page("launch.md", "`launch`", "runner.launch.1",
        &["SYNOPSIS", "DESCRIPTION", "WATCHED FILES", "PAGES IN BROWSERS", "MISTAKES"]),
    page("upstream.md", "`upstream`", "runner.upstream.1", &["SYNOPSIS", "DESCRIPTION", "EXAMPLES"]),
    page("status-pages.md", "Status, health and metrics", "runner.status.5", &["DESCRIPTION", "METRICS"]),
    page("invoke.md", "`invoke`", "invoke.1", &["SYNOPSIS", "DESCRIPTION", "EXIT STATUS"]),
];

/// Sections that the book does not need: it has titles and links of its own.
const OWN: [&str; 2] = ["NAME", "SEE ALSO"];

/// Sections that are tables, whose rows others link to.
const TABLES: [&str; 3] = ["SETTINGS", "METRICS", "KEYS"];

/// The Markdown of a page of the book, from the text of its man page.
pub fn reference(page: &Page, man: &str) -> String {
    let name = page.man.rsplit_once('.').expect("a name with its section");
    let mut text = format!(
        "<!-- Generated from man/{}: RUNNER_UPDATE=1 cargo test --test man -->\n\n# {}\n\n",
        page.man, page.title
    );
    let all = sections(man);
    for wanted in page.sections {
        let section = all.iter().find(|section| section.name == *wanted);
        let section = section.unwrap_or_else(|| panic!("{}: no section {wanted}", page.man));
        let is_alone = page.sections.len() == 1;
        // The beginning of a page needs no heading but its title.
        if !is_alone && !matches!(*wanted, "SYNOPSIS" | "DESCRIPTION") {
            text.push_str(&format!("## {}\n\n", heading(section)));
        }
        let form = Form {
            level: if is_alone { 2 } else { 3 },
            headings: TABLES.contains(wanted),
            commands: *wanted == "NAMES",
        };
        text.push_str(&markdown(section, form));
        text.push('\n');
    }
    let mut text = linked(text.trim_end());
    text.push_str(&format!(
        "\n\n*The man page {}({}) has the same text.*\n",
        name.0, name.1
    ));
    text
}

/// The sections of man pages that no page of the book has, and those that several have.
pub fn left_out(man: &str, text: &str) -> Vec<String> {
    let pages = REFERENCE.iter().filter(|page| page.man == man);
    let shown: Vec<&str> = pages.flat_map(|page| page.sections).copied().collect();
    let times = |name: &str| shown.iter().filter(|shown| **shown == name).count();
    let wanted = |name: &str| usize::from(!OWN.contains(&name));
    sections(text)
        .into_iter()
        .filter(|section| times(&section.name) != wanted(&section.name))
        .map(|section| format!("{man}: {}", section.name))
        .collect()
}

/// `EXIT STATUS` as `Exit status`.
fn heading(section: &Section) -> String {
    const KEPT: [&str; 4] = ["ASGI", "HTTP/2", "INI", "TLS"];
    let words = section.name.split(' ').enumerate();
    let words = words.map(|(index, word)| match KEPT.contains(&word) {
        true => word.to_owned(),
        false if index == 0 => format!("{}{}", &word[..1], word[1..].to_lowercase()),
        false => word.to_lowercase(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Names of man pages as links to pages of the book.
fn linked(text: &str) -> String {
    let mut linked = text.to_owned();
    for (name, number, file) in [
        ("runner", 1, "command-line.md"),
        ("runner.ini", 5, "ini-files.md"),
        ("runner.environ", 5, "variables.md"),
        ("runner.supervise", 5, "supervise-files.md"),
        ("runner.status", 5, "status-pages.md"),
        ("runner.launch", 1, "launch.md"),
        ("runner.upstream", 1, "upstream.md"),
        ("invoke", 1, "invoke.md"),
    ] {
        let link = format!("[{name}({number})]({file})");
        linked = linked.replace(&format!("`{name}`({number})"), &link);
        for before in [' ', '\n'] {
            let plain = format!("{before}{name}({number})");
            linked = linked.replace(&plain, &format!("{before}{link}"));
        }
    }
    linked
}
