//! What is done with fuzzed bytes, by `cargo fuzz` and by the test suite, which replays the corpus (`tests/fuzz.rs`).
#![allow(dead_code, reason = "each target uses one of the functions")]

use std::sync::Arc;

use std::os::unix::fs::FileExt;

use runner::eval::Repr;
use runner::protocol::worker::answer_head;
use runner::protocol::worker::frame::{
    Kind, SLOT_SIZE, STREAM_CAPACITY, STREAM_HEAD, STREAM_START,
};
use runner::syntax::ini_lines::IniLine;
use runner::syntax::{
    Diagnostic, Fragment, Source, expression as expressions, ini_lines as files, key_layout,
    key_lines, layout, render_all,
};
use runner::workers::python::stacks;
use runner::workers::wire::body_stream::{BodyStream, Reading, StreamPart};
use runner::workers::wire::frames::Frames;
use runner::workers::wire::ring::Ring;

mod alone;
mod fastcgi_answers;
mod frames_of_clients;
mod proxies;
mod web_servers;

/// The most bytes that a file may have to be formatted here.
const LARGEST: usize = 1 << 24;

/// Renders mistakes, each of which must have a message.
fn shown(mistakes: &[Diagnostic]) {
    assert!(mistakes.iter().all(|mistake| !mistake.message.is_empty()));
    assert!(mistakes.is_empty() || !render_all(mistakes, false).trim().is_empty());
}

/// Reads the lines of a file and parses its values.
pub fn file(bytes: &[u8]) {
    let source = match files::decode("x.ini", bytes.to_vec()) {
        Ok(source) => source,
        Err(mistake) => return shown(&[mistake]),
    };
    let (lines, mut mistakes) = files::parse(&source);
    for line in lines {
        if let IniLine::Setting { value, .. } = line {
            mistakes.extend(expressions::parse(&source, &value).err());
        }
    }
    shown(&mistakes);
}

/// Formats a configuration file; the result must mean the same and not change when formatted again.
pub fn format(bytes: &[u8]) {
    let Ok(source) = files::decode("x.ini", bytes.to_vec()) else {
        return;
    };
    let Ok(text) = layout(&source, LARGEST) else {
        return;
    };
    let name = "x.ini".to_owned();
    let again = Arc::new(Source { name, text });
    assert_eq!(meaning(&source), meaning(&again), "{}", source.text);
    assert_eq!(layout(&again, LARGEST).ok().as_ref(), Some(&again.text));
}

/// The meaning of a file without mistakes: its sections and settings with the trees of their values, wherever they
/// stand.
pub fn meaning(source: &Arc<Source>) -> Vec<String> {
    let (lines, mistakes) = files::parse(source);
    assert!(mistakes.is_empty(), "{mistakes:?} in\n{}", source.text);
    let meaning = |line| match line {
        IniLine::Section { name, .. } => format!("[{name}]"),
        IniLine::Setting { name, value, .. } => {
            let tree = expressions::parse(source, &value).expect("no mistakes");
            format!("{name} = {}", without_spans(&format!("{tree:?}")))
        }
    };
    lines.into_iter().map(meaning).collect()
}

fn without_spans(tree: &str) -> String {
    let mut parts = tree.split("Span {");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(part.split_once('}').expect("the end of a span").1);
    }
    out
}

/// Reads the lines of a file for `supervise` and formats it; the result must mean the same.
pub fn supervise(bytes: &[u8]) {
    let Ok(source) = files::decode("x.conf", bytes.to_vec()) else {
        return;
    };
    let (lines, mistakes) = key_lines::parse(&source);
    shown(&mistakes);
    let Ok(text) = key_layout(&source, LARGEST) else {
        return assert!(!mistakes.is_empty());
    };
    let name = "x.conf".to_owned();
    let again = Arc::new(Source { name, text });
    let (same, mistakes) = key_lines::parse(&again);
    assert!(mistakes.is_empty());
    let meaning = |lines: &[key_lines::KeyLine]| -> Vec<String> {
        let what = lines.iter().map(|line| format!("{:?}", line.statement));
        what.map(|what| without_spans(&what)).collect()
    };
    assert_eq!(meaning(&lines), meaning(&same), "{}", source.text);
    assert_eq!(key_layout(&again, LARGEST).ok().as_ref(), Some(&again.text));
}

/// Parses an expression.
pub fn expression(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let fragment = Fragment::new(&text, 0);
    let name = "x.ini".to_owned();
    let source = Arc::new(Source { name, text });
    shown(expressions::parse(&source, &fragment).err().as_slice());
}

/// Evaluates an expression and shows its value.
pub fn evaluator(bytes: &[u8]) {
    match alone::value(&String::from_utf8_lossy(bytes)) {
        Ok(value) => assert!(!value.repr().is_empty()),
        Err(mistake) => shown(&[mistake]),
    }
}

/// Bytes as the stream of a lane.
fn stream(ring: &Ring, bytes: &[u8]) {
    let descriptor = ring.descriptor().try_clone_to_owned();
    let (Ok(memory), Ok(null)) = (
        descriptor.map(std::fs::File::from),
        std::fs::File::create("/dev/null"),
    ) else {
        return;
    };
    let bytes = &bytes[..bytes.len().min(STREAM_CAPACITY)];
    let memory = memory
        .write_all_at(bytes, STREAM_START as u64)
        .map(|()| ring.memory());
    let Ok(memory) = memory else { return };
    memory.store(STREAM_HEAD, bytes.len() as u64);
    if let Ok(null) = null.try_clone() {
        let mut records = BodyStream::new(ring.memory(), null.into());
        let mut taken = 0;
        while let Ok(Some((header, payload))) = records.record() {
            assert_eq!(payload.len(), header.length);
            taken += 1;
            assert!(taken <= bytes.len(), "more than was written");
        }
    }
    let mut stream = BodyStream::new(memory, null.into());
    let number = bytes
        .get(4..)
        .and_then(<[u8]>::first_chunk)
        .map_or(1, |number| u32::from_le_bytes(*number));
    let mut reading = Reading::Begins(number);
    let mut taken = 0;
    while let Ok(Some(part)) = stream.take(reading) {
        reading = match part {
            StreamPart::Head(header, payload) => {
                drop(answer_head::begun(header, &payload));
                Reading::Takes(number, 1000)
            }
            StreamPart::Bytes(bytes) => {
                // A block in a slot is taken as a whole.
                assert!((1..=SLOT_SIZE).contains(&bytes.len()));
                Reading::Takes(number, 1000)
            }
            StreamPart::Lent(_) => Reading::Takes(number, 1000),
            StreamPart::End(_) => Reading::Begins(number),
        };
        taken += 1;
        assert!(taken <= bytes.len(), "more than there is");
    }
}

/// Bytes from a worker: frames on its lane, cut anywhere; its ring and its stream with their counters; stacks as text.
pub fn worker(bytes: &[u8]) {
    let step = bytes.first().map_or(1, |&first| 1 + usize::from(first));
    let mut frames = Frames::default();
    for cut in bytes.chunks(step) {
        frames.space().extend_from_slice(cut);
        while let Ok(Some((header, payload))) = frames.take() {
            // Each malformed message is described in words.
            match header.kind {
                Kind::Answer { .. } => drop(answer_head::answer(header, &payload)),
                Kind::File => drop(answer_head::file(header, &payload)),
                Kind::Accept => drop(answer_head::accepted(header, &payload)),
                _ => drop(answer_head::head(header, &payload)),
            }
        }
    }
    if let Ok(mut ring) = Ring::new() {
        let memory = ring
            .descriptor()
            .try_clone_to_owned()
            .map(std::fs::File::from);
        let written = memory.and_then(|memory| memory.write_all_at(bytes, 0));
        let mut taken = 0;
        while written.is_ok()
            && let Ok(Some((header, payload))) = ring.take(1)
        {
            assert_eq!(payload.len(), header.length);
            taken += 1;
            assert!(taken < 1 << 14, "more than fits the ring");
        }
        let _ = (ring.last_read(), ring.is_waiting(), ring.thread());
        stream(&ring, bytes);
    }
    let text = String::from_utf8_lossy(bytes);
    for stack in [stacks::of_one(&text), stacks::of_thread(&text, 1)] {
        assert!(stack.calls.len() <= bytes.len());
    }
}

/// Bytes from the client of a WebSocket: fields of its handshake, then its frames, cut anywhere.
pub fn websocket(bytes: &[u8]) {
    let (fields, frames) = match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, bytes),
    };
    let deflate = frames_of_clients::handshake(fields);
    frames_of_clients::decode(frames, deflate);
}

/// The first bytes of a connection from a proxy (PROXY protocol).
pub fn proxy_head(bytes: &[u8]) {
    proxies::head(bytes);
}

/// Lines of header fields from a proxy.
pub fn forwarded(bytes: &[u8]) {
    proxies::fields(bytes);
}

/// What a FastCGI application answers.
pub fn fastcgi(bytes: &[u8]) {
    fastcgi_answers::answer(bytes);
}

/// What a web server sends by uwsgi.
pub fn uwsgi(bytes: &[u8]) {
    web_servers::uwsgi(bytes);
}

/// The head of a response of a CGI program.
pub fn program_head(bytes: &[u8]) {
    web_servers::program_head(bytes);
}
