//! Settings of one application: `shop.workers.min` comes before `runner.workers.min` in what is named with
//! `commands.Alias(command=[…], settings='shop')`.

use std::borrow::Cow;
use std::sync::Arc;

use super::name::EVERYTHING;
use super::rules::Rules;
use super::settings;

/// The prefix of the settings that hold for all applications, and for the server.
pub(super) const OWN: &str = "runner.";

/// What the names of settings begin with that an application can have of its own. The others are the server's: they count
/// before it is known which application answers a request, or for the whole process.
const OF_APPLICATIONS: &[&str] = &[
    "runner.asgi.",
    "runner.environment",
    "runner.path",
    "runner.python",
    "runner.request.queue_",
    "runner.request.slow",
    "runner.request.timeout",
    "runner.response.",
    "runner.start_timeout",
    "runner.workers.",
];

/// Whether an application can have a setting of its own.
#[must_use]
pub fn is_of_applications(setting: &str) -> bool {
    OF_APPLICATIONS
        .iter()
        .any(|beginning| setting.starts_with(beginning))
}

/// The prefixes below which the settings of an application are looked for before `runner.*`, the first one first, without
/// dots at their ends. None for the settings of the server.
#[derive(Clone, Debug, Default)]
pub(super) struct SettingsPrefixes(pub Vec<Arc<str>>);

impl SettingsPrefixes {
    /// The property that gives a setting its value: `shop.workers.min` for `runner.workers.min`. `None` there means that
    /// the setting is not set; a rule for everything (`*`) is no setting.
    pub(super) fn source<'a>(&self, rules: &Rules, setting: &'a str) -> Cow<'a, str> {
        let plain = Cow::Borrowed(setting);
        if self.0.is_empty() || !is_of_applications(setting) || settings::find(setting).is_none() {
            return plain;
        }
        let Some(rest) = setting.strip_prefix(OWN) else {
            return plain;
        };
        let own = self.0.iter().map(|prefix| format!("{prefix}.{rest}"));
        own.filter(|name| rules.has_rule_for(name))
            .find(|name| {
                let is_given = !matches!(rules.get(name), Ok(None));
                let rule = rules.origin(name);
                is_given && rule.is_none_or(|rule| &*rule.name != EVERYTHING)
            })
            .map_or(plain, Cow::Owned)
    }
}
