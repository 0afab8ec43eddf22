//! Settings that are right by themselves and do not go together, so that one of them is probably not meant. What cannot be
//! served at all is an error ([`order`]); of the rest ([`doubts`]), `check` warns, and so does a server when it starts.

use std::collections::HashMap;
use std::time::Duration;

use super::trusted_networks::{FIELDS, PROXIES};
use crate::config::files::file_format::{FileFormat, format_of};
use crate::config::keys::{KEYS, Key};
use crate::config::prefixes::SettingsPrefixes;
use crate::config::rules::Rules;
use crate::config::setting::{Checked, SettingKind};
use crate::config::settings::SETTINGS;
use crate::syntax::{Diagnostic, quoted};

const ACCESS: &str = "runner.log.access";
const HTTP2: &str = "runner.http.http2";
const PING_INTERVAL: &str = "runner.websocket.ping_interval";

/// Settings that have no effect where another one has no value, or this one: both, and the value.
const SWITCHED_OFF: [(&str, &str, Off); 8] = [
    (FIELDS, PROXIES, Off::Empty),
    ("runner.log.access_file", ACCESS, Off::False),
    ("runner.log.access_syslog", ACCESS, Off::False),
    ("runner.log.access_from", ACCESS, Off::False),
    ("runner.log.access_without", ACCESS, Off::False),
    (
        "runner.http.keep_alive_requests",
        "runner.http.keep_alive",
        Off::Zero,
    ),
    ("runner.http.max_streams", HTTP2, Off::False),
    ("runner.websocket.ping_timeout", PING_INTERVAL, Off::Zero),
];

/// Limits of parts, and those of the whole. 0 is no limit.
const PARTS: [(&str, &str); 4] = [
    ("runner.http.max_field", "runner.http.max_head"),
    ("runner.http.max_target", "runner.http.max_head"),
    ("runner.http.max_per_address", "runner.http.max_connections"),
    ("runner.response.max_buffer", "runner.response.max_buffers"),
];

/// Lists of strings in which each counts once, beside those of choices.
const SETS: [&str; 3] = [
    "runner.log.access_without",
    "runner.tls.acme",
    "runner.tls.redirect_without",
];

/// A value that switches other settings off.
#[derive(Clone, Copy)]
enum Off {
    /// A list without elements, or none.
    Empty,
    False,
    /// A duration of 0.
    Zero,
}

impl Off {
    fn is_value(self, value: Option<&Checked>) -> bool {
        match self {
            Self::Empty => match value {
                Some(Checked::Texts(texts)) => texts.is_empty(),
                Some(_) => false,
                None => true,
            },
            Self::False => value == Some(&Checked::Boolean(false)),
            Self::Zero => value == Some(&Checked::Duration(Duration::ZERO)),
        }
    }

    fn shown(self) -> &'static str {
        match self {
            Self::Empty => "trusts no proxy",
            Self::False => "is `False`",
            Self::Zero => "is 0",
        }
    }
}

/// Settings, and where they come from.
#[derive(Clone, Copy)]
struct SettingsInForce<'a> {
    rules: &'a Rules,
    checked: &'a HashMap<&'static str, Checked>,
}

/// What is probably not meant, in no order.
pub(in crate::config) fn doubts(
    rules: &Rules,
    checked: &HashMap<&'static str, Checked>,
) -> Vec<Diagnostic> {
    let all = SettingsInForce { rules, checked };
    let mut doubts = Vec::new();
    doubts.extend(all.long_drain());
    doubts.extend(all.trusts_every_address());
    doubts.extend(all.never_slow());
    let switched_off = SWITCHED_OFF.into_iter();
    doubts.extend(switched_off.filter_map(|(name, other, off)| all.switched_off(name, other, off)));
    doubts.extend(
        PARTS
            .into_iter()
            .filter_map(|(part, whole)| all.too_large(part, whole)),
    );
    let is_set = |name, kind| SETS.contains(&name) || matches!(kind, SettingKind::Choices(_));
    let sets = SETTINGS.iter().filter(|it| is_set(it.name, it.kind));
    doubts.extend(sets.filter_map(|set| all.repeated(set.name)));
    doubts.into_iter().map(Diagnostic::warning).collect()
}

impl SettingsInForce<'_> {
    /// The value of a setting that has not its default.
    fn given(&self, name: &str) -> Option<&Checked> {
        self.rules.origin(name)?;
        self.checked.get(name)
    }

    /// Clients that may stay for longer than the server does.
    fn long_drain(&self) -> Option<Diagnostic> {
        const DRAIN: &str = "runner.asgi.drain";
        const STOP: &str = "runner.stop_timeout";
        let (Some(Checked::Duration(drain)), Some(Checked::Duration(stop))) =
            (self.checked.get(DRAIN), self.checked.get(STOP))
        else {
            return None;
        };
        if drain <= stop {
            return None;
        }
        let (drain, stop) = (drain.as_secs_f64(), stop.as_secs_f64());
        let message = format!("`{DRAIN}` is {drain} s, more than `{STOP}`, which is {stop} s");
        let doubt = Diagnostic::new("setting/drain", message);
        let doubt = at_both(self.rules, doubt, DRAIN, (STOP, &format!("{stop} s here")));
        let hint = format!("raise `{STOP}`: a reload or a stop waits no longer for what is open");
        Some(doubt.with_hint(hint))
    }

    /// Every address is a trusted proxy: each client can then choose its own.
    fn trusts_every_address(&self) -> Option<Diagnostic> {
        let Some(Checked::Texts(proxies)) = self.checked.get(PROXIES) else {
            return None;
        };
        if !proxies.iter().any(|network| network.ends_with("/0")) {
            return None;
        }
        let message = format!(
            "setting `{PROXIES}` trusts every address: a client that reaches the server directly chooses its own"
        );
        let doubt = Diagnostic::new("setting/open", message);
        let doubt = doubt.with_hint("name the addresses of the proxies");
        Some(self.rules.label(doubt, PROXIES))
    }

    /// Requests are over before they are slow.
    fn never_slow(&self) -> Option<Diagnostic> {
        const SLOW: &str = "runner.request.slow";
        const TIMEOUT: &str = "runner.request.timeout";
        let (Some(Checked::Duration(slow)), Some(Checked::Duration(limit))) =
            (self.given(SLOW), self.checked.get(TIMEOUT))
        else {
            return None;
        };
        if limit.is_zero() || slow < limit {
            return None;
        }
        let limit = limit.as_secs_f64();
        let message = format!("setting `{SLOW}` has no effect: `{TIMEOUT}` is {limit} s");
        let doubt = Diagnostic::new("setting/ignored", message);
        Some(at_both(
            self.rules,
            doubt,
            SLOW,
            (TIMEOUT, &format!("{limit} s here")),
        ))
    }

    /// A setting has no effect.
    fn switched_off(
        &self,
        name: &'static str,
        other: &'static str,
        off: Off,
    ) -> Option<Diagnostic> {
        let is_off = *self.given(name)? == Checked::Boolean(false);
        if is_off || !off.is_value(self.checked.get(other)) {
            return None;
        }
        let message = format!("setting `{name}` has no effect: `{other}` {}", off.shown());
        let doubt = Diagnostic::new("setting/ignored", message);
        Some(at_both(self.rules, doubt, name, (other, "here")))
    }

    /// A part may be larger than the whole.
    fn too_large(&self, part: &'static str, whole: &'static str) -> Option<Diagnostic> {
        let (Some(Checked::Integer(of_part)), Some(Checked::Integer(most))) =
            (self.given(part), self.checked.get(whole))
        else {
            return None;
        };
        if *most == 0 || of_part <= most {
            return None;
        }
        let message =
            format!("setting `{part}` is {of_part}, more than `{whole}`, which is {most}");
        let doubt = Diagnostic::new("setting/order", message);
        Some(at_both(
            self.rules,
            doubt,
            part,
            (whole, &format!("{most} here")),
        ))
    }

    /// A list has an element twice.
    fn repeated(&self, name: &'static str) -> Option<Diagnostic> {
        let Some(Checked::Texts(texts)) = self.given(name) else {
            return None;
        };
        let mut numbered = texts.iter().enumerate();
        let (_, text) = numbered.find(|(number, text)| texts[..*number].contains(text))?;
        let message = format!("setting `{name}` has {} twice", quoted(text));
        let doubt = Diagnostic::new("setting/twice", message);
        Some(self.rules.label(doubt, name))
    }
}

/// A problem at the place of a setting, and at that of another one, with what is seen there, if a file has it.
fn at_both(
    rules: &Rules,
    mut problem: Diagnostic,
    name: &str,
    (other, seen): (&str, &str),
) -> Diagnostic {
    for (name, seen) in [(name, ""), (other, seen)] {
        if let Some(rule) = rules.origin(name) {
            problem = rule.origin.label(problem, seen);
        }
    }
    problem
}

/// Keys of a file for `supervise` that an application does not obey, since its own settings come before them: warnings.
pub(in crate::config) fn keys_without_effect(
    rules: &Rules,
    prefixes: &SettingsPrefixes,
) -> Vec<Diagnostic> {
    let doubt = |key: &'static Key| {
        let own = prefixes.source(rules, key.setting);
        if own == key.setting || !is_key(rules, key.setting) {
            return None;
        }
        let message = format!(
            "key `{}` has no effect on the application that has `{own}` of its own",
            key.name
        );
        let doubt = Diagnostic::new("setting/ignored", message);
        Some(at_both(rules, doubt, key.setting, (&own, "here")).warning())
    };
    KEYS.iter().filter_map(doubt).collect()
}

/// Whether a key of a file for `supervise` gives a property its value.
fn is_key(rules: &Rules, name: &str) -> bool {
    let place = rules.origin(name).and_then(|rule| rule.origin.place());
    place.is_some_and(|place| format_of(&place.source) == Some(FileFormat::Keys))
}

/// The mistake that the least number of workers is larger than the largest.
pub(super) fn order(
    rules: &Rules,
    prefixes: &SettingsPrefixes,
    checked: &HashMap<&'static str, Checked>,
) -> Option<Diagnostic> {
    const MIN: &str = "runner.workers.min";
    const MAX: &str = "runner.workers.max";
    let (Some(Checked::Integer(min)), Some(Checked::Integer(max))) =
        (checked.get(MIN), checked.get(MAX))
    else {
        return None;
    };
    if min <= max {
        return None;
    }
    let sources = [MIN, MAX].map(|name| prefixes.source(rules, name));
    // The message uses the names that the file uses: keys or settings.
    let by_keys = sources.iter().any(|name| is_key(rules, name));
    let what = if by_keys { "key" } else { "setting" };
    let [least, most] = sources.each_ref().map(|name| {
        let key = KEYS.iter().find(|key| by_keys && key.setting == name);
        key.map_or(&**name, |key| key.name)
    });
    let message = format!("{what} `{most}` is {max}, less than `{least}`, which is {min}");
    let mut mistake = Diagnostic::new("setting/order", message);
    let [min_source, max_source] = &sources;
    for (name, value) in [(max_source, max), (min_source, min)] {
        let seen = match mistake.labels.is_empty() {
            true => String::new(),
            false => format!("{value} here"),
        };
        if let Some(rule) = rules.origin(name) {
            mistake = rule.origin.label(mistake, &seen);
        }
    }
    Some(mistake.with_hint(format!("set both; the default of `{most}` is 4")))
}
