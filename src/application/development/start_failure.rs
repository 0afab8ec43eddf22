//! What answers while an application cannot be started: why, for the user of this machine.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::reserved::{MARK, PAGE_POLICY};
use crate::application::own_page::{escape_markup, prefers_html};
use crate::interface::{Application, Pending, Request, Response, ResponseBody};

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:0 auto;padding:2rem 1rem}\
h1{font-size:1.4rem;margin:0 0 1rem}\
pre{padding:1rem;background:#8882;overflow-x:auto;white-space:pre-wrap;overflow-wrap:anywhere}";

/// Answers each request with status 503 and the reason.
#[derive(Debug)]
pub struct StartFailure {
    text: String,
    page: String,
}

impl StartFailure {
    /// The application cannot be started, for this reason.
    #[must_use]
    pub fn new(why: &str) -> Self {
        let why = why.trim_end();
        let mut page = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n\
             <title>The application cannot be started</title>\n<style>{STYLE}</style>\n<body>\n\
             <h1>The application cannot be started</h1>\n<pre>"
        );
        for line in why.lines() {
            escape_markup(&mut page, line);
            page.push('\n');
        }
        page.push_str(
            "</pre>\n<p>This page reloads itself when the code has changed.</p>\n</body>\n</html>\n",
        );
        Self {
            text: format!("503 Service Unavailable: the application cannot be started\n\n{why}\n"),
            page,
        }
    }
}

impl Application for StartFailure {
    fn respond(self: Arc<Self>, request: Request) -> Pending<'static, Response> {
        let (kind, text) = match prefers_html(&request.headers) {
            true => ("text/html; charset=utf-8", &self.page),
            false => ("text/plain; charset=utf-8", &self.text),
        };
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (header::CONTENT_TYPE, kind),
            (header::CACHE_CONTROL, "no-store"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
            (MARK, "start"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
        Box::pin(std::future::ready(Response {
            status: StatusCode::SERVICE_UNAVAILABLE,
            reason: None,
            about: None,
            headers,
            body: ResponseBody::Bytes(text.clone().into()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{HeaderValue, StatusCode, header};

    use super::StartFailure;
    use crate::interface::{Application, Request, ResponseBody};

    #[tokio::test]
    async fn a_browser_gets_a_page_in_which_the_reason_is_escaped() {
        let failure = Arc::new(StartFailure::new("error: <script>\n  \"&\"\n"));
        let mut request = Request::default();
        let plain = Arc::clone(&failure).respond(Request::default()).await;
        let html = HeaderValue::from_static("text/html");
        request.headers.insert(header::ACCEPT, html);
        let page = failure.respond(request).await;
        for (response, wanted) in [
            (plain, "error: <script>\n  \"&\"\n"),
            (page, "error: &lt;script&gt;\n  &quot;&amp;&quot;\n"),
        ] {
            assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE);
            let ResponseBody::Bytes(body) = response.body else {
                panic!("not bytes");
            };
            let body = String::from_utf8(body.to_vec()).expect("text");
            assert!(body.contains(wanted), "{body}");
        }
    }
}
