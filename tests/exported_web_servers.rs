//! What `export` writes for web servers: each accepts it, and runs with it in front of the server.

#[path = "export/apache_modules.rs"]
mod apache_modules;
#[path = "export/exporting.rs"]
mod exporting;
mod support;

use std::fs;

use apache_modules::{APACHE, apache_modules};
use exporting::{HELLO, exported, folder};
use support::http::Address;
use support::nginx::start_nginx;
use support::{Folder, Server, free_port};

/// A name that many syntaxes have a meaning for some character of.
const ODD: &str = "so ck%d;é#'x";

/// The same for Apache, which takes it for a part of a URL.
const ODD_IN_URL: &str = "so ck%d;é'x";

/// A server on a Unix socket with an odd name, and what is exported of it.
fn behind(command: &str, target: &str) -> (Folder, Server, String) {
    let folder = folder(command, "");
    let socket = folder.path(match target {
        "apache" => ODD_IN_URL,
        _ => ODD,
    });
    let shown = socket.display().to_string().replace('\'', "\\'");
    let text = match command {
        "serve" => format!(
            "app = commands.Alias(command=['serve', 'WSGI', 'import:hello.app'])\nurl = 'unix:{shown}'\n\
             runner.http.trusted_proxies = ['unix']\n"
        ),
        _ => format!(
            "app = commands.Alias(command=['{command}', 'unix:{shown}', 'WSGI', 'import:hello.app'])\n"
        ),
    };
    let text = format!("{text}runner.socket.mode = '666'\n");
    let folder = folder.file("hello.ini", text);
    let text = exported(&folder, target);
    let server = folder.runner(["runIni", "hello.ini"]);
    let server = server.start_at(Address::Unix(socket));
    (folder, server, text)
}

#[track_caller]
fn answers(front: &Server, path: &str) {
    let reply = front.get(path);
    let text = reply.ok();
    let words: Vec<&str> = text.split(' ').collect();
    assert_eq!(words[1..4], [path, "http", "127.0.0.1"], "{text}");
    assert!(words[0].starts_with("localhost"), "{text}");
    // The host that was asked for, or the server's own; not what stands in the web server's file.
    assert_ne!(words[4], "_", "{text}");
}

#[test]
fn nginx_runs_with_what_was_written() {
    for command in ["serve", "FastCGI", "uwsgi"] {
        let (folder, server, text) = behind(command, "nginx");
        let port = free_port();
        let both = "listen 80;\n    listen [::]:80;";
        let text = text.replace(both, &format!("listen 127.0.0.1:{port};"));
        let whole = format!(
            "daemon off; master_process off; pid run/nginx.pid; error_log stderr;\nevents {{}}\nhttp {{\n\
             access_log off; client_body_temp_path run/body; proxy_temp_path run/proxy;\n\
             fastcgi_temp_path run/fastcgi; uwsgi_temp_path run/uwsgi; scgi_temp_path run/scgi;\n{text}}}\n"
        );
        let folder = folder.file("run/.keep", "").file("test.conf", &whole);
        let check = ["-t", "-q", "-p", ".", "-c", "test.conf", "-e", "stderr"];
        folder.program("nginx", check).run().is(0, "", "");
        let nginx = start_nginx(&folder, whole, port);
        answers(&nginx, "/a/b");
        nginx.stop();
        server.stop();
    }
}

#[test]
fn apache_runs_with_what_was_written() {
    for (command, modules) in [
        ("serve", &["proxy_http", "headers"][..]),
        ("FastCGI", &["proxy_fcgi"]),
        ("uwsgi", &["proxy_uwsgi"]),
    ] {
        let (folder, server, text) = behind(command, "apache");
        let port = free_port();
        let here = folder.path("").display().to_string();
        let common = ["mpm_event", "authz_core", "proxy"];
        let modules = apache_modules(&[&common, modules].concat());
        let text = text.replace("<VirtualHost *:80>", &format!("<VirtualHost *:{port}>"));
        let whole = format!(
            "ServerRoot {here}\nDefaultRuntimeDir {here}\nPidFile {here}/apache.pid\nListen 127.0.0.1:{port}\n\
             ServerName localhost\nErrorLog /dev/stderr\nUser www-data\nGroup www-data\n{modules}{text}"
        );
        let folder = folder.file("apache.conf", whole);
        open(&folder);
        let path = folder.path("apache.conf").display().to_string();
        let check = folder.program("apache2", ["-t", "-f", &path]).run();
        assert_eq!(check.status, 0, "{check:#?}");
        let apache = folder.program("apache2", ["-D", "FOREGROUND", "-f", &path]);
        let apache = apache.start_at(Address::port(port));
        answers(&apache, "/a/b");
        apache.stop();
        server.stop();
    }
}

/// Lets others reach a socket in it.
fn open(folder: &Folder) {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.path(""), mode).expect("an own folder");
}

#[test]
fn caddy_runs_with_what_was_written() {
    for command in ["serve", "FastCGI"] {
        let (folder, server, text) = behind(command, "caddy");
        let port = free_port();
        let text = text.replace(":80 {", &format!("http://:{port} {{\n\tbind 127.0.0.1"));
        let whole = format!("{{\n\tadmin off\n\tauto_https off\n}}\n{text}");
        let folder = folder.file("Caddyfile", whole);
        let caddy = |word: &str| {
            let words = [word, "--config", "Caddyfile", "--adapter", "caddyfile"];
            ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"]
                .into_iter()
                .fold(folder.program("caddy", words), |program, name| {
                    program.env(name, folder.path("home"))
                })
        };
        let check = caddy("validate").run();
        assert_eq!(check.status, 0, "{check:#?}");
        let running = caddy("run").start_at(Address::port(port));
        answers(&running, "/a/b");
        running.stop();
        server.stop();
    }
}

/// With certificates of its own, and for some hosts, the web server has both.
#[test]
fn hosts_and_certificates_are_the_web_servers() {
    let key = rcgen::KeyPair::generate().expect("a key");
    let names = vec!["example.org".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).expect("a name");
    let certificate = certificate.self_signed(&key).expect("a certificate");
    let text = "site = commands.Routes({
    'example.org/': ['WSGI', 'import:hello.app'],
    '*.example.org/': ['redirect', 'https://example.org/'],
    })
app = commands.Alias(command=['serve', 'site'])
url = ['unix:run/socket', 'https://*:8443']
runner.tls.cert = 'a b.pem'
runner.tls.key = 'a b.key'
";
    let folder = Folder::new()
        .file("hello.py", HELLO)
        .file("hello.ini", text)
        .file("a b.pem", certificate.pem())
        .file("a b.key", key.serialize_pem())
        .file("run/.keep", "");
    let text = exported(&folder, "nginx");
    for part in [
        "listen 443 ssl http2;",
        "server_name example.org *.example.org;",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let whole = format!("pid run/nginx.pid; error_log stderr;\nevents {{}}\nhttp {{\n{text}}}\n");
    let nginx = folder.clone().file("nginx.conf", whole);
    let check = ["-t", "-q", "-p", ".", "-c", "nginx.conf", "-e", "stderr"];
    nginx.program("nginx", check).run().is(0, "", "");

    let text = exported(&folder, "apache");
    let here = folder.path("").display().to_string();
    let modules = apache_modules(&APACHE);
    let whole = format!(
        "ServerRoot {here}\nDefaultRuntimeDir {here}\nServerName localhost\nErrorLog /dev/stderr\n{modules}{text}"
    );
    let apache = folder.clone().file("apache.conf", whole);
    let path = folder.path("apache.conf").display().to_string();
    let check = apache.program("apache2", ["-t", "-f", &path]).run();
    assert_eq!(check.status, 0, "{check:#?}");
    assert!(
        text.contains("\n    ServerName example.org\n    ServerAlias *.example.org\n"),
        "{text}"
    );

    let text = exported(&folder, "caddy");
    assert!(
        text.contains("\nhttps://example.org, https://*.example.org {\n\ttls "),
        "{text}"
    );
    let caddy = folder.clone().file("Caddyfile", text);
    let words = "validate --config Caddyfile --adapter caddyfile";
    let check = caddy.program("caddy", words.split(' '));
    let check = check.env("XDG_DATA_HOME", folder.path("home")).run();
    assert_eq!(check.status, 0, "{check:#?}");
}
