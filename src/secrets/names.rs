//! Names of secrets. A name is taken as its words, so that `db_pass` is one and `passenger` is not.

/// Words that make a name one of a secret; also in the plural.
const SECRET: &[&str] = &[
    "apikey",
    "auth",
    "authorization",
    "bearer",
    "credential",
    "jwt",
    "key",
    "pass",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "private",
    "pwd",
    "salt",
    "secret",
    "signature",
    "token",
];

/// Ends of words that do so, where a name is written without a mark between its words, such as `PGPASSWORD`.
const SECRET_ENDS: &[&str] = &[
    "accesskey",
    "apikey",
    "authkey",
    "credential",
    "dbpass",
    "encryptionkey",
    "masterkey",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secret",
    "secretkey",
    "signingkey",
    "token",
    "userpass",
];

/// Words that follow each other and are no secret, though one of them alone would be.
const HARMLESS: &[&[&str]] = &[
    // The current folder.
    &["environ", "pwd"],
    &["public", "key"],
    &["primary", "key"],
    &["foreign", "key"],
    &["sort", "key"],
    &["proxy", "pass"],
    &["pass", "through"],
    // Settings of ours: the name of a file, and whether clients need certificates.
    &["tls", "key"],
    &["client", "auth"],
];

/// Words that are a secret only together: the cookie of a session is as good as its password.
const SECRET_TOGETHER: &[&[&str]] = &[&["session", "id"], &["session", "cookie"]];

/// Whether something with this name is a secret: the name of a setting or variable, or a key of a dict.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let words = words(name);
    let mut rest = words.as_slice();
    while let Some((first, behind)) = rest.split_first() {
        if let Some(harmless) = HARMLESS.iter().find(|words| begins(rest, words)) {
            rest = &rest[harmless.len()..];
        } else if is_secret_word(first) || SECRET_TOGETHER.iter().any(|words| begins(rest, words)) {
            return true;
        } else {
            rest = behind;
        }
    }
    false
}

fn begins(words: &[String], with: &[&str]) -> bool {
    words.len() >= with.len() && words.iter().zip(with).all(|(word, with)| word == with)
}

fn is_secret_word(word: &str) -> bool {
    let singular = word.strip_suffix('s').unwrap_or(word);
    [word, singular]
        .into_iter()
        .any(|word| SECRET.contains(&word) || SECRET_ENDS.iter().any(|end| word.ends_with(end)))
}

/// The words of a name, in lower case: `dbPassword2`, `DB-PASSWORD` and `db.password` have the same two.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut characters = name.chars().peekable();
    let mut before = ' ';
    while let Some(character) = characters.next() {
        let next = characters.peek().copied().unwrap_or(' ');
        // `dbPassword`, and `APIKey`, where the last capital begins a word.
        let begins = character.is_uppercase()
            && (before.is_lowercase() || before.is_uppercase() && next.is_lowercase());
        if !character.is_alphabetic() || begins {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
        }
        if character.is_alphabetic() {
            word.extend(character.to_lowercase());
        }
        before = character;
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

#[cfg(test)]
mod tests {
    use super::{is_secret, words};

    #[test]
    fn names_of_secrets() {
        for name in [
            "password",
            "db.password",
            "DB_PASSWORD",
            "dbPassword",
            "password2",
            "passwords",
            "passwd",
            "db_pass",
            "pass",
            "mysql.pwd",
            "MYSQL_PWD",
            "PGPASSWORD",
            "dbpassword",
            "passphrase",
            "ssh-passphrase",
            "passcode",
            "secret",
            "SECRET_KEY",
            "secretKey",
            "client-secret",
            "secrets.db",
            "session.secret",
            "token",
            "api.Token",
            "accessToken",
            "csrf_token",
            "GITHUB_TOKEN",
            "authtoken",
            "key",
            "a.keys",
            "APIKey",
            "api_key",
            "apikey",
            "X-API-Key",
            "AWS_ACCESS_KEY_ID",
            "credentials",
            "credential",
            "auth",
            "http_auth",
            "Authorization",
            "PROXY_AUTHORIZATION",
            "bearer",
            "jwt",
            "private",
            "private_key",
            "PRIVATE-KEY",
            "salt",
            "password_salt",
            "signature",
            "url.signature",
            "session_id",
            "sessionId",
            "SESSION_COOKIE",
            "public_key.password",
            "--db-password",
        ] {
            assert!(is_secret(name), "{name}");
        }
    }

    /// What an exception page hides is the same.
    #[test]
    fn the_words_are_those_of_the_page_for_exceptions() {
        let code = include_str!("../workers/python/development.py");
        let words: Vec<&str> = code.split(|one: char| !one.is_alphabetic()).collect();
        for word in super::SECRET.iter().chain(super::SECRET_ENDS) {
            assert!(words.contains(word), "{word}");
        }
    }

    #[test]
    fn names_that_only_look_like_it() {
        for name in [
            "",
            "user",
            "runner.workers.max",
            "monkey",
            "keyboard",
            "keyboards",
            "KEYMAP",
            "hockey",
            "turkey",
            "passenger",
            "bypass",
            "compass",
            "passive",
            "author",
            "authors",
            "authority",
            "AUTHOR_NAME",
            "tokenizer",
            "tokenize",
            "secretary",
            "salted",
            "privately",
            "design",
            "session",
            "session.timeout",
            "session_timeout",
            "environ.PWD",
            "OLDPWD",
            "environ.OLDPWD",
            "public_key",
            "primaryKey",
            "foreign_key",
            "sort_key",
            "proxy_pass",
            "pass_through",
            "runner.tls.key",
            "runner.tls.client_auth",
            "keyed",
            "hostname",
            "é",
            "cookie.name",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn a_name_is_taken_as_its_words() {
        for (name, wanted) in [
            ("dbPassword2", "db password"),
            ("APIKey", "api key"),
            ("HTTPProxyAuth", "http proxy auth"),
            ("a.b-c_d e/f", "a b c d e f"),
            ("ÉtéToken", "été token"),
            ("--", ""),
        ] {
            assert_eq!(words(name).join(" "), wanted);
        }
    }
}
