//! The raw requests of `tests/http/requests/`, as bytes. `tests/http_requests.rs` describes how they are written.

use std::fs;
use std::path::Path;

/// A section's title, a case's name, its bytes, and the lines of each of its outcomes.
pub type RawCase = (String, String, Vec<u8>, Vec<String>);

/// All of them, in order.
pub fn cases() -> Vec<RawCase> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http/requests");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let mut cases = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        for section in text.split("\n## ").skip(1) {
            let mut parts = section.split("\n=== ");
            let title = parts.next().unwrap().lines().next().unwrap();
            for part in parts {
                // An empty line before the next case.
                let part = part.strip_suffix('\n').unwrap_or(part);
                let (name, text) = part.split_once('\n').unwrap();
                let mut outcomes = text.split("\n--- ").map(str::to_owned);
                let request = outcomes.next().unwrap();
                let lines: Vec<&str> = request.split('\n').collect();
                cases.push((
                    title.to_owned(),
                    name.to_owned(),
                    on_the_wire(&lines),
                    outcomes.collect(),
                ));
            }
        }
    }
    cases
}

/// The lines of a case as they are sent.
fn on_the_wire(lines: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        let (mut rest, mut is_ended) = (*line, false);
        while let Some((before, behind)) = rest.split_once('\\') {
            bytes.extend_from_slice(before.as_bytes());
            let mut after = behind.chars();
            match after.next() {
                None => is_ended = true,
                Some('r') => bytes.push(b'\r'),
                Some('n') => bytes.push(b'\n'),
                Some('x') => {
                    bytes.push(u8::from_str_radix(&behind[1..3], 16).unwrap());
                    after.nth(1);
                }
                Some('{') => {
                    let (repeated, behind) = behind[1..].split_once('}').unwrap();
                    let (times, text) = repeated.split_once(' ').unwrap();
                    bytes.extend_from_slice(text.repeat(times.parse().unwrap()).as_bytes());
                    after = behind.chars();
                }
                Some(other) => bytes.push(u8::try_from(other).unwrap()),
            }
            rest = after.as_str();
        }
        bytes.extend_from_slice(rest.as_bytes());
        if !is_ended {
            bytes.extend_from_slice(b"\r\n");
        }
    }
    bytes
}
