//! The functions of the configuration language: one table, which evaluation, messages, help and manual read.

use super::budget::Fault;
use super::value::Value;
use crate::eval::evaluate::Evaluator;
use crate::eval::evaluate::calls::Bound;
use crate::eval::number::{parse, round};

/// A function.
pub struct Function {
    /// As it is written, with its module.
    pub name: &'static str,
    /// Its parameters: `name`, with a default `name=`, `*` for any further ones, `**` for any names, [`BY_PLACE`],
    /// [`BY_NAME`].
    pub parameters: &'static [&'static str],
    /// What it does.
    pub help: &'static str,
    /// An expression that uses it, and what that gives, as `repr` shows it.
    pub example: (&'static str, &'static str),
    /// Does it.
    pub run: fn(&mut Evaluator<'_>, &Bound) -> Result<Value, Fault>,
}

impl Function {
    /// Its name without the module.
    #[must_use]
    pub fn short_name(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or(self.name)
    }

    /// Its parameters as they are shown: `value, [default], *others`.
    #[must_use]
    pub fn parameters_shown(&self) -> String {
        let parameters = self
            .parameters
            .iter()
            .filter(|parameter| ![BY_PLACE, BY_NAME].contains(*parameter))
            .map(|parameter| match parameter.strip_suffix('=') {
                Some(optional) => format!("[{optional}]"),
                None if parameter.ends_with('*') => format!("{parameter}others"),
                None => (*parameter).to_owned(),
            });
        parameters.collect::<Vec<_>>().join(", ")
    }

    /// Its name with its parameters.
    #[must_use]
    pub fn signature(&self) -> String {
        format!("{}({})", self.name, self.parameters_shown())
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Function({})", self.name)
    }
}

/// Stands behind the parameters that are given by their place only.
pub const BY_PLACE: &str = "/";

/// Stands before the parameters that are given by name only.
pub const BY_NAME: &str = "|";

/// The function of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Function> {
    let place = FUNCTIONS
        .binary_search_by(|function| function.name.cmp(name))
        .ok()?;
    FUNCTIONS.get(place)
}

/// Builds a row of the table.
macro_rules! functions {
    ($($name:literal $parameters:expr, $run:path, $help:literal, $example:literal => $result:literal;)*) => {
        &[$(Function {
            name: $name,
            parameters: &$parameters,
            help: $help,
            example: ($example, $result),
            run: $run,
        }),*]
    };
}

/// Every function, sorted by name.
pub static FUNCTIONS: &[Function] = functions! {
    "Items" ["mapping=", BY_PLACE, "**"], configuration::items,
        "The keys and values of a dict, as a list of pairs.",
        "Items({'a': 1}, b=2)" => "[('a', 1), ('b', 2)]";
    "PropertyName" ["name"], configuration::property_name,
        "Checks that a string is the name of a property, and gives it.",
        "PropertyName('a.b')" => "'a.b'";
    "abs" ["number", BY_PLACE], builtins::abs,
        "A number without its sign.",
        "abs(-2)" => "2";
    "all" ["values", BY_PLACE], builtins::all,
        "Whether all values count as true.",
        "all([1, 0])" => "False";
    "any" ["values", BY_PLACE], builtins::any,
        "Whether one of the values counts as true.",
        "any([1, 0])" => "True";
    "bool" ["value=", BY_PLACE], builtins::bool,
        "Whether a value counts as true.",
        "bool('')" => "False";
    "bytes" ["source=", "encoding=", "errors="], builtins::bytes,
        "Bytes: those of a string in an encoding, those with these numbers, or so many that are zero.",
        "bytes('abc', 'utf-8')" => "b'abc'";
    "commands.Alias" ["command"], configuration::alias,
        "A command: words that are put before the arguments that the user gives, and run as `runner` runs them.",
        "commands.Alias(command=['serve', 'WSGI', 'import:app.main'])" => "commands.Alias(command=['serve', 'WSGI', 'import:app.main'])";
    "config.Namespace" ["prefix", "target="], configuration::namespace,
        "A view of all properties below a prefix. As the value of a rule with `*` it redirects lookups.",
        "config.Namespace('my.settings')" => "config.Namespace('my.settings')";
    "config.fileNearModule" ["module", "name"], paths::file_near_module,
        "The path of a file beside a Python module, which is looked for where the configuration file is.",
        "os.path.basename(config.fileNearModule('my_app', 'page.html'))" => "'page.html'";
    "config.lookup" ["target", "name=", "default="], configuration::lookup,
        "The value of another property, or the default where it has none.",
        "config.lookup(targetObj, 'my.port', 8000)" => "8000";
    "config.packageFile" ["module", "name"], paths::file_near_module,
        "The path of a file in a Python package, which is looked for where the configuration file is.",
        "os.path.basename(config.packageFile('my_app', 'page.html'))" => "'page.html'";
    "dict" ["values=", BY_PLACE, "**"], builtins::dict,
        "A dict of another one, of pairs, or of names.",
        "dict([('a', 1)], b=2)" => "{'a': 1, 'b': 2}";
    "enumerate" ["iterable", "start="], builtins::enumerate,
        "Values with their numbers.",
        "list(enumerate('ab', 1))" => "[(1, 'a'), (2, 'b')]";
    "float" ["value=", BY_PLACE], parse::float,
        "A floating-point number.",
        "float('1.5')" => "1.5";
    "importObject" ["name"], configuration::import_object,
        "A Python object by its name; what is no string is given as it is. It is only imported by the Python process that uses it.",
        "importObject('my_app:application')" => "importString('my_app:application')";
    "importString" ["name"], configuration::import_string,
        "A Python object by its name. It is only imported by the Python process that uses it.",
        "importString('my_app:application')" => "importString('my_app:application')";
    "int" ["value=", BY_PLACE, "base="], parse::int,
        "A whole number.",
        "int('ff', 16)" => "255";
    "len" ["value", BY_PLACE], builtins::len,
        "The number of elements or characters.",
        "len('abc')" => "3";
    "list" ["values=", BY_PLACE], builtins::list,
        "A list of the elements of something else.",
        "list('ab')" => "['a', 'b']";
    "max" ["*", "key=", "default="], builtins::max,
        "The largest of the arguments, or of the elements of the only one.",
        "max(1, 3, 2)" => "3";
    "min" ["*", "key=", "default="], builtins::min,
        "The smallest of the arguments, or of the elements of the only one.",
        "min([2, 1])" => "1";
    "naming.LinkRef" ["url"], configuration::link,
        "Another name or URL to look up in this one's stead.",
        "naming.LinkRef('import:my_app.main')" => "naming.LinkRef('import:my_app.main')";
    "naming.lookup" ["url", "name="], configuration::naming_lookup,
        "What a name or URL stands for.",
        "naming.lookup('import:my_app.main')" => "importString('my_app.main')";
    "os.cpu_count" [], builtins::cpu_count,
        "The number of processors that can be used.",
        "os.cpu_count() > 0" => "True";
    "os.getenv" ["name", "default="], paths::environment_variable,
        "The value of an environment variable, or the default (`None`) where it is not set.",
        "os.getenv('NO_SUCH_VARIABLE', 'default')" => "'default'";
    "os.path.abspath" ["path"], paths::absolute,
        "The path from the root, without `.` and `..`; a relative one is relative to the configuration file.",
        "os.path.abspath('/a/../b')" => "'/b'";
    "os.path.basename" ["path"], paths::base_name,
        "The last part of a path.",
        "os.path.basename('/a/b.txt')" => "'b.txt'";
    "os.path.commonpath" ["paths"], paths::common_path,
        "The longest path that all of a list of paths begin with.",
        "os.path.commonpath(['/a/b/c', '/a/bd'])" => "'/a'";
    "os.path.commonprefix" ["paths"], paths::common_prefix,
        "The longest text that all of a list of paths begin with.",
        "os.path.commonprefix(['/a/bc', '/a/bd'])" => "'/a/b'";
    "os.path.dirname" ["path"], paths::folder_name,
        "A path without its last part.",
        "os.path.dirname('/a/b.txt')" => "'/a'";
    "os.path.exists" ["path"], paths::exists,
        "Whether there is such a file or folder; a relative path is relative to the configuration file.",
        "os.path.exists('/')" => "True";
    "os.path.expanduser" ["path"], paths::expand_user,
        "The path with the user's own folder for a `~` at its beginning.",
        "os.path.expanduser('/a/~')" => "'/a/~'";
    "os.path.expandvars" ["path"], paths::expand_variables,
        "The path with the values of environment variables for `$NAME` and `${NAME}`.",
        "os.path.expandvars('$NO_SUCH_VARIABLE/a')" => "'$NO_SUCH_VARIABLE/a'";
    "os.path.isabs" ["path"], paths::is_absolute,
        "Whether a path begins at the root.",
        "os.path.isabs('/a')" => "True";
    "os.path.isdir" ["path"], paths::is_folder,
        "Whether there is such a folder.",
        "os.path.isdir('/')" => "True";
    "os.path.isfile" ["path"], paths::is_file,
        "Whether there is such a file.",
        "os.path.isfile('/')" => "False";
    "os.path.join" ["path", "*"], paths::join,
        "Paths after one another; an absolute one starts anew.",
        "os.path.join('/a', 'b', 'c.txt')" => "'/a/b/c.txt'";
    "os.path.normcase" ["path"], paths::normal_case,
        "A path as the system compares it: as it is.",
        "os.path.normcase('/A')" => "'/A'";
    "os.path.normpath" ["path"], paths::normal,
        "A path without `.`, `..` and doubled slashes.",
        "os.path.normpath('a//b/../c')" => "'a/c'";
    "os.path.realpath" ["path"], paths::real,
        "The absolute path with symbolic links followed.",
        "os.path.realpath('/a/../..')" => "'/'";
    "os.path.relpath" ["path", "start="], paths::relative,
        "The path as seen from a folder, or else from that of the configuration file.",
        "os.path.relpath('/a/b', '/a/c')" => "'../b'";
    "os.path.split" ["path"], paths::split,
        "A path in two: the folder, and the last part.",
        "os.path.split('/a/b.txt')" => "('/a', 'b.txt')";
    "os.path.splitext" ["path"], paths::split_extension,
        "A path in two: up to its extension, and the extension.",
        "os.path.splitext('a/b.tar.gz')" => "('a/b.tar', '.gz')";
    "range" ["start", "stop=", "step=", BY_PLACE], builtins::range,
        "Whole numbers from a start (0) up to, without, a stop.",
        "list(range(1, 7, 2))" => "[1, 3, 5]";
    "repr" ["value", BY_PLACE], builtins::repr,
        "A value as it would be written.",
        "repr('a')" => "\"'a'\"";
    "reversed" ["values", BY_PLACE], builtins::reversed,
        "The elements from the last to the first.",
        "list(reversed('ab'))" => "['b', 'a']";
    "round" ["number", "ndigits="], round::round,
        "A number rounded; halves go to the even neighbour.",
        "round(2.5)" => "2";
    "set" ["values=", BY_PLACE], builtins::set,
        "The elements of something else, each once.",
        "set('aa')" => "{'a'}";
    "sorted" ["values", BY_PLACE, BY_NAME, "key=", "reverse="], builtins::sorted,
        "The elements in order.",
        "sorted([3, 1, 2])" => "[1, 2, 3]";
    "str" ["object=", "encoding=", "errors="], builtins::str,
        "A value as text; bytes, with an encoding, decoded.",
        "str(1.5)" => "'1.5'";
    "sum" ["values", BY_PLACE, "start="], builtins::sum,
        "The sum of all elements.",
        "sum([1, 2, 3])" => "6";
    "tuple" ["values=", BY_PLACE], builtins::tuple,
        "A tuple of the elements of something else.",
        "tuple('ab')" => "('a', 'b')";
    "zip" ["*", "strict="], builtins::zip,
        "Tuples of the first elements, of the second ones, and so on.",
        "list(zip('ab', [1, 2]))" => "[('a', 1), ('b', 2)]";
};

pub mod builtins;
pub mod configuration;
pub mod paths;
