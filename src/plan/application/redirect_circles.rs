//! Redirects of routes that lead clients back to themselves, for ever.

use crate::application::fixed_answer::FixedAnswer;
use crate::application::routes::route_key::{RouteHost, RouteKey};
use crate::line::scope::Scope;
use crate::plan::application::{ApplicationName, BuiltIn};
use crate::syntax::Diagnostic;

/// An application with the requests that it answers.
type Mounted<'a> = (RouteKey, &'a ApplicationName);

/// The redirects to a path of their own, in an application that answers all requests. One to a URL with a host is no such
/// mistake: it may change the scheme or the port.
#[must_use]
pub fn redirect_circles(scope: &Scope, application: &ApplicationName) -> Vec<Diagnostic> {
    let everything = RouteKey {
        host: RouteHost::Any,
        path: String::new(),
        is_folder: true,
    };
    let mut mounted = Vec::new();
    mount(application, everything, &mut mounted);
    let circles = mounted.iter().filter_map(|(key, application)| {
        let ApplicationName::BuiltIn {
            what: BuiltIn::Fixed(FixedAnswer::Redirect { url, .. }),
            origin,
            ..
        } = application
        else {
            return None;
        };
        let path = url.split(['?', '#']).next().unwrap_or_default();
        let answers = path.starts_with('/') && answered_by(&mounted, &key.host, path) == Some(key);
        answers.then(|| {
            let message = format!("the redirect to `{path}` leads to itself: it answers `{key}`");
            let hint = "name a path that another route answers, or a URL with a host";
            scope.diagnose(origin, message, Some(hint.to_owned()))
        })
    });
    circles.collect()
}

/// Adds the applications that a route leads to.
fn mount<'a>(application: &'a ApplicationName, key: RouteKey, mounted: &mut Vec<Mounted<'a>>) {
    match application {
        ApplicationName::BuiltIn {
            what: BuiltIn::Routes(routes),
            ..
        } => {
            for route in routes {
                mount(&route.application, key.join(&route.key), mounted);
            }
        }
        ApplicationName::BuiltIn { .. } | ApplicationName::Python { .. } => {
            mounted.push((key, application));
        }
    }
}

/// The route that answers a path for clients that another route with this host has answered.
fn answered_by<'a>(
    mounted: &'a [Mounted<'_>],
    host: &RouteHost,
    path: &str,
) -> Option<&'a RouteKey> {
    let answers = |key: &RouteKey| {
        let rest = path.strip_prefix(&*key.path);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let of = |host: &RouteHost| {
        let keys = mounted.iter().map(|(key, _)| key);
        keys.filter(|key| key.host == *host && answers(key))
            .max_by_key(|key| key.path.len())
    };
    of(host).or_else(|| of(&RouteHost::Any))
}
