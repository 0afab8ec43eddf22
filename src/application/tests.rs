//! What wraps an application, or stands in front of it, hides nothing of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode};

use crate::application::development::{DevelopmentPages, ReloadEvents};
use crate::application::files::{CacheRule, Files, FilesOptions};
use crate::application::replaceable::Replaceable;
use crate::application::watched::Watched;
use crate::interface::master_status::Status;
use crate::interface::measurements::{Measurements, MethodName, RefusedRequest};
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
    let wrappers: [(&str, usize, Wrap<'_>); 4] = [
        ("Watched", 7, &|inner| Arc::new(Watched::new(inner))),
        ("DevelopmentPages", 7, &|inner| {
            let events = Some(ReloadEvents::default());
            Arc::new(DevelopmentPages::new(inner, events, true))
        }),
        ("Files", 7, &files),
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
        wrapper.write_stacks();
        wrapper.stop(Duration::ZERO).await;
        assert_eq!(inner.0.load(Ordering::Relaxed), questions, "{name}");
    }
}
