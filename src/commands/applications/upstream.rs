//! `upstream ADDRESS…`: passes requests on to servers.

use crate::commands::applications::{started_program, upstream_fastcgi};
use crate::graph::entry::{Arguments, EXEC, Entry, EntryKind, flag_option, number_option};
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::word::Word;
use crate::plan::application::{ApplicationName, BuiltIn};
use crate::syntax::quoted;
use crate::upstream::server_address::{ServerAddress, UpstreamScheme};
use crate::upstream::upstream_options::{
    HttpClientOptions, ServerSource, UpstreamName, UpstreamProtocol,
};

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "upstream",
    usage: "[OPTIONS] ADDRESS…|http exec: COMMAND",
    summary: "An application that passes requests on to servers",
    help: "\
It stands behind a gateway: `serve upstream http://127.0.0.1:3000`. An ADDRESS is
`http://host:port`, `http+unix:path`, `fastcgi+tcp://host:port` or
`fastcgi+unix:path`. Of several servers, each request goes to the one that has
the fewest; those that cannot be reached are left out for a while.

A request keeps its path and its `Host`. `X-Forwarded-For`, `-Host` and `-Proto`
and `Forwarded` say what the client has sent. With `--strip-prefix` a server
sees the path behind the mount of the application only, and the mount as
`X-Forwarded-Prefix`. WebSockets are passed on.

PHP is spoken to by FastCGI: `serve upstream fastcgi+unix:/run/php/php-fpm.sock
--root /srv/blog --front index.php --files` runs WordPress and what is made with
Laravel or Symfony; phpMyAdmin needs no `--front`. A script must be below the
root, end in `.php`, and be there; what follows it in the path is `PATH_INFO`.
`--front` answers what no script is there for. `--files` sends other files, as
`files` does. A process of PHP-FPM serves one connection: with as many
`--connections` as it has processes, connections are kept. Without `--root`, the
servers are told of all requests, and decide themselves.

With `exec:`, runner starts the servers: `serve upstream http exec: node app.js`.
COMMAND is an HTTP server in any language, and all words behind it are its own.
Each process listens at a port of its own, which is in its environment (`PORT`,
and `HOST`) and in its words in place of `{port}`; or at the Unix socket whose
path is in place of `{socket}`. It begins in the folder of the file, with the
programs of the applications' Python (`.venv/bin`) first in `PATH`, and is ready
when it accepts connections or, with `--ready PATH`, when it answers that with
2xx or 3xx. A process that leaves three questions for `--health PATH` in a row
without such an answer until the next one is replaced. PHP without PHP-FPM:
`serve upstream fastcgi --root public exec: php-cgi`. A program that speaks
FastCGI gets its socket as its standard input, unless `{port}` or `{socket}` is
in its words.

There are `runner.workers.min` processes and, while requests wait because each of
them has as many as `--connections` says (WebSockets and streams of events do not
count), up to `runner.workers.max`. They end (SIGTERM, and SIGKILL after
`runner.stop_timeout`) and are replaced as workers are; in a reload the new ones
are ready before the old ones finish what they have. What they write is in the
log.",
    kind: EntryKind::Application {
        arguments: options,
        name,
    },
};

/// Connections to a server at a time, unless an option says how many.
const OF_SERVER: usize = 1000;

/// Requests that a process of a program has at a time. One more waits, or starts another process: a server in one thread has
/// enough to do by then.
const OF_PROGRAM: usize = 100;

fn options(command: clap::Command) -> clap::Command {
    let command = command
        .arg(number_option(
            "connections",
            "Requests of each server at a time [1000; exec: 100, FastCGI 1]",
            1..=1_000_000,
        ))
        .arg(flag_option(
            "strip-prefix",
            "Take the mount of the application off the path",
        ));
    started_program::options(upstream_fastcgi::options(command))
}

fn name(scope: &Scope, arguments: &mut Arguments) -> Result<BuiltIn, Failure> {
    let words = std::mem::take(&mut arguments.line.words);
    let exec = words.iter().position(|word| word.text == EXEC);
    if let Some(exec) = exec {
        return program(scope, arguments, words, exec);
    }
    if let Some(option) = started_program::given(arguments) {
        let message = format!("`{option}` is about programs that are started");
        let hint = format!("write `upstream http {option} /path {EXEC} COMMAND`");
        return Err(arguments.wrong(message, Some(hint)));
    }
    let Some(first) = words.first() else {
        return Err(arguments.missing("ADDRESS"));
    };
    let example = match first.text.as_str() {
        "http" => Some("http://127.0.0.1:3000"),
        "fastcgi" => Some("fastcgi+tcp://127.0.0.1:9000"),
        _ => None,
    };
    if let Some(example) = example {
        let scheme = &first.text;
        let message = format!("`{scheme}` names a protocol, but no server");
        let hint = format!(
            "write `{scheme} {EXEC} COMMAND` to start a program, or the address of a server: `{example}`"
        );
        return Err(scope.mistake(&first.origin, message, Some(hint)));
    }
    let (scheme, _) = address(scope, first)?;
    let mut addresses = Vec::new();
    for word in &words {
        let (other, address) = address(scope, word)?;
        if other != scheme {
            let message = format!(
                "{} is another protocol than that of {}",
                quoted(&word.text),
                quoted(&first.text)
            );
            let hint = "servers of an application speak one protocol".to_owned();
            return Err(scope.mistake(&word.origin, message, Some(hint)));
        }
        if addresses.contains(&address) {
            let message = format!("{} is named twice", quoted(&word.text));
            return Err(scope.mistake(&word.origin, message, None));
        }
        addresses.push(address);
    }
    let source = ServerSource::Addresses(addresses);
    application(scope, arguments, (scheme, source, OF_SERVER), first)
}

/// The application over servers of a protocol, which a word names; each has so many requests at a time, unless an option
/// says how many.
fn application(
    scope: &Scope,
    arguments: &Arguments,
    (scheme, source, at_a_time): (UpstreamScheme, ServerSource, usize),
    word: &Word,
) -> Result<BuiltIn, Failure> {
    let strips_prefix = arguments.options.get_flag("strip-prefix");
    let (protocol, files) = match scheme {
        UpstreamScheme::Http => {
            upstream_fastcgi::none_given(arguments)?;
            let protocol = UpstreamProtocol::Http(HttpClientOptions { strips_prefix });
            (protocol, None)
        }
        UpstreamScheme::FastCgi if strips_prefix => {
            let message = "`--strip-prefix` is for servers that speak HTTP";
            let hint = "FastCGI tells them the prefix as `SCRIPT_NAME`".to_owned();
            return Err(arguments.wrong(message, Some(hint)));
        }
        UpstreamScheme::FastCgi => {
            let (options, files) = upstream_fastcgi::fastcgi_options(scope, arguments, word)?;
            (UpstreamProtocol::FastCgi(options), files)
        }
    };
    let given = arguments.options.get_one::<usize>("connections").copied();
    let servers = BuiltIn::Upstream(UpstreamName {
        protocol,
        source,
        connections: given.unwrap_or(at_a_time),
    });
    let origin = word.origin.clone();
    Ok(match files {
        None => servers,
        Some(files) => BuiltIn::Files(
            files,
            Some(Box::new(ApplicationName::BuiltIn {
                what: servers,
                options: arguments.options_of(arguments.entry.name),
                origin,
                settings: arguments.line.settings.clone(),
            })),
        ),
    })
}

/// The application over processes of a program: `http exec: COMMAND`.
fn program(
    scope: &Scope,
    arguments: &Arguments,
    words: Vec<Word>,
    exec: usize,
) -> Result<BuiltIn, Failure> {
    let word = words.first().unwrap_or(&words[exec]).clone();
    let (scheme, program) = started_program::program_of(scope, arguments, words, exec)?;
    let at_a_time = match scheme {
        UpstreamScheme::Http => OF_PROGRAM,
        // A process of PHP answers one request at a time.
        UpstreamScheme::FastCgi => 1,
    };
    let source = ServerSource::Program(Box::new(program));
    application(scope, arguments, (scheme, source, at_a_time), &word)
}

/// The address that a word is. A relative path begins where the word was written.
fn address(scope: &Scope, word: &Word) -> Result<(UpstreamScheme, ServerAddress), Failure> {
    match ServerAddress::parse(&word.text) {
        Ok((scheme, address)) => Ok((scheme, address.relative_to(&scope.folder(&word.origin)))),
        Err(invalid) => Err(scope.mistake(&word.origin, invalid.message, invalid.hint)),
    }
}
