//! What a FastCGI application answers a web server.

use bytes::BytesMut;
use runner::protocol::cgi::program_head::HeadReader;
use runner::protocol::fastcgi::requester::{Answered, take_answer};

/// The parts of an answer, joined as far as they are of one kind.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    output: Vec<u8>,
    errors: Vec<u8>,
    has_ended: bool,
    is_bad: bool,
}

/// Reads an answer cut anywhere: it is the same as at once, no longer than what came, and its head is one or is none.
pub(super) fn answer(bytes: &[u8]) {
    let step = bytes.first().map_or(1, |&first| 1 + usize::from(first));
    let whole = read(bytes, bytes.len().max(1));
    assert_eq!(read(bytes, step), whole);
    assert!(whole.output.len() + whole.errors.len() <= bytes.len());
    let mut head = HeadReader::default();
    match head.push(&whole.output) {
        Ok(Some((head, body))) => {
            assert!(head.status.as_u16() >= 200 && body.len() < whole.output.len());
        }
        Ok(None) => assert!(!head.ended().to_string().is_empty()),
        Err(bad) => assert!(!bad.to_string().is_empty()),
    }
}

fn read(bytes: &[u8], step: usize) -> Answer {
    let mut answer = Answer::default();
    let mut received = BytesMut::new();
    for cut in bytes.chunks(step) {
        received.extend_from_slice(cut);
        loop {
            match take_answer(&mut received) {
                Ok(Some(Answered::Output(part))) => answer.output.extend_from_slice(&part),
                Ok(Some(Answered::Errors(part))) => answer.errors.extend_from_slice(&part),
                Ok(Some(Answered::End(_))) => {
                    answer.has_ended = true;
                    return answer;
                }
                Ok(None) => break,
                Err(bad) => {
                    assert!(!bad.to_string().is_empty());
                    answer.is_bad = true;
                    return answer;
                }
            }
        }
    }
    answer
}
