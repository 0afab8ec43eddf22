//! What a file of another server says, in our terms.

use std::collections::BTreeMap;

use crate::import::imported_text::{ImportedText, quoted_text};
use crate::syntax::Place;

/// Why a value does not count.
const SAID_AGAIN: &str = "it is said again later, and the last value counts";

/// An application, how it is served, and what runs beside it.
#[derive(Clone, Debug, Default)]
pub struct ImportedSite {
    /// What answers.
    pub application: Option<Placed<ImportedApplication>>,
    /// Whether an application that is named beside it is called by ASGI.
    pub is_asgi: bool,
    /// Where it listens, and by which protocol.
    pub addresses: Vec<Placed<ListenAddress>>,
    /// Settings by their names, as expressions.
    pub settings: BTreeMap<String, Placed<String>>,
    /// Environment variables of the application.
    pub environment: Vec<Placed<(String, ImportedText)>>,
    /// Folders that modules are imported from.
    pub path: Vec<Placed<ImportedText>>,
    /// Settings that take one text or several, by their names.
    pub lists: BTreeMap<&'static str, Vec<Placed<ImportedText>>>,
    /// A folder whose files are sent first.
    pub files: Option<Placed<String>>,
    /// The program that is kept running where nothing answers requests.
    pub main_program: Option<Placed<String>>,
    /// Paths that other applications answer, as words.
    pub routes: Vec<Placed<(String, Vec<String>)>>,
    /// Programs beside it, with quotes as in a shell.
    pub programs: Vec<Placed<String>>,
    /// Commands before the start, with quotes as in a shell.
    pub before_start: Vec<Placed<String>>,
    /// What there is no equivalent for.
    pub left: Vec<Left>,
}

/// A value and where it was said.
#[derive(Clone, Debug)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it was said; several places, if they were joined.
    pub places: Vec<Place>,
}

/// How an application is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedApplication {
    /// Whether it is called by ASGI.
    pub is_asgi: bool,
    /// Its object.
    pub object: ApplicationObject,
}

/// The Python object of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplicationObject {
    /// An object of a module: `package.module:object`.
    Import(String),
    /// An object of a file that is not imported by name, and its name.
    File(ImportedText, Option<String>),
    /// No object of Python: the words of a command line.
    Words(Vec<ImportedText>),
}

/// An address that a server listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// What is spoken there.
    pub protocol: ListenProtocol,
    /// Its URL.
    pub url: ImportedText,
}

/// What a server speaks at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenProtocol {
    /// HTTP, or HTTPS by its URL.
    Http,
    /// The protocol of uWSGI, for a web server in front.
    Uwsgi,
    /// FastCGI, for a web server in front.
    FastCgi,
}

/// Something that was not taken over.
#[derive(Clone, Debug)]
pub struct Left {
    /// Where it was said.
    pub place: Place,
    /// Why, and what to do about it.
    pub why: String,
    /// Whether the application cannot be served without it.
    pub is_essential: bool,
    /// No application is named.
    pub is_lack: bool,
}

impl<T> Placed<T> {
    /// A value and its place.
    pub fn new(value: T, place: &Place) -> Self {
        Self {
            value,
            places: vec![place.clone()],
        }
    }
}

impl ImportedSite {
    /// Sets a setting to an expression. The last place that says it counts; an earlier one is told.
    pub fn set(&mut self, name: &str, expression: impl Into<String>, place: &Place) {
        let placed = Placed::new(expression.into(), place);
        let value = placed.value.clone();
        if let Some(before) = self.settings.insert(name.to_owned(), placed)
            && before.value != value
        {
            before
                .places
                .iter()
                .for_each(|it| self.supersede(it, place));
        }
    }

    /// Tells that a later place says otherwise.
    pub fn supersede(&mut self, earlier: &Place, later: &Place) {
        let is_told = |left: &Left| left.place == *earlier && left.why == SAID_AGAIN;
        if earlier != later && !self.left.iter().any(is_told) {
            self.leave(earlier, SAID_AGAIN);
        }
    }

    /// Adds a text to a setting that takes several.
    pub fn append(&mut self, name: &'static str, text: ImportedText, place: &Place) {
        let list = self.lists.entry(name).or_default();
        list.push(Placed::new(text, place));
    }

    /// Sets a setting to a text.
    pub fn set_text(&mut self, name: &str, text: &ImportedText, place: &Place) {
        self.set(name, text.expression(), place);
    }

    /// Sets a setting to a number, which the text begins with. A text that is none is a mistake of the other file.
    pub fn set_number(&mut self, name: &str, text: &ImportedText, place: &Place) {
        match text.number() {
            Some(number) => self.set(name, number, place),
            None => self.miss(place, format!("`{text}` is no number")),
        }
    }

    /// Sets a setting to a user or group, by its name or number.
    pub fn set_identity(&mut self, name: &str, text: &ImportedText, place: &Place) {
        match text.literal().map(str::parse::<u32>) {
            Some(Ok(number)) => self.set(name, number.to_string(), place),
            Some(Err(_)) | None => self.set_text(name, text, place),
        }
    }

    /// Sets the number of workers.
    pub fn set_workers(&mut self, text: &ImportedText, place: &Place) {
        self.set_number("runner.workers.min", text, place);
        if let Some(count) = text.number() {
            self.set("runner.workers.max", count, place);
        }
    }

    /// Adds an address.
    pub fn listen(&mut self, protocol: ListenProtocol, url: ImportedText, place: &Place) {
        let port = url.literal().and_then(|url| url.split_once("://"));
        let port = port.and_then(|(_, address)| address.rsplit_once(':'));
        if let Some((_, port)) = port
            && !port.contains([']', '/'])
            && port.parse::<u16>().is_err()
        {
            return self.miss(
                place,
                format!("`{port}` is no port, which is a number up to 65535"),
            );
        }
        let address = ListenAddress { protocol, url };
        if !self.addresses.iter().any(|it| it.value == address) {
            self.addresses.push(Placed::new(address, place));
        }
    }

    /// Adds what there is no equivalent for.
    pub fn leave(&mut self, place: &Place, why: impl Into<String>) {
        self.left.push(Left {
            place: place.clone(),
            why: why.into(),
            is_essential: false,
            is_lack: false,
        });
    }

    /// Adds what the application cannot be served without.
    pub fn miss(&mut self, place: &Place, why: impl Into<String>) {
        self.left.push(Left {
            place: place.clone(),
            why: why.into(),
            is_essential: true,
            is_lack: false,
        });
    }

    /// Adds that no application is named.
    pub fn lack_application(&mut self, place: &Place, why: impl Into<String>) {
        self.left.push(Left {
            place: place.clone(),
            why: why.into(),
            is_essential: true,
            is_lack: true,
        });
    }

    /// Names the application, which was not named.
    pub fn name_application(&mut self, application: Placed<ImportedApplication>) {
        self.left.retain(|left| !left.is_lack);
        self.application = Some(application);
    }

    /// Adds what another part of the same file says.
    pub fn add(&mut self, other: Self) {
        self.application = other.application.or(self.application.take());
        self.is_asgi |= other.is_asgi;
        self.settings.extend(other.settings);
        if !other.addresses.is_empty() {
            self.addresses = other.addresses;
        }
        self.files = other.files.or(self.files.take());
        self.main_program = other.main_program.or(self.main_program.take());
        self.environment.extend(other.environment);
        self.path.extend(other.path);
        for (name, texts) in other.lists {
            self.lists.entry(name).or_default().extend(texts);
        }
        self.routes.extend(other.routes);
        self.programs.extend(other.programs);
        self.before_start.extend(other.before_start);
        self.left.extend(other.left);
    }

    /// Whether an application answers, at all paths or at some.
    #[must_use]
    pub fn is_served(&self) -> bool {
        let is_python = |word: &String| word == "WSGI" || word == "ASGI";
        let mut mounts = self.routes.iter().map(|route| &route.value.1);
        self.application.is_some() || mounts.any(|words| words.first().is_some_and(is_python))
    }

    /// Whether what is written runs.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let has_any = self.is_served() || self.main_program.is_some();
        has_any && !self.left.iter().any(|left| left.is_essential)
    }
}

impl ImportedApplication {
    /// A server in any language, run by these words. It listens on the port that it is given.
    #[must_use]
    pub fn program(words: Vec<ImportedText>) -> Self {
        let before = ["upstream", "http", "exec:"].map(ImportedText::known);
        Self {
            is_asgi: false,
            object: ApplicationObject::Words(before.into_iter().chain(words).collect()),
        }
    }

    /// One that is named as most servers do: `module`, `module:object` or `module:factory()`; the object is `application`
    /// unless it is named.
    #[must_use]
    pub fn imported(is_asgi: bool, name: &str, object: Option<&str>) -> Self {
        let name = name.trim();
        let (module, named) = match name.split_once(':') {
            Some((module, named)) if !named.is_empty() => (module, Some(named)),
            Some((module, _)) => (module, None),
            None => (name, None),
        };
        let object = named.or(object).unwrap_or("application");
        let module = module.strip_suffix(".py").unwrap_or(module);
        let is_of_name = |c: char| c.is_alphanumeric() || "_./".contains(c);
        let object = match module.chars().all(is_of_name) {
            true => ApplicationObject::Import(format!("{}:{object}", module.replace('/', "."))),
            // Python's `import` statement takes no such name, but servers do.
            false => {
                let path = format!("{}.py", module.replace('.', "/"));
                ApplicationObject::File(ImportedText::known(path), Some(object.to_owned()))
            }
        };
        Self { is_asgi, object }
    }

    /// The words of a command line that name it, as expressions.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let interface = match self.is_asgi {
            true => "ASGI",
            false => "WSGI",
        };
        let object = match &self.object {
            ApplicationObject::Words(words) => {
                return words.iter().map(ImportedText::expression).collect();
            }
            ApplicationObject::Import(name) => quoted_text(&format!("import:{name}")),
            ApplicationObject::File(path, object) => {
                let path = path.clone().after("file:");
                match object {
                    Some(object) => path.before(&format!(":{object}")).expression(),
                    None => path.expression(),
                }
            }
        };
        vec![quoted_text(interface), object]
    }
}
