//! The keys of files for `supervise`: one table for reading, suggestions, `explain` and the manual. A key is another name
//! for a setting: it has the same checks, default and help.

use super::checks::checked_value::check;
use super::checks::quantities::DURATION_KEY_FORMS;
use super::setting::{Setting, SettingKind};
use super::settings;
use crate::eval::Value;
use crate::syntax::quoted;

/// A key.
#[derive(Debug)]
pub struct Key {
    /// As it is usually written; any case is accepted.
    pub name: &'static str,
    /// The setting that it gives a value.
    pub setting: &'static str,
    /// A line of a file with it.
    pub example: &'static str,
}

/// Builds a row of the table.
macro_rules! keys {
    ($($name:literal $setting:expr, $example:literal;)*) => {
        &[$(Key { name: $name, setting: $setting, example: $example }),*]
    };
}

/// Every key, in the order in which they are usually written.
pub const KEYS: &[Key] = keys! {
    "Command" COMMAND, "Command FastCGI unix:/run/my_app/socket WSGI import:my_app.application";
    "PidFile" PID_FILE, "PidFile /run/my_app.pid";
    "MinProcesses" "runner.workers.min", "MinProcesses 2";
    "MaxProcesses" "runner.workers.max", "MaxProcesses 8";
    "StartInterval" START_INTERVAL, "StartInterval 15s";
    "Import" "runner.workers.imports", "Import my_app.views";
    "StartupLock" "runner.supervise.startup_lock", "StartupLock flockfile:/run/my_app.start";
    "PidLock" "runner.supervise.pid_lock", "PidLock flockfile:/run/my_app.lock";
    "StopAfter" "runner.supervise.stop_after", "StopAfter 1d";
    "IdleTimeout" "runner.supervise.idle_timeout", "IdleTimeout 1h";
    "RunAtLeast" "runner.supervise.run_at_least", "RunAtLeast 2m";
    "Program" "runner.supervise.programs", "Program ./worker --queue mail";
};

/// The setting that says what is supervised.
pub const COMMAND: &str = "runner.supervise.command";

/// The setting that names the pid file.
pub const PID_FILE: &str = "runner.supervise.pid_file";

const START_INTERVAL: &str = "runner.workers.start_interval";

/// The settings that have another default in `supervise`: that default, in seconds.
pub const SUPERVISED: &[(&str, u64)] = &[(START_INTERVAL, 15)];

impl Key {
    /// The key of a name, in any case.
    #[must_use]
    pub fn find(word: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name.eq_ignore_ascii_case(word))
    }

    /// The setting.
    ///
    /// # Panics
    /// There is no such setting: a bug, which a test of all keys finds.
    #[must_use]
    pub fn setting(&self) -> &'static Setting {
        match settings::find(self.setting) {
            Some(setting) => setting,
            None => panic!("key {} has no setting", self.name),
        }
    }

    /// Whether a file may have it several times.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        self.setting().kind == SettingKind::Texts
    }

    /// What it takes, in words.
    #[must_use]
    pub fn wanted(&self) -> String {
        match self.is_repeatable() {
            true => SettingKind::Text.noun(),
            false => self.setting().kind.noun(),
        }
    }

    /// What it takes, with the ways in which it can be written.
    #[must_use]
    pub fn written(&self) -> String {
        let kind = self.setting().kind;
        let more = if kind == SettingKind::Duration {
            format!(": {DURATION_KEY_FORMS}")
        } else if kind == SettingKind::Path {
            ", relative to the file with the key".to_owned()
        } else if self.is_repeatable() {
            "; the key may be given several times".to_owned()
        } else {
            String::new()
        };
        self.wanted() + &more
    }

    /// The default in `supervise`; `None` where it depends on something else.
    #[must_use]
    pub fn default_text(&self) -> Option<String> {
        match SUPERVISED.iter().find(|(name, _)| *name == self.setting) {
            Some((_, seconds)) => Some(format!("{seconds} s")),
            None => self.setting().default_text(),
        }
    }

    /// The value of its setting.
    ///
    /// # Errors
    /// The setting cannot have such a value: the message and a hint.
    pub(super) fn value(&self, text: &str) -> Result<Value, (String, Option<String>)> {
        let setting = self.setting();
        let value = match (setting.kind, text.parse::<u64>()) {
            (SettingKind::Integer { .. }, Ok(number)) => Value::from(number),
            _ => Value::text(text),
        };
        // The values of a repeatable key are checked when all of them are known.
        if self.is_repeatable() && !text.is_empty() || check(setting, &value).is_ok() {
            return Ok(value);
        }
        let hint =
            (setting.kind == SettingKind::Duration).then(|| format!("write {DURATION_KEY_FORMS}"));
        let (name, wanted) = (self.name, self.wanted());
        let message = format!("key `{name}` takes {wanted} but got {}", quoted(text));
        Err((message, hint))
    }
}

#[cfg(test)]
mod tests {
    use super::{KEYS, Key};

    #[test]
    fn each_key_is_a_setting_with_an_example() {
        for key in KEYS {
            assert_eq!(key.setting().name, key.setting);
            let (name, value) = key.example.split_once(' ').expect("a key and a value");
            assert_eq!(name, key.name);
            key.value(value).expect("an example that is right");
            let lower = key.name.to_lowercase();
            assert_eq!(Key::find(&lower).map(|found| found.name), Some(key.name));
        }
    }
}
