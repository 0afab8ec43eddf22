//! The language beside Python: thousands of expressions, written by hand (`tests/differential/*.txt`) and generated,
//! have the same value in both, or are a mistake in both. Sets are compared in any order.
//!
//! Intended differences are in no list here: the manual describes them.

use std::fmt::Write;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use alone::value;
use generator::Generator;
use runner::eval::{Repr, Value};

#[path = "../fuzz/alone.rs"]
mod alone;
#[path = "differential/generator.rs"]
mod generator;

/// The version of Python whose values count.
const PYTHON: &str = "3.11";

/// The number of generated expressions, and their seed.
const GENERATED: usize = 3000;
const SEED: u64 = 20_040_217;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential")
}

/// Python's answers to the expressions, one for each.
fn answers_of_python(expressions: &[String]) -> Vec<String> {
    let input = expressions.join("\n") + "\n";
    for name in [&format!("python{PYTHON}"), "python3"] {
        let Ok(mut python) = Command::new(name)
            .args(["-I", "-W", "ignore"])
            .arg(folder().join("evaluate.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
        else {
            continue;
        };
        let mut stdin = python.stdin.take().expect("it is piped");
        let written = input.clone();
        let writer = std::thread::spawn(move || stdin.write_all(written.as_bytes()));
        let output = python.wait_with_output().expect("its output");
        writer.join().expect("the writer").expect("it reads all");
        let output = String::from_utf8(output.stdout).expect("text");
        let mut lines = output.lines().map(str::to_owned);
        if lines.next().as_deref() == Some(PYTHON) {
            return lines.collect();
        }
    }
    panic!("the differential test needs Python {PYTHON}, as python{PYTHON} or python3");
}

/// The value's `repr`, with the elements of sets in order, and with the elements of iterators.
fn shown(value: &Value) -> String {
    let all = |values: &[Value]| values.iter().map(shown).collect::<Vec<_>>();
    match value {
        Value::List(items) => format!("[{}]", all(items).join(", ")),
        Value::Tuple(items) if items.len() == 1 => format!("({},)", shown(&items[0])),
        Value::Tuple(items) => format!("({})", all(items).join(", ")),
        Value::Set(table) if table.entries().is_empty() => "set()".to_owned(),
        Value::Set(table) => {
            let mut elements: Vec<String> = table.keys().map(shown).collect();
            elements.sort();
            format!("{{{}}}", elements.join(", "))
        }
        Value::Dict(table) => {
            let entries = table.entries().iter();
            let entries = entries.map(|(key, value)| format!("{}: {}", shown(key), shown(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        Value::View(..) => {
            let elements = value.as_items().expect("few elements");
            format!("{}([{}])", value.type_name(), all(&elements).join(", "))
        }
        Value::Iterator(kind, items) => format!("<{kind} of [{}]>", all(items).join(", ")),
        other => other.repr(),
    }
}

/// Asserts that all expressions mean the same here as in Python.
fn compare(expressions: &[String]) {
    let answers = answers_of_python(expressions);
    assert_eq!(answers.len(), expressions.len(), "one answer each");
    let mut wrong = String::new();
    let mut mistakes = 0;
    for (expression, python) in expressions.iter().zip(&answers) {
        let here = value(expression);
        let same = match (&here, python.strip_prefix("= ")) {
            (Ok(value), Some(there)) => shown(value) == there,
            (Err(_), None) => {
                mistakes += 1;
                true
            }
            _ => false,
        };
        if !same {
            let here = here.map_or_else(
                |mistake| format!("! {}", mistake.message),
                |value| format!("= {}", shown(&value)),
            );
            writeln!(wrong, "{expression}\n  runner {here}\n  python {python}").expect("a string");
        }
    }
    let count = wrong.matches("\n  python ").count();
    assert!(wrong.is_empty(), "{count} differences\n{wrong}");
    let values = expressions.len() - mistakes;
    assert!(
        values > mistakes,
        "only {values} of {} have a value",
        expressions.len()
    );
}

/// Names in the language's own cases that Python does not know.
const ONLY_HERE: &[&str] = &[
    "commands.",
    "config.",
    "import",
    "Items",
    "naming.",
    "os.cpu",
    "os.env",
    "os.pathsep",
    "os.path.abs",
    "os.path.e",
    "os.path.is",
    "PropertyName",
    "sys.",
    "propertyName",
    "rule",
    "targetObj",
    "file_",
    "propertyMap",
    "configKey",
    "peak.",
    "peak_",
];

/// The expressions of the language's own cases.
fn cases() -> Vec<String> {
    let path = folder().join("../language/expressions.case");
    let text = fs::read_to_string(path).expect("the cases");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once(" → "))
        // An expression that exceeds a limit here may be valid in Python.
        .filter(|(_, expected)| !expected.contains("more than"))
        .map(|(expression, _)| expression)
        .filter(|expression| !ONLY_HERE.iter().any(|name| expression.contains(name)))
        .map(str::to_owned)
        .collect()
}

#[test]
fn expressions_written_by_hand() {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder())
        .expect("the folder of expressions")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    let mut expressions = cases();
    for path in paths {
        let text = fs::read_to_string(path).expect("expressions");
        let lines = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        expressions.extend(lines.map(str::to_owned));
    }
    assert!(
        expressions.len() > 500,
        "only {} were found",
        expressions.len()
    );
    compare(&expressions);
}

#[test]
fn generated_expressions() {
    let mut generator = Generator::new(SEED);
    let expressions: Vec<String> = (0..GENERATED).map(|_| generator.expression()).collect();
    compare(&expressions);
}
