//! The built-in application: shows the variables of a request.

use std::fmt::Write;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::application::own_page::{escape_markup, prefers_html};
use crate::interface::{Application, Pending, Request, Response, ResponseBody};
use crate::protocol::cgi::environ;

/// Answers every request with its CGI variables: as a page to browsers, else as lines `NAME=value`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demo;

impl Application for Demo {
    fn respond(self: Arc<Self>, request: Request) -> Pending<'static, Response> {
        Box::pin(std::future::ready(respond(&request)))
    }
}

/// Whether a variable belongs to a part of the page.
type Belongs = fn(&str) -> bool;

/// The parts of the page, in their order: a heading, and the test for its variables.
const SECTIONS: [(&str, Belongs); 3] = [
    ("Request", |name| !is_connection(name) && !is_header(name)),
    ("Connection", is_connection),
    ("Header fields", is_header),
];

fn respond(request: &Request) -> Response {
    // Other methods would promise more than this application does.
    const METHODS: [Method; 4] = [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS];

    if !METHODS.contains(&request.method) {
        let mut response = Response::plain(StatusCode::METHOD_NOT_ALLOWED);
        let allowed = HeaderValue::from_static("GET, HEAD, POST, OPTIONS");
        response.headers.insert(header::ALLOW, allowed);
        return response;
    }
    let variables = variables(request);
    let (kind, text) = match prefers_html(&request.headers) {
        true => ("text/html; charset=utf-8", page(request, &variables)),
        false => ("text/plain; charset=utf-8", lines(&variables)),
    };
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        // The page shows data of the client, which may be private.
        (header::CACHE_CONTROL, "no-store"),
        (header::VARY, "Accept"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
    Response {
        status: StatusCode::OK,
        reason: None,
        about: None,
        headers,
        body: ResponseBody::Bytes(text.into()),
    }
}

/// The request's variables as text, sorted by name.
fn variables(request: &Request) -> Vec<(String, String)> {
    let mut variables: Vec<(String, String)> = environ::CONSTANTS
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    environ::variables(request, |name, value| {
        let name = String::from_utf8_lossy(name).into_owned();
        let value = String::from_utf8_lossy(value).into_owned();
        // The value of a web server in front of runner replaces the default.
        variables.retain(|(other, _)| *other != name);
        variables.push((name, value));
    });
    variables.sort();
    variables
}

fn is_header(name: &str) -> bool {
    name.starts_with("HTTP_") || matches!(name, "CONTENT_TYPE" | "CONTENT_LENGTH")
}

fn is_connection(name: &str) -> bool {
    ["SERVER_", "REMOTE_", "GATEWAY_", "HTTPS"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// One variable a line. Control characters are escaped, so that no value contains a line break.
fn lines(variables: &[(String, String)]) -> String {
    let mut text = String::new();
    for (name, value) in variables {
        escape_controls(&mut text, name);
        text.push('=');
        escape_controls(&mut text, value);
        text.push('\n');
    }
    text
}

fn escape_controls(text: &mut String, part: &str) {
    for character in part.chars() {
        match character.is_control() {
            true => text.extend(character.escape_default()),
            false => text.push(character),
        }
    }
}

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8884;--soft:#8881;--quiet:#666}\
@media(prefers-color-scheme:dark){:root{--quiet:#aaa}}\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:2rem 1rem}\
h1{font-size:1.5rem;margin:0;overflow-wrap:anywhere}\
h2{font-size:1rem;margin:2rem 0 .5rem}\
p{margin:.25rem 0;color:var(--quiet)}\
table{border-collapse:collapse;width:100%}\
tr:nth-child(odd){background:var(--soft)}\
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid var(--line);\
font:14px/1.5 ui-monospace,monospace}\
th{font-weight:600;white-space:nowrap;width:1%}\
td{overflow-wrap:anywhere;white-space:pre-wrap}\
i{color:var(--quiet)}";

fn page(request: &Request, variables: &[(String, String)]) -> String {
    let mut page = String::with_capacity(8192);
    let target = String::from_utf8_lossy(&request.target);
    page.push_str("<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width\">\n<title>runner: ");
    escape_markup(&mut page, &target);
    // Writing to a string cannot fail.
    let _ = writeln!(page, "</title>\n<style>{STYLE}</style>\n<h1>");
    escape_markup(&mut page, request.method.as_str());
    page.push(' ');
    escape_markup(&mut page, &target);
    page.push_str(
        "</h1>\n<p>It works. This is what an application is told about your request.</p>\n",
    );
    for (heading, belongs) in SECTIONS {
        let here = variables.iter().filter(|(name, _)| belongs(name));
        section(&mut page, heading, here);
    }
    page.push_str("</html>\n");
    page
}

fn section<'a>(
    page: &mut String,
    heading: &str,
    variables: impl Iterator<Item = &'a (String, String)>,
) {
    // Writing to a string cannot fail.
    let _ = writeln!(page, "<h2>{heading}</h2>\n<table>");
    for (name, value) in variables {
        page.push_str("<tr><th>");
        escape_markup(page, name);
        page.push_str("<td>");
        match value.as_str() {
            "" => page.push_str("<i>empty</i>"),
            value => escape_markup(page, value),
        }
        page.push('\n');
    }
    page.push_str("</table>\n");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use http::{HeaderName, HeaderValue, Method, StatusCode, header};

    use super::respond;
    use crate::interface::{Connection, Request, Response, ResponseBody};

    fn request(headers: &[(&'static str, &'static str)]) -> Request {
        Request {
            target: Bytes::from_static(b"/a%3Cb?<script>"),
            path_info: Bytes::from_static(b"/a<b"),
            query: Bytes::from_static(b"<script>"),
            headers: headers
                .iter()
                .map(|(name, value)| {
                    (
                        HeaderName::from_static(name),
                        HeaderValue::from_static(value),
                    )
                })
                .collect(),
            connection: Arc::new(Connection {
                server_name: "localhost".to_owned(),
                server_port: "8000".to_owned(),
                remote_addr: "127.0.0.1".to_owned().into(),
                remote_port: "50000".to_owned(),
                ..Connection::default()
            }),
            variables: vec![("SERVER_SOFTWARE".into(), "nginx/1.26".into())],
            ..Request::default()
        }
    }

    fn text(response: Response) -> String {
        match response.body {
            ResponseBody::Bytes(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn curl_gets_the_environ_as_sorted_lines() {
        let response = respond(&request(&[("accept", "*/*"), ("x-note", "a\tb")]));
        assert_eq!(
            text(response),
            "GATEWAY_INTERFACE=CGI/1.1\n\
             HTTP_ACCEPT=*/*\n\
             HTTP_X_NOTE=a\\tb\n\
             PATH_INFO=/a<b\n\
             QUERY_STRING=<script>\n\
             REMOTE_ADDR=127.0.0.1\n\
             REMOTE_PORT=50000\n\
             REQUEST_METHOD=GET\n\
             REQUEST_URI=/a%3Cb?<script>\n\
             SCRIPT_NAME=\n\
             SERVER_NAME=localhost\n\
             SERVER_PORT=8000\n\
             SERVER_PROTOCOL=HTTP/1.1\n\
             SERVER_SOFTWARE=nginx/1.26\n"
        );
    }

    #[test]
    fn a_browser_gets_a_page_in_which_everything_is_escaped() {
        let response = respond(&request(&[
            ("accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
            ("x-attack", "\"><img src=x onerror='alert(1)'>&"),
        ]));
        assert_eq!(
            response.headers[header::CONTENT_TYPE],
            "text/html; charset=utf-8"
        );
        let page = text(response);
        assert!(page.starts_with("<!DOCTYPE html>\n"));
        for piece in [
            "<title>runner: /a%3Cb?&lt;script&gt;</title>",
            "<tr><th>HTTP_X_ATTACK<td>&quot;&gt;&lt;img src=x onerror=&#39;alert(1)&#39;&gt;&amp;\n",
            "<tr><th>PATH_INFO<td>/a&lt;b\n",
            "<tr><th>SCRIPT_NAME<td><i>empty</i>\n",
        ] {
            assert!(page.contains(piece), "{piece} in {page}");
        }
        assert!(!page.contains("<script"), "{page}");
        assert!(!page.contains("<img"), "{page}");
    }

    #[test]
    fn other_methods_are_not_for_it() {
        let mut request = request(&[]);
        request.method = Method::DELETE;
        let response = respond(&request);
        assert_eq!(response.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers[header::ALLOW], "GET, HEAD, POST, OPTIONS");
    }
}
