//! What wraps an application, or stands in front of it, hides nothing of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode};

use crate::application::development::{DevelopmentPages, ReloadEvents};
use crate::application::files::{CacheRule, Files, FilesOptions};
use crate::application::replaceable::Replaceable;
use crate::application::routes::Routes;
use crate::application::routes::site::Site;
use crate::application::watched::Watched;
use crate::interface::master_status::Status;
use crate::interface::measurements::{EndedRequest, Measurements, MethodName, RefusedRequest};
use crate::interface::{Application, Pending, Request, Response};

/// Counts what it is asked.
#[derive(Default)]
struct InnermostApplication(AtomicUsize);

impl InnermostApplication {
    fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Application for InnermostApplication {
    fn respond(self: Arc<Self>, _: Request) -> Pending<'static, Response> {
        Box::pin(std::future::ready(Response::plain(StatusCode::OK)))
    }

    fn takes_web_sockets(&self) -> bool {
        self.count();
        true
    }

    fn stop(&self, _: Duration) -> Pending<'_, ()> {
        self.count();
        Box::pin(std::future::ready(()))
    }

    fn drain(&self, _: bool) {
        self.count();
    }

    fn status(&self) -> Status {
        self.count();
        Status::default()
    }

    fn measurements(&self) -> Measurements {
        self.count();
        Measurements::default()
    }

    fn note_refused(&self, _: RefusedRequest) {
        self.count();
    }

    fn note_ended(&self, _: EndedRequest) {
        self.count();
    }

    fn write_stacks(&self) {
        self.count();
    }
}

#[tokio::test]
async fn each_question_reaches_the_application_inside() {
    let options = FilesOptions {
        folder: ".".into(),
        index: "index.html".to_owned(),
        page: None,
        listing: false,
        follow: false,
        hidden: false,
        sources: false,
        scripts: Vec::new(),
        precompressed: false,
        cache: vec![CacheRule {
            pattern: "*".to_owned(),
            value: HeaderValue::from_static("no-store"),
        }],
    };
    type Wrap<'a> = &'a dyn Fn(Arc<InnermostApplication>) -> Arc<dyn Application>;
    let files = |inner: Arc<InnermostApplication>| -> Arc<dyn Application> {
        Arc::new(Files::new(options.clone(), Some(inner)))
    };
    let routes = |inner: Arc<InnermostApplication>| -> Arc<dyn Application> {
        let inner: Arc<dyn Application> = inner;
        let keys = ["/", "example.org/"];
        let routes = keys.map(|key| (key.parse().expect("a route"), Arc::clone(&inner)));
        Arc::new(Routes::new(routes.into()))
    };
    let site = |inner: Arc<InnermostApplication>| -> Arc<dyn Application> {
        let named = vec![("/".to_owned(), Arc::clone(&inner) as _)];
        Arc::new(Site::new(files(inner), named, Vec::new()))
    };
    let wrappers: [(&str, usize, Wrap<'_>); 6] = [
        ("Watched", 8, &|inner| Arc::new(Watched::new(inner))),
        ("DevelopmentPages", 8, &|inner| {
            let events = Some(ReloadEvents::default());
            Arc::new(DevelopmentPages::new(inner, events, true))
        }),
        ("Files", 8, &files),
        ("Routes", 8, &routes),
        ("Site", 8, &site),
        // It counts the requests of all versions itself.
        ("Replaceable", 6, &|inner| Arc::new(Replaceable::new(inner))),
    ];
    for (name, questions, wrap) in wrappers {
        let inner = Arc::new(InnermostApplication::default());
        let wrapper = wrap(Arc::clone(&inner));
        assert!(wrapper.takes_web_sockets(), "{name}");
        wrapper.drain(true);
        let _ = wrapper.status();
        let _ = wrapper.measurements();
        wrapper.note_refused(RefusedRequest {
            method: MethodName::of(&Method::GET),
            status: StatusCode::BAD_REQUEST,
        });
        wrapper.note_ended(EndedRequest {
            took: Duration::ZERO,
            sent: 0,
        });
        wrapper.write_stacks();
        wrapper.stop(Duration::ZERO).await;
        assert_eq!(inner.0.load(Ordering::Relaxed), questions, "{name}");
    }
}

/// What is asked of one that leads to several is asked of each of them.
#[tokio::test]
async fn each_question_reaches_all_applications_inside() {
    let all = [(), ()].map(|()| Arc::new(InnermostApplication::default()));
    let routes = ["/", "/b/"].iter().zip(&all).map(|(key, inner)| {
        let inner: Arc<dyn Application> = Arc::clone(inner) as _;
        (key.parse().expect("a route"), inner)
    });
    let routes = Routes::new(routes.collect());
    routes.drain(true);
    let _ = routes.status();
    let _ = routes.measurements();
    routes.write_stacks();
    routes.stop(Duration::ZERO).await;
    let asked = all.map(|inner| inner.0.load(Ordering::Relaxed));
    assert_eq!(asked, [5, 5]);
}
