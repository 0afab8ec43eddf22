//! Static files: `files FOLDER`.

#[path = "files/serving.rs"]
mod serving;
mod support;

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::time::{Duration, SystemTime};

use serving::{big, serve};
use support::http::{Connection, Reply, request};
use support::{Folder, Server};

/// A folder `public` with what a folder may hold, and `secret` beside it.
fn site() -> Folder {
    let folder = Folder::new()
        .file("secret", "secret\n")
        .file("public/index.html", "<h1>Index</h1>\n")
        .file("public/style.css", "body {}\n")
        .file("public/docs/index.html", "<h1>Docs</h1>\n")
        .file("public/empty/.keep", "hidden\n")
        .file("public/.git/config", "hidden\n")
        .file("public/.well-known/security.txt", "known\n")
        .file("public/a b/ü&<i>.txt", "named\n")
        .file("public/big.bin", big());
    let public = folder.path("public");
    for (target, link) in [
        ("../secret", "out"),
        ("/etc/passwd", "far"),
        ("docs", "near"),
        ("..", "up"),
    ] {
        symlink(target, public.join(link)).expect("a link");
    }
    folder
        .program("mkfifo", [public.join("fifo")])
        .run()
        .is(0, "", "");
    drop(UnixListener::bind(public.join("socket")).expect("a socket"));
    folder
}

fn set_modified(folder: &Folder, name: &str, time: SystemTime) {
    File::options()
        .write(true)
        .open(folder.path(name))
        .and_then(|file| file.set_modified(time))
        .expect("its owner");
}

fn ask(server: &Server, target: &str, fields: &[&str]) -> Reply {
    request(server.address(), "GET", target, fields, b"")
}

#[test]
fn files_are_sent_as_they_are() {
    let folder = site();
    let server = serve(&folder, &["public"]);
    for (target, kind, text) in [
        ("/", "text/html; charset=utf-8", "<h1>Index</h1>\n"),
        (
            "/index.html?v=1",
            "text/html; charset=utf-8",
            "<h1>Index</h1>\n",
        ),
        ("/docs/", "text/html; charset=utf-8", "<h1>Docs</h1>\n"),
        (
            "//docs//index.html",
            "text/html; charset=utf-8",
            "<h1>Docs</h1>\n",
        ),
        ("/near/", "text/html; charset=utf-8", "<h1>Docs</h1>\n"),
        ("/style.css", "text/css; charset=utf-8", "body {}\n"),
        (
            "/a%20b/%C3%BC&%3Ci%3E.txt",
            "text/plain; charset=utf-8",
            "named\n",
        ),
        (
            "/.well-known/security.txt",
            "text/plain; charset=utf-8",
            "known\n",
        ),
    ] {
        let reply = server.get(target);
        assert_eq!(reply.ok(), text, "{target}");
        assert_eq!(reply.header("content-type"), Some(kind), "{target}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        let head = request(server.address(), "HEAD", target, &[], b"");
        assert_eq!((head.status, &*head.body), (200, &b""[..]), "{target}");
        for field in [
            "content-length",
            "content-type",
            "etag",
            "last-modified",
            "accept-ranges",
        ] {
            assert!(head.header(field).is_some(), "{target} {field}");
            assert_eq!(head.header(field), reply.header(field), "{target} {field}");
        }
    }
    let reply = server.get("/big.bin");
    assert!(reply.status == 200 && reply.complete);
    assert!(reply.body == big());
    assert_eq!(server.stop().status, 0);
}

#[test]
fn nothing_else_is_sent_whatever_the_target() {
    let folder = site();
    let server = serve(&folder, &["public"]);
    let targets = [
        "/none",
        "/index.html/",
        "/index.html/none",
        "/empty/",
        "/empty/.keep",
        "/.git/config",
        "/.git/",
        "/fifo",
        "/socket",
        "/out",
        "/far",
        "/up/secret",
        "/../secret",
        "/%2e%2e/secret",
        "/docs/../../secret",
        "/docs/%2E%2E/%2e./secret",
        "/..%2fsecret",
        "/docs%2f..%2f..%2fsecret",
        "/..%5csecret",
        "/%252e%252e/secret",
        "/./index.html",
        "/etc/passwd",
        "//etc/passwd",
        "/public/index.html",
    ];
    for target in targets {
        let mut connection = Connection::open(server.address());
        connection.send(
            format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes(),
        );
        let reply = connection.reply("GET");
        assert_eq!(
            (reply.status, &*reply.text()),
            (404, "404 Not Found\n"),
            "{target}"
        );
    }
    let long = format!("/{}", "a".repeat(5000));
    assert_eq!(server.get(&long).status, 404);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"] {
        let reply = request(server.address(), method, "/index.html", &[], b"");
        assert_eq!(
            (reply.status, reply.header("allow")),
            (405, Some("GET, HEAD")),
            "{method}"
        );
    }
    let ended = server.stop();
    assert_eq!(ended.status, 0);
    for outside in ["/out", "/far", "/up/secret"] {
        let line = format!(
            "404 for GET {outside}: `{outside}` below `public`: a link leads out of the folder (--follow allows that)\n"
        );
        assert_eq!(ended.stderr.matches(&line).count(), 1, "{}", ended.stderr);
    }
}

/// The location is relative, so that no target leads to another host.
#[test]
fn the_name_of_a_folder_gets_its_slash() {
    let folder = site();
    let server = serve(&folder, &["public"]);
    for (target, location) in [
        ("/docs", "./docs/"),
        ("/docs?a=b", "./docs/?a=b"),
        ("/a%20b", "./a%20b/"),
        ("//docs", "./docs/"),
        ("/empty", "./empty/"),
    ] {
        let reply = server.get(target);
        assert_eq!(
            (reply.status, reply.header("location")),
            (301, Some(location)),
            "{target}"
        );
    }
    assert_eq!(server.stop().status, 0);
}

#[test]
fn what_a_client_has_is_not_sent_again() {
    let folder = site();
    // Its next change is sure to show.
    let hour = Duration::from_secs(3600);
    set_modified(&folder, "public/big.bin", SystemTime::now() - hour);
    let server = serve(&folder, &["public"]);
    let whole = server.get("/big.bin");
    let tag = whole.header("etag").expect("a tag").to_owned();
    let date = whole.header("last-modified").expect("a date").to_owned();
    for (field, status) in [
        (format!("If-None-Match: {tag}"), 304),
        (format!("If-None-Match: \"x\", W/{tag}"), 304),
        ("If-None-Match: \"x\"".to_owned(), 200),
        (format!("If-Modified-Since: {date}"), 304),
        (
            "If-Modified-Since: Tue, 10 Oct 2000 13:55:36 GMT".to_owned(),
            200,
        ),
        (
            "If-Unmodified-Since: Tue, 10 Oct 2000 13:55:36 GMT".to_owned(),
            412,
        ),
        (format!("If-Match: {tag}"), 200),
        (format!("If-Match: W/{tag}"), 412),
        ("If-Match: *".to_owned(), 200),
    ] {
        let reply = ask(&server, "/big.bin", &[&field]);
        assert_eq!(reply.status, status, "{field}");
        if status == 304 {
            assert_eq!(
                (reply.header("etag"), &*reply.body),
                (Some(&*tag), &b""[..])
            );
        }
    }
    let big = big();
    let if_same = format!("If-Range: {date}");
    let if_tag = format!("If-Range: {tag}");
    for (range, condition, bytes) in [
        ("bytes=0-0", "X: y", Some(0..1)),
        ("bytes=100000-299999", "X: y", Some(100_000..300_000)),
        ("bytes=399990-", "X: y", Some(399_990..400_000)),
        ("bytes=-10", "X: y", Some(399_990..400_000)),
        ("bytes=100-199", &if_same, Some(100..200)),
        ("bytes=100-199", &if_tag, Some(100..200)),
        ("bytes=100-199", "If-Range: \"x\"", None),
        (
            "bytes=100-199",
            "If-Range: Tue, 10 Oct 2000 13:55:36 GMT",
            None,
        ),
        ("bytes=0-1,5-6", "X: y", None),
        ("bytes=0-1", "Range: bytes=5-6", None),
        ("bytes=0-1", "Range: bytes=0-1", None),
        ("lines=0-1", "X: y", None),
    ] {
        let reply = ask(
            &server,
            "/big.bin",
            &[&format!("Range: {range}"), condition],
        );
        let about = format!("{range} {condition}");
        assert!(reply.complete, "{about}");
        match bytes {
            Some(bytes) => {
                let content = format!("bytes {}-{}/400000", bytes.start, bytes.end - 1);
                assert_eq!(
                    (reply.status, reply.header("content-range")),
                    (206, Some(&*content)),
                    "{about}"
                );
                assert!(reply.body == big[bytes], "{about}");
            }
            None => assert!(reply.status == 200 && reply.body == big, "{about}"),
        }
    }
    for (target, length) in [("/big.bin", 400_000), ("/style.css", 8)] {
        let reply = ask(&server, target, &["Range: bytes=400000-"]);
        let content = format!("bytes */{length}");
        assert_eq!(
            (reply.status, reply.header("content-range")),
            (416, Some(&*content))
        );
    }
    let small = ask(&server, "/style.css", &["Range: bytes=1-3"]);
    assert_eq!((small.status, &*small.text()), (206, "ody"));
    // Another version of the same length has another tag.
    folder.clone().file("public/big.bin", vec![b'x'; 400_000]);
    let changed = ask(&server, "/big.bin", &[&format!("If-None-Match: {tag}")]);
    assert!(changed.status == 200 && changed.body == vec![b'x'; 400_000]);
    let rest = ask(&server, "/big.bin", &["Range: bytes=100-199", &if_tag]);
    assert!(rest.status == 200 && rest.body == vec![b'x'; 400_000]);
    // One that has just been changed has a weak tag. To be sure, it is changed later than now.
    set_modified(&folder, "public/big.bin", SystemTime::now() + hour);
    let rest = server.get("/big.bin");
    let young = format!("If-Range: {}", rest.header("etag").expect("a tag"));
    let rest = ask(&server, "/big.bin", &["Range: bytes=100-199", &young]);
    assert_eq!((rest.status, rest.body.len()), (200, 400_000));
    assert_eq!(server.stop().status, 0);
}

#[test]
fn compressed_files_go_to_those_who_take_them() {
    let folder = site()
        .file("public/app.js", "plain")
        .file("public/app.js.br", "br")
        .file("public/app.js.gz", "gzip")
        .file("public/old.js", "plain")
        .file("public/old.js.gz", "older")
        .file("public/pic.png", "plain")
        .file("public/pic.png.gz", "gzip");
    let before = SystemTime::now() - Duration::from_secs(3600);
    set_modified(&folder, "public/old.js.gz", before);
    let server = serve(&folder, &["public", "--precompressed"]);
    for (target, accept, coding, text) in [
        ("/app.js", "gzip, br, zstd", Some("br"), "br"),
        ("/app.js", "gzip", Some("gzip"), "gzip"),
        ("/app.js", "zstd, gzip;q=0.1", Some("gzip"), "gzip"),
        ("/app.js", "zstd", None, "plain"),
        ("/app.js", "br;q=0", None, "plain"),
        ("/old.js", "gzip", None, "plain"),
        ("/pic.png", "gzip", None, "plain"),
        ("/app.js.gz", "br", None, "gzip"),
    ] {
        let reply = ask(&server, target, &[&format!("Accept-Encoding: {accept}")]);
        assert_eq!(reply.ok(), text, "{target} {accept}");
        assert_eq!(
            reply.header("content-encoding"),
            coding,
            "{target} {accept}"
        );
        let varies = target.ends_with(".js").then_some("Accept-Encoding");
        assert_eq!(reply.header("vary"), varies, "{target} {accept}");
    }
    let tags = ["br", "gzip", "identity"].map(|accept| {
        let reply = ask(&server, "/app.js", &[&format!("Accept-Encoding: {accept}")]);
        reply.header("etag").expect("a tag").to_owned()
    });
    assert!(
        tags[0] != tags[1] && tags[1] != tags[2] && tags[0] != tags[2],
        "{tags:?}"
    );
    let known = format!("If-None-Match: {}", tags[0]);
    let fresh = ask(&server, "/app.js", &["Accept-Encoding: br", &known]);
    assert_eq!(
        (fresh.status, fresh.header("vary")),
        (304, Some("Accept-Encoding"))
    );
    assert_eq!(server.stop().status, 0);
}

#[test]
fn listings_are_pages_of_what_may_be_seen() {
    let folder = site();
    let server = serve(&folder, &["public", "--listing"]);
    let page = server.get("/a%20b/");
    let text = page.ok();
    assert!(
        text.contains("<a href=\"./%C3%BC&amp;%3Ci%3E.txt\">ü&amp;&lt;i&gt;.txt</a> 6 bytes"),
        "{text}"
    );
    assert!(
        text.contains("<title>/a b</title>") && text.contains("href=\"../\""),
        "{text}"
    );
    assert_eq!(server.get("/empty/").ok().matches("<li>").count(), 1);
    fs::remove_file(folder.path("public/index.html")).expect("a file");
    let root = server.get("/").ok();
    for shown in ["docs/", "style.css", "near/", "big.bin"] {
        assert!(root.contains(&format!(">{shown}</a>")), "{shown}: {root}");
    }
    for hidden in [".git", "fifo", "socket", "href=\"../\""] {
        assert!(!root.contains(hidden), "{hidden}: {root}");
    }
    assert_eq!(server.stop().status, 0);
}

#[test]
fn more_is_sent_where_that_is_allowed() {
    let folder = site();
    let server = serve(&folder, &["public", "--follow", "--hidden"]);
    assert_eq!(server.get("/out").ok(), "secret\n");
    assert_eq!(server.get("/.git/config").ok(), "hidden\n");
    assert_eq!(server.get("/../secret").status, 404);
    assert_eq!(server.stop().status, 0);
}

/// What cannot be read is not there for the client alone: the log has the reason.
#[test]
fn what_may_not_be_read_is_forbidden() {
    if rustix::process::geteuid().is_root() {
        // For root, all may be read. The folder itself can be gone all the same.
        let folder = site();
        let server = serve(&folder, &["public"]);
        fs::rename(folder.path("public"), folder.path("elsewhere")).expect("a folder");
        assert_eq!(server.get("/style.css").status, 404);
        fs::rename(folder.path("elsewhere"), folder.path("public")).expect("a folder");
        assert_eq!(server.get("/style.css").ok(), "body {}\n");
        assert_eq!(server.stop().status, 0);
        return;
    }
    let folder = site();
    let locked = fs::Permissions::from_mode(0o000);
    fs::set_permissions(folder.path("public/style.css"), locked).expect("its owner");
    let server = serve(&folder, &["public"]);
    assert_eq!(server.get("/style.css").status, 403);
    let ended = server.stop();
    assert!(
        ended
            .stderr
            .contains("403 for GET /style.css: `/style.css`"),
        "{}",
        ended.stderr
    );
}
