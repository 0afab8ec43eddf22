//! `export TARGET FILE`: writes what stands around the server that a file runs: units of systemd, a web server's part,
//! containers.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Arg;

use crate::commands::edit::exported_facts::Exported;
use crate::commands::edit::init::write_new;
use crate::commands::look::graph::resolve_file;
use crate::config::{self, FileFormat, Layer};
use crate::current_folder;
use crate::export::export_remarks::{ExportRemark, ExportRemarks};
use crate::export::{ExportTarget, ExportedFile};
use crate::graph::entry::{Arguments, Entry, EntryKind, Options};
use crate::graph::node::{Job, Node, action};
use crate::graph::report::print;
use crate::line::failure::{Failure, WRONG_USAGE};
use crate::line::scope::Scope;
use crate::line::script;
use crate::line::word::{Origin, Word};
use crate::log::{self, Level};
use crate::plan::gateway::Audience;
use crate::syntax::{did_you_mean, quoted};

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "export",
    usage: "TARGET [-o PATH] FILE [ARGS]...",
    summary: "Writes units of systemd, a web server's part, or containers",
    help: "\
TARGET is `systemd`, `nginx`, `apache`, `caddy`, `kubernetes`, `compose` or
`dockerfile`. What is written comes from the plan that FILE would run with ARGS
(`-p 9000`): its command, addresses, sockets, user, folders, limits and hosts.

  runner export systemd -o /etc/systemd/system hello.ini
  runner export nginx hello.ini > /etc/nginx/sites-available/hello

PATH is a file, or a folder in which the files get their usual names; `systemd`
has two, a service and its sockets, and so needs a folder. A file that is there
already is never overwritten. Without `-o`, all is printed.

`systemd`: the service may do what the plan needs and little else. systemd opens
the sockets, unless they are typed or a host has to be looked up. Without
`runner.user`, it runs as a user that systemd makes.

`nginx`, `apache`, `caddy`: the web server passes all requests on, so that files
and routes keep the rules of FILE. Bodies may be as large, and requests take a
little longer than FILE allows. With `runner.tls.cert`, it has the certificate.

`dockerfile`, `compose`, `kubernetes`: the folder of FILE is `/app`. The user has
no rights, and the file system may be read-only. An address that only the
container reaches is replaced by `--host '*' -p PORT`. Probes ask the pages of
`runner.status.http`; give it an address that others reach, `tcp://*:9090`.

What TARGET cannot express stands in a comment at the beginning, and on standard
error, with its place in FILE.

Exit status: 0 if what was written runs, 2 if something essential is missing, 1
for a mistake in FILE.",
    kind: EntryKind::Command {
        options: Options::BeforeWords,
        arguments: |command| {
            command.arg(
                Arg::new(OUTPUT)
                    .short('o')
                    .long(OUTPUT)
                    .value_name("PATH")
                    .help("The file or folder to write; nothing that is there is overwritten"),
            )
        },
        resolve: |scope, arguments| {
            let export = resolve(scope, arguments)?;
            Ok(action(ENTRY.name, move || export.run()))
        },
    },
};

const OUTPUT: &str = "output";

/// What to export.
struct Export {
    target: ExportTarget,
    scope: Scope,
    file: Word,
    /// The words behind the file.
    behind: Vec<Word>,
    node: Box<dyn Node>,
    output: Option<PathBuf>,
}

fn resolve(mut scope: Scope, mut arguments: Arguments) -> Result<Export, Failure> {
    let typed = arguments.options.get_one::<String>(OUTPUT);
    let mut output = typed.map(PathBuf::from);
    if let Some(path) = take_output(&mut arguments)? {
        output = Some(path);
    }
    let word = arguments.first("TARGET")?;
    let names = ExportTarget::ALL.map(|(name, _)| name);
    let Some(target) = ExportTarget::named(&word.text) else {
        let hint = did_you_mean(&word.text, names)
            .unwrap_or_else(|| format!("there are `{}`", names.join("`, `")));
        let message = format!("there is no target {}", quoted(&word.text));
        return Err(arguments.wrong(message, Some(hint)));
    };
    let Some(file) = arguments.line.words.first().cloned() else {
        return Err(arguments.missing("FILE"));
    };
    if !scope.path(&file).is_file() {
        let message = format!("there is no file {}", quoted(&file.text));
        return Err(scope.mistake(&file.origin, message, None));
    }
    scope.is_elsewhere = true;
    let behind = arguments.line.words.iter().skip(1).cloned().collect();
    Ok(Export {
        target,
        file,
        behind,
        output,
        node: resolve_file(scope.clone(), arguments)?,
        scope,
    })
}

/// Takes `-o PATH` from behind the first word: no command that a file runs has such an option.
fn take_output(arguments: &mut Arguments) -> Result<Option<PathBuf>, Failure> {
    let words = &mut arguments.line.words;
    let end = words.iter().position(|word| word.text == "--");
    let words_before = &words[..end.unwrap_or(words.len())];
    let is_option = |word: &Word| {
        let is_long = word.text == "--output" || word.text.starts_with("--output=");
        is_long || word.text.starts_with("-o") && !word.text.starts_with("--")
    };
    let Some(at) = words_before.iter().position(is_option) else {
        return Ok(None);
    };
    let option = words.remove(at);
    let attached = option.text.strip_prefix("--output=");
    let attached = attached.or_else(|| option.text.strip_prefix("-o"));
    match attached.filter(|path| !path.is_empty()) {
        Some(path) => Ok(Some(PathBuf::from(path))),
        None if at < words.len() => Ok(Some(PathBuf::from(&words.remove(at).exact))),
        None => Err(arguments.missing("PATH")),
    }
}

impl Export {
    fn run(&self) -> Result<ExitCode, Failure> {
        let (files, remarks) = self.files()?;
        let done = match &self.output {
            Some(path) => write(path, &files)?,
            None => print(&printed(&files)),
        };
        report(&remarks);
        match remarks.is_whole() {
            true => Ok(done),
            false => Ok(ExitCode::from(WRONG_USAGE)),
        }
    }

    /// The files, and what they do not express.
    fn files(&self) -> Result<(Vec<ExportedFile>, ExportRemarks), Failure> {
        let Job::Serve(plan) = self.node.job(None)? else {
            let message = format!("{} runs no server", quoted(&self.file.text));
            let hint = "`serve`, `FastCGI`, `uwsgi` and `supervise` can be exported".to_owned();
            return Err(self.scope.mistake(&self.file.origin, message, Some(hint)));
        };
        if plan.audience == Audience::Browser {
            let message = format!(
                "{} runs `launch`, which is for development",
                quoted(&self.file.text)
            );
            let hint = "let it run `serve`".to_owned();
            return Err(self.scope.mistake(&self.file.origin, message, Some(hint)));
        }
        let served = self.node.served();
        let scope = match (&served, self.node.supervised()) {
            (Some(served), _) => &served.scope,
            (None, Some(supervised)) => &supervised.scope,
            (None, None) => &self.scope,
        };
        let file = current_folder::normal(&self.scope.path(&self.file));
        let (words, is_script) = self.words(&file);
        let exported = Exported {
            scope,
            plan: &plan,
            served: served.as_ref(),
            written: &self.file.text,
            file: &file,
            words,
            is_script,
        };
        Ok(self.target.files(&exported.facts()?))
    }

    /// The words behind `runner` that run the file, and whether its first line has them.
    fn words(&self, file: &Path) -> (Vec<String>, bool) {
        let lossy = |text: &OsStr| text.to_string_lossy().into_owned();
        let mut words = Vec::new();
        for layer in &self.scope.layers {
            match layer {
                Layer::Own(path) | Layer::Listed(path) | Layer::Named(path) if path.is_file() => {
                    let path = current_folder::normal(path);
                    words.extend(["-c".to_owned(), lossy(path.as_os_str())]);
                }
                Layer::Own(_)
                | Layer::Listed(_)
                | Layer::Named(_)
                | Layer::File(_)
                | Layer::Keys(_)
                | Layer::Option { .. } => {}
            }
        }
        let first = script::command(file);
        let is_script = first.is_some();
        match (first, config::format(file)) {
            (Some(first), _) => {
                for path in first.files {
                    words.extend(["-c".to_owned(), lossy(path.as_os_str())]);
                }
                let typed = first.words.iter();
                let typed = typed.filter(|word| word.origin != Origin::Script);
                words.extend(typed.map(|word| word.text.clone()));
            }
            (None, Some(FileFormat::Keys)) => words.push("supervise".to_owned()),
            (None, Some(FileFormat::Ini) | None) => words.push("runIni".to_owned()),
        }
        words.push(lossy(file.as_os_str()));
        words.extend(self.behind.iter().map(|word| word.text.clone()));
        (words, is_script)
    }
}

/// Writes the files, all of them or none that was there.
fn write(path: &Path, files: &[ExportedFile]) -> Result<ExitCode, Failure> {
    const MODE: u32 = 0o666;
    let mut main = files.iter().filter(|file| !file.is_extra);
    if let (Some(file), None, false) = (main.next(), main.next(), path.is_dir()) {
        write_new(path, &file.text, MODE)?;
        return Ok(ExitCode::SUCCESS);
    }
    if !path.is_dir() {
        let message = format!("there is no folder {}", quoted(&path.display().to_string()));
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        let hint = format!("`{}` are written to a folder", names.join("` and `"));
        return Err(Failure::mistake(message, Some(hint)));
    }
    let mut written: Vec<PathBuf> = Vec::new();
    for file in files {
        let path = path.join(&file.name);
        if file.is_extra && path.symlink_metadata().is_ok() {
            continue;
        }
        if let Err(failure) = write_new(&path, &file.text, MODE) {
            // A part of them is worse than none.
            for path in written {
                let _ = std::fs::remove_file(path);
            }
            return Err(failure);
        }
        written.push(path);
    }
    Ok(ExitCode::SUCCESS)
}

/// One file as it is; several with their names above them.
fn printed(files: &[ExportedFile]) -> String {
    let files: Vec<&ExportedFile> = files.iter().filter(|file| !file.is_extra).collect();
    match &files[..] {
        [file] => file.text.clone(),
        several => {
            let parts = several.iter();
            let parts = parts.map(|file| format!("# ==== {} ====\n{}", file.name, file.text));
            parts.collect::<Vec<_>>().join("\n")
        }
    }
}

/// Says what was not expressed.
fn report(remarks: &ExportRemarks) {
    for ExportRemark {
        place,
        text,
        is_essential,
    } in &remarks.0
    {
        let (level, word) = match is_essential {
            true => (Level::Error, "error"),
            false => (Level::Warning, "warning"),
        };
        let place = match place.is_empty() {
            true => String::new(),
            false => format!("{place}: "),
        };
        log::drawn(level, &format!("{word}: {place}{text}\n"));
    }
    if !remarks.is_whole() {
        let message =
            "error: what was written does not run as it is: something essential is missing\n";
        log::drawn(Level::Error, message);
    }
}
