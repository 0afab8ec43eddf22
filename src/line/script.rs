//! The file that the system adds to a command line: an executable file whose `#!` line names a command runs as
//! `runner COMMAND WORDS… FILE ARGS…`.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config;
use crate::line::program_options::{self, Wish};
use crate::line::word::{Line, Origin, Word};
use crate::syntax::{Place, Span};

/// Bytes of a first line that are read. Kernels read less.
const LONGEST: u64 = 4096;

/// The whole command that the `#!` line of a file has.
pub struct FirstLine {
    /// The files that its `-c` name.
    pub files: Vec<PathBuf>,
    /// Its words, which know their places in the file, and the file itself, which the system adds.
    pub words: Vec<Word>,
}

/// The command in the `#!` line of a file; `None` if the line only says what kind of configuration the file is
/// (`runner runIni`), or has no command.
#[must_use]
pub fn command(file: &Path) -> Option<FirstLine> {
    if !file.metadata().ok()?.is_file() || config::is_program(file) {
        return None;
    }
    let source = config::source(file).ok()?;
    let line = source.text.lines().next()?;
    let mut end = "#!".len();
    let mut words = Vec::new();
    for text in line.strip_prefix("#!")?.split_ascii_whitespace() {
        let start = end + line.get(end..)?.find(text)?;
        end = start + text.len();
        let source = Arc::clone(&source);
        let span = Span::new(start, end);
        words.push(Word {
            text: text.to_owned(),
            exact: text.into(),
            origin: Origin::Place(Place { source, span }),
        });
    }
    let is_ours = |word: &Word| Path::new(&word.text).file_name() == Some("runner".as_ref());
    let ours = words.iter().position(is_ours)?;
    let arguments = words.iter().skip(ours).map(|word| word.exact.clone());
    let Ok(Wish::Run(line)) = program_options::parse(arguments) else {
        return None;
    };
    // The words of the command are the last ones.
    let mut words = words.split_off(words.len().checked_sub(line.words.len())?);
    let exact = OsString::from(file);
    words.push(Word {
        text: exact.to_string_lossy().into_owned(),
        exact,
        origin: Origin::Script,
    });
    Some(FirstLine {
        files: line.files,
        words,
    })
}

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
