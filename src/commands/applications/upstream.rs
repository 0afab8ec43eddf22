//! `upstream ADDRESS…`: passes requests on to servers.

use clap::{Arg, ArgAction, value_parser};

use crate::commands::applications::upstream_fastcgi;
use crate::graph::entry::{Arguments, Entry, EntryKind};
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
    usage: "ADDRESS… [OPTIONS]",
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
servers are told of all requests, and decide themselves.",
    kind: EntryKind::Application {
        arguments: options,
        name,
    },
};

/// Connections to each server at a time.
const CONNECTIONS: &str = "1000";

fn options(command: clap::Command) -> clap::Command {
    let command = command
        .arg(
            Arg::new("connections")
                .long("connections")
                .value_name("N")
                .help("Connections to each server at a time")
                .value_parser(value_parser!(u32).range(1..=1_000_000))
                .default_value(CONNECTIONS),
        )
        .arg(
            Arg::new("strip-prefix")
                .long("strip-prefix")
                .action(ArgAction::SetTrue)
                .help("Take the mount of the application off the path"),
        );
    upstream_fastcgi::options(command)
}

fn name(scope: &Scope, arguments: &mut Arguments) -> Result<BuiltIn, Failure> {
    let words = std::mem::take(&mut arguments.line.words);
    let Some(first) = words.first() else {
        return Err(arguments.missing("ADDRESS"));
    };
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
            let (options, files) = upstream_fastcgi::fastcgi_options(scope, arguments, first)?;
            (UpstreamProtocol::FastCgi(options), files)
        }
    };
    let connections = arguments.options.get_one::<u32>("connections").copied();
    let servers = BuiltIn::Upstream(UpstreamName {
        protocol,
        source: ServerSource::Addresses(addresses),
        connections: usize::try_from(connections.unwrap_or(1)).unwrap_or(usize::MAX),
    });
    let origin = first.origin.clone();
    Ok(match files {
        None => servers,
        Some(files) => BuiltIn::Files(
            files,
            Some(Box::new(ApplicationName::BuiltIn {
                what: servers,
                origin,
                settings: arguments.line.settings.clone(),
            })),
        ),
    })
}

/// The address that a word is. A relative path begins where the word was written.
fn address(scope: &Scope, word: &Word) -> Result<(UpstreamScheme, ServerAddress), Failure> {
    match ServerAddress::parse(&word.text) {
        Ok((scheme, address)) => Ok((scheme, address.relative_to(&scope.folder(&word.origin)))),
        Err(invalid) => Err(scope.mistake(&word.origin, invalid.message, invalid.hint)),
    }
}
