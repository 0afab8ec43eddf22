//! The file that the system adds to a command line: an executable file whose `#!` line names a command runs as
//! `runner COMMAND WORDS… FILE ARGS…`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::line::word::{Line, Origin, Word};

/// Bytes of a first line that are read. Kernels read less.
const LONGEST: u64 = 4096;

/// Marks the word that names the file whose first line consists of the typed words before it, if there is one.
pub fn mark(line: &mut Line) {
    let words = &line.words;
    let place = (1..words.len()).find(|&place| is_script_of(&words[place], &words[..place]));
    if let Some(word) = place.and_then(|place| line.words.get_mut(place)) {
        word.origin = Origin::Script;
    }
}

/// Whether a word names a file whose first line ends with these words.
fn is_script_of(file: &Word, words: &[Word]) -> bool {
    let Some(first) = first_line(Path::new(&file.exact)) else {
        return false;
    };
    let mut said = first.split_ascii_whitespace().rev();
    words
        .iter()
        .rev()
        .all(|word| said.next() == Some(&*word.text))
        // What is left is the interpreter.
        && said.next().is_some()
}

/// What stands behind the `#!` of a file. A pipe is not read, since it can be read only once.
fn first_line(path: &Path) -> Option<String> {
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let mut file = File::open(path).ok()?;
    let mut start = [0; 2];
    file.read_exact(&mut start).ok()?;
    if start != *b"#!" {
        return None;
    }
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text).ok()?;
    let line = text.split(|byte| *byte == b'\n').next()?;
    String::from_utf8(line.to_vec()).ok()
}
