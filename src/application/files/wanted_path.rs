//! Which file a request asks for.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The only name with a dot in front that is served (RFC 8615).
const WELL_KNOWN: &[u8] = b".well-known";

/// A path below the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::application) struct WantedPath {
    /// Without a slash in front or at the end; empty for the folder itself.
    pub path: PathBuf,
    /// It ends in a slash: a folder is asked for, and its index is sent.
    pub is_folder: bool,
}

impl WantedPath {
    /// The path of a `PATH_INFO`. `None` if there can be no such file, or if it is `hidden` ones only that have such names.
    pub(in crate::application) fn of(path_info: &[u8], hidden: bool) -> Option<Self> {
        let mut path = PathBuf::new();
        for segment in path_info.split(|byte| *byte == b'/') {
            match segment {
                b"" => {}
                b"." | b".." => return None,
                [b'.', ..] if !hidden && segment != WELL_KNOWN => return None,
                _ if segment.contains(&0) => return None,
                _ => path.push(OsStr::from_bytes(segment)),
            }
        }
        // Without a slash, it is the path at which the folder is mounted, as that of a file would be.
        let is_folder = path_info.last() == Some(&b'/');
        Some(Self { path, is_folder })
    }

    /// What is opened for it.
    pub(in crate::application) fn file(&self, index: &str) -> PathBuf {
        match self.is_folder {
            true => self.path.join(index),
            false => self.path.clone(),
        }
    }
}

/// Whether a file is a source of PHP or of a script, or a copy of one as editors and people make them (`wp-config.php.bak`).
/// Old applications have theirs, with passwords, in files that end in `.inc`, too. A script is known by its name, or by an
/// ending that begins with a dot. Some file systems take `a.php `, `a.php.` and `a.php::$DATA` for `a.php`.
pub(super) fn is_source(path: &Path, scripts: &[String]) -> bool {
    const COPIES: [&str; 11] = [
        "~", ".bak", ".br", ".dist", ".gz", ".old", ".orig", ".save", ".swp", ".tmp", ".zst",
    ];
    let name = path.file_name().unwrap_or_default();
    let name = name.to_string_lossy().to_ascii_lowercase();
    let of_no_meaning = |name: &str| {
        let name = name.split("::$").next().unwrap_or_default();
        let is_lost = |c: char| c == '.' || c.is_whitespace() || c.is_control();
        name.trim_end_matches(is_lost).len()
    };
    let mut name = &name[..of_no_meaning(&name)];
    while let Some(rest) = COPIES.iter().find_map(|copy| name.strip_suffix(copy)) {
        name = &rest[..of_no_meaning(rest)];
    }
    let is_script = |script: &String| {
        let script = script.to_ascii_lowercase();
        name == script || script.starts_with('.') && name.ends_with(&script)
    };
    if scripts.iter().any(is_script) {
        return true;
    }
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let is_php = ["php", "phps", "pht", "phtml", "phar", "inc"].contains(&ending);
    let version = ending.strip_prefix("php").unwrap_or_default();
    is_php || (!version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether a pattern matches a path: `*` stands for any characters, slashes too. A pattern without a slash is compared with
/// the last name.
pub(in crate::application) fn matches(pattern: &str, path: &Path) -> bool {
    let text = match pattern.contains('/') {
        true => path.as_os_str(),
        false => path.file_name().unwrap_or_default(),
    };
    let mut rest = text.as_bytes();
    let mut parts = pattern.trim_start_matches('/').split('*');
    let first = parts.next().unwrap_or_default().as_bytes();
    let Some(behind) = rest.strip_prefix(first) else {
        return false;
    };
    rest = behind;
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        let part = part.as_bytes();
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match memchr::memmem::find(rest, part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{WantedPath, is_source, matches};

    #[test]
    fn names_that_lead_elsewhere_or_are_hidden_are_none() {
        for (path_info, hidden, path, is_folder) in [
            ("/", false, Some(""), true),
            ("", false, Some(""), false),
            ("/a", false, Some("a"), false),
            ("/a/", false, Some("a"), true),
            ("//a//b", false, Some("a/b"), false),
            ("/a/b/", false, Some("a/b"), true),
            ("/..", false, None, false),
            ("/a/../b", false, None, false),
            ("/a/./b", true, None, false),
            ("/../a", true, None, false),
            ("/a\0b", true, None, false),
            ("/.git/config", false, None, false),
            ("/.git/config", true, Some(".git/config"), false),
            ("/a/.env", false, None, false),
            ("/...", false, None, false),
            ("/.well-known/acme", false, Some(".well-known/acme"), false),
            ("/a\\..\\b", false, Some("a\\..\\b"), false),
        ] {
            let found = WantedPath::of(path_info.as_bytes(), hidden);
            let expected = path.map(|path| WantedPath {
                path: path.into(),
                is_folder,
            });
            assert_eq!(found, expected, "{path_info:?}");
        }
    }

    #[test]
    fn sources_of_php_are_known_by_their_names() {
        for (path_info, is_php) in [
            ("/a.php", true),
            ("/a.PHP", true),
            ("/a.php7", true),
            ("/a.phps", true),
            ("/a.phtml", true),
            ("/a.phar", true),
            ("/db.inc", true),
            ("/db.inc.bak", true),
            ("/inc", false),
            ("/a.php~", true),
            ("/wp-config.php.bak", true),
            ("/a.php.gz", true),
            ("/wp-config.php.old.orig", true),
            ("/a.php ", true),
            ("/a.php.", true),
            ("/a.php. .", true),
            ("/a.php\n", true),
            ("/a.php::$DATA", true),
            ("/a.php.bak ", true),
            ("/a.php .bak", true),
            ("/a.php.html", false),
            ("/a.html ", false),
            ("/a.php/b.css", false),
            ("/a.phpx", false),
            ("/php", false),
            ("/a.bak", false),
            ("/", false),
        ] {
            assert_eq!(is_source(Path::new(path_info), &[]), is_php, "{path_info}");
        }
    }

    #[test]
    fn sources_of_scripts_are_known_by_their_endings_or_names() {
        let scripts = [".html", "front"].map(str::to_owned);
        for (path_info, is_script) in [
            ("/a.html", true),
            ("/a.HTML.bak", true),
            ("/a.html ", true),
            ("/a.php", true),
            ("/front", true),
            ("/d/front~", true),
            ("/html", false),
            ("/a.htm", false),
            ("/afront", false),
            ("/front.css", false),
            ("/front/a.css", false),
        ] {
            assert_eq!(
                is_source(Path::new(path_info), &scripts),
                is_script,
                "{path_info}"
            );
        }
    }

    #[test]
    fn patterns_match_names_or_paths() {
        for (pattern, path, is_match) in [
            ("*", "a/b", true),
            ("*.css", "a/b.css", true),
            ("*.css", "a/b.css.map", false),
            ("b*", "a/b", true),
            ("a*", "a/b", false),
            ("a/*", "a/b", true),
            ("/a/*", "a/b", true),
            ("a/*", "aa/b", false),
            ("a/*.*.js", "a/b.123.js", true),
            ("a/*.*.js", "a/b.js", false),
            ("*-*.js", "b-1.js", true),
            ("*.js*.js", "b.js", false),
            ("index.html", "index.html", true),
            ("index.html", "a/index.html", true),
            ("/index.html", "a/index.html", false),
            ("", "a", false),
        ] {
            assert_eq!(
                matches(pattern, Path::new(path)),
                is_match,
                "{pattern} {path}"
            );
        }
    }
}
