//! Static files: Unit's `test/test_static*.py`, nginx-tests' `range.t` and `not_modified.t`, Caddy's
//! `fileserver/staticfiles_test.go`.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::time::{Duration, SystemTime};

use crate::support::http::{Reply, request};
use crate::support::{Folder, Server};

fn serve(folder: &Folder, words: &[&str]) -> Server {
    folder
        .runner(
            ["serve", "tcp://127.0.0.1:0", "files", "assets"]
                .iter()
                .chain(words),
        )
        .start()
}

fn ask(server: &Server, target: &str, fields: &[&str]) -> Reply {
    request(server.address(), "GET", target, fields, b"")
}

/// Unit's files.
fn assets() -> Folder {
    let folder = Folder::new()
        .file("outside", "outside")
        .file("assets/index.html", "0123456789")
        .file("assets/README", "readme")
        .file("assets/log.log", "[debug]")
        .file("assets/dir/file", "blah")
        .file("assets/ di r / fi le ", "blah")
        .file("assets/ди ректория/фа йл", "blah");
    for (target, link) in [("dir", "link"), ("../../outside", "dir/file_link")] {
        symlink(target, folder.path("assets").join(link)).expect("a link");
    }
    folder
        .program("mkfifo", [folder.path("assets/fifo")])
        .run()
        .is(0, "", "");
    drop(UnixListener::bind(folder.path("assets/unix_socket")).expect("a socket"));
    folder
}

/// The case of Unit, the target, the status and the body.
const PATHS: &[(&str, &str, u16, &str)] = &[
    ("test_static_index", "/index.html", 200, "0123456789"),
    ("test_static_index", "/", 200, "0123456789"),
    ("test_static_index", "//", 200, "0123456789"),
    ("test_static_index", "/?blah", 200, "0123456789"),
    // Unit cuts a fragment off (200). No target has one (RFC 9112 §3.2).
    ("test_static_index", "/#blah", 400, "400 Bad Request\n"),
    ("test_static_index", "/dir/", 404, "404 Not Found\n"),
    ("test_static_index", "/index.html/", 404, "404 Not Found\n"),
    // Unit takes dots out of a path (200 and 400). A browser has done that; what is left is an attempt.
    ("test_static_index", "/.", 404, "404 Not Found\n"),
    ("test_static_index", "/./", 404, "404 Not Found\n"),
    (
        "test_static_path",
        "/dir/../dir/file",
        404,
        "404 Not Found\n",
    ),
    ("test_static_path", "/..", 404, "404 Not Found\n"),
    ("test_static_path", "/../assets/", 404, "404 Not Found\n"),
    ("test_static_redirect", "/dir", 301, ""),
    ("test_static_symlink", "/link", 301, ""),
    ("test_static_symlink", "/dir/file", 200, "blah"),
    ("test_static_symlink", "/link/file", 200, "blah"),
    (
        "test_static_symlink_chroot",
        "/dir/file_link",
        404,
        "404 Not Found\n",
    ),
    (
        "test_static_space_in_name",
        "/%20di%20r%20/%20fi%20le%20",
        200,
        "blah",
    ),
    (
        "test_static_space_in_name",
        "/%20%64%69%20%72%20/%20%66%69%20%6C%65%20",
        200,
        "blah",
    ),
    (
        "test_static_space_in_name",
        "/%20di%20r%20%2F%20fi%20le%20",
        200,
        "blah",
    ),
    (
        "test_static_space_in_name",
        "/%D0%B4%D0%B8%20%D1%80%D0%B5%D0%BA%D1%82%D0%BE%D1%80%D0%B8%D1%8F/%D1%84%D0%B0%20%D0%B9%D0%BB",
        200,
        "blah",
    ),
    (
        "test_static_unix_socket",
        "/unix_socket",
        404,
        "404 Not Found\n",
    ),
    ("test_static_unix_fifo", "/fifo", 404, "404 Not Found\n"),
];

#[test]
fn paths_are_those_of_files() {
    let folder = assets();
    let server = serve(&folder, &[]);
    for (source, target, status, text) in PATHS {
        let reply = server.get(target);
        let body = match status {
            301 => "",
            _ => &reply.text(),
        };
        assert_eq!((reply.status, body), (*status, *text), "{source}: {target}");
    }
    // test_static_redirect; relative here, so that no target leads to another host.
    assert_eq!(server.get("/dir").header("location"), Some("./dir/"));
    // Targets that are none at all (test_static_path).
    for target in ["./", "../", "../assets/"] {
        assert_eq!(server.get(target).status, 400, "{target}");
    }
    // test_static_method
    let head = request(server.address(), "HEAD", "/", &[], b"");
    assert_eq!((head.status, &*head.text()), (200, ""));
    for method in ["DELETE", "POST", "PUT"] {
        let reply = request(server.address(), method, "/", &[], b"");
        assert_eq!(reply.status, 405, "{method}");
    }
    // test_static_etag
    let tag = |target| server.get(target).header("etag").expect("a tag").to_owned();
    let before = tag("/");
    assert_ne!(before, tag("/README"));
    assert_eq!(before, tag("/"));
    let _folder = folder.clone().file("assets/index.html", "blah");
    assert_ne!(before, tag("/"));
    // test_static_large_file
    let large = File::create(folder.path("assets/large")).expect("a file");
    large.set_len(32 << 20).expect("an own file");
    let reply = server.get("/large");
    assert!(reply.complete && reply.body == vec![0; 32 << 20]);
    assert_eq!(server.stop().status, 0);
}

/// `test_static_fallback.py`: what another application answers in place of the files.
#[test]
fn what_files_do_not_answer_goes_to_the_fallback() {
    let folder = assets().file(
        "site.ini",
        "app = commands.Alias(command=['serve', 'files', 'assets', '--fallback', 'first'])\n\
         url = 'tcp://127.0.0.1:0'\n\
         [peak.running.shortcuts]\n\
         first = commands.Alias(command=['files', 'assets/dir', '--fallback', 'last'])\n\
         last = commands.Alias(command=['respond', '200', 'last'])\n",
    );
    let server = folder.runner(["runIni", "site.ini"]).start();
    for (source, method, target, status, text) in [
        ("valid_path", "GET", "/", 200, "0123456789"),
        ("valid_path", "GET", "/dir", 301, ""),
        ("valid_path", "POST", "/", 200, "last\n"),
        ("share", "GET", "/file", 200, "blah"),
        ("share", "HEAD", "/file", 200, ""),
        ("nested", "GET", "/blah/blah", 200, "last\n"),
    ] {
        let reply = request(server.address(), method, target, &[], b"");
        let body = match status {
            301 => "",
            _ => &reply.text(),
        };
        assert_eq!(
            (reply.status, body),
            (status, text),
            "{source}: {method} {target}"
        );
    }
    assert_eq!(server.stop().status, 0);
}

/// `range.t`: of 1000 bytes, the value of `Range`, and the bytes that are sent; `None` are all.
const RANGES: &[(&str, Option<std::ops::Range<usize>>)] = &[
    ("bytes=0-8", Some(0..9)),
    ("bytes=-10", Some(990..1000)),
    ("bytes=990-", Some(990..1000)),
    ("bytes=990-1990", Some(990..1000)),
    ("bytes=0-10001", Some(0..1000)),
    // nginx sends several parts, as long as they are not more than the whole. All of it is an answer, too (RFC 9110 §14.2).
    ("bytes=0-9, -10, 10-19", None),
    ("bytes=0-9, -10, 100000-, 10-19", None),
    ("bytes=0-10001, 0-0", None),
    // nginx answers 416. A value that cannot be read is ignored (RFC 9110 §14.2).
    ("bytes=alpha", None),
    ("bytes=10-alpha", None),
    ("bytes=10", None),
    ("bytes=10-11 12-", None),
];

#[test]
fn ranges_are_parts_of_a_file() {
    let whole: String = (0..100)
        .map(|number| format!("X{number:03}XXXXXX"))
        .collect();
    let folder = Folder::new().file("assets/t1.html", &whole);
    let server = serve(&folder, &[]);
    for (value, part) in RANGES {
        let reply = ask(&server, "/t1.html", &[&format!("Range: {value}")]);
        let expected = part.clone().map_or(&*whole, |part| &whole[part]);
        let content = part
            .as_ref()
            .map(|part| format!("bytes {}-{}/1000", part.start, part.end - 1));
        assert_eq!(
            reply.status,
            if part.is_some() { 206 } else { 200 },
            "{value}"
        );
        assert_eq!(reply.header("content-range"), content.as_deref(), "{value}");
        assert_eq!(
            reply.header("content-length"),
            Some(&*expected.len().to_string()),
            "{value}"
        );
        assert_eq!(reply.text(), expected, "{value}");
    }
    let reply = ask(&server, "/t1.html", &["Range: bytes=100000-"]);
    assert_eq!(
        (reply.status, reply.header("content-range")),
        (416, Some("bytes */1000"))
    );
    assert_eq!(server.stop().status, 0);
}

/// `not_modified.t`; `TAG` is the tag of the file, which was not changed just now: such a tag is strong, as all are in nginx.
#[test]
fn conditions_are_met_or_not() {
    let folder = Folder::new().file("assets/t", "");
    let hour = Duration::from_secs(3600);
    let file = File::options().write(true).open(folder.path("assets/t"));
    file.and_then(|file| file.set_modified(SystemTime::now() - hour))
        .expect("an own file");
    let server = serve(&folder, &[]);
    let tag = server.get("/t").header("etag").expect("a tag").to_owned();
    for (field, status) in [
        ("If-Modified-Since: Wed, 08 Jul 2037 22:53:52 GMT", 304),
        ("If-Modified-Since: Tue, 19 Jan 2038 03:14:07 GMT", 304),
        // With 64 bits, the years go on.
        ("If-Modified-Since: Tue, 19 Jan 2038 03:14:08 GMT", 304),
        ("If-Modified-Since: Fri, 25 Feb 2174 09:42:23 GMT", 304),
        ("If-None-Match: TAG", 304),
        ("If-None-Match: \"foo\"", 200),
        ("If-None-Match: \"foo\", \"bar\", TAG , \"baz\"", 304),
        ("If-None-Match: *", 304),
        ("If-None-Match: W/TAG", 304),
        ("If-Match: \"foo\"", 412),
        ("If-Match: *", 200),
        ("If-Match: W/TAG", 412),
        ("If-Match: TAG", 200),
        ("If-Match: \"foo\", \"bar\", \tTAG , \"baz\"", 200),
    ] {
        let reply = ask(&server, "/t", &[&field.replace("TAG", &tag)]);
        assert_eq!(reply.status, status, "{field}");
    }
    // A condition does not make an answer of what is not there.
    assert_eq!(ask(&server, "/nx", &["If-Match: \"foo\""]).status, 404);
    assert_eq!(server.stop().status, 0);
}

/// `staticfiles_test.go` TestModTimeHeaders, TestCalculateEtagCollision.
#[test]
fn times_and_sizes_make_tags_of_their_own() {
    let folder = Folder::new();
    let since = |seconds, nanoseconds| SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
    let files = [
        ("zero", since(0, 0), 3),
        ("one", since(1, 0), 3),
        ("a", since(2, 0), 75),
        ("b", since(72, 2), 3),
        ("c", since(72, 3), 3),
    ];
    for (name, time, size) in files {
        let path = format!("assets/{name}");
        let _folder = folder.clone().file(&path, vec![b'x'; size]);
        let file = File::options().write(true).open(folder.path(&path));
        file.and_then(|file| file.set_modified(time))
            .expect("an own file");
    }
    let server = serve(&folder, &[]);
    let tags = files.map(|(name, ..)| {
        let reply = server.get(&format!("/{name}"));
        assert_eq!(reply.status, 200, "{name}");
        reply.header("etag").expect("a tag").to_owned()
    });
    let different: std::collections::BTreeSet<_> = tags.iter().collect();
    assert_eq!(different.len(), tags.len(), "{tags:?}");
    assert_eq!(server.stop().status, 0);
}

/// `staticfiles_test.go` TestPrecompressedRangeResponse: a range is one of what is sent, not of what it becomes.
#[test]
fn a_range_of_a_compressed_file_is_of_its_bytes() {
    let folder = Folder::new()
        .file("assets/range.txt", "original response body")
        .file("assets/range.txt.gz", "compressed, as it were");
    let server = serve(&folder, &["--precompressed"]);
    for (fields, status, range, text) in [
        (
            &["Accept-Encoding: gzip"][..],
            200,
            None,
            "compressed, as it were",
        ),
        (
            &["Accept-Encoding: gzip", "Range: bytes=2-5"],
            206,
            Some("bytes 2-5/22"),
            "mpre",
        ),
    ] {
        let reply = ask(&server, "/range.txt", fields);
        assert_eq!((reply.status, &*reply.text()), (status, text));
        assert_eq!(reply.header("content-range"), range);
        assert_eq!(reply.header("content-encoding"), Some("gzip"));
        assert_eq!(
            reply.header("content-length"),
            Some(&*text.len().to_string())
        );
        assert_eq!(reply.header("vary"), Some("Accept-Encoding"));
    }
    assert_eq!(server.stop().status, 0);
}

/// `staticfiles_test.go` TestFileHidden, where what is hidden is a list: here, all that begins with a dot.
#[test]
fn hidden_files_are_not_there() {
    let folder = Folder::new();
    for path in [
        "assets/.gitignore",
        "assets/.git/foo",
        "assets/foo/.git/bar",
        "assets/foo/bar",
    ] {
        let _folder = folder.clone().file(path, "text");
    }
    fs::create_dir(folder.path("assets/.well-known")).expect("a folder");
    let _folder = folder.clone().file("assets/.well-known/foo", "text");
    let server = serve(&folder, &[]);
    for (target, status) in [
        ("/.gitignore", 404),
        ("/.git", 404),
        ("/.git/foo", 404),
        ("/foo/.git/bar", 404),
        ("/%2Egit/foo", 404),
        ("/foo/bar", 200),
        ("/.well-known/foo", 200),
    ] {
        assert_eq!(server.get(target).status, status, "{target}");
    }
    assert_eq!(server.stop().status, 0);
}
