//! The clock of the system may be set while a server runs: what it says of the time is right from then on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::{SystemTime, UNIX_EPOCH};

use support::http::Connection;
use support::{Folder, Reply, Server};

mod support;

/// A wall clock that is 400 days behind while there is a file `back` in the current folder.
const CLOCK: &str = "\
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *now)
{
    int result = syscall(SYS_clock_gettime, id, now);
    if (id == CLOCK_REALTIME && access(\"back\", F_OK) == 0)
        now->tv_sec -= 400 * 86400;
    return result;
}
";

/// The seconds that the date of an answer is ahead of the clock.
fn ahead(reply: &Reply) -> i64 {
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let date = httpdate::parse_http_date(reply.header("date").unwrap()).unwrap();
    seconds(date).cast_signed() - seconds(SystemTime::now()).cast_signed()
}

fn assert_days(ahead: i64, days: i64) {
    let distance = (ahead - days * 86_400).abs();
    assert!(distance <= 60, "{ahead} seconds and not {days} days");
}

/// The date of an answer of the application.
fn date(server: &Server) -> i64 {
    ahead(&server.get("/"))
}

#[test]
#[cfg(target_os = "linux")]
fn dates_follow_a_clock_that_is_set_back_and_forward() {
    let folder = Folder::new().file("clock.c", CLOCK);
    let library = ["-shared", "-fPIC", "-o", "clock.so", "clock.c"];
    folder.program("cc", library).run().is(0, "", "");
    let server = folder
        .runner(["launch", "unix:socket", "demo"])
        .env("LD_PRELOAD", folder.path("clock.so"))
        .start();
    assert_days(date(&server), 0);
    std::fs::write(folder.path("back"), "").unwrap();
    assert_days(date(&server), -400);
    std::fs::remove_file(folder.path("back")).unwrap();
    assert_days(date(&server), 0);
    std::fs::write(folder.path("back"), "").unwrap();
    assert_days(date(&server), -400);
    // The times in the access log are of the same clock.
    let log = server.wait_for_log(|log| log.matches("\"GET / HTTP/1.1\" 200").count() == 4);
    let years: Vec<u32> = log
        .lines()
        .filter_map(|line| line.split_once(" - - [")?.1.get(7..11)?.parse().ok())
        .collect();
    assert!(years[0] > years[1] && years[2] > years[3], "{log}");
    assert_eq!(server.stop().status, 0);
}

/// RFC 9110 §6.6.1 demands it in whatever is no error of the server.
#[test]
fn each_answer_has_a_date() {
    let server = Folder::new().runner(["serve", "demo"]).start();
    for (sent, status) in [
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            200,
        ),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("\0\r\n\r\n", 400),
    ] {
        let mut connection = Connection::open(server.address());
        connection.send(sent.as_bytes());
        let reply = connection.reply("GET");
        assert_eq!(reply.status, status, "{sent:?}");
        assert_days(ahead(&reply), 0);
    }
    assert_eq!(server.stop().status, 0);
}
