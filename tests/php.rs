//! PHP under PHP-FPM: `upstream fastcgi+unix:… --root FOLDER`; and in processes that runner starts:
//! `upstream fastcgi --root FOLDER exec: php-cgi`.

mod support;

use rustix::process::{Pid, Signal, kill_process};
use support::http::{Connection, request};
use support::php::start_fpm;
use support::{Folder, Load, Server};

/// `runner` in front of PHP-FPM, with a site in `site`.
fn serve(folder: &Folder, words: &[&str]) -> Server {
    let serve = [
        "serve",
        "tcp://127.0.0.1:0",
        "upstream",
        "fastcgi+unix:run/fpm.sock",
    ];
    let words = serve.iter().chain(&["--root", "site"]).chain(words);
    folder.runner(words).start()
}

/// Scripts that show what they are told.
fn site() -> Folder {
    Folder::new()
        .file(
            "site/show.php",
            "<?php\n\
             header('Content-Type: text/plain');\n\
             foreach (explode(',', $_GET['names']) as $name) {\n\
                 echo $name, '=', $_SERVER[$name] ?? 'unset', \"\\n\";\n\
             }\n",
        )
        .file(
            "site/index.php",
            "<?php echo 'front of ', $_SERVER['REQUEST_URI'];\n",
        )
        .file("site/admin/index.php", "<?php echo 'admin';\n")
        .file("site/style.css", "body {}\n")
        .file("site/upload.jpg", "<?php echo 'broken into';\n")
        .file("site/wp-config.php.bak", "<?php $password = 'secret';\n")
        .file("site/.git/config", "hidden\n")
}

#[test]
fn scripts_are_told_of_the_request() {
    let folder = site();
    let fpm = start_fpm(&folder, "");
    let server = serve(&folder, &[]);
    let show =
        |target: &str, fields: &[&str]| request(server.address(), "GET", target, fields, b"").ok();
    let names = "SCRIPT_NAME,PATH_INFO,PHP_SELF,SCRIPT_FILENAME,DOCUMENT_ROOT,REQUEST_URI,HTTPS,REDIRECT_STATUS,SERVER_ADDR,HTTP_PROXY,HTTP_X_REAL_IP";
    let root = folder.path("site").display().to_string();
    let target = format!("/show.php/a%20b?names={names}");
    let fields = ["Proxy: evil", "X.Real.Ip: evil", "X_Real_Ip: evil"];
    let expected = format!(
        "SCRIPT_NAME=/show.php\nPATH_INFO=/a b\nPHP_SELF=/show.php/a b\nSCRIPT_FILENAME={root}/show.php\n\
         DOCUMENT_ROOT={root}\nREQUEST_URI={target}\nHTTPS=unset\nREDIRECT_STATUS=200\n\
         SERVER_ADDR=127.0.0.1\nHTTP_PROXY=unset\nHTTP_X_REAL_IP=unset\n"
    );
    assert_eq!(show(&target, &fields), expected);
    let target = "/show.php?names=PATH_INFO,PATH_TRANSLATED,SCRIPT_NAME,QUERY_STRING";
    let expected = format!(
        "PATH_INFO=unset\nPATH_TRANSLATED=unset\nSCRIPT_NAME=/show.php\nQUERY_STRING={}\n",
        &target[10..]
    );
    assert_eq!(show(target, &[]), expected);
    assert_eq!(server.stop().status, 0);
    assert_eq!(fpm.stop().status, 0);
}

/// No path leads PHP to a file that is no script, or out of the root.
#[test]
fn only_scripts_below_the_root_run() {
    let folder = site().file("secret.php", "<?php echo 'secret';\n");
    let fpm = start_fpm(&folder, "");
    let server = serve(&folder, &[]);
    for (target, status, text) in [
        ("/", 200, "front of /"),
        ("/admin/", 200, "admin"),
        ("/admin", 301, ""),
        ("/none.php", 404, ""),
        ("/style.css", 404, ""),
        ("/upload.jpg", 404, ""),
        ("/upload.jpg/x.php", 404, ""),
        ("/upload.jpg/.php", 404, ""),
        ("/upload.jpg%00.php", 400, ""),
        ("/upload.jpg%0a.php", 404, ""),
        ("/../secret.php", 404, ""),
        ("/%2e%2e/secret.php", 404, ""),
        ("/show.php/../../secret.php", 404, ""),
        ("/show.php%2f..%2f..%2fsecret.php", 404, ""),
    ] {
        let reply = server.get(target);
        assert_eq!(reply.status, status, "{target}: {reply:?}");
        assert!(
            text.is_empty() || reply.text() == text,
            "{target}: {reply:?}"
        );
    }
    assert_eq!(server.stop().status, 0);
    assert_eq!(fpm.stop().status, 0);
}

/// As WordPress, Laravel and Symfony want it: files that are there, and one script for the rest.
#[test]
fn files_and_a_front_controller() {
    let folder = site();
    let fpm = start_fpm(&folder, "");
    let server = serve(&folder, &["--front", "index.php", "--files"]);
    for (target, text) in [
        ("/", "front of /"),
        ("/style.css", "body {}\n"),
        ("/2024/hello-world/?a=b", "front of /2024/hello-world/?a=b"),
        ("/none.php", "front of /none.php"),
        ("/admin/", "admin"),
        ("/wp-config.php.bak", "front of /wp-config.php.bak"),
        ("/.git/config", "front of /.git/config"),
        ("/index.php/x", "front of /index.php/x"),
    ] {
        assert_eq!(server.get(target).ok(), text, "{target}");
    }
    let reply = server.get("/style.css");
    assert_eq!(
        reply.header("content-type"),
        Some("text/css; charset=utf-8")
    );
    assert!(reply.header("etag").is_some(), "{reply:?}");
    let reply = server.get("/admin");
    assert_eq!(
        (reply.status, reply.header("location")),
        (301, Some("./admin/"))
    );
    let reply = request(server.address(), "POST", "/style.css", &[], b"x");
    assert_eq!(reply.ok(), "front of /style.css");
    assert_eq!(server.stop().status, 0);
    assert_eq!(fpm.stop().status, 0);
}

/// The classic faults of web servers in front of PHP: another spelling of a script's name is sent as a file.
#[test]
fn no_spelling_of_a_script_sends_its_source() {
    let source = "<?php echo 'ran'; // the source\n";
    let mut folder = site().file("site/folder/page.html", source);
    for name in [
        "b.php",
        "page.html",
        "H.PHP",
        "b.php ",
        "b.php.",
        "b.php\n",
        "b.php::$DATA",
        "b.phtml",
        "b.php5",
        "b.php~",
        "page.html.bak",
    ] {
        folder = folder.file(format!("site/{name}"), source);
    }
    let fpm = start_fpm(&folder, "security.limit_extensions =");
    let endings = ["--files", "--split", ".php", "--split", ".html"];
    let plain = serve(&folder, &endings);
    let front = serve(&folder, &[&endings[..], &["--front", "index.php"]].concat());
    for (target, is_script) in [
        ("/b.php", true),
        ("/b.php/", true),
        ("/b.php%2f", true),
        ("/b.php//", true),
        ("/b%2ephp", true),
        ("/%62.php", true),
        ("//b.php", true),
        ("/page.html", true),
        ("/folder/page.html", true),
        ("/H.PHP", true),
        ("/b.PHP", false),
        ("/b.php.", false),
        ("/b.php..", false),
        ("/b.php%20", false),
        ("/b.php%20/", false),
        ("/b.php%09", false),
        ("/b.php%0a", false),
        ("/b.php%00", false),
        ("/b.php%00.css", false),
        ("/b.php%5c", false),
        ("/b.php%3f", false),
        ("/b.php%23", false),
        ("/b.php%ff", false),
        ("/b.php;a.css", false),
        ("/b.php::$DATA", false),
        ("/b.php::$data", false),
        ("/b.phtml", false),
        ("/b.php5", false),
        ("/b.php~", false),
        ("/page.html.bak", false),
        ("/.//b.php", false),
        ("/x/../b.php", false),
    ] {
        for server in [&plain, &front] {
            let reply = server.get(target);
            let text = reply.text();
            assert!(!text.contains("the source"), "{target}: {reply:?}");
            assert_eq!(text == "ran", is_script, "{target}: {reply:?}");
        }
    }
    for server in [plain, front, fpm] {
        assert_eq!(server.stop().status, 0);
    }
}

#[test]
fn bodies_heads_and_errors_go_both_ways() {
    let folder = site().file(
        "site/echo.php",
        "<?php\n\
         if ($_SERVER['REQUEST_METHOD'] == 'POST') {\n\
             $body = file_get_contents('php://input');\n\
             echo strlen($body), ' ', $_SERVER['CONTENT_LENGTH'], ' ', md5($body);\n\
         } elseif (isset($_GET['away'])) {\n\
             setcookie('a', '1'); setcookie('b', '2');\n\
             header('Location: /elsewhere');\n\
         } elseif (isset($_GET['error'])) {\n\
             error_log('it went wrong');\n\
             http_response_code(500);\n\
         } elseif (isset($_GET['large'])) {\n\
             header('X-Large: ' . str_repeat('x', 60000));\n\
             echo str_repeat('0123456789', 300000);\n\
         } elseif (isset($_GET['slow'])) {\n\
             echo 'first'; flush();\n\
             while (!file_exists($_SERVER['DOCUMENT_ROOT'] . '/gate')) { usleep(1000); clearstatcache(); }\n\
             echo ' second';\n\
         }\n",
    );
    let fpm = start_fpm(&folder, "");
    let server = serve(&folder, &[]);
    let body: Vec<u8> = (0..3_000_000_u32)
        .map(|place| (place % 251) as u8)
        .collect();
    let reply = request(server.address(), "POST", "/echo.php", &[], &body).ok();
    assert!(reply.starts_with("3000000 3000000 "), "{reply}");
    let mut connection = Connection::open(server.address());
    connection.send(b"POST /echo.php HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    connection.send(b"3\r\nabc\r\n0\r\n\r\n");
    let reply = connection.reply("POST").ok();
    assert_eq!(reply, "3 3 900150983cd24fb0d6963f7d28e17f72");
    let reply = server.get("/echo.php?away");
    assert_eq!(
        (reply.status, reply.header("location")),
        (302, Some("/elsewhere"))
    );
    assert_eq!(reply.all("set-cookie"), ["a=1", "b=2"]);
    let reply = server.get("/echo.php?error");
    assert_eq!(reply.status, 500);
    let line = "GET /echo.php?error: PHP message: it went wrong";
    server.wait_for_log(|log| log.contains(line));
    let reply = server.get("/echo.php?large");
    assert_eq!(reply.header("x-large").map(str::len), Some(60_000));
    assert_eq!(reply.ok().len(), 3_000_000);
    let mut connection = Connection::open(server.address());
    connection.send(b"GET /echo.php?slow HTTP/1.1\r\nHost: a\r\n\r\n");
    connection.until("first");
    let _folder = folder.clone().file("site/gate", "");
    connection.until(" second");
    drop(connection);
    assert_eq!(server.stop().status, 0);
    assert_eq!(fpm.stop().status, 0);
}

/// Processes that end after some requests, as pools have them against leaks, lose none.
#[test]
fn processes_that_end_after_some_requests_lose_none() {
    for most in 1..=3 {
        let folder = site();
        let fpm = start_fpm(&folder, &format!("pm.max_requests = {most}"));
        let server = serve(&folder, &[]);
        let reads = Load::new(server.address())
            .target("/admin/")
            .fresh(2)
            .kept(4)
            .start();
        let writes = Load::new(server.address())
            .target("/admin/")
            .post(b"a=b")
            .kept(2)
            .start();
        reads.more(150);
        writes.more(150);
        reads.stop().is_whole();
        writes.stop().is_whole();
        assert_eq!(server.stop().status, 0);
        assert_eq!(fpm.stop().status, 0);
    }
}

#[test]
fn a_reload_of_php_loses_nothing_and_a_killed_process_what_it_had_begun() {
    let folder = site();
    let fpm = start_fpm(&folder, "process.dumpable = yes");
    let server = serve(&folder, &[]);
    let load = || {
        Load::new(server.address())
            .target("/admin/")
            .fresh(2)
            .kept(4)
            .start()
    };
    let reads = load();
    for _ in 0..3 {
        reads.more(100);
        fpm.signal(Signal::USR2);
    }
    reads.more(200);
    reads.stop().is_whole();
    let reads = load();
    for _ in 0..3 {
        reads.more(100);
        let child = |pid: &Pid| *pid != fpm.pid();
        let processes = fpm.processes().into_iter().map(|(pid, _)| pid);
        if let Some(pid) = processes.rev().find(child) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    reads.more(200);
    reads.stop().answers(&[200, 502]);
    assert_eq!(server.stop().status, 0);
    assert_eq!(fpm.stop().status, 0);
}

/// `php-cgi` has one connection at a time, and waits for the next request on one that is kept.
#[test]
fn one_process_of_php_holds_up_nobody() {
    let words = "serve tcp://127.0.0.1:0 upstream fastcgi --root site --front index.php --files exec: php-cgi";
    let server = site().runner(words.split(' ')).start();
    for (target, text) in [
        ("/", "front of /"),
        ("/x", "front of /x"),
        ("/admin/", "admin"),
    ] {
        assert_eq!(server.get(target).ok(), text, "{target}");
    }
    assert_eq!(server.get("/style.css").ok(), "body {}\n");
    let load = || Load::new(server.address()).target("/admin/");
    let reads = load().fresh(2).kept(2).start();
    let writes = load().post(b"a=b").kept(2).start();
    // By itself, it ends after 500 requests, and leaves those behind that have connected.
    writes.more(510);
    writes.stop().is_whole();
    for _ in 0..3 {
        reads.more(50);
        let mut processes = server.processes().into_iter();
        let php =
            processes.find(|(_, words)| words.contains("php-cgi") && !words.contains("serve"));
        if let Some((pid, _)) = php {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    reads.more(50);
    reads.stop().is_whole();
    assert_eq!(server.stop().status, 0);
}

/// It ends by itself after so many requests: that is no error.
#[test]
fn php_that_has_answered_its_requests_is_replaced_without_an_error() {
    let words = "serve tcp://127.0.0.1:0 upstream fastcgi --root site exec: php-cgi";
    let server = site()
        .runner(words.split(' '))
        .env("PHP_FCGI_MAX_REQUESTS", "3")
        .start();
    for _ in 0..7 {
        assert_eq!(server.get("/admin/").ok(), "admin");
    }
    server.wait_for_log(|log| log.matches("; it is replaced\n").count() == 2);
    let ended = server.stop();
    assert_eq!(ended.status, 0);
    assert!(!ended.stderr.contains("error: "), "{}", ended.stderr);
}

/// Without a root, PHP is told of no script, and what it answers says nothing of why.
#[test]
fn php_without_a_root_gets_a_hint_in_the_log() {
    let folder = site();
    let fpm = start_fpm(&folder, "");
    let words = "serve tcp://127.0.0.1:0 upstream fastcgi+unix:run/fpm.sock";
    let server = folder.runner(words.split(' ')).start();
    let hint = "if it is PHP, `upstream` needs `--root FOLDER`\n";
    server.get("/show.php");
    server.wait_for_log(|log| log.contains(hint));
    server.get("/show.php");
    let ended = server.stop();
    assert_eq!(ended.status, 0);
    assert_eq!(ended.stderr.matches(hint).count(), 1, "{}", ended.stderr);
    assert_eq!(fpm.stop().status, 0);
}
