//! `redirect URL` and `respond STATUS TEXT`: the same answer to each request.

use http::{HeaderValue, StatusCode, Uri};

use crate::application::fixed_answer::{FixedAnswer, may_have_text};
use crate::graph::entry::{Arguments, Entry, EntryKind, flag_option, no_options};
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::plan::application::BuiltIn;
use crate::syntax::quoted;

/// The row of `redirect`.
pub const REDIRECT: Entry = Entry {
    name: "redirect",
    usage: "URL [--temporary]",
    summary: "An application that sends clients to another URL",
    help: "\
It stands behind a gateway: `serve redirect https://example.org/`. If URL ends in
a slash, path and query of the request follow it. The status is 308, which keeps
the method and the body and holds for ever.",
    kind: EntryKind::Application {
        arguments: |command| {
            let help = "Only for now: the status is 307";
            command.arg(flag_option("temporary", help))
        },
        name: redirect,
    },
};

/// The row of `respond`.
pub const RESPOND: Entry = Entry {
    name: "respond",
    usage: "STATUS [TEXT]",
    summary: "An application that gives each request the same answer",
    help: "\
It stands behind a gateway: `serve respond 503 'Back at noon.'`. STATUS is from
200 to 599; without a TEXT, the answer is the standard one for the status.",
    kind: EntryKind::Application {
        arguments: no_options,
        name: respond,
    },
};

fn redirect(scope: &Scope, arguments: &mut Arguments) -> Result<BuiltIn, Failure> {
    let word = arguments.first("URL")?;
    let begins = ["http://", "https://", "/"];
    let parsed = word.text.parse::<Uri>();
    let has_host =
        |uri: &Uri| uri.scheme().is_none() || uri.host().is_some_and(|host| !host.is_empty());
    let is_url = parsed.is_ok_and(|uri| has_host(&uri))
        && !word.text.starts_with("//")
        && begins.iter().any(|begin| word.text.starts_with(begin))
        && word.text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_url || HeaderValue::from_str(&word.text).is_err() {
        let message = format!("{} is no URL to send clients to", quoted(&word.text));
        let hint = "write `https://example.org/`, or a path that begins with a slash".to_owned();
        return Err(scope.mistake(&word.origin, message, Some(hint)));
    }
    Ok(BuiltIn::Fixed(FixedAnswer::Redirect {
        url: word.text,
        temporary: arguments.options.get_flag("temporary"),
    }))
}

fn respond(scope: &Scope, arguments: &mut Arguments) -> Result<BuiltIn, Failure> {
    let word = arguments.first("STATUS")?;
    let number = word
        .text
        .parse()
        .ok()
        .filter(|number| (200..600).contains(number));
    let Some(status) = number.and_then(|number| StatusCode::from_u16(number).ok()) else {
        let message = format!("{} is no status of HTTP", quoted(&word.text));
        let hint = "write a number from 200 to 599: `respond 503 'Back at noon.'`".to_owned();
        return Err(scope.mistake(&word.origin, message, Some(hint)));
    };
    let mut words = std::mem::take(&mut arguments.line.words).into_iter();
    let text = words.next();
    arguments.line.words = words.collect();
    if let Some(text) = text.as_ref().filter(|text| !text.text.is_empty())
        && !may_have_text(status)
    {
        let message = format!("a response with status {} has no text", status.as_u16());
        let hint = "leave the text out, or write another status".to_owned();
        return Err(scope.mistake(&text.origin, message, Some(hint)));
    }
    let text = text.map(|word| word.text).unwrap_or_default();
    Ok(BuiltIn::Fixed(FixedAnswer::Respond { status, text }))
}
