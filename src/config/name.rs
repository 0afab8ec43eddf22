//! Names of properties and rules.

use super::settings;
use crate::syntax::quoted;

/// Bytes of the longest name.
pub const LONGEST: usize = 1000;

/// What is wrong with a rule's name.
#[derive(Debug, PartialEq, Eq)]
pub struct BadName {
    /// The message.
    pub message: String,
    /// What to do about it.
    pub hint: Option<&'static str>,
}

fn bad(message: impl Into<String>) -> BadName {
    BadName {
        message: message.into(),
        hint: None,
    }
}

/// Checks the name of a rule: parts with dots between them, none empty; `*` only as the last part, `?` only at
/// the end of a last part that is not empty. Which characters it has, the grammar of lines has checked.
///
/// # Errors
/// What is wrong.
pub fn check_rule(name: &str) -> Result<(), BadName> {
    if name.len() > LONGEST {
        return Err(bad(format!(
            "the name of a setting has at most {LONGEST} bytes"
        )));
    }
    let (parts, last) = match name.rsplit_once('.') {
        Some((parts, last)) => (Some(parts), last),
        None => (None, name),
    };
    let parts = parts.map(|parts| parts.split('.')).into_iter().flatten();
    for part in parts {
        if part.is_empty() {
            return Err(bad(format!("the name {} has an empty part", quoted(name))));
        }
        if part.contains('*') {
            return Err(BadName {
                message: format!("the `*` in {} is not the last part", quoted(name)),
                hint: Some("`a.*` stands for every name that begins with `a.`"),
            });
        }
        if part.contains('?') {
            return Err(BadName {
                message: format!("the `?` in {} is not at its end", quoted(name)),
                hint: Some("`a.b?` gives a default for `a.b`"),
            });
        }
    }
    match last {
        "" => Err(bad(format!("the name {} has an empty part", quoted(name)))),
        "*" => Ok(()),
        "?" => Err(bad(format!("the `?` in {} stands alone", quoted(name)))),
        last if last.contains('*') => Err(BadName {
            message: format!("the `*` in {} is not a part of its own", quoted(name)),
            hint: Some("`a.*` stands for every name that begins with `a.`"),
        }),
        last if last.strip_suffix('?').unwrap_or(last).contains('?') => Err(BadName {
            message: format!("the `?` in {} is not at its end", quoted(name)),
            hint: Some("`a.b?` gives a default for `a.b`"),
        }),
        _ => Ok(()),
    }
}

/// A prefix as it is written (`a.b`, `a.b.`, `a.b.*`, `*`) in the form that names are put after: `a.b.`, or nothing.
///
/// # Errors
/// It has an empty part, or a `*` or `?` elsewhere.
pub fn prefix(written: &str) -> Result<String, BadName> {
    let plain = written.strip_suffix('*').unwrap_or(written);
    let plain = plain.strip_suffix('.').unwrap_or(plain);
    if plain.is_empty() {
        return Ok(String::new());
    }
    if plain.ends_with('?') {
        return Err(bad(format!("the prefix {} ends with `?`", quoted(written))));
    }
    check_rule(plain)?;
    Ok(format!("{plain}."))
}

/// The names of the rules that can give a property's value, in the order in which they are asked, without the last,
/// the default `name?`. A rule for everything (`*`) does not reach what `runner` itself reads: it could not be
/// written without breaking them all.
pub fn candidates(name: &str) -> impl Iterator<Item = String> {
    let own = name.starts_with("runner.") || settings::find(name).is_some();
    let everything = (!own).then(|| "*".to_owned());
    let wildcards = name
        .rmatch_indices('.')
        .map(|(dot, _)| format!("{}.*", &name[..dot]));
    std::iter::once(name.to_owned())
        .chain(wildcards)
        .chain(everything)
}

#[cfg(test)]
mod tests {
    use super::{candidates, check_rule, prefix};

    #[test]
    fn rules() {
        for good in ["a", "a.b", "*", "a.*", "a?", "a.b?", "a-b.+c", "é", "a.é?"] {
            assert_eq!(check_rule(good), Ok(()), "{good}");
        }
        for bad in [
            "", ".", "a.", ".a", "a..b", "*.a", "a*", "a.b*", "?", "a.?", "a?b", "a?.b", "*?",
            "a??",
        ] {
            assert!(check_rule(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn prefixes() {
        for (written, used) in [
            ("a", "a."),
            ("a.", "a."),
            ("a.*", "a."),
            ("*", ""),
            ("", ""),
        ] {
            assert_eq!(prefix(written).expect(written), used);
        }
        for bad in ["a?", "a..b", ".a", "a.*.b"] {
            assert!(prefix(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_order_of_rules() {
        let order: Vec<String> = candidates("a.b.c").collect();
        assert_eq!(order, ["a.b.c", "a.b.*", "a.*", "*"]);
    }
}
