//! An application in development: see [`crate::application::development`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::content_policy::forbids;
use super::inserted_script::{element, inserted};
use super::local_client::is_local;
use super::reload_events::ReloadEvents;
use super::reload_script::SCRIPT;
use super::reserved::{EVENTS_PATH, MARK, SCRIPT_PATH};
use crate::interface::{Application, Pending, Request, RequestName, Response, ResponseBody};

/// The field with which a browser says what it wants a response for (Fetch Metadata §2.1).
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Passes requests on, and looks at the responses.
pub struct DevelopmentPages {
    application: Arc<dyn Application>,
    /// `None` if nothing is reloaded by itself.
    events: Option<ReloadEvents>,
    /// Whether all pages get the script, and not only those of runner's own.
    in_all_pages: bool,
    /// The log says that a page cannot have it.
    has_said: AtomicBool,
}

/// What of a request decides about its response.
struct Asked {
    is_local: bool,
    /// The element for the page, where a browser shows it.
    element: Option<bytes::Bytes>,
    target: bytes::Bytes,
}

impl DevelopmentPages {
    /// Pages that are told of reloads, if there are any. `in_all_pages` says whether those of the application are, too.
    #[must_use]
    pub fn new(
        application: Arc<dyn Application>,
        events: Option<ReloadEvents>,
        in_all_pages: bool,
    ) -> Self {
        Self {
            application,
            events,
            in_all_pages,
            has_said: AtomicBool::new(false),
        }
    }

    fn asked(&self, request: &Request) -> Asked {
        let wanted = request.headers.get(SEC_FETCH_DEST);
        let is_shown = wanted.is_none_or(|wanted| {
            ["document", "iframe", "frame"]
                .iter()
                .any(|one| wanted == one)
        });
        // The page behind a form cannot be loaded again without sending the form again.
        let events = self.events.as_ref();
        let events = events.filter(|_| request.method == Method::GET && is_shown);
        let prefix = String::from_utf8_lossy(&request.script_name);
        Asked {
            is_local: is_local(request),
            element: events.map(|events| element(&prefix, &events.version())),
            target: request.target.clone(),
        }
    }

    async fn finished(&self, mut response: Response, asked: Asked) -> Response {
        let is_own = response.headers.remove(MARK).is_some();
        if is_own && !asked.is_local {
            return Response::plain(response.status);
        }
        let Some(element) = asked.element.filter(|_| is_own || self.in_all_pages) else {
            return response;
        };
        if !is_whole_page(&response) {
            return response;
        }
        if let Some(why) = hindrance(&response.headers) {
            if !self.has_said.swap(true, Ordering::Relaxed) {
                let target = String::from_utf8_lossy(&asked.target);
                let about = response.about.as_ref().map(RequestName::subject);
                crate::log_warning!(
                    about = about.unwrap_or_default(),
                    "{target} does not reload itself: {why}; the same may hold for other pages"
                );
            }
            return response;
        }
        response.body = inserted(&mut response.headers, response.body, element).await;
        response
    }
}

/// Whether a response is a page that a browser shows.
fn is_whole_page(response: &Response) -> bool {
    let kind = response.headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()?.split(';').next());
    let is_html = kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/html"));
    let has_part = [
        StatusCode::PARTIAL_CONTENT,
        StatusCode::NOT_MODIFIED,
        StatusCode::NO_CONTENT,
    ]
    .contains(&response.status);
    is_html && !has_part && !response.status.is_informational()
}

/// Why the script cannot be inserted, or would not run.
fn hindrance(headers: &HeaderMap) -> Option<String> {
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Some("it has a `Content-Encoding`".to_owned());
    }
    let policies = headers.get_all(header::CONTENT_SECURITY_POLICY).iter();
    let directive = forbids(policies.filter_map(|policy| policy.to_str().ok()))?;
    Some(format!(
        "its `Content-Security-Policy` forbids the script {SCRIPT_PATH} or its events (`{directive}`)"
    ))
}

fn script() -> Response {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(SCRIPT.len()));
    Response {
        status: StatusCode::OK,
        reason: None,
        about: None,
        headers,
        body: ResponseBody::Bytes(SCRIPT.into()),
    }
}

impl Application for DevelopmentPages {
    fn respond(self: Arc<Self>, request: Request) -> Pending<'static, Response> {
        if let Some(events) = &self.events {
            if *request.path_info == *SCRIPT_PATH.as_bytes() {
                return Box::pin(std::future::ready(script()));
            }
            if *request.path_info == *EVENTS_PATH.as_bytes() {
                let stream = events.stream(is_local(&request));
                return Box::pin(std::future::ready(stream));
            }
        }
        Box::pin(async move {
            if let Some(events) = &self.events {
                events.settled().await;
            }
            let asked = self.asked(&request);
            let answer = Arc::clone(&self.application).respond(request);
            self.finished(answer.await, asked).await
        })
    }

    fn inner(&self) -> Vec<&dyn Application> {
        vec![&*self.application]
    }
}
