//! Names of Python objects: `pkg.mod.attr`, `pkg.mod:attr.attr`, `pkg.mod:factory()`, or of objects in a file that cannot be
//! imported by name. Python resolves them; their form is checked here, before any Python starts.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The scheme of the URL of a Python object.
pub const SCHEME: &str = "import:";

/// The scheme of the URL of an object in a Python file.
pub const FILE_SCHEME: &str = "file:";

/// The object in a file whose URL names none.
const USUAL: &str = "application";

/// The well-formed name of a Python object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// As Python resolves it: without `import:`; or with `file:`, the absolute path and the object.
    name: String,
    /// As it was written.
    written: String,
    /// The file that it names.
    file: Option<PathBuf>,
}

/// Why a text is not the name of a Python object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidTarget {
    /// What was found and what was wanted.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Target {
    /// As Python resolves it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The file that it names, by its absolute path; `None` if it names a module.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// An object in a Python file: `app.wsgi`, `app.py:name`, `app.py:factory()`, where `absolute` makes a path absolute.
    ///
    /// # Errors
    /// There is no path.
    pub fn in_file(
        text: &str,
        absolute: impl FnOnce(&str) -> PathBuf,
    ) -> Result<Self, InvalidTarget> {
        let is_object = |name: &str| {
            let name = name.strip_suffix("()").unwrap_or(name);
            name.split('.').all(|part| fault(part).is_none())
        };
        let (path, object) = match text.rsplit_once(':') {
            Some((path, object)) if is_object(object) => (path, object),
            Some(_) | None => (text, USUAL),
        };
        if path.is_empty() {
            return Err(InvalidTarget {
                message: format!("`{FILE_SCHEME}{text}` lacks the path of a file"),
                hint: Some(format!(
                    "write `{FILE_SCHEME}app.wsgi`, or `{FILE_SCHEME}app.py:NAME`"
                )),
            });
        }
        let file = absolute(path);
        Ok(Self {
            name: format!("{FILE_SCHEME}{}:{object}", file.display()),
            written: format!("{FILE_SCHEME}{text}"),
            file: Some(file),
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.written)
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let mistake = |message: String, hint: Option<String>| Err(InvalidTarget { message, hint });
        let path = text.strip_suffix("()").unwrap_or(text);
        let (module, attribute) = match path.split_once(':') {
            Some((module, attribute)) => (module, Some(attribute)),
            None => (path, None),
        };
        for part in module
            .split('.')
            .chain(attribute.into_iter().flat_map(|a| a.split('.')))
        {
            if let Some(message) = fault(part) {
                return mistake(
                    format!("{message} in `{SCHEME}{text}`"),
                    Some(format!(
                        "write `{SCHEME}package.module.object` or `{SCHEME}package.module:object`"
                    )),
                );
            }
        }
        if attribute.is_none() && !module.contains('.') {
            return mistake(
                format!("`{SCHEME}{text}` names a module, but an object in it is wanted"),
                Some(format!(
                    "write `{SCHEME}{module}.application`, if that is its name"
                )),
            );
        }
        Ok(Self {
            name: text.to_owned(),
            written: format!("{SCHEME}{text}"),
            file: None,
        })
    }
}

/// Why a part of a dotted name is not a Python identifier.
fn fault(part: &str) -> Option<String> {
    if part.is_empty() {
        return Some("a part of the name is missing".to_owned());
    }
    if part.starts_with(|first: char| first.is_numeric()) {
        return Some(format!("`{part}` begins with a digit"));
    }
    let stranger = part.chars().find(|c| !(c.is_alphanumeric() || *c == '_'))?;
    Some(format!(
        "`{}` cannot be part of a name",
        stranger.escape_default()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_formed_names() {
        let names = [
            "my_app.application",
            "my_app:application",
            "pkg.mod:app.wsgi",
            "pkg.mod.Class.method",
            "pkg.mod:factory()",
            "pkg.mod.factory()",
            "añejo.café",
        ];
        for name in names {
            let target: Target = name.parse().unwrap();
            assert_eq!(target.to_string(), format!("import:{name}"));
        }
    }

    #[test]
    fn objects_in_files() {
        let target = |text: &str| Target::in_file(text, |path| Path::new("/srv").join(path));
        for (text, name) in [
            ("app.wsgi", "file:/srv/app.wsgi:application"),
            ("app.py:app", "file:/srv/app.py:app"),
            ("a/my-app.py:make()", "file:/srv/a/my-app.py:make()"),
            ("app.py:a.b", "file:/srv/app.py:a.b"),
            ("/x:y/app.py", "file:/x:y/app.py:application"),
            ("app.py:", "file:/srv/app.py::application"),
        ] {
            let target = target(text).expect(text);
            assert_eq!(target.as_str(), name);
            assert_eq!(target.to_string(), format!("file:{text}"));
        }
        for text in ["", ":app"] {
            assert!(target(text).is_err(), "{text}");
        }
    }

    #[test]
    fn malformed_names_and_why() {
        let cases = [
            ("", "a part of the name is missing in `import:`"),
            (
                "my_app",
                "`import:my_app` names a module, but an object in it is wanted",
            ),
            (
                "my_app:",
                "a part of the name is missing in `import:my_app:`",
            ),
            (":app", "a part of the name is missing in `import::app`"),
            ("a..b", "a part of the name is missing in `import:a..b`"),
            ("a:b:c", "`:` cannot be part of a name in `import:a:b:c`"),
            (
                "my-app.x",
                "`-` cannot be part of a name in `import:my-app.x`",
            ),
            ("a.b(1)", "`(` cannot be part of a name in `import:a.b(1)`"),
            ("a.2b", "`2b` begins with a digit in `import:a.2b`"),
            ("a.b\n", "`\\n` cannot be part of a name in `import:a.b\n`"),
            (
                "app.py:x y",
                "` ` cannot be part of a name in `import:app.py:x y`",
            ),
        ];
        for (name, message) in cases {
            assert_eq!(name.parse::<Target>().unwrap_err().message, message);
        }
    }
}
