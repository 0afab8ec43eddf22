//! What `export` makes for web servers of the settings that say who reaches a server: each is kept, or said to be lost.

#[path = "export/apache_modules.rs"]
mod apache_modules;
#[path = "export/exporting.rs"]
mod exporting;
mod support;

use apache_modules::{APACHE, apache_modules};
use exporting::{HELLO, export, exported};
use support::Folder;

const FRONTS: [&str; 3] = ["nginx", "apache", "caddy"];

/// A server for https, with an authority for clients.
fn folder(settings: &str) -> Folder {
    let key = rcgen::KeyPair::generate().expect("a key");
    let names = vec!["example.org".to_owned()];
    let params = rcgen::CertificateParams::new(names).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).expect("a certificate");
    exporting::folder("serve", settings)
        .file("cert.pem", certificate.pem())
        .file("key.pem", key.serialize_pem())
        .file("clients.pem", authority.pem())
        .file("more.pem", authority.pem())
}

const TLS: &str = "runner.tls.cert = 'cert.pem'\nrunner.tls.key = 'key.pem'\n";
const BOTH: &str = "url = ['unix:run/socket', 'https://*:8443']\n";

/// Without a certificate, nobody gets in: by no port.
#[test]
fn clients_need_certificates_there_too() {
    for (auth, words) in [
        (
            "required",
            [
                "ssl_verify_client on;",
                "SSLVerifyClient require\n",
                "mode require_and_verify\n",
            ],
        ),
        (
            "optional",
            [
                "ssl_verify_client optional;",
                "SSLVerifyClient optional\n",
                "mode verify_if_given\n",
            ],
        ),
    ] {
        let settings = format!(
            "{BOTH}{TLS}runner.tls.client_ca = 'clients.pem'\nrunner.tls.client_auth = '{auth}'\n"
        );
        let folder = folder(&settings);
        for (target, words) in FRONTS.into_iter().zip(words) {
            let outcome = export(&folder, &[target, "hello.ini"]);
            // The application decides by what it does not see there.
            let status = if auth == "required" { 0 } else { 2 };
            assert_eq!(outcome.status, status, "{outcome:#?}");
            let text = outcome.stdout;
            assert!(text.contains(words), "{words}\n{text}");
            for open in ["listen 80;", "*:80>", ":80 {", "\nhttp://"] {
                assert!(!text.contains(open), "{open}\n{text}");
            }
            accepts(&folder, target, &text);
        }
    }
}

/// The web server itself accepts a text.
#[track_caller]
fn accepts(folder: &Folder, target: &str, text: &str) {
    let here = folder.path("").display().to_string();
    let text = text.replace("[folder]", here.trim_end_matches('/'));
    let folder = folder.clone().file("run/.keep", "");
    let checked = match target {
        "nginx" => {
            let whole =
                format!("pid run/nginx.pid; error_log stderr;\nevents {{}}\nhttp {{\n{text}}}\n");
            let check = ["-t", "-q", "-p", ".", "-c", "nginx.conf", "-e", "stderr"];
            folder
                .file("nginx.conf", whole)
                .program("nginx", check)
                .run()
        }
        "apache" => {
            let modules = apache_modules(&APACHE);
            let whole = format!(
                "ServerRoot {here}\nDefaultRuntimeDir {here}\nServerName localhost\nErrorLog /dev/stderr\n{modules}{text}"
            );
            let folder = folder.file("apache.conf", whole);
            let path = folder.path("apache.conf").display().to_string();
            folder.program("apache2", ["-t", "-f", &path]).run()
        }
        _ => {
            let words = "validate --config Caddyfile --adapter caddyfile";
            let folder = folder.file("Caddyfile", &text);
            let caddy = folder.program("caddy", words.split(' '));
            caddy.env("XDG_DATA_HOME", folder.path("home")).run()
        }
    };
    assert_eq!(checked.status, 0, "{checked:#?}\n{text}");
}

/// What a server answers by http, its web server passes on; it makes no redirects of its own.
#[test]
fn port_80_is_as_with_the_server() {
    let open = format!("url = ['http://*:8000', 'https://*:8443']\n{TLS}");
    let near = format!("url = ['http://localhost:8000', 'https://*:8443']\n{TLS}");
    for (settings, is_open) in [(open, true), (near, false)] {
        let folder = folder(&settings);
        for (target, word) in FRONTS
            .into_iter()
            .zip(["listen 80;", "*:80>", "\nhttp:// {"])
        {
            let text = exported(&folder, target);
            assert_eq!(text.contains(word), is_open, "{text}");
            accepts(&folder, target, &text);
        }
    }
}

#[test]
fn what_is_lost_is_refused() {
    let ca = "runner.tls.client_ca = 'clients.pem'\n";
    for (targets, url, settings, message) in [
        (
            &FRONTS[..],
            "'https://*:8443'",
            ca.to_owned(),
            "has no certificate for the https address",
        ),
        (
            &FRONTS[..],
            BOTH,
            format!("{ca}runner.tls.export_cert = True\n"),
            "does not get the certificates of clients",
        ),
        (
            &FRONTS[..2],
            BOTH,
            "runner.tls.client_ca = ['clients.pem', 'more.pem']\n".to_owned(),
            "reads one file",
        ),
        (
            &FRONTS[..],
            BOTH,
            "runner.tls.hsts = '1d'\n".to_owned(),
            "does not know which requests reach",
        ),
        (
            &FRONTS[..],
            "['http://*:8000', 'https://*:8443']",
            "runner.tls.redirect = True\n".to_owned(),
            "does not know which requests reach",
        ),
        (
            &FRONTS[..],
            BOTH,
            "runner.tls.redirect_port = 8443\n".to_owned(),
            "clients are sent to port 8443",
        ),
        (
            &FRONTS[..],
            BOTH,
            "runner.http.max_per_address = 9\n".to_owned(),
            "all clients have the address of",
        ),
    ] {
        let url = url.trim_start_matches("url = ").trim_end();
        let folder = folder(&format!("url = {url}\n{TLS}{settings}"));
        for target in targets {
            let outcome = export(&folder, &[target, "hello.ini"]);
            assert_eq!(outcome.status, 2, "{outcome:#?}");
            assert!(outcome.stderr.contains(message), "{outcome:#?}");
        }
    }
    let folder = folder(
        "url = 'unix:run/socket'\nrunner.http.trusted_proxies = ['unix']\nrunner.tls.redirect = True\n",
    );
    let outcome = export(&folder, &["nginx", "hello.ini"]);
    assert_eq!(outcome.status, 2, "{outcome:#?}");
    assert!(
        outcome
            .stderr
            .contains("has no certificate, and does not answer"),
        "{outcome:#?}"
    );
}

/// Two projects with files of the same name, and names of nginx's own, are in one nginx.
#[test]
fn names_of_nginx_are_for_one_file() {
    let text = "app = commands.Alias(command=['serve', 'WSGI', 'import:hello.app'])\nurl = 'unix:/run/s'\n";
    let names = [
        "server.ini",
        "sent_http.ini",
        "http.ini",
        "été.ini",
        "ätna.ini",
    ];
    let long = format!("{}.ini", "a-".repeat(40));
    let mut whole = String::new();
    let mut folder = Folder::new().file("run/.keep", "");
    for name in names.into_iter().chain([&*long]) {
        for parent in ["a/app", "b/app"] {
            let path = format!("{parent}/{name}");
            folder = folder
                .file(&path, text)
                .file(format!("{parent}/hello.py"), HELLO);
            let outcome = export(&folder, &["nginx", &path]);
            assert_eq!(outcome.status, 0, "{outcome:#?}");
            whole.push_str(&outcome.stdout.replace("server_name _;", ""));
        }
    }
    let whole = format!("pid run/nginx.pid; error_log stderr;\nevents {{}}\nhttp {{\n{whole}}}\n");
    let whole = whole.replace("    listen 80;\n    listen [::]:80;\n", "");
    let mut number = 0;
    let servers = whole.split("\nserver {\n").map(|part| {
        number += 1;
        format!("{part}\nserver {{\n    listen {};\n", 8000 + number)
    });
    let whole = servers.collect::<String>();
    let end = whole.rfind("\nserver {").expect("a server");
    let folder = folder.file("nginx.conf", &whole[..end]);
    let check = ["-t", "-q", "-p", ".", "-c", "nginx.conf", "-e", "stderr"];
    folder.program("nginx", check).run().is(0, "", "");
}
