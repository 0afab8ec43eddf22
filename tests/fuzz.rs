//! The corpus of `fuzz/`, replayed, and cases that a seeded generator makes of it: none may panic. `make fuzz`, a part
//! of `make test`, optimises a little and tries a million of them; `cargo test` tries the first ones.

use std::env;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

#[path = "../fuzz/targets.rs"]
mod targets;

/// The number of cases of each target, unless this variable says otherwise.
const CASES: usize = 2000;
const VARIABLE: &str = "RUNNER_FUZZ";
const SEED: u64 = 20_040_217;

/// Texts that are inserted.
const PIECES: &str = "( ) [ ] { } ' \" ''' \\ # , : = == ** // % << . * - ~ lambda for in if else not and or is f' r' b' {a !r :>9 0x 1_0 1e9 \
                      %define&a&b %include $a ${a} $(A) $$ Command&serve PidFile&x \
                      [Load&Settings&From] \r\n &\n rem ä 😀 range( sorted( .format( .join( None x 10**9 9999999999";

/// The corpus of a target.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    // `format` uses the corpus of `file`.
    let folder = match target {
        "format" => "file",
        other => other,
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(folder);
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("the corpus")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    let read = |path| fs::read(path).expect("a case");
    paths.into_iter().map(read).collect()
}

/// splitmix64
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn below(state: &mut u64, end: usize) -> usize {
    usize::try_from(next(state) % end.max(1) as u64).expect("less than a usize")
}

/// A case made of parts of two files of the corpus, with changes.
fn changed(corpus: &[Vec<u8>], state: &mut u64) -> Vec<u8> {
    let pieces: Vec<&str> = PIECES.split(' ').collect();
    let mut case = corpus[below(state, corpus.len())].clone();
    let other = &corpus[below(state, corpus.len())];
    if below(state, 3) == 0 {
        case.truncate(below(state, case.len() + 1));
        case.extend(&other[below(state, other.len() + 1)..]);
    }
    for _ in 0..=below(state, 4) {
        let at = below(state, case.len() + 1);
        match below(state, 5) {
            0 if at < case.len() => case[at] = next(state).to_le_bytes()[0],
            1 if at < case.len() => {
                let end = (at + below(state, 9)).min(case.len());
                case.drain(at..end);
            }
            2 => {
                let end = (at + below(state, 20)).min(case.len());
                let part = case[at..end].repeat(below(state, 6));
                case.splice(at..at, part);
            }
            _ => {
                let piece = pieces[below(state, pieces.len())].replace('&', " ");
                case.splice(at..at, piece.bytes());
            }
        }
    }
    case
}

fn replay(target: &str, run: fn(&[u8])) {
    let corpus = corpus(target);
    assert!(corpus.len() >= 5, "the corpus of {target} is small");
    for case in &corpus {
        run(case);
    }
    let cases = env::var(VARIABLE).map_or(CASES, |cases| cases.parse().expect("a number"));
    let mut state = SEED;
    for _ in 0..cases {
        let case = changed(&corpus, &mut state);
        let asked = Instant::now();
        run(&case);
        let text = String::from_utf8_lossy(&case);
        assert!(
            asked.elapsed() < Duration::from_secs(20),
            "too long: {text}"
        );
    }
    println!("{cases} cases of {target}");
}

#[test]
fn files() {
    replay("file", targets::file);
}

#[test]
fn layouts() {
    replay("format", targets::format);
}

#[test]
fn files_for_supervise() {
    replay("supervise", targets::supervise);
}

#[test]
fn messages_of_workers() {
    replay("worker", targets::worker);
}

#[test]
fn clients_of_web_sockets() {
    replay("websocket", targets::websocket);
}

#[test]
fn heads_of_proxied_connections() {
    replay("proxy_head", targets::proxy_head);
}

#[test]
fn fields_of_proxies() {
    replay("forwarded", targets::forwarded);
}

#[test]
fn answers_by_fastcgi() {
    replay("fastcgi", targets::fastcgi);
}

#[test]
fn requests_by_uwsgi() {
    replay("uwsgi", targets::uwsgi);
}

#[test]
fn heads_of_programs() {
    replay("program_head", targets::program_head);
}

#[test]
fn expressions() {
    replay("expression", targets::expression);
}

#[test]
fn evaluation() {
    replay("evaluator", targets::evaluator);
}
