//! Certificates by ACME, from pebble, the test server of Let's Encrypt. Names are those of a DNS server of its own.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use support::{Address, Folder, Server, free_port};

const APP: &str = "\
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [environ['wsgi.url_scheme'].encode()]
";

/// An authority, and the DNS server that it asks: each name is 127.0.0.1.
struct Authority {
    directory: String,
    management: String,
    folder: Folder,
    _programs: [Server; 2],
}

impl Authority {
    /// Checks names at these ports, and issues certificates for so many seconds.
    fn start(http: u16, https: u16, validity: u32) -> Self {
        let [port, management, dns, dns_management] = [(); 4].map(|()| free_port());
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("names");
        let config = format!(
            r#"{{"pebble": {{"listenAddress": "127.0.0.1:{port}", "managementListenAddress": "127.0.0.1:{management}",
            "certificate": "pebble.pem", "privateKey": "pebble.key", "httpPort": {http}, "tlsPort": {https},
            "ocspResponderURL": "", "externalAccountBindingRequired": false, "certificateValidityPeriod": {validity}}}}}"#
        );
        let folder = Folder::new()
            .file("pebble.json", config)
            .file("pebble.pem", made.cert.pem())
            .file("pebble.key", made.signing_key.serialize_pem());
        let dns_server = format!("127.0.0.1:{dns}");
        let names = folder.program(
            "pebble-challtestsrv",
            [
                "-defaultIPv4",
                "127.0.0.1",
                "-defaultIPv6",
                "",
                "-dns01",
                &dns_server,
                "-http01",
                "",
                "-https01",
                "",
                "-tlsalpn01",
                "",
                "-management",
                &format!("127.0.0.1:{dns_management}"),
            ],
        );
        let names = names.start_at(Address::port(dns_management));
        let pebble = folder
            .program(
                "pebble",
                ["-config", "pebble.json", "-dnsserver", &dns_server],
            )
            .env("PEBBLE_VA_NOSLEEP", "1")
            .start_at(Address::port(port));
        Self {
            directory: format!("https://localhost:{port}/dir"),
            management: format!("https://localhost:{management}"),
            folder,
            _programs: [names, pebble],
        }
    }

    /// A folder with a server for these addresses.
    fn customer(&self, urls: &str, settings: &str) -> Folder {
        let file = format!(
            "app = commands.Alias(command=['serve', 'WSGI', 'import:app.application'])\n\
             url = {urls}\n[runner.tls]\nacme = ['shop.test', 'WWW.shop.test']\nacme_folder = 'state/acme'\n\
             acme_directory = '{}'\nacme_contact = ['mailto:ada@shop.test']\nacme_ca = 'pebble.pem'\n{settings}",
            self.directory
        );
        Folder::new()
            .file("app.py", APP)
            .file("app.ini", file)
            .file("pebble.pem", self.folder.read("pebble.pem"))
    }

    /// What a client gets that trusts the authority alone.
    fn ask(&self, name: &str, port: u16) -> String {
        let root = format!("{}/roots/0", self.management);
        let root = self.folder.curl(["--cacert", "pebble.pem", &root]);
        fs::write(self.folder.path("root.pem"), root.success()).expect("a file");
        let resolve = format!("{name}:{port}:127.0.0.1");
        let url = format!("https://{name}:{port}/");
        let said = self
            .folder
            .curl(["--cacert", "root.pem", "--resolve", &resolve, &url]);
        said.success().to_owned()
    }
}

const ISSUED: &str = "the certificate for shop.test, www.shop.test is valid until";

#[test]
fn an_authority_that_checks_by_http_issues_a_certificate_which_is_kept() {
    let (http, https) = (free_port(), free_port());
    let authority = Authority::start(http, https, 86_400);
    let urls = format!("['http://127.0.0.1:{http}', 'https://127.0.0.1:{https}']");
    let folder = authority.customer(&urls, "redirect = True\n");
    let server = folder.runner(["runIni", "app.ini"]).start();
    server.wait_for_log(|log| log.contains(ISSUED));
    for name in ["shop.test", "www.shop.test"] {
        assert_eq!(authority.ask(name, https), "https");
    }
    let mode = |name: &str| {
        let found = folder.path(name).metadata().expect("a file").permissions();
        found.mode() & 0o777
    };
    assert_eq!(mode("state/acme"), 0o700);
    for name in ["certificate.pem", "account.json"] {
        assert_eq!(mode(&format!("state/acme/{name}")), 0o600);
    }
    // Answers are forgotten.
    assert_eq!(server.get("/.well-known/acme-challenge/token").ok(), "http");
    server.stop();
    // The next server has it from the beginning.
    let kept = folder.read("state/acme/certificate.pem");
    let server = folder.runner(["runIni", "app.ini"]).start();
    assert_eq!(authority.ask("shop.test", https), "https");
    let outcome = server.stop();
    assert!(!outcome.stderr.contains("asking"), "{}", outcome.stderr);
    assert_eq!(folder.read("state/acme/certificate.pem"), kept);
}

#[test]
fn an_authority_checks_by_tls_where_there_is_no_http_and_certificates_are_renewed() {
    let (http, https) = (free_port(), free_port());
    // Renewed after two thirds of its life.
    let authority = Authority::start(http, https, 15);
    let folder = authority.customer(&format!("'https://127.0.0.1:{https}'"), "");
    let server = folder.runner(["runIni", "app.ini"]).start();
    server.wait_for_log(|log| log.contains(ISSUED));
    assert_eq!(authority.ask("shop.test", https), "https");
    let first = folder.read("state/acme/certificate.pem");
    server.wait_for_log(|log| log.matches(ISSUED).count() == 2);
    assert_eq!(authority.ask("www.shop.test", https), "https");
    assert_ne!(folder.read("state/acme/certificate.pem"), first);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn where_no_certificate_is_issued_the_log_says_why_and_http_is_served() {
    let (http, https, other) = (free_port(), free_port(), free_port());
    // The authority asks at a port where nothing listens.
    let authority = Authority::start(other, other, 86_400);
    let urls = format!("['http://127.0.0.1:{http}', 'https://127.0.0.1:{https}']");
    let folder = authority.customer(&urls, "");
    let server = folder.runner(["runIni", "app.ini"]).start();
    let log = server.wait_for_log(|log| log.contains("the next attempt is in"));
    assert!(
        log.contains("no certificate for shop.test, www.shop.test"),
        "{log}"
    );
    assert!(
        log.contains("Connection refused") || log.contains("connection refused"),
        "{log}"
    );
    assert_eq!(server.get("/").ok(), "http");
    // A handshake ends at once, and the server goes on.
    let url = format!("https://shop.test:{https}/");
    let resolve = format!("shop.test:{https}:127.0.0.1");
    let said = folder.curl(["-k", "--resolve", &resolve, &url]);
    assert_eq!(said.status, 35, "{said:#?}");
    assert_eq!(server.get("/").ok(), "http");
    assert_eq!(server.stop().status, 0);
}
