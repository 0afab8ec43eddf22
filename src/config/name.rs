//! Names of properties and rules.

use super::settings;
use crate::syntax::{Diagnostic, quoted};

/// The name of the rule for every property.
pub(super) const EVERYTHING: &str = "*";

/// Bytes of a name at most.
pub(super) const LONGEST: usize = 1000;

fn bad(message: impl Into<String>) -> Diagnostic {
    Diagnostic::new("syntax/name", message)
}

/// Checks the name of a rule: parts with dots between them, none empty; `*` only as the last part, `?` only at the end
/// of a last part that is not empty. The grammar of lines has already checked the characters.
///
/// # Errors
/// What is wrong; the caller adds the place.
pub(super) fn check_rule(name: &str) -> Result<(), Diagnostic> {
    if name.len() > LONGEST {
        let message = format!("the name of a setting has at most {LONGEST} bytes");
        return Err(bad(message));
    }
    let shown = quoted(name);
    let star = "`a.*` stands for every name that begins with `a.`";
    let mark = || {
        bad(format!("the `?` in {shown} is not at its end"))
            .with_hint("`a.b?` gives a default for `a.b`")
    };
    let mut parts = name.split('.').peekable();
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        match part {
            "" => return Err(bad(format!("the name {shown} has an empty part"))),
            "*" if is_last => {}
            "?" if is_last => return Err(bad(format!("the `?` in {shown} has no name before it"))),
            part if part.contains('*') => {
                let where_to = if is_last {
                    "a part of its own"
                } else {
                    "the last part"
                };
                let message = format!("the `*` in {shown} is not {where_to}");
                return Err(bad(message).with_hint(star));
            }
            part if is_last && part.strip_suffix('?').unwrap_or(part).contains('?') => {
                return Err(mark());
            }
            part if !is_last && part.contains('?') => return Err(mark()),
            _ => {}
        }
    }
    Ok(())
}

/// A prefix as it is written (`a.b`, `a.b.`, `a.b.*`, `*`) in the form that is put before names: `a.b.`, or nothing.
///
/// # Errors
/// It has an empty part, or a `*` or `?` elsewhere; the caller adds the place.
pub(super) fn prefix(written: &str) -> Result<String, Diagnostic> {
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

/// The names of the rules that can give a property its value, in the order in which they are tried, except the last, the
/// default `name?`. A rule for everything (`*`) does not apply to the settings that `runner` itself reads, since it
/// would break all of them.
pub(super) fn candidates(name: &str) -> impl Iterator<Item = String> {
    let own = name.starts_with("runner.") || settings::find(name).is_some();
    let everything = (!own).then(|| EVERYTHING.to_owned());
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
            assert!(check_rule(good).is_ok(), "{good}");
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
