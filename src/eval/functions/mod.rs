//! The functions of the configuration language: one table, which evaluation, messages, help and manual read.

use std::ops::Deref;
use std::ptr;

use super::budget::Result;
use super::call_arguments::Bound;
use super::evaluator::Evaluator;
use super::number::{parse, round};
use super::value::Value;
use super::value::properties::FoundFile;
use super::value::signature::{KEYWORD_ONLY, POSITIONAL_ONLY, Signature};
use crate::syntax::ast::Comparison;

pub(super) mod builtins;
pub(super) mod paths;
pub(super) mod peak;

/// A row of the table: how a function looks, and its code.
pub struct Function {
    signature: Signature,
    run: fn(&mut Evaluator<'_>, &Bound) -> Result<Value>,
}

impl Deref for Function {
    type Target = Signature;

    fn deref(&self) -> &Signature {
        &self.signature
    }
}

/// The function with a name.
fn find(name: &str) -> Option<&'static Function> {
    let place = FUNCTIONS.binary_search_by(|function| function.name.cmp(name));
    FUNCTIONS.get(place.ok()?)
}

/// The function with a name, as a value.
pub(crate) fn named(name: &str) -> Option<Value> {
    find(name).map(|function| Value::Function(&function.signature))
}

/// Runs the code of a function.
pub(crate) fn run(
    signature: &Signature,
    evaluator: &mut Evaluator<'_>,
    bound: &Bound,
) -> Result<Value> {
    // A row is found by its address: this happens on each call, and comparing names takes longer.
    let before = |row: &Function| ptr::from_ref(&row.signature) < ptr::from_ref(signature);
    match FUNCTIONS.get(FUNCTIONS.partition_point(before)) {
        Some(row) if ptr::eq(&raw const row.signature, signature) => (row.run)(evaluator, bound),
        // Only functions of the table become values.
        Some(_) | None => Ok(Value::None),
    }
}

/// Builds the rows of the table.
macro_rules! functions {
    ($($name:literal $parameters:expr, $run:expr, $summary:literal $($details:literal)?,
       $example:literal => $result:literal;)*) => {
        &[$(Function {
            signature: Signature {
                name: $name,
                parameters: &$parameters,
                summary: $summary,
                help: concat!($summary, '.' $(, ' ', $details)?),
                example: ($example, $result),
            },
            run: $run,
        }),*]
    };
}

/// Every function, sorted by name.
pub static FUNCTIONS: &[Function] = functions! {
    "Items" ["mapping=", POSITIONAL_ONLY, "**"], peak::items,
        "The keys and values of a dict, as a list of pairs",
        "Items({'a': 1}, b=2)" => "[('a', 1), ('b', 2)]";
    "PropertyName" ["name"], peak::property_name,
        "The name of a property, after a check that it is one",
        "PropertyName('a.b')" => "'a.b'";
    "abs" ["number", POSITIONAL_ONLY], builtins::abs,
        "A number without its sign",
        "abs(-2)" => "2";
    "all" ["values", POSITIONAL_ONLY], builtins::all,
        "Whether all values count as true",
        "all([1, 0])" => "False";
    "any" ["values", POSITIONAL_ONLY], builtins::any,
        "Whether any of the values counts as true",
        "any([1, 0])" => "True";
    "bool" ["value=", POSITIONAL_ONLY], |_, bound| Ok(Value::Bool(bound.or_none(0).truth())),
        "Whether a value counts as true",
        "bool('')" => "False";
    "bytes" ["source=", "encoding=", "errors="], builtins::bytes,
        "Bytes from a string and its encoding, or from numbers"
        "A single number gives as many zero bytes.",
        "bytes('abc', 'utf-8')" => "b'abc'";
    "commands.Alias" ["command", KEYWORD_ONLY, "settings="], peak::alias,
        "A command: words that precede the user's arguments"
        "The whole is run as the words after `runner` are. Applications that they name have settings of their own below the prefix `settings`: with `settings='shop'`, `shop.workers.min` comes before `runner.workers.min`.",
        "commands.Alias(command=['serve', 'WSGI', 'import:app.main'])" => "commands.Alias(command=['serve', 'WSGI', 'import:app.main'])";
    "commands.Routes" ["routes"], peak::routes,
        "An application for each host and path"
        "A key is a path, or a host with a path: `/static/`, `example.org/`, `*.example.org/static/`. The longest path counts, of an exact host before a wildcard before none. A value is the words or the name of an application.",
        "commands.Routes({'/': ['WSGI', 'import:app.main'], '/static/': ['files', 'public']})" => "commands.Routes({'/': ['WSGI', 'import:app.main'], '/static/': ['files', 'public']})";
    "config.Namespace" ["prefix", "target="], peak::namespace,
        "A view of all properties below a prefix"
        "As the value of a rule with `*` it redirects lookups.",
        "config.Namespace('my.settings')" => "config.Namespace('my.settings')";
    "config.fileNearModule" ["module", "name"], paths::file_near_module,
        "The path of a file beside a Python module"
        "The module is looked for where the configuration file is.",
        "os.path.basename(config.fileNearModule('my_app', 'page.html'))" => "'page.html'";
    "config.lookup" ["target", "name=", "default="], peak::lookup,
        "The value of another property, or a default",
        "config.lookup(targetObj, 'my.port', 8000)" => "8000";
    "config.packageFile" ["module", "name"], paths::file_near_module,
        "The path of a file in a Python package"
        "The package is looked for where the configuration file is.",
        "os.path.basename(config.packageFile('my_app', 'page.html'))" => "'page.html'";
    "dict" ["values=", POSITIONAL_ONLY, "**"], builtins::dict,
        "A dict from another one, from pairs, or from names",
        "dict([('a', 1)], b=2)" => "{'a': 1, 'b': 2}";
    "enumerate" ["iterable", "start="], builtins::enumerate,
        "Values with their numbers",
        "list(enumerate('ab', 1))" => "[(1, 'a'), (2, 'b')]";
    "float" ["value=", POSITIONAL_ONLY], |_, bound| match bound.get(0) {
            None => Ok(Value::Float(0.0)),
            Some(value) => parse::float(value).map(Value::Float),
        },
        "A floating-point number from text or another number",
        "float('1.5')" => "1.5";
    "importObject" ["name"], peak::import_object,
        "A Python object by its name; other values unchanged"
        "The Python process that uses the object imports it.",
        "importObject('my_app:application')" => "importString('my_app:application')";
    "importString" ["name"], peak::import_string,
        "A Python object by its name"
        "The Python process that uses the object imports it.",
        "importString('my_app:application')" => "importString('my_app:application')";
    "int" ["value=", POSITIONAL_ONLY, "base="], |_, bound| match bound.get(0) {
            None => Ok(Value::from(0i64)),
            Some(value) => parse::int(value, bound.get(1)).map(Value::Int),
        },
        "A whole number from text or another number",
        "int('ff', 16)" => "255";
    "len" ["value", POSITIONAL_ONLY], builtins::len,
        "The number of elements or characters",
        "len('abc')" => "3";
    "list" ["values=", POSITIONAL_ONLY], builtins::list,
        "A list of the elements of another value",
        "list('ab')" => "['a', 'b']";
    "max" ["*", "key=", "default="], |evaluator, bound| builtins::extreme(evaluator, bound, Comparison::Greater),
        "The largest of the arguments, or of one sequence",
        "max(1, 3, 2)" => "3";
    "min" ["*", "key=", "default="], |evaluator, bound| builtins::extreme(evaluator, bound, Comparison::Less),
        "The smallest of the arguments, or of one sequence",
        "min([2, 1])" => "1";
    "naming.LinkRef" ["url"], |_, bound| bound.text(0).map(Value::Link),
        "Another name or URL to look up instead",
        "naming.LinkRef('import:my_app.main')" => "naming.LinkRef('import:my_app.main')";
    "naming.lookup" ["url", "name="], peak::naming_lookup,
        "The object or link that a name or URL stands for",
        "naming.lookup('import:my_app.main')" => "importString('my_app.main')";
    "os.cpu_count" [], |evaluator, _| Ok(Value::from(evaluator.properties.processors())),
        "The number of processors that the server can use",
        "os.cpu_count() > 0" => "True";
    "os.getenv" ["name", "default="], paths::environment_variable,
        "The value of an environment variable, or a default"
        "The default is `None` unless it is given.",
        "os.getenv('NO_SUCH_VARIABLE', 'default')" => "'default'";
    "os.path.abspath" ["path"], paths::absolute,
        "The path from the root, without `.` and `..`"
        "A relative path is relative to the configuration file.",
        "os.path.abspath('/a/../b')" => "'/b'";
    "os.path.basename" ["path"], |evaluator, bound| {
            paths::of_text(evaluator, bound, |path| Value::text(&path[paths::last_part(path)..]))
        },
        "The last part of a path",
        "os.path.basename('/a/b.txt')" => "'b.txt'";
    "os.path.commonpath" ["paths"], paths::common_path,
        "The longest path that all of a list of paths begin with",
        "os.path.commonpath(['/a/b/c', '/a/bd'])" => "'/a'";
    "os.path.commonprefix" ["paths"], paths::common_prefix,
        "The longest text that all of a list of paths begin with",
        "os.path.commonprefix(['/a/bc', '/a/bd'])" => "'/a/b'";
    "os.path.dirname" ["path"], |evaluator, bound| {
            paths::of_text(evaluator, bound, |path| Value::text(paths::folder_of(path)))
        },
        "A path without its last part",
        "os.path.dirname('/a/b.txt')" => "'/a'";
    "os.path.exists" ["path"], |evaluator, bound| paths::is_there(evaluator, bound, |_| true),
        "Whether a file or folder exists"
        "A relative path is relative to the configuration file.",
        "os.path.exists('/')" => "True";
    "os.path.expanduser" ["path"], paths::expand_user,
        "The path with a home folder for `~` at its beginning",
        "os.path.expanduser('/a/~')" => "'/a/~'";
    "os.path.expandvars" ["path"], paths::expand_variables,
        "The path with the values of `$NAME` and `${NAME}`",
        "os.path.expandvars('$NO_SUCH_VARIABLE/a')" => "'$NO_SUCH_VARIABLE/a'";
    "os.path.isabs" ["path"], |evaluator, bound| {
            paths::of_text(evaluator, bound, |path| Value::Bool(path.starts_with('/')))
        },
        "Whether a path begins at the root",
        "os.path.isabs('/a')" => "True";
    "os.path.isdir" ["path"], |evaluator, bound| paths::is_there(evaluator, bound, |found| found == FoundFile::Folder),
        "Whether a folder exists",
        "os.path.isdir('/')" => "True";
    "os.path.isfile" ["path"], |evaluator, bound| paths::is_there(evaluator, bound, |found| found == FoundFile::File),
        "Whether a file exists",
        "os.path.isfile('/')" => "False";
    "os.path.join" ["path", "*"], paths::join,
        "Paths joined; an absolute one drops those before it",
        "os.path.join('/a', 'b', 'c.txt')" => "'/a/b/c.txt'";
    "os.path.normcase" ["path"], |evaluator, bound| {
            paths::of_text(evaluator, bound, Value::text)
        },
        "A path as the system compares paths: unchanged",
        "os.path.normcase('/A')" => "'/A'";
    "os.path.normpath" ["path"], |evaluator, bound| {
            paths::of_text(evaluator, bound, |path| Value::from(paths::normalized(path)))
        },
        "A path without `.`, `..` and doubled slashes",
        "os.path.normpath('a//b/../c')" => "'a/c'";
    "os.path.realpath" ["path"], paths::real,
        "The absolute path with symbolic links followed",
        "os.path.realpath('/a/../..')" => "'/'";
    "os.path.relpath" ["path", "start="], paths::relative,
        "The path as seen from a folder"
        "Without one, it is seen from the folder of the configuration file.",
        "os.path.relpath('/a/b', '/a/c')" => "'../b'";
    "os.path.split" ["path"], paths::split,
        "A path in two: its folder and its last part",
        "os.path.split('/a/b.txt')" => "('/a', 'b.txt')";
    "os.path.splitext" ["path"], paths::split_extension,
        "A path in two: up to its extension, and the extension",
        "os.path.splitext('a/b.tar.gz')" => "('a/b.tar', '.gz')";
    "range" ["start", "stop=", "step=", POSITIONAL_ONLY], builtins::range,
        "The whole numbers from a start (0) to before a stop",
        "list(range(1, 7, 2))" => "[1, 3, 5]";
    "repr" ["value", POSITIONAL_ONLY], builtins::repr,
        "The text of a value as an expression writes it",
        "repr('a')" => "\"'a'\"";
    "reversed" ["values", POSITIONAL_ONLY], builtins::reversed,
        "The elements from the last to the first",
        "list(reversed('ab'))" => "['b', 'a']";
    "round" ["number", "ndigits="], |_, bound| round::round(&bound.or_none(0), bound.get(1)),
        "A number rounded; halves go to the even neighbour",
        "round(2.5)" => "2";
    "set" ["values=", POSITIONAL_ONLY], builtins::set,
        "The elements of another value, each once",
        "set('aa')" => "{'a'}";
    "sorted" ["values", POSITIONAL_ONLY, KEYWORD_ONLY, "key=", "reverse="], builtins::sorted,
        "The elements in order",
        "sorted([3, 1, 2])" => "[1, 2, 3]";
    "str" ["object=", "encoding=", "errors="], builtins::str,
        "A value as text; with an encoding, bytes as text",
        "str(1.5)" => "'1.5'";
    "sum" ["values", POSITIONAL_ONLY, "start="], builtins::sum,
        "The sum of all elements",
        "sum([1, 2, 3])" => "6";
    "tuple" ["values=", POSITIONAL_ONLY], builtins::tuple,
        "A tuple of the elements of another value",
        "tuple('ab')" => "('a', 'b')";
    "zip" ["*", "strict="], builtins::zip,
        "Tuples of the first, the second, and further elements",
        "list(zip('ab', [1, 2]))" => "[('a', 1), ('b', 2)]";
};
