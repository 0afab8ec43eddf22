//! What the program is made of: crates under licences that allow its own two, from one registry, with one provider of
//! cryptography. `cargo deny` would hold the same; this needs no further program, and no network. It knows no advisories:
//! those are news, which a test of a commit cannot depend on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::Command;

use serde_json::Value;

/// Licences (SPDX) of crates that may be part of a program under MIT or Apache-2.0. MPL-2.0 covers its own files only.
const LICENCES: [&str; 10] = [
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MPL-2.0",
    "Unicode-3.0",
    "Zlib",
];

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The one provider, and what would be another one: with two, rustls panics where none is named.
const PROVIDER: &str = "ring";
const OTHERS: [&str; 6] = [
    "aws-lc-rs",
    "aws-lc-sys",
    "boring",
    "native-tls",
    "openssl",
    "openssl-sys",
];

/// The packages that are compiled here, as `cargo metadata` describes them.
fn packages() -> Vec<Value> {
    let output = |command: &mut Command| {
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        String::from_utf8(output.stdout).unwrap()
    };
    let compiler = output(Command::new("rustc").arg("-vV"));
    let host = compiler
        .lines()
        .find_map(|line| line.strip_prefix("host: "));
    let words = ["metadata", "--locked", "--offline", "--format-version", "1"];
    let mut cargo = Command::new(env!("CARGO"));
    let cargo = cargo.args(words).args(["--filter-platform", host.unwrap()]);
    let metadata = output(cargo.current_dir(env!("CARGO_MANIFEST_DIR")));
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Whether an expression (SPDX; `/` is an old form of `OR`) allows one of the licences. Parentheses are around `OR` only.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace(" / ", "/").replace('/', " OR ");
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for word in expression.replace('(', "( ").replace(')', " )").split(' ') {
        match word {
            "(" => depth += 1,
            ")" => depth -= 1,
            "AND" if depth == 0 => parts.push(String::new()),
            word => {
                let part = parts.last_mut().unwrap();
                part.push_str(if part.is_empty() { "" } else { " " });
                part.push_str(word);
            }
        }
    }
    let is_one = |part: &String| part.split(" OR ").any(|one| LICENCES.contains(&one));
    parts.iter().all(is_one)
}

#[test]
fn an_expression_allows_what_it_says() {
    for (expression, allowed) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("Unlicense/MIT", true),
        ("Apache-2.0 / MIT", true),
        ("MIT AND GPL-3.0", false),
        ("(GPL-3.0 OR MIT) AND ISC", true),
        ("(GPL-3.0 OR LGPL-3.0) AND ISC", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("Apache-2.0 WITH Other-exception", false),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression), allowed, "{expression}");
    }
}

#[test]
fn all_crates_may_be_used_and_there_is_one_provider_of_cryptography() {
    let mut wrong = Vec::new();
    let mut providers = 0;
    for package in packages() {
        let text = |name: &str| package[name].as_str().unwrap_or_default().to_owned();
        let (name, licence, source) = (text("name"), text("license"), text("source"));
        if !is_allowed(&licence) {
            wrong.push(format!("{name} has the licence `{licence}`"));
        }
        if name != "runner" && source != REGISTRY {
            wrong.push(format!("{name} comes from `{source}`"));
        }
        if OTHERS.contains(&&*name) {
            wrong.push(format!(
                "{name} is a provider of cryptography beside {PROVIDER}"
            ));
        }
        providers += usize::from(name == PROVIDER);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(providers, 1, "{PROVIDER}");
}
