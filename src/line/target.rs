//! Names of Python objects: `pkg.mod.attr`, `pkg.mod:attr.attr`, `pkg.mod:factory()`. Python resolves them; their form
//! is checked here, before any Python starts.

use std::fmt;
use std::str::FromStr;

/// The scheme of the URL of a Python object.
pub const SCHEME: &str = "import:";

/// The well-formed name of a Python object, without `import:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(String);

/// Why a text is not the name of a Python object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidTarget {
    /// What was found and what was wanted.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Target {
    /// As it was written, without `import:`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{SCHEME}{}", self.0)
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
        Ok(Self(text.to_owned()))
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
