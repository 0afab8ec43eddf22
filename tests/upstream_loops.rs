//! Servers behind `upstream` that lead back to it.

mod support;

use support::{Folder, Server, free_port};

/// A site on a port, with these routes.
fn site(port: u16, routes: &str) -> Server {
    let file = format!(
        "site = commands.Routes({{{routes}}})\n\
         app = commands.Alias(command=['serve', 'site'])\n\
         url = 'tcp://127.0.0.1:{port}'\n"
    );
    Folder::new()
        .file("site.ini", file)
        .runner(["runIni", "site.ini"])
        .start()
}

/// The lines of a log that say that a request has come back.
fn returns(log: &str) -> usize {
    log.matches(" has passed it on, and it has come back\n")
        .count()
}

#[test]
fn a_request_that_comes_back_is_refused_once() {
    let port = free_port();
    let server = site(
        port,
        &format!("'/': ['upstream', 'http://127.0.0.1:{port}']"),
    );
    assert_eq!(server.get("/a?b").status, 508);
    let said = format!(
        "508 for GET /a?b: `upstream http://127.0.0.1:{port}` has passed it on, and it has come back\n"
    );
    let log = server.wait_for_log(|log| log.contains(&said));
    assert_eq!(returns(&log), 1, "{log}");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_ring_of_two_servers_is_found() {
    let [one, two] = [free_port(), free_port()];
    let upstream = |port| format!("'/': ['upstream', 'http://127.0.0.1:{port}']");
    let (first, second) = (site(one, &upstream(two)), site(two, &upstream(one)));
    assert_eq!(first.get("/").status, 508);
    let log = first.wait_for_log(|log| returns(log) > 0);
    assert_eq!(returns(&log) + returns(&second.log()), 1, "{log}");
}

/// By FastCGI and uwsgi, no field tells that a request has come back: the start says so.
#[test]
fn a_way_back_by_another_protocol_is_told_at_the_start() {
    for (gateway, address) in [
        ("FastCGI", "fastcgi+unix:site.socket"),
        ("uwsgi", "http+unix:site.socket"),
    ] {
        let folder = Folder::new();
        let words = [gateway, "unix:site.socket", "upstream", address];
        let server = folder.runner(words).begin();
        server.wait_for_log(|log| {
            log.contains("site.socket` leads back to this server, which listens on `unix:")
        });
        server.wait_for_log(|log| log.contains("runner: serving "));
        assert_eq!(server.stop().status, 0);
    }
}

/// One route may lead to another of the same site.
#[test]
fn a_way_back_that_ends_is_none() {
    let port = free_port();
    let server = site(
        port,
        &format!(
            "'/old/': ['upstream', 'http://127.0.0.1:{port}', '--strip-prefix'], '/': ['respond', '200', 'here']"
        ),
    );
    assert_eq!(server.get("/old/a").ok(), "here\n");
    assert_eq!(returns(&server.log()), 0);
}
