//! What `commands.Routes({…})` adds to a request: the choice among 100 routes and 20 hosts. A figure above its limit ends the
//! run with an error, after all measurements.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use runner::application::fixed_answer::FixedAnswer;
use runner::application::routes::Routes;
use runner::interface::{Application, Request};

/// For one request.
const MOST_TIME: Duration = Duration::from_micros(1);

/// How many requests are measured together.
const REQUESTS: usize = 100_000;

/// Routes of a large site: 60 paths for any host, 20 hosts with two paths each.
fn routes() -> Routes {
    let paths = (0..60).map(|number| match number % 3 {
        0 => format!("/section{number}/"),
        1 => format!("/section{number}/part/of/it/"),
        _ => format!("/api/v{number}"),
    });
    let hosts = (0..20).flat_map(|number| {
        let host = match number % 2 {
            0 => format!("host{number}.example.org"),
            _ => format!("*.domain{number}.example.org"),
        };
        [format!("{host}/"), format!("{host}/static/")]
    });
    let keys: Vec<String> = paths.chain(hosts).collect();
    assert_eq!(keys.len(), 100);
    let route = |key: &String| {
        let application: Arc<dyn Application> = Arc::new(FixedAnswer::Respond {
            status: StatusCode::OK,
            text: String::new(),
        });
        (key.parse().expect("a route"), application)
    };
    Routes::new(keys.iter().map(route).collect())
}

fn request(host: &'static str, path: &'static str) -> Request {
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_static(host));
    Request {
        target: Bytes::from_static(path.as_bytes()),
        path_info: Bytes::from_static(path.as_bytes()),
        headers,
        ..Request::default()
    }
}

fn routing(criterion: &mut Criterion) {
    let routes = routes();
    let cases = [
        (
            "a path",
            request("www.example.com", "/section31/part/of/it/index.html"),
        ),
        (
            "a host",
            request("host6.example.org:8000", "/static/css/style.css"),
        ),
        (
            "a wildcard",
            request("a.b.domain7.example.org", "/a/long/path/to/some/page"),
        ),
        (
            "a strange path",
            request("www.example.com", "//section3/./x/../y//z"),
        ),
    ];
    let mut group = criterion.benchmark_group("routes");
    let mut over = String::new();
    for (name, request) in cases {
        let again = || Request {
            target: request.target.clone(),
            path_info: request.path_info.clone(),
            headers: request.headers.clone(),
            ..Request::default()
        };
        let mut requests: Vec<Request> = (0..REQUESTS).map(|_| again()).collect();
        let begun = Instant::now();
        for request in &mut requests {
            assert!(black_box(routes.route(request)).is_ok(), "{name}");
        }
        let each = begun.elapsed() / u32::try_from(REQUESTS).expect("a small number");
        println!("{name}: {each:?} a request");
        if each > MOST_TIME {
            over += &format!("over its limit: {name} takes {each:?}\n");
        }
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                again,
                |request| black_box(routes.route(request).is_ok()),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
    assert!(over.is_empty(), "{over}");
}

criterion_group!(benches, routing);
criterion_main!(benches);
