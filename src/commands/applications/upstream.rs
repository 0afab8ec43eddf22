//! `upstream ADDRESS…`: passes requests on to servers.

use clap::{Arg, ArgAction, value_parser};

use crate::graph::entry::{Arguments, Entry, EntryKind};
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::word::Word;
use crate::plan::application::BuiltIn;
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
`http://host:port` or `http+unix:path`. Of several servers, each request goes to
the one that has the fewest; those that cannot be reached are left out for a
while.

A request keeps its path and its `Host`. `X-Forwarded-For`, `-Host` and `-Proto`
and `Forwarded` say what the client has sent. With `--strip-prefix` a server
sees the path behind the mount of the application only, and the mount as
`X-Forwarded-Prefix`. WebSockets are passed on.",
    kind: EntryKind::Application {
        arguments: options,
        name,
    },
};

/// Connections to each server at a time.
const CONNECTIONS: &str = "1000";

fn options(command: clap::Command) -> clap::Command {
    command
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
        )
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
    let protocol = match scheme {
        UpstreamScheme::Http => UpstreamProtocol::Http(HttpClientOptions {
            strips_prefix: arguments.options.get_flag("strip-prefix"),
        }),
        UpstreamScheme::FastCgi => {
            let message = format!("{}: FastCGI is not spoken yet", quoted(&first.text));
            return Err(scope.mistake(&first.origin, message, None));
        }
    };
    let connections = arguments.options.get_one::<u32>("connections").copied();
    Ok(BuiltIn::Upstream(UpstreamName {
        protocol,
        source: ServerSource::Addresses(addresses),
        connections: usize::try_from(connections.unwrap_or(1)).unwrap_or(usize::MAX),
    }))
}

/// The address that a word is. A relative path begins where the word was written.
fn address(scope: &Scope, word: &Word) -> Result<(UpstreamScheme, ServerAddress), Failure> {
    match ServerAddress::parse(&word.text) {
        Ok((scheme, address)) => Ok((scheme, address.relative_to(&scope.folder(&word.origin)))),
        Err(invalid) => Err(scope.mistake(&word.origin, invalid.message, invalid.hint)),
    }
}
