//! `os.path.*`, and files beside Python modules. Paths are strings here, as in Python.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::peak::check_import;
use crate::eval::budget::{Fault, Result};
use crate::eval::call_arguments::{Bound, wants};
use crate::eval::evaluator::Evaluator;
use crate::eval::value::properties::FoundFile;
use crate::eval::value::{Items, Value};

/// An argument that is a path, and the memory for the path that the function returns.
fn path(evaluator: &mut Evaluator<'_>, bound: &Bound, place: usize) -> Result<Arc<str>> {
    match bound.or_none(place) {
        Value::Str(path) => {
            evaluator.budget.allocate(path.len())?;
            Ok(path)
        }
        other => Err(wants("a path (a string)", &other)),
    }
}

/// A function of nothing but the text of one path.
pub(crate) fn of_text(
    evaluator: &mut Evaluator<'_>,
    bound: &Bound,
    function: fn(&str) -> Value,
) -> Result<Value> {
    Ok(function(&path(evaluator, bound, 0)?))
}

fn pair(evaluator: &mut Evaluator<'_>, first: &str, second: &str) -> Result<Value> {
    let parts = vec![Value::text(first), Value::text(second)];
    Ok(Value::Tuple(Items::new(parts, evaluator.budget)?))
}

/// `os.path.join`
pub(crate) fn join(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let mut joined = path(evaluator, bound, 0)?.as_ref().to_owned();
    for part in &bound.rest {
        let Value::Str(part) = part else {
            return Err(wants("a path (a string)", part));
        };
        evaluator.budget.allocate(part.len() + 1)?;
        if part.starts_with('/') {
            joined.clear();
        } else if !joined.is_empty() && !joined.ends_with('/') {
            joined.push('/');
        }
        joined.push_str(part);
    }
    Ok(Value::from(joined))
}

/// Where the last part of a path begins.
pub(crate) fn last_part(path: &str) -> usize {
    path.rfind('/').map_or(0, |slash| slash + 1)
}

/// The path up to its last part.
pub(crate) fn folder_of(path: &str) -> &str {
    let head = &path[..last_part(path)];
    match head.trim_end_matches('/') {
        "" => head,
        trimmed => trimmed,
    }
}

/// `os.path.splitext`
pub(crate) fn split_extension(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let path = path(evaluator, bound, 0)?;
    let start = last_part(&path);
    let name = &path[start..];
    let hidden = name.len() - name.trim_start_matches('.').len();
    let dot = name[hidden..]
        .rfind('.')
        .map_or(path.len(), |dot| start + hidden + dot);
    pair(evaluator, &path[..dot], &path[dot..])
}

/// `os.path.abspath`
pub(crate) fn absolute(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let path = path(evaluator, bound, 0)?;
    let whole = evaluator.located(&path);
    Ok(Value::from(normalized(&whole.to_string_lossy())))
}

/// The path without `.`, `..` and doubled slashes.
pub(crate) fn normalized(path: &str) -> String {
    // Two slashes at the beginning have a meaning of their own (POSIX 4.13), three are one.
    let root = match path.len() - path.trim_start_matches('/').len() {
        0 => "",
        2 => "//",
        _ => "/",
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if !root.is_empty() => {}
            part => parts.push(part),
        }
    }
    match format!("{root}{}", parts.join("/")) {
        empty if empty.is_empty() => ".".to_owned(),
        path => path,
    }
}

/// `os.path.split`
pub(crate) fn split(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let path = path(evaluator, bound, 0)?;
    pair(evaluator, folder_of(&path), &path[last_part(&path)..])
}

/// `os.path.relpath`
pub(crate) fn relative(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let to = path(evaluator, bound, 0)?;
    if to.is_empty() {
        return Err(Fault::bad_value("the path is empty"));
    }
    let from = match bound.get(1) {
        None | Some(Value::None) => ".".into(),
        Some(_) => path(evaluator, bound, 1)?,
    };
    let whole = |path: &str| normalized(&evaluator.located(path).to_string_lossy());
    let (to, from) = (whole(&to), whole(&from));
    let parts = |path: &str| -> Vec<String> {
        let parts = path.split('/').filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect()
    };
    let (to, from) = (parts(&to), parts(&from));
    let same = to.iter().zip(&from).take_while(|(a, b)| a == b).count();
    let up = from.iter().skip(same).map(|_| "..");
    let down = to.iter().skip(same).map(String::as_str);
    let steps: Vec<&str> = up.chain(down).collect();
    Ok(Value::from(match steps.is_empty() {
        true => ".".to_owned(),
        false => steps.join("/"),
    }))
}

/// `os.path.realpath`: parts that do not exist are only made absolute.
pub(crate) fn real(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let path = path(evaluator, bound, 0)?;
    let whole = evaluator.located(&path);
    let mut real = PathBuf::from("/");
    for part in whole.components() {
        match part {
            Component::ParentDir => {
                real.pop();
            }
            Component::Normal(name) => {
                real.push(name);
                // A link that leads into a loop stays as it is.
                real = evaluator.properties.without_links(&real).unwrap_or(real);
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Ok(Value::from(real.to_string_lossy().into_owned()))
}

/// An argument that is a list of paths.
fn paths(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Vec<Arc<str>>> {
    let paths = evaluator.elements(&bound.or_none(0))?;
    let path = |path: Value| match path {
        Value::Str(path) => Ok(path),
        other => Err(wants("paths (strings)", &other)),
    };
    paths.into_iter().map(path).collect()
}

/// `os.path.commonpath`
pub(crate) fn common_path(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let paths = paths(evaluator, bound)?;
    let Some(first) = paths.first() else {
        return Err(Fault::bad_value("there are no paths"));
    };
    let rooted = first.starts_with('/');
    if paths.iter().any(|path| path.starts_with('/') != rooted) {
        return Err(Fault::bad_value(
            "absolute and relative paths have nothing in common",
        ));
    }
    let parts = |path: &Arc<str>| -> Vec<String> {
        let parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
        parts.map(str::to_owned).collect()
    };
    let mut common = parts(first);
    for path in &paths {
        let parts = parts(path);
        let same = common
            .iter()
            .zip(&parts)
            .take_while(|(a, b)| a == b)
            .count();
        common.truncate(same);
    }
    let root = if rooted { "/" } else { "" };
    Ok(Value::from(format!("{root}{}", common.join("/"))))
}

/// `os.path.commonprefix`
pub(crate) fn common_prefix(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let paths = paths(evaluator, bound)?;
    let Some(first) = paths.first() else {
        return Ok(Value::text(""));
    };
    let mut length = first.len();
    for path in &paths {
        let same = first.char_indices().zip(path.chars());
        let differs = same.into_iter().find(|((_, a), b)| a != b);
        let same = differs.map_or(first.len().min(path.len()), |((at, _), _)| at);
        length = length.min(same);
    }
    Ok(Value::text(&first[..length]))
}

/// The value of an environment variable.
fn variable(evaluator: &Evaluator<'_>, name: &str) -> Option<Value> {
    match evaluator.properties.environment() {
        Value::Dict(table) => table.get_text(name).cloned(),
        _ => None,
    }
}

/// `os.getenv`
pub(crate) fn environment_variable(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let found = variable(evaluator, &bound.text(0)?);
    Ok(found.unwrap_or_else(|| bound.or_none(1)))
}

/// `os.path.expandvars`: names that are not set stay as they are.
pub(crate) fn expand_variables(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let path = path(evaluator, bound, 0)?;
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = String::new();
    let mut rest = &path[..];
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        rest = &rest[dollar..];
        let behind = &rest[1..];
        let (name, length) = match behind.strip_prefix('{') {
            Some(braced) => match braced.find('}') {
                Some(end) => (&braced[..end], end + 3),
                None => ("", 1),
            },
            None => {
                let end = behind.find(|c| !word(c)).unwrap_or(behind.len());
                (&behind[..end], end + 1)
            }
        };
        match variable(evaluator, name) {
            Some(Value::Str(value)) if !name.is_empty() => {
                evaluator.budget.allocate(value.len())?;
                out.push_str(&value);
            }
            _ => out.push_str(&rest[..length]),
        }
        rest = &rest[length..];
    }
    out.push_str(rest);
    Ok(Value::from(out))
}

/// `os.path.expanduser`
pub(crate) fn expand_user(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let path = path(evaluator, bound, 0)?;
    let Some(behind) = path.strip_prefix('~') else {
        return Ok(Value::Str(path));
    };
    let (user, rest) = behind.split_at(behind.find('/').unwrap_or(behind.len()));
    let home = match user {
        "" => match variable(evaluator, "HOME") {
            Some(Value::Str(home)) => Some(home.as_ref().to_owned()),
            _ => evaluator.properties.home_of(None),
        },
        user => evaluator.properties.home_of(Some(user)),
    };
    Ok(match home {
        Some(home) => Value::from(match format!("{}{rest}", home.trim_end_matches('/')) {
            empty if empty.is_empty() => "/".to_owned(),
            path => path,
        }),
        None => Value::Str(path),
    })
}

/// `os.path.exists`, `isfile`, `isdir`: whether there is a file, and of a type that passes a test.
pub(crate) fn is_there(
    evaluator: &mut Evaluator<'_>,
    bound: &Bound,
    test: fn(FoundFile) -> bool,
) -> Result<Value> {
    let path = path(evaluator, bound, 0)?;
    let found = evaluator.properties.found_at(&evaluator.located(&path));
    Ok(Value::Bool(found.is_some_and(test)))
}

/// `config.fileNearModule('pkg.mod', 'name')`: in the module's folder, or if the module is a package, in its own.
pub(crate) fn file_near_module(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let (module, name) = (path(evaluator, bound, 0)?, path(evaluator, bound, 1)?);
    check_import(&module)?;
    let parts = evaluator.located(&module.replace('.', "/"));
    let folder = match evaluator.properties.found_at(&parts) == Some(FoundFile::Folder) {
        true => parts.as_path(),
        false => parts.parent().unwrap_or(Path::new("/")),
    };
    let file = folder.join(&*name);
    Ok(Value::from(file.to_string_lossy().into_owned()))
}
