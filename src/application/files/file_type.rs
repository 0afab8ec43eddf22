//! The media type of a file, by the ending of its name.

use std::path::Path;

use http::HeaderValue;

/// What is no `text/*` and is text all the same, so that it has a charset and can be compressed.
const TEXTS: [&str; 7] = [
    "application/javascript",
    "application/json",
    "application/manifest+json",
    "application/wasm",
    "application/xhtml+xml",
    "application/xml",
    "image/svg+xml",
];

/// The value of `Content-Type` for a file. Text is UTF-8.
pub(super) fn of(path: &Path) -> HeaderValue {
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    let text = match (kind.type_() == mime_guess::mime::TEXT, kind.essence_str()) {
        // The one name that is not obsolete (RFC 9239 §6).
        (_, "application/javascript") => "text/javascript; charset=utf-8".to_owned(),
        (true, _) => format!("{kind}; charset=utf-8"),
        (false, _) => kind.to_string(),
    };
    HeaderValue::try_from(text)
        .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"))
}

/// Whether it is worth to compress such files.
pub(super) fn is_compressible(path: &Path) -> bool {
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    kind.type_() == mime_guess::mime::TEXT || TEXTS.contains(&kind.essence_str())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{is_compressible, of};

    #[test]
    fn text_has_a_charset() {
        for (name, kind, compressible) in [
            ("a.html", "text/html; charset=utf-8", true),
            ("a.css", "text/css; charset=utf-8", true),
            ("A.JS", "text/javascript; charset=utf-8", true),
            ("a.mjs", "text/javascript; charset=utf-8", true),
            ("a.json", "application/json", true),
            ("a.svg", "image/svg+xml", true),
            ("a.wasm", "application/wasm", true),
            ("a.png", "image/png", false),
            ("a.webp", "image/webp", false),
            ("a.avif", "image/avif", false),
            ("a.woff2", "font/woff2", false),
            ("a.mp4", "video/mp4", false),
            ("a.pdf", "application/pdf", false),
            ("a.js.gz", "application/gzip", false),
            ("a.webmanifest", "application/manifest+json", true),
            ("README", "application/octet-stream", false),
        ] {
            assert_eq!(of(Path::new(name)), kind, "{name}");
            assert_eq!(is_compressible(Path::new(name)), compressible, "{name}");
        }
    }
}
