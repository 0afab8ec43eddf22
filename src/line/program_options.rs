//! The options of the program itself: `runner [-c FILE]… NAME_OR_URL ARGS…`. The words behind the name belong to the
//! command and are not looked at here.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, PathBufValueParser};
use clap::{Arg, ArgAction, ArgMatches, Command};

/// The usage line.
pub const USAGE: &str = "runner [-c FILE]... NAME_OR_URL [ARGS]...";

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Run a command.
    Run(CommandLine),
    /// `--help`, with the files that may define further names.
    Help(Vec<PathBuf>),
    /// Nothing was typed: usage, as a mistake.
    Usage(Vec<PathBuf>),
}

/// A parsed command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// The files given by `-c`, in their order.
    pub files: Vec<PathBuf>,
    /// The name or URL, and its arguments; at least one word.
    pub words: Vec<OsString>,
}

/// The options with the words behind them, for the parser.
#[must_use]
pub fn command() -> Command {
    options().arg(
        Arg::new("words")
            .value_name("NAME_OR_URL")
            .help("The command to run, and its arguments")
            .hide(true)
            .value_parser(OsStringValueParser::new())
            .num_args(1..)
            .trailing_var_arg(true),
    )
}

/// The options without the words.
#[must_use]
pub fn options() -> Command {
    Command::new("runner")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Runs any web application from one executable INI file")
        .override_usage(USAGE)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(
            Arg::new("config")
                .short('c')
                .long("config")
                .value_name("FILE")
                .help("Configuration file over those of PEAK_CONFIG; repeatable")
                .value_parser(PathBufValueParser::new())
                .action(ArgAction::Append),
        )
        .arg(
            Arg::new("help")
                .short('h')
                .long("help")
                .help("Print help, with all names that are available")
                .action(ArgAction::SetTrue),
        )
        .arg(
            Arg::new("version")
                .short('V')
                .long("version")
                .help("Print the version")
                .action(ArgAction::Version),
        )
}

/// Parses a command line, which begins with the name of the program.
///
/// # Errors
/// Wrong usage, or `--version`, which clap treats as an error.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Wish, clap::Error> {
    let mut matches = command().try_get_matches_from(arguments)?;
    let files = take(&mut matches, "config");
    let words: Vec<OsString> = take(&mut matches, "words");
    Ok(if matches.get_flag("help") {
        Wish::Help(files)
    } else if words.is_empty() {
        Wish::Usage(files)
    } else {
        Wish::Run(CommandLine { files, words })
    })
}

/// All values of an argument.
fn take<T: Clone + Send + Sync + 'static>(matches: &mut ArgMatches, name: &str) -> Vec<T> {
    matches
        .remove_many(name)
        .map(Iterator::collect)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(files: &[&str], words: &[&str]) -> Wish {
        Wish::Run(CommandLine {
            files: files.iter().map(PathBuf::from).collect(),
            words: words.iter().map(Into::into).collect(),
        })
    }

    #[test]
    fn options_stand_before_the_name_only() {
        let cases: &[(&[&str], Wish)] = &[
            (&["serve", "demo"], run(&[], &["serve", "demo"])),
            (&["-c", "a", "-cb", "x"], run(&["a", "b"], &["x"])),
            (
                &["--config=a", "x", "-c", "b"],
                run(&["a"], &["x", "-c", "b"]),
            ),
            (&["x", "--help"], run(&[], &["x", "--help"])),
            (&["x", "--", "-V"], run(&[], &["x", "--", "-V"])),
            (&["--", "-x"], run(&[], &["-x"])),
            (&["--help", "x"], Wish::Help(vec![])),
            (&["-c", "a", "-h"], Wish::Help(vec!["a".into()])),
            (&[], Wish::Usage(vec![])),
        ];
        for (arguments, expected) in cases {
            let line = ["runner"].iter().chain(*arguments).map(Into::into);
            assert_eq!(&parse(line).unwrap(), expected, "{arguments:?}");
        }
    }

    #[test]
    fn wrong_usage_has_status_2() {
        for arguments in [&["--prot"][..], &["-c"], &["-x", "serve"]] {
            let line = ["runner"].iter().chain(arguments).map(Into::into);
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{arguments:?}");
        }
    }

    #[test]
    fn clap_finds_no_fault_in_it() {
        command().debug_assert();
    }
}
