//! Inserts the script that reloads a page into the page.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};

use super::reserved::SCRIPT_PATH;
use crate::interface::body_file::BodyFile;
use crate::interface::{Blocks, ResponseBody};

/// A page that is a file gets the script if it has so many bytes at most.
const LARGEST_FILE: u64 = 4 << 20;

/// How a document begins (WHATWG HTML §13.1). What does not is a part of one, that a script inserts.
const BEGINNINGS: [&[u8]; 2] = [b"<!doctype html", b"<html"];

/// The element that loads the script, for a page of this version, on a server whose paths begin with this prefix.
pub(super) fn element(prefix: &str, version: &str) -> Bytes {
    // A prefix that needs to be escaped is not one that a proxy has.
    let is_plain = prefix
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte));
    let prefix = if is_plain { prefix } else { "" };
    format!("<script src=\"{prefix}{SCRIPT_PATH}\" data-version=\"{version}\"></script>\n").into()
}

/// A body with the element in it, if it is a document. Fields that say something of its bytes are changed, and no cache
/// keeps it: it would show the old version for ever.
pub(super) async fn inserted(
    headers: &mut HeaderMap,
    body: ResponseBody,
    element: Bytes,
) -> ResponseBody {
    match body {
        ResponseBody::Bytes(page) => match place(&page) {
            Some(at) => {
                adapt(headers, element.len());
                ResponseBody::Bytes(with_element(&page, at, &element))
            }
            None => ResponseBody::Bytes(page),
        },
        ResponseBody::Stream(blocks) => insert_behind(headers, blocks, element).await,
        ResponseBody::File {
            file,
            offset,
            length,
        } => {
            let page = match length <= LARGEST_FILE {
                true => read(&file, offset, length).await,
                false => None,
            };
            match page.and_then(|page| Some((place(&page)?, page))) {
                Some((at, page)) => {
                    adapt(headers, element.len());
                    ResponseBody::Bytes(with_element(&page, at, &element))
                }
                None => ResponseBody::File {
                    file,
                    offset,
                    length,
                },
            }
        }
        ResponseBody::WebSocket(socket) => ResponseBody::WebSocket(socket),
    }
}

/// Where to insert into a document: before the last `</body`, or else at the end.
fn place(page: &[u8]) -> Option<usize> {
    const END: &[u8] = b"</body";
    let end = memchr::memrchr_iter(b'<', page).find(|&at| {
        page[at..].len() >= END.len() && page[at..at + END.len()].eq_ignore_ascii_case(END)
    });
    end.or_else(|| is_document(page).then_some(page.len()))
}

/// Whether these are the first bytes of a document. Comments may stand before it.
fn is_document(mut page: &[u8]) -> bool {
    page = page.strip_prefix(b"\xef\xbb\xbf").unwrap_or(page);
    loop {
        page = page.trim_ascii_start();
        let Some(comment) = page.strip_prefix(b"<!--") else {
            break;
        };
        let Some(end) = memchr::memmem::find(comment, b"-->") else {
            return false;
        };
        page = &comment[end + 3..];
    }
    let begins =
        |with: &[u8]| page.len() >= with.len() && page[..with.len()].eq_ignore_ascii_case(with);
    BEGINNINGS.iter().any(|beginning| begins(beginning))
}

fn with_element(page: &[u8], at: usize, element: &[u8]) -> Bytes {
    let mut whole = BytesMut::with_capacity(page.len() + element.len());
    whole.extend_from_slice(&page[..at]);
    whole.extend_from_slice(element);
    whole.extend_from_slice(&page[at..]);
    whole.freeze()
}

/// Changes the fields for a body that is so many bytes longer.
fn adapt(headers: &mut HeaderMap, longer: usize) {
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if let Some(length) = length {
        let length = HeaderValue::from(length + longer as u64);
        headers.insert(header::CONTENT_LENGTH, length);
    }
    for name in [
        header::ETAG,
        header::LAST_MODIFIED,
        header::EXPIRES,
        header::ACCEPT_RANGES,
    ] {
        headers.remove(name);
    }
    let none = HeaderValue::from_static("no-store");
    headers.insert(header::CACHE_CONTROL, none);
}

/// A stream with the element behind its last block: HTML reads what stands behind the end of a document as a part of it.
async fn insert_behind(
    headers: &mut HeaderMap,
    mut blocks: Blocks,
    element: Bytes,
) -> ResponseBody {
    let length = blocks.length();
    let first = blocks.next().await;
    let is_page = matches!(&first, Some(Ok(block)) if is_document(block));
    if is_page {
        adapt(headers, element.len());
    }
    let (sender, mut behind) = Blocks::channel();
    if let Some(length) = length {
        let more = if is_page { element.len() as u64 } else { 0 };
        behind = behind.with_length(length + more);
    }
    tokio::spawn(async move {
        let mut next = first;
        // A block that is lost breaks the response off, as without this.
        while let Some(Ok(block)) = next {
            if sender.send(block).await.is_err() {
                return;
            }
            next = tokio::select! {
                next = blocks.next() => next,
                () = sender.gone() => return,
            };
        }
        if next.is_none() {
            if is_page {
                let _ = sender.send(element).await;
            }
            sender.end();
        }
    });
    ResponseBody::Stream(behind)
}

async fn read(file: &BodyFile, offset: u64, length: u64) -> Option<Bytes> {
    let mut page = BytesMut::new();
    while (page.len() as u64) < length {
        let done = page.len() as u64;
        let piece = file.read(offset + done, length - done).await.ok()?;
        page.extend_from_slice(&piece);
    }
    Some(page.freeze())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, header};

    use super::{element, inserted};
    use crate::interface::{Blocks, ResponseBody};

    async fn whole(body: ResponseBody) -> Result<String, String> {
        let mut text = Vec::new();
        match body {
            ResponseBody::Bytes(bytes) => text.extend_from_slice(&bytes),
            ResponseBody::Stream(mut blocks) => {
                while let Some(block) = blocks.next().await {
                    text.extend_from_slice(&block.map_err(|error| error.to_string())?);
                }
            }
            other => panic!("{other:?}"),
        }
        Ok(String::from_utf8(text).expect("text"))
    }

    fn fields(length: usize) -> HeaderMap {
        [
            (header::CONTENT_LENGTH, HeaderValue::from(length)),
            (header::ETAG, HeaderValue::from_static("\"a\"")),
        ]
        .into_iter()
        .collect()
    }

    #[tokio::test]
    async fn a_document_gets_the_script_once_and_a_part_of_one_does_not() {
        for (page, wanted) in [
            (
                "<!doctype html><body>a</body></html>",
                "<!doctype html><body>a|</body></html>",
            ),
            ("<p>'</body>'</p></BODY>", "<p>'</body>'</p>|</BODY>"),
            (
                "\u{feff}<!-- a --> <!DOCTYPE HTML>b",
                "\u{feff}<!-- a --> <!DOCTYPE HTML>b|",
            ),
            ("<html><p>", "<html><p>|"),
            ("<li>a part", "<li>a part"),
            ("<!-- <html>", "<!-- <html>"),
            ("", ""),
        ] {
            let mut headers = fields(page.len());
            let script = Bytes::from_static(b"|");
            let body = ResponseBody::Bytes(Bytes::from_static(page.as_bytes()));
            let body = inserted(&mut headers, body, script).await;
            assert_eq!(whole(body).await.as_deref(), Ok(wanted));
            assert_eq!(headers[header::CONTENT_LENGTH], wanted.len().to_string());
            assert_eq!(headers.contains_key(header::ETAG), page == wanted);
        }
    }

    #[tokio::test]
    async fn a_stream_gets_it_at_its_end_and_one_that_is_cut_off_stays_so() {
        for (blocks, ends, wanted) in [
            (&["<html>", "</html>"][..], true, Ok("<html></html>|")),
            (&["<li>", "<html>"], true, Ok("<li><html>")),
            (&["<html>"], false, Err(())),
            (&[], true, Ok("")),
        ] {
            let (sender, stream) = Blocks::channel();
            for block in blocks {
                sender
                    .push(Bytes::from_static(block.as_bytes()))
                    .expect("a reader");
            }
            match ends {
                true => sender.end(),
                false => drop(sender),
            }
            let mut headers = fields(13);
            let body = ResponseBody::Stream(stream.with_length(13));
            let body = inserted(&mut headers, body, Bytes::from_static(b"|")).await;
            let length = if blocks.first() == Some(&"<html>") {
                "14"
            } else {
                "13"
            };
            assert_eq!(headers[header::CONTENT_LENGTH], length);
            let whole = whole(body).await;
            assert_eq!(whole.as_deref().map_err(|_| ()), wanted);
        }
    }

    #[test]
    fn a_prefix_that_is_no_plain_path_is_left_out() {
        let text = |prefix| String::from_utf8(element(prefix, "1").to_vec()).expect("text");
        assert!(text("/shop").contains("src=\"/shop/.runner/reload.js\""));
        assert!(text("/\"><a").contains("src=\"/.runner/reload.js\""));
    }
}
