//! What an application sees of a request that a route leads to, and that no spelling of a path reaches another one.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::Routes;
use crate::application::fixed_answer::FixedAnswer;
use crate::interface::{Application, Request, Response};
use crate::protocol::cgi::path_info::decode;

/// Routes to as many applications, which are told apart by their texts.
fn routes(keys: &[&str]) -> Routes {
    let route = |key: &&str| {
        let answer = FixedAnswer::Respond {
            status: StatusCode::OK,
            text: (*key).to_owned(),
        };
        let application: Arc<dyn Application> = Arc::new(answer);
        (key.parse().expect("a route"), application)
    };
    Routes::new(keys.iter().map(route).collect())
}

fn request(target: &str) -> Request {
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_static("localhost:8000"));
    Request {
        target: Bytes::copy_from_slice(target.as_bytes()),
        path_info: decode(target.as_bytes().to_vec().into()).expect("no zero byte"),
        headers,
        ..Request::default()
    }
}

/// The number of the route that answers, `SCRIPT_NAME` and `PATH_INFO`.
fn seen(keys: &[&str], mut request: Request) -> Result<(usize, String, String), Box<Response>> {
    let routes = routes(keys);
    let to = Arc::as_ptr(routes.route(&mut request)?).cast::<()>();
    let mut all = routes.inner().into_iter();
    let place = all.position(|one| std::ptr::from_ref(one).cast::<()>() == to);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let place = place.expect("one of them");
    Ok((place, text(&request.script_name), text(&request.path_info)))
}

#[test]
fn the_application_sees_where_it_is_mounted() {
    let keys = ["/", "/a/", "/b"];
    for (target, place, script_name, path_info) in [
        ("/", 0, "", "/"),
        ("/x/y", 0, "", "/x/y"),
        ("/a/", 1, "/a", "/"),
        ("/a/x%20y", 1, "/a", "/x y"),
        ("/b", 2, "/b", ""),
        ("/b/", 2, "/b", "/"),
        ("/b/a/", 2, "/b", "/a/"),
    ] {
        let seen = seen(&keys, request(target)).expect(target);
        let expected = (place, script_name.to_owned(), path_info.to_owned());
        assert_eq!(seen, expected, "{target}");
    }
    let below = Request {
        script_name: Bytes::from_static(b"/site"),
        ..request("/a/x")
    };
    let expected = (1, "/site/a".to_owned(), "/x".to_owned());
    assert_eq!(seen(&keys, below).expect("a route"), expected);
}

#[test]
fn no_spelling_of_a_path_reaches_another_application() {
    let keys = ["/", "/admin/", "/files/"];
    for (target, place, script_name, path_info) in [
        // As it is written, such a path would be for `/`, which then took it for `/admin/`.
        ("//admin/x", 1, "/admin", "/x"),
        ("/./admin/x", 1, "/admin", "/x"),
        ("/x/../admin/x", 1, "/admin", "/x"),
        ("/%61dmin/x", 1, "/admin", "/x"),
        ("/x/%2e%2e/admin/x", 1, "/admin", "/x"),
        ("/x%2f..%2fadmin%2fx", 1, "/admin", "/x"),
        ("/../admin/x", 1, "/admin", "/x"),
        // As it is written, such a path would be for one route, and lead out of it.
        ("/admin/../x", 0, "", "/x"),
        ("/files/../admin/x", 1, "/admin", "/x"),
        ("/files/..%2f..%2fetc/passwd", 0, "", "/etc/passwd"),
        // Within one application, only dots are resolved.
        ("/files/a/../b", 2, "/files", "/b"),
        ("/files/http://a//b", 2, "/files", "/http://a//b"),
        ("/x//admin", 0, "", "/x//admin"),
        ("//x", 0, "", "//x"),
        // These are other paths.
        ("/ADMIN/x", 0, "", "/ADMIN/x"),
        ("/admin;/x", 0, "", "/admin;/x"),
        ("/admin\\x", 0, "", "/admin\\x"),
        ("/admin%252f", 0, "", "/admin%2f"),
    ] {
        let seen = seen(&keys, request(target)).expect(target);
        let expected = (place, script_name.to_owned(), path_info.to_owned());
        assert_eq!(seen, expected, "{target}");
    }
}

#[test]
fn a_path_without_the_slash_of_its_route_is_sent_there() {
    let keys = ["/", "/a/b/"];
    let location = |request: Request| {
        let response = seen(&keys, request).expect_err("a redirect");
        assert_eq!(response.status, StatusCode::PERMANENT_REDIRECT);
        let location = response.headers.get(header::LOCATION).expect("a location");
        location.to_str().expect("ASCII").to_owned()
    };
    assert_eq!(location(request("/a/b")), "./b/");
    let posted = Request {
        method: Method::POST,
        ..request("/a/b?c=d")
    };
    let posted = Request {
        path_info: Bytes::from_static(b"/a/b"),
        ..posted
    };
    assert_eq!(location(posted), "./b/?c=d");
    let web_socket = Request {
        offers_web_socket: true,
        ..request("/a/b")
    };
    let expected = (1, "/a/b".to_owned(), String::new());
    assert_eq!(seen(&keys, web_socket).expect("a route"), expected);
}

#[test]
fn the_server_as_a_whole_is_the_route_of_the_root() {
    let asterisk = || Request {
        method: Method::OPTIONS,
        ..request("*")
    };
    let expected = (0, String::new(), String::new());
    let of_host = seen(&["localhost/", "/", "/a/"], asterisk());
    assert_eq!(of_host.expect("a route"), expected);
    let nowhere = seen(&["/a/", "other.org/"], asterisk()).expect_err("an answer");
    assert_eq!(nowhere.status, StatusCode::NOT_FOUND);
}

#[test]
fn the_host_is_the_client_s_or_else_the_server_s() {
    let keys = ["example.org/", "/a/"];
    let of_host = |host: &'static str| {
        let mut request = request("/a/");
        let host = HeaderValue::from_static(host);
        request.headers.insert(header::HOST, host);
        seen(&keys, request).expect("a route").0
    };
    assert_eq!(of_host("EXAMPLE.org:8000"), 0);
    assert_eq!(of_host("other.org"), 1);
    let mut old = request("/a/");
    old.headers.clear();
    old.connection = Arc::new(crate::interface::Connection {
        server_name: "example.org".to_owned(),
        ..Default::default()
    });
    assert_eq!(seen(&keys, old).expect("a route").0, 0);
    let nowhere = seen(&keys, request("/x")).expect_err("an answer");
    assert_eq!(nowhere.status, StatusCode::NOT_FOUND);
}

#[test]
fn an_application_with_two_routes_is_one() {
    let application: Arc<dyn Application> = Arc::new(FixedAnswer::Respond {
        status: StatusCode::OK,
        text: String::new(),
    });
    let keys = ["/a/", "/b/", "example.org/"];
    let routes = keys.map(|key| (key.parse().expect("a route"), Arc::clone(&application)));
    assert_eq!(Routes::new(routes.into()).inner().len(), 1);
}
