//! Socket activation (`sd_listen_fds(3)`): sockets that a service manager has made and passes to this process.

use std::net::SocketAddr;
use std::os::fd::RawFd;

use anyhow::{Context, bail};

use crate::gateway::socket::url::{Descriptor, Passed};

/// Whether sockets were passed to this process; not to a parent of it, whose environment it has inherited.
pub fn is_there() -> bool {
    // An error is reported when the sockets are used.
    sd_notify::listen_fds().map_or(true, |sockets| sockets.len() > 0)
}

fn named() -> anyhow::Result<Vec<(RawFd, String)>> {
    let named = sd_notify::listen_fds_with_names()
        .context("the sockets of the service manager cannot be used (LISTEN_FDS)")?;
    Ok(named.collect())
}

/// Where those passed sockets listen that are not among the given descriptors.
#[must_use]
pub fn others(taken: &[RawFd]) -> Vec<String> {
    let all = named().unwrap_or_default().into_iter();
    all.filter(|(number, _)| !taken.contains(number))
        .filter_map(|(number, _)| shown_address(number))
        .collect()
}

/// Where an inherited socket listens: an address with its port, or a path.
fn shown_address(number: RawFd) -> Option<String> {
    let socket = crate::unix::duplicate_inherited(number).ok()?;
    let address = rustix::net::getsockname(&socket).ok()?;
    if let Ok(address) = SocketAddr::try_from(address.clone()) {
        return Some(address.to_string());
    }
    let address = rustix::net::SocketAddrUnix::try_from(address).ok()?;
    let path = String::from_utf8_lossy(address.path_bytes()?).into_owned();
    Some(path)
}

/// All passed sockets, as descriptors of this process.
///
/// # Errors
/// The variables of the service manager are malformed.
pub fn all() -> anyhow::Result<Vec<Descriptor>> {
    let of = |(number, _)| Descriptor {
        number,
        family: None,
        protocol: None,
    };
    Ok(named()?.into_iter().map(of).collect())
}

/// The passed sockets with the wanted name, as descriptors of this process; at least one.
///
/// # Errors
/// There is none of that name, or none at all; the variables of the service manager are malformed.
pub fn descriptors(passed: &Passed) -> anyhow::Result<Vec<Descriptor>> {
    let all = named()?;
    if all.is_empty() {
        bail!("no service manager has passed a socket to this process (LISTEN_FDS)");
    }
    let is_wanted = |name: &str| passed.name.as_deref().is_none_or(|wanted| wanted == name);
    let wanted = all.iter().filter(|(_, name)| is_wanted(name));
    let descriptors: Vec<Descriptor> = wanted
        .map(|(number, _)| Descriptor {
            number: *number,
            family: passed.family,
            protocol: passed.protocol,
        })
        .collect();
    if descriptors.is_empty() {
        let mut names: Vec<String> = all
            .into_iter()
            .map(|(_, name)| format!("`{name}`"))
            .collect();
        names.dedup();
        bail!("the service manager has passed {} only", names.join(", "));
    }
    Ok(descriptors)
}
