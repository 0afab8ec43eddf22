//! A strict reading of requests (RFC 9112, RFC 3986, RFC 3875), which shares no code with the program, and is as plain as it
//! can be.

use std::collections::BTreeMap;

/// A request as CGI's variables have it; bytes are Latin-1.
#[derive(Debug, PartialEq, Eq)]
pub struct ReadRequest {
    pub method: String,
    pub target: String,
    pub path: String,
    pub query: String,
    pub version: String,
    pub fields: BTreeMap<String, String>,
    pub content_type: Option<String>,
    pub content_length: Option<String>,
    pub body: String,
}

/// Fields that are no lists (RFC 9110).
const SINGLE: [&str; 2] = ["referer", "user-agent"];

/// A request and the bytes behind it. `None` if there is no whole request, or its framing is not beyond all doubt.
pub fn read(bytes: &[u8]) -> Option<(ReadRequest, &[u8])> {
    let (head, fields, rest) = read_head(bytes)?;
    let (body, rest) = read_body(&fields, rest)?;
    let [method, target, version] = head;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut variables = BTreeMap::new();
    let mut content_type = None;
    let mut announced = false;
    for (name, value) in fields {
        match &*name {
            "content-length" | "transfer-encoding" => announced = true,
            "content-type" => content_type = Some(value),
            "connection" => {}
            _ => {
                let separator = if name == "cookie" { "; " } else { "," };
                let variable = format!("HTTP_{}", name.to_uppercase().replace('-', "_"));
                // Of a field that is no list, the first counts.
                if SINGLE.contains(&&*name) && variables.contains_key(&variable) {
                    continue;
                }
                variables
                    .entry(variable)
                    .and_modify(|all: &mut String| *all = format!("{all}{separator}{value}"))
                    .or_insert(value);
            }
        }
    }
    let request = ReadRequest {
        path: decoded(path)?,
        query: query.to_owned(),
        content_length: (announced || !body.is_empty()).then(|| body.len().to_string()),
        body: latin_1(&body),
        method,
        version,
        fields: variables,
        content_type,
        target,
    };
    Some((request, rest))
}

/// The number of whole requests before the first bytes whose framing is in doubt: no reading may find more.
pub fn count(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    let mut count = 0;
    loop {
        // RFC 9112 §2.2: empty lines before a request are ignored.
        while let Some(behind) = rest.strip_prefix(b"\r\n") {
            rest = behind;
        }
        let read = read_head(rest).and_then(|(_, fields, rest)| read_body(&fields, rest));
        let Some((_, behind)) = read else {
            return count;
        };
        count += 1;
        rest = behind;
    }
}

type Fields = Vec<(String, String)>;

/// Method, target and version, the fields with their names in lower case, and what follows the head.
fn read_head(bytes: &[u8]) -> Option<([String; 3], Fields, &[u8])> {
    let (line, mut rest) = read_line(bytes)?;
    let mut words = line.split(|byte| *byte == b' ');
    let words = [
        words.next()?,
        words.next()?,
        words.next()?,
        words.next().unwrap_or_default(),
    ];
    // RFC 9110 §2.5: a later minor version is read as 1.1.
    let minor = words[2].strip_prefix(b"HTTP/1.");
    let is_version = minor.is_some_and(|minor| minor.len() == 1 && minor[0].is_ascii_digit());
    if !is_token(words[0]) || words[1].is_empty() || !is_version || !words[3].is_empty() {
        return None;
    }
    let mut fields = Fields::new();
    loop {
        let (line, behind) = read_line(rest)?;
        rest = behind;
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':')?;
        let value = line[colon + 1..].trim_ascii();
        if !is_token(&line[..colon]) {
            return None;
        }
        fields.push((latin_1(&line[..colon]).to_ascii_lowercase(), latin_1(value)));
    }
    let [method, target, version] = [words[0], words[1], words[2]].map(latin_1);
    Some(([method, target, version], fields, rest))
}

/// RFC 9112 §6.3, without what is in doubt: two lengths, a length beside chunks, codings other than `chunked`.
fn read_body<'a>(fields: &[(String, String)], bytes: &'a [u8]) -> Option<(Vec<u8>, &'a [u8])> {
    let all = |name: &str| -> Vec<&str> {
        let of = fields.iter().filter(|(found, _)| found == name);
        of.map(|(_, value)| &**value).collect()
    };
    match (&*all("content-length"), &*all("transfer-encoding")) {
        ([], []) => Some((Vec::new(), bytes)),
        ([length], []) => {
            let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
            let length: usize = is_number.then(|| length.parse().ok())??;
            let (body, rest) = bytes.split_at_checked(length)?;
            Some((body.to_vec(), rest))
        }
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => read_chunks(bytes),
        _ => None,
    }
}

/// RFC 9112 §7.1.
fn read_chunks(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    let mut rest = bytes;
    loop {
        let (line, behind) = read_line(rest)?;
        let end = line.iter().position(|byte| !byte.is_ascii_hexdigit());
        let digits = std::str::from_utf8(&line[..end.unwrap_or(line.len())]).ok()?;
        let size = usize::from_str_radix(digits, 16).ok()?;
        if size == 0 {
            rest = behind;
            break;
        }
        let (chunk, behind) = behind.split_at_checked(size)?;
        body.extend_from_slice(chunk);
        rest = behind.strip_prefix(b"\r\n")?;
    }
    // Trailers.
    loop {
        let (line, behind) = read_line(rest)?;
        rest = behind;
        if line.is_empty() {
            return Some((body, rest));
        }
    }
}

/// A line without its CR LF; no other CR or LF may be in it.
fn read_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes
        .iter()
        .position(|byte| matches!(byte, b'\r' | b'\n'))?;
    Some((&bytes[..end], bytes[end..].strip_prefix(b"\r\n")?))
}

/// RFC 9110 §5.6.2.
fn is_token(bytes: &[u8]) -> bool {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(is_token)
}

/// RFC 3986 §2.1.
fn decoded(path: &str) -> Option<String> {
    let mut parts = path.split('%');
    let mut text = parts.next()?.to_owned();
    for part in parts {
        text.push(char::from(u8::from_str_radix(part.get(..2)?, 16).ok()?));
        text.push_str(&part[2..]);
    }
    Some(text)
}

fn latin_1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
