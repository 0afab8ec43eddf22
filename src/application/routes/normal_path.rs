//! A decoded path without what means nothing in it: doubled slashes, and the segments `.` and `..` (RFC 3986 §5.2.4).

use bytes::Bytes;
use memchr::memmem;

/// A path as it is matched.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NormalPath {
    /// As it is.
    Same,
    /// Another one: with each slash once, but otherwise the same.
    Merged(Vec<u8>),
    /// Another one: also without dots.
    Resolved(Vec<u8>),
}

impl NormalPath {
    /// Takes out of a path what means nothing. `..` leads no further than to the root.
    pub(super) fn of(path: &[u8]) -> Self {
        let merges = memmem::find(path, b"//").is_some();
        // Cheaper than a look at each segment.
        let has_dots = memmem::find(path, b"/.").is_some() && path.split(is_slash).any(is_dots);
        if !merges && !has_dots {
            return Self::Same;
        }
        let mut kept: Vec<&[u8]> = Vec::new();
        let mut ends_in_folder = path.ends_with(b"/");
        for segment in path.split(is_slash) {
            match segment {
                b"" | b"." => {}
                b".." => {
                    kept.pop();
                }
                segment => kept.push(segment),
            }
            ends_in_folder = segment.is_empty() || is_dots(segment);
        }
        let mut normal = Vec::with_capacity(path.len());
        for segment in &kept {
            normal.push(b'/');
            normal.extend_from_slice(segment);
        }
        if ends_in_folder || kept.is_empty() {
            normal.push(b'/');
        }
        match has_dots {
            true => Self::Resolved(normal),
            false => Self::Merged(normal),
        }
    }

    /// The path that is matched, for one that was written as `path`.
    pub(super) fn path<'a>(&'a self, path: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Same => path,
            Self::Merged(normal) | Self::Resolved(normal) => normal,
        }
    }

    /// The path for the application, if it is to be another one than the client has sent: where dots in it, or doubled
    /// slashes that alone lead elsewhere, would have the application believe that it answers for another route. Doubled
    /// slashes that change nothing stay: a path may hold a URL.
    pub(super) fn replacement(self, leads_elsewhere: impl FnOnce() -> bool) -> Option<Bytes> {
        match self {
            Self::Same => None,
            Self::Merged(normal) => leads_elsewhere().then(|| normal.into()),
            Self::Resolved(normal) => Some(normal.into()),
        }
    }
}

fn is_slash(byte: &u8) -> bool {
    *byte == b'/'
}

fn is_dots(segment: &[u8]) -> bool {
    matches!(segment, b"." | b"..")
}

#[cfg(test)]
mod tests {
    use super::NormalPath;

    #[test]
    fn what_means_nothing_is_taken_out() {
        for path in [
            "",
            "/",
            "/a",
            "/a/",
            "/.a/..b/c./...",
            "/a/.well-known",
            "/a;b/c",
            "*",
        ] {
            assert_eq!(NormalPath::of(path.as_bytes()), NormalPath::Same, "{path}");
        }
        for (path, merged) in [
            ("//", "/"),
            ("//a", "/a"),
            ("/a//", "/a/"),
            ("/a///b", "/a/b"),
        ] {
            let merged = NormalPath::Merged(merged.into());
            assert_eq!(NormalPath::of(path.as_bytes()), merged, "{path}");
        }
        for (path, resolved) in [
            ("/.", "/"),
            ("/..", "/"),
            ("/../..", "/"),
            ("/a/.", "/a/"),
            ("/a/./b", "/a/b"),
            ("/a/..", "/"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/../", "/a/"),
            ("/../a", "/a"),
            ("/a//../b", "/b"),
            ("//.//a//..//b", "/b"),
        ] {
            let resolved = NormalPath::Resolved(resolved.into());
            assert_eq!(NormalPath::of(path.as_bytes()), resolved, "{path}");
        }
    }

    #[test]
    fn a_normal_path_is_its_own() {
        let alphabet = [b'/', b'.', b'a'];
        // All paths of up to eight of these.
        for number in 0..3_usize.pow(8) {
            let digit = |place| alphabet[number / 3_usize.pow(place) % 3];
            let path: Vec<u8> = [b'/'].into_iter().chain((0..8).map(digit)).collect();
            let normal = NormalPath::of(&path);
            let again = NormalPath::of(normal.path(&path));
            let shown = String::from_utf8_lossy(&path);
            assert_eq!(again, NormalPath::Same, "{shown}");
        }
    }
}
