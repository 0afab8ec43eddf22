//! What the pages of runner's own have in common.

use http::{HeaderMap, header};

/// Whether the client prefers HTML to plain text (RFC 9110 §12.5.1). Only browsers name it; a client that accepts anything,
/// such as curl, shows text.
pub(super) fn prefers_html(headers: &HeaderMap) -> bool {
    let mut html = 0;
    let mut plain = 0;
    for accept in headers.get_all(header::ACCEPT) {
        for range in accept.to_str().unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality = parts
                .find_map(|part| part.strip_prefix("q="))
                .map_or(1000, thousandths);
            match kind.as_str() {
                "text/html" | "application/xhtml+xml" => html = html.max(quality),
                "text/plain" => plain = plain.max(quality),
                _ => {}
            }
        }
    }
    html > 0 && html >= plain
}

/// A quality as a whole number (RFC 9110 §12.4.2). An invalid one counts as the best.
fn thousandths(quality: &str) -> u32 {
    match quality.parse::<f32>() {
        // Between 0 and 1000, which every u32 holds.
        Ok(quality) if (0.0..=1.0).contains(&quality) => (quality * 1000.0) as u32,
        Ok(_) | Err(_) => 1000,
    }
}

/// Adds text to a page.
pub(super) fn escape_markup(page: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            character if character.is_control() => page.extend(character.escape_default()),
            character => page.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::prefers_html;

    #[test]
    fn html_is_for_who_prefers_it() {
        for (accept, html) in [
            ("text/html", true),
            ("text/html;q=0.5, text/plain;q=0.4", true),
            ("text/plain, text/html", true),
            ("Text/HTML; q=1.0", true),
            ("application/xhtml+xml", true),
            ("*/*", false),
            ("text/*", false),
            ("text/plain", false),
            ("text/html;q=0", false),
            ("text/html;q=0.1, text/plain", false),
            ("application/json", false),
        ] {
            let headers: HeaderMap = [(header::ACCEPT, HeaderValue::from_static(accept))]
                .into_iter()
                .collect();
            assert_eq!(prefers_html(&headers), html, "{accept}");
        }
        assert!(!prefers_html(&HeaderMap::new()));
    }
}
