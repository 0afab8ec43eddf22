//! Certificates by ACME (RFC 8555): an authority checks that the server has its names, and issues a certificate, which is
//! renewed after two thirds of its life. All of it happens in a thread of its own, beside the one that owns connections.
//!
//! The account, the certificate and its key are files of a folder, which several processes may share: the next version of a
//! server, and another server for the same names. The one that has the lock asks; the others read what it has got.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use tokio::runtime::Builder;
use tokio::time::sleep;

use crate::acme::acme_folder::AcmeFolder;
use crate::clock::http_date;
use crate::gateway::socket::tls::acme_store::{AcmeOptions, AcmeStore};
use crate::gateway::socket::tls::certificate::Certificate;
use crate::gateway::socket::url::Host;

mod acme_folder;
mod issuance;

/// The time between two looks at the folder while there is nothing to do: another process may have renewed the certificate,
/// and clocks are set.
const LOOK: Duration = Duration::from_secs(3600);

/// The same while another process asks.
const LOOK_AT_ANOTHER: Duration = Duration::from_secs(10);

/// Keeps a store filled, from the first call until the store is dropped.
pub fn keep(store: &Arc<AcmeStore>) {
    if !store.begin_to_keep() {
        return;
    }
    let (options, end) = (store.options.clone(), store.end());
    let store = Arc::downgrade(store);
    let keeping = move || {
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return crate::log_error!("cannot ask for certificates: {error}"),
        };
        runtime.block_on(async {
            tokio::select! {
                () = end => {}
                () = run(&options, &store) => {}
            }
        });
    };
    let thread = std::thread::Builder::new().name("acme".to_owned());
    if let Err(error) = thread.spawn(keeping) {
        crate::log_error!("cannot ask for certificates: {error}");
    }
}

async fn run(options: &AcmeOptions, store: &Weak<AcmeStore>) {
    let mut failures = 0;
    loop {
        let pause = match look(options, store).await {
            Ok(pause) => {
                failures = 0;
                pause
            }
            Err(error) => {
                failures += 1;
                let pause = back_off(failures);
                let minutes = pause.as_secs().div_ceil(60);
                let unit = if minutes == 1 { "minute" } else { "minutes" };
                crate::log_error!(
                    "no certificate for {} from {}: {error:#}; the next attempt is in {minutes} {unit}",
                    options.names.join(", "),
                    options.directory,
                );
                pause
            }
        };
        sleep(pause).await;
    }
}

/// Takes the certificate of the folder if it is good, and asks for another if it is time. Returns when to look again.
async fn look(options: &AcmeOptions, store: &Weak<AcmeStore>) -> anyhow::Result<Duration> {
    let set = |certificate: &Certificate| {
        if let Some(store) = store.upgrade() {
            store.set_certificate(certificate.clone());
        }
    };
    if let Some((certificate, left)) = kept(options) {
        set(&certificate);
        if !left.is_zero() {
            return Ok(left.min(LOOK));
        }
    }
    let folder = AcmeFolder::open(&options.folder)?;
    let Some(_lock) = folder.lock()? else {
        return Ok(LOOK_AT_ANOTHER);
    };
    // The process that had the lock may have renewed it.
    if let Some((certificate, left)) = kept(options)
        && !left.is_zero()
    {
        set(&certificate);
        return Ok(left.min(LOOK));
    }
    let names = options.names.join(", ");
    crate::log!(
        "asking for a certificate for {names} ({})",
        options.directory
    );
    let issued = issuance::ask(options, &folder, store).await;
    if let Some(store) = store.upgrade() {
        store.clear_answers();
    }
    folder.write(&options.certificate(), &issued?)?;
    let certificate = Certificate::read(&options.certificate(), None)
        .map_err(|fault| anyhow::anyhow!(fault.message))?;
    set(&certificate);
    crate::log!(
        "the certificate for {names} is valid until {}",
        http_date(certificate.not_after)
    );
    let left = until_renewal(&certificate);
    // Without a pause, it would be asked for again and again.
    anyhow::ensure!(
        !left.is_zero(),
        "the certificate has come with less than a third of its life: the clock may be wrong"
    );
    Ok(left.min(LOOK))
}

/// The certificate of the folder if it is for all names, and the time until it is to be renewed.
fn kept(options: &AcmeOptions) -> Option<(Certificate, Duration)> {
    let certificate = Certificate::read(&options.certificate(), None).ok()?;
    let mut names = options.names.iter();
    let is_for_all = names.all(|name| certificate.is_for(&Host::Name(name.clone())));
    let left = until_renewal(&certificate);
    is_for_all.then_some((certificate, left))
}

/// Two thirds of its life: as Let's Encrypt recommends, for certificates of any length.
fn until_renewal(certificate: &Certificate) -> Duration {
    let life = certificate
        .not_after
        .duration_since(certificate.not_before)
        .unwrap_or_default();
    let renewal = certificate.not_before + life * 2 / 3;
    renewal
        .duration_since(SystemTime::now())
        .unwrap_or_default()
}

/// The pause after a number of failures in a row: from a minute to 6 hours, four times as long each time, give or take a
/// fifth, so that servers that have failed together do not ask together. Authorities allow a few failures an hour.
fn back_off(failures: u32) -> Duration {
    let minutes = 4_u64.saturating_pow(failures.saturating_sub(1)).min(360);
    let random = RandomState::new().hash_one(failures) % 400;
    Duration::from_millis(minutes * 60 * (800 + random))
}

#[cfg(test)]
mod tests {
    use super::back_off;

    #[test]
    fn pauses_grow_up_to_six_hours() {
        for (failures, minutes) in [
            (1, 1),
            (2, 4),
            (3, 16),
            (4, 64),
            (5, 256),
            (6, 360),
            (99, 360),
        ] {
            let pause = back_off(failures).as_secs();
            assert!((minutes * 48..=minutes * 72).contains(&pause), "{failures}");
        }
    }
}
