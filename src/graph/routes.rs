//! `commands.Routes({…})` in the settings: its keys, and where the words of its applications are written.

use std::sync::Arc;

use crate::application::routes::route_key::{InvalidRoute, RouteKey};
use crate::eval::{Alias, Table, Value};
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::word::Origin;
use crate::plan::application::{ApplicationName, BuiltIn, Route};
use crate::syntax::{Diagnostic, Diagnostics, quoted};

/// Where a value was written that names an application or a command.
#[derive(Clone, Debug)]
pub(super) enum ValuePlace {
    /// It is the value of this property.
    Property(Arc<str>),
    /// It is the value of a route.
    Route {
        /// The property.
        property: Arc<str>,
        /// The key of the route.
        key: Arc<str>,
    },
    /// It is somewhere in the value of a route, which has routes itself.
    Inside {
        /// The property.
        property: Arc<str>,
        /// The key of the outermost route.
        key: Arc<str>,
    },
}

/// The value of a route.
pub(super) struct RouteValue {
    /// The value: words as an alias has them, a name, or routes.
    pub(super) value: Value,
    /// Where it was written.
    pub(super) place: ValuePlace,
}

impl ValuePlace {
    /// The property.
    pub(super) fn property(&self) -> &str {
        match self {
            Self::Property(property)
            | Self::Route { property, .. }
            | Self::Inside { property, .. } => property,
        }
    }

    /// The place of the whole value.
    pub(super) fn whole(&self) -> Origin {
        match self {
            Self::Property(property) => Origin::Property(Arc::clone(property)),
            Self::Route { property, key } | Self::Inside { property, key } => Origin::Route {
                property: Arc::clone(property),
                key: Arc::clone(key),
                word: None,
            },
        }
    }

    /// The place of one of its words.
    pub(super) fn word(&self, number: usize) -> Origin {
        match self {
            Self::Property(property) => Origin::Element(Arc::clone(property), number),
            Self::Route { property, key } => Origin::Route {
                property: Arc::clone(property),
                key: Arc::clone(key),
                word: Some(number),
            },
            Self::Inside { .. } => self.whole(),
        }
    }

    /// The place of routes that are the value: what is deeper in them has no place of its own.
    pub(super) fn inside(&self) -> Self {
        match self {
            Self::Property(_) | Self::Inside { .. } => self.clone(),
            Self::Route { property, key } => Self::Inside {
                property: Arc::clone(property),
                key: Arc::clone(key),
            },
        }
    }

    /// The place of one of the routes that are the value.
    fn route(&self, key: &str) -> Self {
        match self {
            Self::Property(property) => Self::Route {
                property: Arc::clone(property),
                key: key.into(),
            },
            Self::Route { .. } | Self::Inside { .. } => self.inside(),
        }
    }
}

/// The application that routes are. `resolve` names that of one route.
///
/// # Errors
/// All mistakes in the keys, and in the applications.
pub(super) fn of(
    scope: &Scope,
    table: &Table,
    place: &ValuePlace,
    resolve: &dyn Fn(RouteValue) -> Result<ApplicationName, Failure>,
) -> Result<BuiltIn, Failure> {
    let mut routes: Vec<Route> = Vec::new();
    // As they are written.
    let mut keys = Vec::new();
    let mut mistakes = Vec::new();
    for (written, value) in table.entries() {
        let written = written.as_str().unwrap_or_default();
        let place = place.route(written);
        match one(scope, written, value, &place, resolve) {
            Ok(route) => {
                let mut known = routes.iter();
                match known.position(|known| known.key.is_same(&route.key)) {
                    Some(number) => {
                        let both = [keys[number], written];
                        mistakes.push(same(scope, &place, both));
                    }
                    None => {
                        keys.push(written);
                        routes.push(route);
                    }
                }
            }
            Err(Failure::Mistakes(Diagnostics(found))) => mistakes.extend(found),
            Err(other) => return Err(other),
        }
    }
    mistakes.extend(routes.iter().flat_map(|route| unreachable(scope, route)));
    match mistakes.is_empty() {
        true => Ok(BuiltIn::Routes(routes)),
        false => Err(Diagnostics(mistakes).into()),
    }
}

fn one(
    scope: &Scope,
    written: &str,
    value: &Value,
    place: &ValuePlace,
    resolve: &dyn Fn(RouteValue) -> Result<ApplicationName, Failure>,
) -> Result<Route, Failure> {
    let origin = place.whole();
    let key: RouteKey = written
        .parse()
        .map_err(|invalid: InvalidRoute| scope.mistake(&origin, invalid.message, invalid.hint))?;
    if let ValuePlace::Route { property, key } = place
        && scope.configuration.times_of_route(property, key) > 1
    {
        let message = format!("the route {} is there twice", quoted(written));
        return Err(scope.mistake(&origin, message, None));
    }
    let words = match value {
        Value::Str(name) => Value::Alias(Alias::of(vec![name.to_string()])),
        Value::List(words) | Value::Tuple(words) => {
            let words = words.iter().filter_map(Value::as_str);
            Value::Alias(Alias::of(words.map(str::to_owned).collect()))
        }
        other => other.clone(),
    };
    let application = resolve(RouteValue {
        value: words,
        place: place.clone(),
    });
    let application = application.map_err(incomplete)?;
    Ok(Route {
        key,
        origin,
        application,
    })
}

/// A route that lacks words of its application is wrong: nobody can type them, as behind the name of an alias.
fn incomplete(mut failure: Failure) -> Failure {
    if failure.is_incomplete()
        && let Failure::Mistakes(Diagnostics(mistakes)) = &mut failure
    {
        for mistake in mistakes {
            mistake.code = "type/command";
        }
    }
    failure
}

/// The mistake that two routes are for the same requests.
fn same(scope: &Scope, place: &ValuePlace, [first, second]: [&str; 2]) -> Diagnostic {
    let message = format!("the routes `{first}` and `{second}` are the same");
    let hint = "upper and lower case of a host and a slash at the end make no difference";
    scope.diagnose(&place.whole(), message, Some(hint.to_owned()))
}

/// The mistakes that routes in the application of a route are for other hosts.
fn unreachable(scope: &Scope, route: &Route) -> Vec<Diagnostic> {
    let inner = route.application.built_in();
    let routes = inner.filter_map(|what| {
        let BuiltIn::Routes(routes) = what else {
            return None;
        };
        Some(routes)
    });
    let others = routes
        .flatten()
        .filter(|inner| !inner.key.host.meets(&route.key.host));
    others
        .map(|inner| {
            let message = format!(
                "the route `{}` within `{}` is for no request, since the hosts differ",
                inner.key, route.key
            );
            scope.diagnose(&route.origin, message, None)
        })
        .collect()
}
