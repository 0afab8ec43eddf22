//! `os.path.*`, and files beside Python modules. Paths are text here, as in Python.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::budget::Fault;
use super::calls::Bound;
use super::interpreter::Evaluator;
use super::lookups::check_import;
use super::value::{Items, Value};

fn path(bound: &Bound, place: usize) -> Result<Arc<str>, Fault> {
    match bound.get(place) {
        Some(Value::Str(path)) => Ok(Arc::clone(path)),
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
        None => std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path)),
    }
}

/// `os.path.join`
pub(super) fn join(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    let mut joined = path(bound, 0)?.as_ref().to_owned();
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
pub(super) fn folder_name(_: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    let path = path(bound, 0)?;
    let head = &path[..last_part(&path)];
    let trimmed = head.trim_end_matches('/');
    Ok(Value::text(if trimmed.is_empty() { head } else { trimmed }))
}

/// `os.path.basename`
pub(super) fn base_name(_: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    let path = path(bound, 0)?;
    Ok(Value::text(&path[last_part(&path)..]))
}

/// `os.path.splitext`
pub(super) fn split_extension(
    evaluator: &mut Evaluator<'_>,
    bound: &Bound,
) -> Result<Value, Fault> {
    let path = path(bound, 0)?;
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
pub(super) fn absolute(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    let path = path(bound, 0)?;
    Ok(Value::from(normalized(
        &located(evaluator, &path).to_string_lossy(),
    )))
}

/// `os.path.normpath`
pub(super) fn normal(_: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    Ok(Value::from(normalized(&path(bound, 0)?)))
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

/// `os.path.expanduser`
pub(super) fn expand_user(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    let path = path(bound, 0)?;
    let Some(rest) = path
        .strip_prefix('~')
        .filter(|rest| rest.is_empty() || rest.starts_with('/'))
    else {
        return Ok(Value::Str(path));
    };
    let home = match evaluator.properties.environment() {
        Value::Dict(table) => table
            .get_text("HOME")
            .and_then(|home| home.as_str().map(str::to_owned)),
        _ => None,
    };
    let home = home.or_else(|| Some(dirs::home_dir()?.to_string_lossy().into_owned()));
    Ok(match home {
        Some(home) => Value::from(match format!("{}{rest}", home.trim_end_matches('/')) {
            empty if empty.is_empty() => "/".to_owned(),
            path => path,
        }),
        None => Value::Str(path),
    })
}

/// `os.path.exists`
pub(super) fn exists(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    Ok(Value::Bool(located(evaluator, &path(bound, 0)?).exists()))
}

/// `os.path.isfile`
pub(super) fn is_file(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    Ok(Value::Bool(located(evaluator, &path(bound, 0)?).is_file()))
}

/// `os.path.isdir`
pub(super) fn is_folder(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    Ok(Value::Bool(located(evaluator, &path(bound, 0)?).is_dir()))
}

/// `config.fileNearModule('pkg.mod', 'name')`: in the module's folder, if the module is a package in its own.
pub(super) fn file_near_module(
    evaluator: &mut Evaluator<'_>,
    bound: &Bound,
) -> Result<Value, Fault> {
    let (module, name) = (path(bound, 0)?, path(bound, 1)?);
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
