//! The tables of the language (settings, functions, names) and its grammars are sorted and documented, and their
//! examples are right.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use runner::config::{
    BooleanOrText, Checked, Configuration, DefaultValue, Layer, SETTINGS, SPECIAL, SettingKind,
};
use runner::eval::{CONSTANTS, FUNCTIONS, Repr};
use runner::syntax::{KEYWORDS, render};

/// Reads a file with this text.
fn load(text: &str) -> Configuration {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("x.ini");
    fs::write(&path, text).expect("the file");
    Configuration::load(&[Layer::File(path)])
        .unwrap_or_else(|mistakes| panic!("{}", render(&mistakes.0, false)))
}

/// One line of a list: a sentence without its full stop, of at most 70 characters.
fn is_summary(text: &str) -> bool {
    is_help(&format!("{text}.")) && !text.ends_with('.') && text.chars().count() <= 70
}

/// A paragraph: from a capital letter to a full stop.
fn is_help(text: &str) -> bool {
    text.starts_with(|c: char| c.is_uppercase() || c == '`')
        && text.ends_with('.')
        && !text.contains('\n')
}

#[test]
fn settings_are_documented() {
    assert!(SETTINGS.is_sorted_by_key(|setting| setting.name));
    for setting in SETTINGS {
        assert!(is_help(setting.help), "{}", setting.name);
        let short = setting.name.rsplit('.').next().unwrap_or_default();
        assert!(setting.example.contains(short), "{}", setting.name);
        // The PROXY protocol needs a proxy.
        let proxies = "runner.http.trusted_proxies? = ['unix']";
        let configuration = load(&format!("{proxies}\n{}\n", setting.example));
        assert!(
            configuration
                .get(setting.name)
                .expect("its example")
                .is_some(),
            "{}",
            setting.name
        );
    }
}

#[test]
fn settings_have_the_accessor_of_their_kind() {
    let configuration = load("");
    for setting in SETTINGS
        .iter()
        .filter(|setting| setting.name.starts_with("runner."))
    {
        match setting.kind {
            SettingKind::Size if setting.default == DefaultValue::Unset => {
                assert_eq!(configuration.optional_integer(setting.name), None);
            }
            SettingKind::Integer { .. } if setting.default == DefaultValue::Unset => {
                assert_eq!(configuration.optional_integer(setting.name), None);
            }
            SettingKind::Integer { .. } | SettingKind::Size => {
                let DefaultValue::Number(default) = setting.default else {
                    panic!("{} has no default", setting.name);
                };
                assert_eq!(configuration.integer(setting.name), default);
            }
            SettingKind::Duration if setting.default == DefaultValue::Unset => {
                assert_eq!(configuration.optional_duration(setting.name), None);
            }
            SettingKind::Duration => {
                let DefaultValue::Number(default) = setting.default else {
                    panic!("{} has no default", setting.name);
                };
                assert_eq!(
                    configuration.duration(setting.name),
                    Duration::from_secs(default)
                );
            }
            SettingKind::Boolean => {
                let unset = setting.default == DefaultValue::Unset;
                assert_eq!(
                    configuration.optional_boolean(setting.name).is_none(),
                    unset
                );
            }
            SettingKind::BooleanOr(_) => {
                let default = match setting.default {
                    DefaultValue::Boolean(truth) => Some(BooleanOrText::Boolean(truth)),
                    _ => None,
                };
                assert_eq!(configuration.boolean_or_text(setting.name), default);
            }
            SettingKind::Automatic => {
                assert_eq!(configuration.optional_boolean(setting.name), None);
            }
            SettingKind::Choice(texts) | SettingKind::ChoiceOrFunction(texts) => {
                assert!(texts.contains(&configuration.text(setting.name).unwrap().as_str()));
            }
            SettingKind::Path => assert_eq!(configuration.path(setting.name), None),
            SettingKind::Texts
            | SettingKind::Urls
            | SettingKind::Paths
            | SettingKind::Programs
            | SettingKind::Choices(_) => {
                assert!(configuration.texts(setting.name).is_empty());
            }
            SettingKind::Variables => {
                assert_eq!(configuration.variables(setting.name), Vec::new());
            }
            SettingKind::Folders => {
                assert_eq!(configuration.folders(setting.name), Vec::new());
            }
            SettingKind::Networks => {
                assert_eq!(configuration.optional_texts(setting.name), None);
            }
            SettingKind::Rights => assert_eq!(configuration.optional_integer(setting.name), None),
            SettingKind::Text | SettingKind::Url => {
                let default = match setting.default {
                    DefaultValue::Text(text) => Some(text.to_owned()),
                    _ => None,
                };
                assert_eq!(configuration.text(setting.name), default);
            }
            SettingKind::Program | SettingKind::Account | SettingKind::Command => {
                assert_eq!(configuration.text(setting.name), None);
            }
        }
    }
}

#[test]
fn units() {
    let duration =
        |text: &str| load(&format!("runner.stop_timeout = {text}")).duration("runner.stop_timeout");
    for (text, milliseconds) in [
        ("2", 2000),
        ("0.5", 500),
        ("'1.5s'", 1500),
        ("'500ms'", 500),
        ("'2m'", 120_000),
        ("'1h'", 3_600_000),
        ("'1d'", 86_400_000),
        ("'15'", 15_000),
        ("'30 s'", 30_000),
        ("'2 min'", 120_000),
        ("'1h 30m'", 5_400_000),
        ("0", 0),
    ] {
        assert_eq!(
            duration(text),
            Duration::from_millis(milliseconds),
            "{text}"
        );
    }
    let size = |text: &str| {
        load(&format!("runner.request.max_body = {text}")).integer("runner.request.max_body")
    };
    for (text, bytes) in [
        ("0", 0),
        ("1000", 1000),
        ("'64k'", 65_536),
        ("'10M'", 10 << 20),
        ("'1G'", 1 << 30),
        ("'1.5k'", 1536),
        ("'500M'", 500 << 20),
        ("'500MB'", 500 << 20),
        ("'500 MB'", 500 << 20),
        ("'500MiB'", 500 << 20),
        ("'500 mb'", 500 << 20),
        ("'10 bytes'", 10),
    ] {
        assert_eq!(size(text), bytes, "{text}");
    }
    for (text, rights) in [
        ("'027'", 0o27),
        ("'7'", 7),
        ("'0'", 0),
        ("'0027'", 0o27),
        ("'0660'", 0o660),
    ] {
        let settings = load(&format!("runner.umask = {text}"));
        assert_eq!(settings.optional_integer("runner.umask"), Some(rights));
    }
    let path = load("runner.tmp = '/a'").path("runner.tmp");
    assert_eq!(path.as_deref(), Some(Path::new("/a")));
    let path = load("runner.tmp = 'a'")
        .path("runner.tmp")
        .expect("it is set");
    assert!(
        path.is_absolute() && path.ends_with("a"),
        "{}",
        path.display()
    );
    assert_eq!(
        load("runner.workers.preload = True").optional_boolean("runner.workers.preload"),
        Some(true)
    );
    for (text, value) in [
        ("True", BooleanOrText::Boolean(true)),
        ("'json'", BooleanOrText::Text("json".to_owned())),
    ] {
        let settings = load(&format!("runner.log.access = {text}"));
        assert_eq!(settings.boolean_or_text("runner.log.access"), Some(value));
    }
    assert_ne!(Checked::Integer(1), Checked::Boolean(true));
}

#[test]
fn functions_are_documented_and_their_examples_true() {
    assert!(FUNCTIONS.is_sorted_by_key(|function| function.name));
    for function in FUNCTIONS {
        assert!(is_summary(function.summary), "{}", function.name);
        assert!(is_help(function.help), "{}", function.name);
        let (expression, result) = function.example;
        assert!(expression.contains(function.name), "{}", function.name);
        let configuration = load(&format!("x = {expression}"));
        match configuration.get("x") {
            Ok(value) => assert_eq!(
                value.map(|value| value.repr()).as_deref(),
                Some(result),
                "{expression}"
            ),
            Err(mistake) => panic!("{}", render(&[mistake], false)),
        }
    }
}

#[test]
fn names_are_documented_and_mean_something() {
    assert!(CONSTANTS.is_sorted_by_key(|constant| constant.name));
    for constant in CONSTANTS {
        assert!(is_summary(constant.summary), "{}", constant.name);
        assert!(is_help(constant.help), "{}", constant.name);
        let configuration = load(&format!("x = {}", constant.name));
        assert!(configuration.get("x").is_ok(), "{}", constant.name);
    }
}

#[test]
fn words_are_documented_and_their_examples_true() {
    assert!(KEYWORDS.is_sorted_by_key(|word| word.name));
    for word in KEYWORDS {
        assert!(is_summary(word.summary), "{}", word.name);
        assert!(is_help(word.help), "{}", word.name);
        let (expression, result) = word.example;
        let used = word.name.trim_end_matches('\'');
        assert!(expression.contains(used) || result == used, "{}", word.name);
        let value = load(&format!("x = {expression}")).get("x");
        let value = value.expect(expression).map(|value| value.repr());
        assert_eq!(value.as_deref(), Some(result), "{expression}");
    }
}

#[test]
fn special_sections_are_documented_and_their_examples_right() {
    assert!(SPECIAL.is_sorted_by_key(|section| section.name));
    for section in SPECIAL {
        assert!(is_summary(section.summary), "{}", section.name);
        assert!(is_help(section.help), "{}", section.name);
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("more.ini"), "").expect("a file");
        let path = folder.path().join("x.ini");
        let text = format!("[{}]\n{}\n", section.name, section.example);
        fs::write(&path, text).expect("a file");
        assert!(Configuration::load(&[Layer::File(path)]).is_ok());
    }
}

#[test]
fn every_rule_of_the_grammars_has_an_example() {
    for name in ["file.pest", "expression.pest"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("grammar")
            .join(name);
        let text = fs::read_to_string(path).expect("a grammar");
        let mut before = "";
        let mut rules = 0;
        for line in text.lines() {
            let is_rule = line
                .split_once(" = ")
                .is_some_and(|(name, _)| name.chars().all(|c| c.is_alphanumeric() || c == '_'));
            if is_rule {
                rules += 1;
                let documented = before.starts_with("/// ") && before.matches('`').count() >= 2;
                assert!(documented, "{name}: {line}");
            }
            before = line;
        }
        assert!(rules > 10, "{name} has {rules} rules");
    }
}

#[test]
fn a_lookup_is_quick_once_it_is_computed() {
    let configuration = load("a.b.* = ruleSuffix");
    assert!(configuration.get("a.b.c").is_ok());
    let started = Instant::now();
    for _ in 0..10_000 {
        assert!(configuration.get("a.b.c").is_ok());
    }
    // Far more than it takes, for a busy machine: the test asserts that nothing is computed twice.
    assert!(
        started.elapsed() < Duration::from_millis(500),
        "{:?}",
        started.elapsed()
    );
}
