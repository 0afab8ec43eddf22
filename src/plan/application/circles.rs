//! Redirects that lead clients back to themselves for ever, and servers behind a server that are this server.

use crate::application::fixed_answer::FixedAnswer;
use crate::application::routes::route_key::{RouteHost, RouteKey};
use crate::gateway::socket::server_url::ServerUrl;
use crate::gateway::socket::url::{Host, SocketUrl};
use crate::interface::Scheme;
use crate::line::scope::Scope;
use crate::plan::application::{ApplicationName, BuiltIn};
use crate::plan::gateway::{Endpoint, Protocol};
use crate::syntax::Diagnostic;
use crate::upstream::server_address::ServerAddress;
use crate::upstream::upstream_options::{ServerSource, UpstreamName, UpstreamProtocol};

/// An application with the requests that it answers.
type Mounted<'a> = (RouteKey, &'a ApplicationName);

/// The redirects to a path of their own, in an application that answers all requests. One to a URL with a host is no such
/// mistake: it may change the scheme or the port.
#[must_use]
pub fn redirect_circles(scope: &Scope, application: &ApplicationName) -> Vec<Diagnostic> {
    let mounted = all_mounted(application);
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

/// The servers of an application that is served at these endpoints which are that server itself: each request that is passed on
/// to it comes back, or is not understood where it speaks another protocol. One that arrives with another path is no such
/// request, since another route may answer it. These are warnings: the server answers what it does not pass on.
#[must_use]
pub fn upstream_circles(
    scope: &Scope,
    application: &ApplicationName,
    endpoints: &[Endpoint],
) -> Vec<Diagnostic> {
    let mut circles = Vec::new();
    for (key, mounted) in all_mounted(application) {
        for inner in mounted.all() {
            let ApplicationName::BuiltIn {
                what: BuiltIn::Upstream(servers),
                origin,
                ..
            } = inner
            else {
                continue;
            };
            for (address, url) in own_addresses(servers, &key, endpoints) {
                let address = servers.protocol.scheme().url(address);
                let message =
                    format!("`{address}` leads back to this server, which listens on `{url}`");
                let hint = "name the address that the other server listens on".to_owned();
                let mut circle = scope.diagnose(origin, message, Some(hint));
                circle.code = "setting/circle";
                circles.push(circle.warning());
            }
        }
    }
    circles
}

/// The addresses of servers that are those of these endpoints, by which a request comes back to the route that has passed it on.
fn own_addresses<'a>(
    servers: &'a UpstreamName,
    key: &RouteKey,
    endpoints: &'a [Endpoint],
) -> Vec<(&'a ServerAddress, &'a ServerUrl)> {
    let ServerSource::Addresses(addresses) = &servers.source else {
        return Vec::new();
    };
    let changes_path = match &servers.protocol {
        UpstreamProtocol::Http(options) => options.strips_prefix && !key.path.is_empty(),
        UpstreamProtocol::FastCgi(_) => false,
    };
    let own = |address: &'a ServerAddress| {
        let server = ServerUrl::clear(socket(address));
        let mut endpoints = endpoints.iter();
        let own = endpoints.find(|endpoint| endpoint.url.collides_with(&server))?;
        let is_understood = own.protocol == Protocol::Http && own.url.scheme == Scheme::Http;
        (!(changes_path && is_understood)).then_some((address, &own.url))
    };
    addresses.iter().filter_map(own).collect()
}

/// The socket that a server with this address listens on.
fn socket(address: &ServerAddress) -> SocketUrl {
    match address {
        ServerAddress::Tcp { host, port } => SocketUrl::Tcp {
            host: match host.contains(':') {
                true => Host::Ipv6(host.clone()),
                false => Host::Name(host.clone()),
            },
            port: *port,
        },
        ServerAddress::Unix(path) => SocketUrl::Unix(path.clone()),
    }
}

/// The applications that routes lead to, each with its route; the application itself without routes.
fn all_mounted(application: &ApplicationName) -> Vec<Mounted<'_>> {
    let everything = RouteKey {
        host: RouteHost::Any,
        path: String::new(),
        is_folder: true,
    };
    let mut mounted = Vec::new();
    mount(application, everything, &mut mounted);
    mounted
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
