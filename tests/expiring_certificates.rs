//! Certificates that expire soon: the log says so.

mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use support::Folder;

const FILE: &str = "\
app = commands.Alias(command=['serve', 'demo'])
url = ['https://localhost:0', 'https://127.0.0.1:0']
[runner.tls]
cert = 'cert.pem'
key = 'key.pem'
";

/// Whatever renews certificates should have done so before. Two addresses and a reload are no reason to say it again.
#[test]
fn the_log_warns_once_of_a_certificate_that_expires_soon() {
    for (days, is_soon) in [(10, true), (20, false)] {
        let mut params =
            rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("a time");
        let day = Duration::from_secs(86_400);
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        params.not_before = epoch + (now - 80 * day);
        params.not_after = epoch + (now + days * day);
        let key = rcgen::KeyPair::generate().expect("a key");
        let made = params.self_signed(&key).expect("a certificate");
        let folder = Folder::new()
            .file("app.ini", FILE)
            .file("cert.pem", made.pem())
            .file("key.pem", key.serialize_pem());
        let server = folder.runner(["runIni", "app.ini"]).start();
        let said = "runner: the certificate for localhost is valid for 9 d 23 h, and has not been renewed\n";
        if is_soon {
            server.wait_for_log(|log| log.contains(said));
        }
        server.signal(Signal::HUP);
        server.wait_for_log(|log| log.contains("runner: reloaded\n"));
        let log = server.stop().stderr;
        assert_eq!(
            log.matches("has not been renewed").count(),
            usize::from(is_soon),
            "{log}"
        );
    }
}
