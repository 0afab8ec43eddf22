//! `os.path.*`, and files beside Python modules. Paths are text here, as in Python.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::here;

use crate::eval::budget::Fault;
use crate::eval::evaluate::Evaluator;
use crate::eval::evaluate::calls::Bound;
use crate::eval::functions::configuration::check_import;
use crate::eval::value::subscripts::elements;
use crate::eval::value::{Items, Value};

/// A path that a function is given, paid for with what the function makes of it.
fn path(evaluator: &mut Evaluator<'_>, bound: &Bound, place: usize) -> Result<Arc<str>, Fault> {
    match bound.get(place) {
        Some(Value::Str(path)) => {
            evaluator.budget.allocate(path.len())?;
            Ok(Arc::clone(path))
        }
        other => {
            let kind = other.map_or("nothing", Value::kind);
            Err(Fault::wrong_type(format!(
                "expected a path (a string) but got {kind}"
            )))
        }
    }
}

/// Relative to the folder of the file that the rule stands in, or else the current one.
fn located(evaluator: &Evaluator<'_>, path: &str) -> PathBuf {
    match &evaluator.home.folder {
        Some(folder) => folder.join(path),
        None => here::absolute(Path::new(path)),
    }
}

/// `os.path.join`
pub(crate) fn join(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    let mut joined = path(evaluator, bound, 0)?.as_ref().to_owned();
    for part in &bound.rest {
        let Value::Str(part) = part else {
            let message = format!("expected a path (a string) but got {}", part.kind());
            return Err(Fault::wrong_type(message));
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
fn last_part(path: &str) -> usize {
    path.rfind('/').map_or(0, |slash| slash + 1)
}

/// `os.path.dirname`
pub(crate) fn folder_name(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    let path = path(evaluator, bound, 0)?;
    let head = &path[..last_part(&path)];
    let trimmed = head.trim_end_matches('/');
    Ok(Value::text(if trimmed.is_empty() { head } else { trimmed }))
}

/// `os.path.basename`
pub(crate) fn base_name(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    let path = path(evaluator, bound, 0)?;
    Ok(Value::text(&path[last_part(&path)..]))
}

/// `os.path.splitext`
pub(crate) fn split_extension(
    evaluator: &mut Evaluator<'_>,
    bound: &Bound,
) -> Result<Value, Fault> {
    let path = path(evaluator, bound, 0)?;
    let start = last_part(&path);
    let name = &path[start..];
    let hidden = name.len() - name.trim_start_matches('.').len();
    let dot = name[hidden..]
        .rfind('.')
        .map_or(path.len(), |dot| start + hidden + dot);
    let parts = vec![Value::text(&path[..dot]), Value::text(&path[dot..])];
    Ok(Value::Tuple(Items::new(parts, evaluator.budget)?))
}

/// `os.path.abspath`
pub(crate) fn absolute(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    let path = path(evaluator, bound, 0)?;
    Ok(Value::from(normalized(
        &located(evaluator, &path).to_string_lossy(),
    )))
}

/// `os.path.normpath`
pub(crate) fn normal(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    Ok(Value::from(normalized(&path(evaluator, bound, 0)?)))
}

fn normalized(path: &str) -> String {
    // Two slashes at the beginning are something of their own (POSIX 4.13), three are one.
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

/// `os.path.isabs`
pub(crate) fn is_absolute(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    Ok(Value::Bool(path(evaluator, bound, 0)?.starts_with('/')))
}

/// `os.path.normcase`
pub(crate) fn normal_case(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    Ok(Value::Str(path(evaluator, bound, 0)?))
}

/// `os.path.split`
pub(crate) fn split(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    let parts = vec![folder_name(evaluator, bound)?, base_name(evaluator, bound)?];
    Ok(Value::Tuple(Items::new(parts, evaluator.budget)?))
}

/// `os.path.relpath`
pub(crate) fn relative(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    let to = path(evaluator, bound, 0)?;
    if to.is_empty() {
        return Err(Fault::bad_value("the path is empty"));
    }
    let from = match bound.get(1) {
        None | Some(Value::None) => ".".into(),
        Some(_) => path(evaluator, bound, 1)?,
    };
    let whole = |path: &str| normalized(&located(evaluator, path).to_string_lossy());
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

/// `os.path.realpath`: what is not there is only made absolute.
pub(crate) fn real(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    let path = path(evaluator, bound, 0)?;
    let whole = located(evaluator, &path);
    let mut real = PathBuf::from("/");
    for part in whole.components() {
        match part {
            Component::ParentDir => {
                real.pop();
            }
            Component::Normal(name) => {
                real.push(name);
                // Of a loop of links, the way into it is left.
                real = real.canonicalize().unwrap_or(real);
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Ok(Value::from(real.to_string_lossy().into_owned()))
}

/// The elements of a list of paths.
fn paths(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Vec<Arc<str>>, Fault> {
    let paths = elements(&bound.or_none(0), evaluator.properties, evaluator.budget)?;
    let path = |path: Value| match path {
        Value::Str(path) => Ok(path),
        other => {
            let message = format!("expected paths (strings) but got {}", other.kind());
            Err(Fault::wrong_type(message))
        }
    };
    paths.into_iter().map(path).collect()
}

/// `os.path.commonpath`
pub(crate) fn common_path(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
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
pub(crate) fn common_prefix(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
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

/// The environment variable of a name.
fn variable(evaluator: &Evaluator<'_>, name: &str) -> Option<Value> {
    match evaluator.properties.environment() {
        Value::Dict(table) => table.get_text(name).cloned(),
        _ => None,
    }
}

/// `os.getenv`
pub(crate) fn environment_variable(
    evaluator: &mut Evaluator<'_>,
    bound: &Bound,
) -> Result<Value, Fault> {
    let found = variable(evaluator, &bound.text(0)?);
    Ok(found.unwrap_or_else(|| bound.or_none(1)))
}

/// `os.path.expandvars`: names that are not set stay as they are.
pub(crate) fn expand_variables(
    evaluator: &mut Evaluator<'_>,
    bound: &Bound,
) -> Result<Value, Fault> {
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
pub(crate) fn expand_user(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    let path = path(evaluator, bound, 0)?;
    let Some(behind) = path.strip_prefix('~') else {
        return Ok(Value::Str(path));
    };
    let (user, rest) = behind.split_at(behind.find('/').unwrap_or(behind.len()));
    let home = if user.is_empty() {
        let own = variable(evaluator, "HOME");
        let own = own.and_then(|home| home.as_str().map(str::to_owned));
        own.or_else(|| Some(dirs::home_dir()?.to_string_lossy().into_owned()))
    } else {
        evaluator.properties.home_of(user)
    };
    Ok(match home {
        Some(home) => Value::from(match format!("{}{rest}", home.trim_end_matches('/')) {
            empty if empty.is_empty() => "/".to_owned(),
            path => path,
        }),
        None => Value::Str(path),
    })
}

/// `os.path.exists`
pub(crate) fn exists(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    let path = path(evaluator, bound, 0)?;
    Ok(Value::Bool(located(evaluator, &path).exists()))
}

/// `os.path.isfile`
pub(crate) fn is_file(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    let path = path(evaluator, bound, 0)?;
    Ok(Value::Bool(located(evaluator, &path).is_file()))
}

/// `os.path.isdir`
pub(crate) fn is_folder(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    let path = path(evaluator, bound, 0)?;
    Ok(Value::Bool(located(evaluator, &path).is_dir()))
}

/// `config.fileNearModule('pkg.mod', 'name')`: in the module's folder, if the module is a package in its own.
pub(crate) fn file_near_module(
    evaluator: &mut Evaluator<'_>,
    bound: &Bound,
) -> Result<Value, Fault> {
    let (module, name) = (path(evaluator, bound, 0)?, path(evaluator, bound, 1)?);
    check_import(&module)?;
    let parts = located(evaluator, &module.replace('.', "/"));
    let folder = if parts.is_dir() {
        parts.as_path()
    } else {
        parts.parent().unwrap_or(Path::new("/"))
    };
    Ok(Value::from(
        folder.join(&*name).to_string_lossy().into_owned(),
    ))
}
