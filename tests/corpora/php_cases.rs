//! PHP under PHP-FPM: `sapi/fpm/tests` of php-src.

use crate::support::http::request;
use crate::support::php::start_fpm;
use crate::support::{Folder, Server};

/// PHP-FPM, and `runner` in front of it.
fn serve(folder: &Folder) -> (Server, Server) {
    let fpm = start_fpm(folder, "");
    let serve = [
        "serve",
        "tcp://127.0.0.1:0",
        "upstream",
        "fastcgi+unix:run/fpm.sock",
    ];
    let server = folder
        .runner(serve.iter().chain(&["--root", "site"]))
        .start();
    (fpm, server)
}

fn stop((fpm, server): (Server, Server)) {
    assert_eq!(server.stop().status, 0);
    assert_eq!(fpm.stop().status, 0);
}

/// `bug72185-fcgi-empty-frame.phpt`: so many lines fill PHP's buffer to the last byte, and an empty record follows.
#[test]
fn many_errors_are_as_many_lines() {
    let folder = Folder::new().file(
        "site/errors.php",
        "<?php\nfor ($i = 0; $i < 167; $i++) {\n\
         error_log('PHP is the best programming language');\n}\necho 'end';\n",
    );
    let both = serve(&folder);
    let line = "GET /errors.php: PHP message: PHP is the best programming language";
    for asked in 1..=3 {
        assert_eq!(both.1.get("/errors.php").ok(), "end");
        // PHP writes `; ` between those that it sends together.
        let said = "PHP message: PHP is the best programming language";
        let log = both
            .1
            .wait_for_log(|log| log.matches(said).count() == 167 * asked);
        assert!(log.contains(line), "{log}");
    }
    stop(both);
}

/// `bug77106-fcgi-missing-nl.phpt`: both errors are told, and nothing of them is in the page.
#[test]
fn two_errors_are_both_told() {
    let folder = Folder::new().file(
        "site/undefined.php",
        "<?php\nini_set('display_errors', '0'); ini_set('log_errors', '1');\necho $a;\necho $a;\necho 'end';\n",
    );
    let both = serve(&folder);
    assert_eq!(both.1.get("/undefined.php").ok(), "end");
    both.1.wait_for_log(|log| {
        log.matches("PHP Warning:  Undefined variable $a in")
            .count()
            == 2
            && log.contains("GET /undefined.php: PHP message: PHP Warning:")
    });
    stop(both);
}

/// `bug72573-http-proxy.phpt`, `022-cve-2016-5385.phpt`: a client names no proxy for what PHP asks of other servers.
#[test]
fn a_client_names_no_proxy() {
    let folder = Folder::new().file(
        "site/proxy.php",
        "<?php\nvar_dump(@$_SERVER['HTTP_PROXY'], $_SERVER['HTTP_FOO'], getenv('HTTP_PROXY'), getenv('HTTP_FOO'));\n",
    );
    let both = serve(&folder);
    let fields = ["Foo: BAR", "Proxy: BADPROXY", "PROXY: BADPROXY"];
    let reply = request(both.1.address(), "GET", "/proxy.php", &fields, b"");
    assert_eq!(
        reply.ok(),
        "NULL\nstring(3) \"BAR\"\nbool(false)\nstring(3) \"BAR\"\n"
    );
    stop(both);
}

/// `bug78599-path-info-underflow.phpt` (CVE-2019-11043): a long path behind a script, also with the line end by which nginx
/// was made to pass an empty `PATH_INFO`.
#[test]
fn what_follows_a_script_is_its_path_whatever_it_is() {
    let folder = Folder::new().file(
        "site/info.php",
        "<?php\necho $_SERVER['SCRIPT_NAME'], '|', $_SERVER['PATH_INFO'] ?? 'unset', '|', $_SERVER['HTTP_HUI'] ?? '';\n",
    );
    let both = serve(&folder);
    let long = "A".repeat(35);
    let field = format!("Hui: {}", "PTEST".repeat(1000));
    for (path, info) in [
        (String::new(), "unset".to_owned()),
        (format!("/{long}"), format!("/{long}")),
        (
            format!("/PHP%0Aand_more.php%3F{long}"),
            format!("/PHP\nand_more.php?{long}"),
        ),
    ] {
        let target = format!("/info.php{path}");
        let reply = request(both.1.address(), "GET", &target, &[&field], b"");
        let expected = format!("/info.php|{info}|{}", "PTEST".repeat(1000));
        assert_eq!(reply.ok(), expected, "{path}");
    }
    stop(both);
}
