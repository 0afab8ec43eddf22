//! Whether the Content Security Policy of a page allows the script that reloads it (CSP Level 3).

/// The directive that forbids a script from the page's own server, or its events; `None` if all policies allow both.
/// Each value is that of one field, which can have several policies.
pub(super) fn forbids<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<&'static str> {
    let mut policies = values.into_iter().flat_map(|value| value.split(','));
    policies.find_map(forbids_one)
}

fn forbids_one(policy: &str) -> Option<&'static str> {
    let directives = || {
        policy.split(';').map(|directive| {
            let mut words = directive.split_ascii_whitespace();
            (words.next().unwrap_or_default().to_ascii_lowercase(), words)
        })
    };
    // The first directive with a name counts (§2.2.1).
    let named = |wanted: &str| directives().find(|(name, _)| name == wanted);
    let is_forbidden = |names: &[&'static str]| {
        let found = names.iter().find_map(|name| Some((*name, named(name)?.1)));
        let (name, sources) = found?;
        let sources: Vec<String> = sources.map(str::to_ascii_lowercase).collect();
        let is_own =
            |source: &String| ["'self'", "*", "http:", "https:"].contains(&source.as_str());
        // With this word, hosts count no more in favour of a script (§8.2).
        let is_strict = sources.iter().any(|source| source == "'strict-dynamic'");
        (!sources.iter().any(is_own) || is_strict && name != "connect-src").then_some(name)
    };
    let sandbox = named("sandbox").filter(|(_, words)| {
        let mut words = words.clone();
        !words.any(|word| word.eq_ignore_ascii_case("allow-scripts"))
    });
    is_forbidden(&["script-src-elem", "script-src", "default-src"])
        .or_else(|| is_forbidden(&["connect-src", "default-src"]))
        .or(sandbox.map(|_| "sandbox"))
}

#[cfg(test)]
mod tests {
    use super::forbids;

    #[test]
    fn the_script_and_its_events_must_both_be_allowed() {
        for (policies, directive) in [
            (&[][..], None),
            (&["img-src 'none'"], None),
            (&["default-src 'self'"], None),
            (&["default-src 'none'"], Some("default-src")),
            (
                &["default-src 'none'; script-src 'self'; connect-src 'self'"],
                None,
            ),
            (
                &["default-src 'self'; script-src 'nonce-a'"],
                Some("script-src"),
            ),
            (
                &["script-src 'self' 'strict-dynamic' 'nonce-a'"],
                Some("script-src"),
            ),
            (&["script-src 'none'; script-src-elem *"], None),
            (
                &["Script-Src 'SELF'; connect-src https://api.example"],
                Some("connect-src"),
            ),
            (
                &["script-src 'self'", "script-src 'none'"],
                Some("script-src"),
            ),
            (
                &["script-src 'self', default-src 'none'"],
                Some("default-src"),
            ),
            (&["sandbox allow-forms"], Some("sandbox")),
            (&["sandbox allow-scripts allow-same-origin"], None),
            (
                &["script-src 'none'; script-src 'self'"],
                Some("script-src"),
            ),
        ] {
            assert_eq!(forbids(policies.iter().copied()), directive, "{policies:?}");
        }
    }
}
