//! Reads stacks in the format of `faulthandler`, and shows them in the format of Python's tracebacks. Pure, except that
//! lines of source are read from their files.

use std::collections::HashMap;
use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use crate::workers::python::template;

/// The largest file of source that is read, in bytes.
const LARGEST_SOURCE: u64 = 8 << 20;

/// One call of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackCall {
    /// The file of the code, as Python names it.
    pub file: String,
    /// The current line; `None` if it is not known.
    pub line: Option<usize>,
    /// The function.
    pub function: String,
}

/// The stack of a thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stack {
    /// The calls, the oldest first, without runner's own calls that led to the application, and without those of Python's
    /// import system, which tracebacks leave out, too.
    pub calls: Vec<StackCall>,
    /// There are older calls: `faulthandler` writes the last hundred.
    pub is_cut: bool,
}

/// The line in place of older calls.
const CUT: &str = "  ...";

/// The stack of a thread in a dump. If the dump has the thread twice, the last time counts. Unknown lines are ignored.
#[must_use]
pub fn of_thread(dump: &str, thread: u64) -> Stack {
    let mut found = Vec::new();
    let mut inside = false;
    for line in dump.lines() {
        let header = line.strip_prefix("Current ").unwrap_or(line);
        if let Some(rest) = header
            .strip_prefix("Thread 0x")
            .or_else(|| header.strip_prefix("thread 0x"))
        {
            let end = rest
                .find(|c: char| !c.is_ascii_hexdigit())
                .unwrap_or(rest.len());
            inside = u64::from_str_radix(&rest[..end], 16) == Ok(thread);
            if inside {
                found.clear();
            }
        } else if inside {
            found.push(line);
        }
    }
    of_lines(found.into_iter())
}

/// The stack in a dump of one thread.
#[must_use]
pub fn of_one(dump: &str) -> Stack {
    of_lines(dump.lines())
}

fn of_lines<'a>(lines: impl Iterator<Item = &'a str> + Clone) -> Stack {
    let is_cut = lines.clone().any(|line| line == CUT);
    let mut calls: Vec<StackCall> = lines.filter_map(call).collect();
    calls.retain(|call| !call.file.contains("frozen importlib."));
    calls.reverse();
    let ours = |call: &StackCall| template::is_ours(&call.file);
    // Runner imports the application by the first of these, and its event loop calls the application by the second.
    let leads = |call: &StackCall| {
        ours(call)
            || call.file.ends_with("/importlib/__init__.py")
            || call.file.contains("/asyncio/")
    };
    if let Some(first) = calls.iter().position(ours) {
        let led = calls[first..].iter().take_while(|call| leads(call)).count();
        calls.drain(..first + led);
    }
    Stack { calls, is_cut }
}

/// `  File "/srv/app.py", line 12 in view`
fn call(line: &str) -> Option<StackCall> {
    let (file, rest) = line.strip_prefix("  File \"")?.rsplit_once("\", line ")?;
    let (line, function) = rest.split_once(" in ")?;
    Some(StackCall {
        file: file.to_owned(),
        line: line.parse().ok().filter(|&line| line > 0),
        function: function.to_owned(),
    })
}

/// A stack in the format of a traceback, with lines of source where they can be read. Reads files: not to be called on
/// the event loop.
#[must_use]
pub fn shown(stack: &Stack) -> String {
    let mut text = String::new();
    let mut sources: HashMap<&str, Option<String>> = HashMap::new();
    if stack.is_cut {
        text += "  ... (older calls are left out)\n";
    }
    for call in &stack.calls {
        let line = call
            .line
            .map_or_else(|| "???".to_owned(), |line| line.to_string());
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "  File \"{}\", line {line}, in {}",
            call.file, call.function
        );
        let source = sources
            .entry(&call.file)
            .or_insert_with(|| source(&call.file));
        let code = source
            .as_deref()
            .zip(call.line)
            .and_then(|(source, line)| source.lines().nth(line - 1))
            .map(str::trim)
            .filter(|code| !code.is_empty());
        if let Some(code) = code {
            let _ = writeln!(text, "    {code}");
        }
    }
    // Names and lines must not control a terminal.
    text.retain(|c| c == '\n' || !c.is_control());
    text
}

/// The contents of a regular file.
fn source(path: &str) -> Option<String> {
    // A hostile worker may name a FIFO, which must not block.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits();
    let file = File::options()
        .read(true)
        .custom_flags(i32::try_from(nonblocking).ok()?)
        .open(path)
        .ok()?;
    let about = file.metadata().ok()?;
    if !about.is_file() || about.len() > LARGEST_SOURCE {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(LARGEST_SOURCE).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::{Stack, StackCall, of_one, of_thread, shown};

    /// As CPython 3.8 to 3.14, PyPy and control.py write it.
    const DUMP: &str = "\
Thread 0x00007f0000000001 (most recent call first):
  File \"/srv/lock.py\", line 4 in acquire
  File \"/srv/app.py\", line 9 in application
  File \"runner/worker.py\", line 250 in answer
  File \"runner/worker.py\", line 228 in loop
  File \"/usr/lib/python3.11/threading.py\", line 982 in run

Current thread 0x7F0000000002 [python] (most recent call first, approximate line numbers):
  File \"runner/exchange.py\", line 115 in write
  File \"/srv/with \"quotes\".py\", line ??? in <lambda>
  File \"runner/exchange.py\", line 160 in blocks
  File \"runner/worker.py\", line 250 in answer
  File \"<string>\", line 1 in <module>

Thread 0x00007f0000000003 (most recent call first):
  File \"runner/worker.py\", line 205 in loop
";

    fn calls(thread: u64) -> Vec<String> {
        let show = |call: StackCall| format!("{}:{:?} {}", call.file, call.line, call.function);
        let stack = of_thread(DUMP, thread);
        assert!(!stack.is_cut);
        stack.calls.into_iter().map(show).collect()
    }

    #[test]
    fn a_stack_is_that_of_the_application_oldest_call_first() {
        assert_eq!(
            calls(0x7f00_0000_0001),
            [
                "/srv/app.py:Some(9) application",
                "/srv/lock.py:Some(4) acquire"
            ]
        );
        assert_eq!(
            calls(0x7f00_0000_0002),
            [
                "/srv/with \"quotes\".py:None <lambda>",
                "runner/exchange.py:Some(115) write"
            ]
        );
        assert!(calls(0x7f00_0000_0003).is_empty());
        assert!(calls(4).is_empty());
    }

    #[test]
    fn a_stack_without_frames_of_ours_is_all_shown() {
        let deep = "Thread 0x1 (most recent call first):\n  File \"b\", line 2 in g\n  File \"a\", line 1 in f\n  ...\n";
        let stack = of_thread(deep, 1);
        let files: Vec<&str> = stack.calls.iter().map(|call| &*call.file).collect();
        assert_eq!((files, stack.is_cut), (vec!["a", "b"], true));
        let says = "  ... (older calls are left out)\n  File \"a\", line 1, in f\n  File \"b\", line 2, in g\n";
        assert_eq!(shown(&stack), says);
    }

    #[test]
    fn what_is_told_twice_is_taken_once() {
        let twice = "Thread 0x1 (x):\n  File \"a\", line 1 in f\nreply 3\nThread 0x1 (x):\n  File \"b\", line 1 in f\n";
        assert_eq!(of_thread(twice, 1).calls[0].file, "b");
    }

    #[test]
    fn the_stack_of_an_import_is_that_of_the_application() {
        let dump = "Stack (most recent call first):
  File \"/srv/app.py\", line 2 in <module>
  File \"<frozen importlib._bootstrap>\", line 241 in _call_with_frames_removed
  File \"<frozen importlib._bootstrap_external>\", line 940 in exec_module
  File \"/srv/first.py\", line 1 in <module>
  File \"<frozen importlib._bootstrap>\", line 1204 in _gcd_import
  File \"/usr/lib/python3.11/importlib/__init__.py\", line 126 in import_module
  File \"runner/resolve.py\", line 45 in import_longest
  File \"runner/template.py\", line 93 in run
  File \"<string>\", line 1 in <module>
";
        let files: Vec<String> = of_one(dump).calls.into_iter().map(|it| it.file).collect();
        assert_eq!(files, ["/srv/first.py", "/srv/app.py"]);
    }

    #[test]
    fn the_stack_of_an_event_loop_is_that_of_the_application() {
        let dump = "Thread 0x1 (most recent call first):
  File \"/usr/lib/python3.11/asyncio/locks.py\", line 3 in acquire
  File \"/srv/app.py\", line 20 in application
  File \"runner/worker.py\", line 94 in begin
  File \"/usr/lib/python3.11/asyncio/events.py\", line 80 in _run
  File \"/usr/lib/python3.11/asyncio/base_events.py\", line 607 in run_forever
  File \"runner/worker.py\", line 50 in serve
  File \"<string>\", line 1 in <module>
";
        let stack = of_thread(dump, 1);
        let files: Vec<String> = stack.calls.into_iter().map(|it| it.file).collect();
        assert_eq!(
            files,
            ["/srv/app.py", "/usr/lib/python3.11/asyncio/locks.py"]
        );
    }

    #[test]
    fn lines_of_source_are_shown_where_there_are_any() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("app.py");
        std::fs::write(&path, "def f():\n    \x1b[1mg()\n").expect("written");
        let file = path.to_str().expect("UTF-8").to_owned();
        let at = |file: &str, line| StackCall {
            file: file.to_owned(),
            line,
            function: "f".to_owned(),
        };
        let calls = [
            at(&file, Some(2)),
            at(&file, Some(9)),
            at("<string>", Some(1)),
            at("/dev/zero", Some(1)),
            at(&file, None),
        ];
        let wanted = format!(
            "  File \"{file}\", line 2, in f\n    [1mg()\n  File \"{file}\", line 9, in f\n  File \"<string>\", line 1, in f\n  File \"/dev/zero\", line 1, in f\n  File \"{file}\", line ???, in f\n"
        );
        let stack = Stack {
            calls: calls.into(),
            is_cut: false,
        };
        assert_eq!(shown(&stack), wanted);
    }
}
