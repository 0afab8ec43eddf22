//! A [`ImportedSite`] as an executable INI file.

use std::fmt::Write;
use std::sync::Arc;

use crate::import::imported_site::{ImportedSite, Left, ListenProtocol, Placed};
use crate::import::imported_text::{ImportedText, quoted_text};
use crate::syntax::{Place, Source, layout};

/// The characters of a line that are shown in a comment at most.
const SHOWN: usize = 100;

/// The name of the routes in a file that has some.
const ROUTES: &str = "site";

/// What `supervise` needs.
const PID_FILE: &str = "runner.supervise.pid_file";

/// The name of the application in a file that has others, too.
const APPLICATION: &str = "application";

/// Writes a site. `first_line` is the `#!` line; `name` is that of the file that it comes from.
#[must_use]
pub fn written(site: &mut ImportedSite, first_line: &str, name: &str) -> String {
    let mut text = format!("{first_line}\n#\n# From {name}, by `runner import`.\n\n");
    let gateway = gateway(site);
    let is_supervised = is_supervised(site);
    command(&mut text, site, &gateway);
    if gateway.protocol == ListenProtocol::Http {
        urls(&mut text, &gateway.addresses);
    }
    lists(site);
    if is_supervised && !site.settings.contains_key(PID_FILE) {
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let stem = stem.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let value = quoted_text(&format!("{stem}.pid"));
        let places = Vec::new();
        site.settings
            .insert(PID_FILE.to_owned(), Placed { value, places });
    }
    sections(&mut text, site);
    leftovers(&mut text, &site.left);
    let source = Arc::new(Source {
        name: name.to_owned(),
        text,
    });
    layout(&source, usize::MAX).unwrap_or_else(|_| source.text.clone())
}

/// The addresses of the one protocol that is served.
struct SiteGateway {
    protocol: ListenProtocol,
    addresses: Vec<Placed<ImportedText>>,
}

fn gateway(site: &mut ImportedSite) -> SiteGateway {
    let has = |protocol: ListenProtocol| {
        let mut addresses = site.addresses.iter();
        addresses.any(|address| address.value.protocol == protocol)
    };
    let protocol = [
        ListenProtocol::Http,
        ListenProtocol::Uwsgi,
        ListenProtocol::FastCgi,
    ];
    let protocol = protocol.into_iter().find(|protocol| has(*protocol));
    let protocol = protocol.unwrap_or(ListenProtocol::Http);
    let mut addresses = Vec::new();
    for address in std::mem::take(&mut site.addresses) {
        let is_one_of_several = protocol != ListenProtocol::Http && !addresses.is_empty();
        if address.value.protocol == protocol && !is_one_of_several {
            addresses.push(Placed {
                value: address.value.url,
                places: address.places,
            });
        } else if let Some(place) = address.places.first() {
            site.leave(
                place,
                "one file serves by one protocol: a second file can serve here",
            );
        }
    }
    SiteGateway {
        protocol,
        addresses,
    }
}

/// Whether a master keeps something running beside the application, or is to be found by its file.
fn is_supervised(site: &ImportedSite) -> bool {
    let runs_programs = !site.programs.is_empty() || site.main_program.is_some();
    runs_programs || site.settings.contains_key(PID_FILE)
}

/// `app`, and the routes that it serves.
fn command(text: &mut String, site: &ImportedSite, gateway: &SiteGateway) {
    let mut words = Vec::new();
    if is_supervised(site) {
        words.push(quoted_text("supervise"));
    }
    if let (None, Some(program)) = (&site.application, &site.main_program) {
        said(text, &program.places);
        text.push_str("app = commands.Alias(command=['supervise'])\n");
        return;
    }
    let address = gateway.addresses.first();
    match (gateway.protocol, address) {
        (ListenProtocol::Http, _) | (_, None) => words.push(quoted_text("serve")),
        (ListenProtocol::Uwsgi, Some(address)) => {
            said(text, &address.places);
            words.extend([quoted_text("uwsgi"), address.value.expression()]);
        }
        (ListenProtocol::FastCgi, Some(address)) => {
            said(text, &address.places);
            words.extend([quoted_text("FastCGI"), address.value.expression()]);
        }
    }
    let Some(application) = &site.application else {
        if site.is_served() {
            routes(text, site, None);
            words.push(quoted_text(ROUTES));
            let _ = writeln!(text, "app = commands.Alias(command=[{}])", words.join(", "));
            return;
        }
        text.push_str(
            "# Write the name of the application here, such as 'import:package.module:object'.\n",
        );
        words.push(quoted_text("demo"));
        let _ = writeln!(text, "app = commands.Alias(command=[{}])", words.join(", "));
        return;
    };
    said(text, &application.places);
    let mut object = application.value.words();
    if let Some(files) = &site.files {
        let _ = writeln!(
            text,
            "{APPLICATION} = commands.Alias(command=[{}])\n",
            object.join(", ")
        );
        said(text, &files.places);
        object = ["files", &files.value, "--fallback", APPLICATION]
            .map(quoted_text)
            .to_vec();
    }
    if site.routes.is_empty() {
        words.extend(object);
    } else {
        routes(text, site, Some(&object));
        words.push(quoted_text(ROUTES));
    }
    let _ = writeln!(text, "app = commands.Alias(command=[{}])", words.join(", "));
}

/// The routes, of which the first leads to the application that answers all other paths, if there is one.
fn routes(text: &mut String, site: &ImportedSite, object: Option<&[String]>) {
    let _ = writeln!(text, "{ROUTES} = commands.Routes({{");
    if let Some(object) = object {
        let _ = writeln!(text, "    '/': [{}],", object.join(", "));
    }
    for route in &site.routes {
        let (mount, words) = &route.value;
        for place in &route.places {
            let _ = writeln!(text, "    # {}", shown(place));
        }
        let words: Vec<String> = words.iter().map(|word| quoted_text(word)).collect();
        let _ = writeln!(text, "    {}: [{}],", quoted_text(mount), words.join(", "));
    }
    text.push_str("  })\n");
}

fn urls(text: &mut String, addresses: &[Placed<ImportedText>]) {
    let expressions: Vec<String> = addresses
        .iter()
        .map(|address| address.value.expression())
        .collect();
    let value = match &*expressions {
        [] => return,
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    };
    text.push('\n');
    for address in addresses {
        said(text, &address.places);
    }
    let _ = writeln!(text, "url = {value}");
}

/// Makes settings of what was said in several places.
fn lists(site: &mut ImportedSite) {
    let path = std::mem::take(&mut site.path);
    set_list(site, "runner.path", path, ImportedText::expression);
    for (name, texts) in std::mem::take(&mut site.lists) {
        match &*texts {
            [one] => {
                let setting = Placed {
                    value: one.value.expression(),
                    places: one.places.clone(),
                };
                site.settings.insert(name.to_owned(), setting);
            }
            _ => set_list(site, name, texts, ImportedText::expression),
        }
    }
    let programs = std::mem::take(&mut site.programs);
    set_list(site, "runner.supervise.programs", programs, |it| {
        quoted_text(it)
    });
    if let Some(program) = site.main_program.clone() {
        let command = quoted_text(&format!("exec: {}", program.value));
        for place in &program.places {
            site.set("runner.supervise.command", command.clone(), place);
        }
    }
    let before = std::mem::take(&mut site.before_start);
    set_list(site, "runner.before_start", before, |it| quoted_text(it));
    let environment = std::mem::take(&mut site.environment);
    if environment.is_empty() {
        return;
    }
    let mut value = "{\n".to_owned();
    for variable in &environment {
        let (name, text) = &variable.value;
        let _ = writeln!(value, "    {}: {},", quoted_text(name), text.expression());
    }
    value.push_str("  }");
    let places = environment.into_iter().flat_map(|it| it.places).collect();
    let name = "runner.environment".to_owned();
    site.settings.insert(name, Placed { value, places });
}

fn set_list<T>(
    site: &mut ImportedSite,
    name: &str,
    values: Vec<Placed<T>>,
    expression: impl Fn(&T) -> String,
) {
    if values.is_empty() {
        return;
    }
    let list: Vec<String> = values.iter().map(|it| expression(&it.value)).collect();
    let places = values.into_iter().flat_map(|it| it.places).collect();
    let value = format!("[{}]", list.join(", "));
    site.settings
        .insert(name.to_owned(), Placed { value, places });
}

/// The settings, by section.
fn sections(text: &mut String, site: &ImportedSite) {
    // The sections in the order of their names, those of `runner` itself first.
    let mut rows: Vec<(&str, &str, &Placed<String>)> = site
        .settings
        .iter()
        .map(|(name, setting)| {
            let (section, key) = name.rsplit_once('.').unwrap_or(("runner", name));
            (section, key, setting)
        })
        .collect();
    rows.sort_by_key(|(section, ..)| *section);
    let mut present = "";
    let mut before: Vec<Place> = Vec::new();
    for (section, key, setting) in rows {
        if section != present {
            let _ = writeln!(text, "\n[{section}]");
            present = section;
            before.clear();
        }
        // What one line has said is not quoted twice.
        if setting.places != before {
            said(text, &setting.places);
        }
        before.clone_from(&setting.places);
        let _ = writeln!(text, "{key} = {}", setting.value);
    }
}

fn leftovers(text: &mut String, left: &[Left]) {
    if left.is_empty() {
        return;
    }
    text.push_str("\n# Not taken over:\n");
    for left in left {
        let _ = writeln!(text, "#\n# {}\n#   {}", shown(&left.place), left.why);
    }
}

/// The lines that say something, as comments.
fn said(text: &mut String, places: &[Place]) {
    let mut lines: Vec<String> = places.iter().map(shown).collect();
    lines.dedup();
    for line in lines {
        let _ = writeln!(text, "# {line}");
    }
}

/// A place and its line: `uwsgi.ini:3: processes = 4`.
#[must_use]
pub fn shown(place: &Place) -> String {
    let source = &place.source.text;
    let start = (place.span.start as usize).min(source.len());
    let end = (place.span.end as usize).clamp(start, source.len());
    let line = source.get(start..end).unwrap_or_default();
    let line: String = line
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(SHOWN)
        .collect();
    let name = place.source.name.rsplit('/').next().unwrap_or_default();
    format!("{name}:{}: {}", place.line(), line.trim())
}
