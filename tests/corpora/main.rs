//! What the suites of other servers ask of CGI programs, FastCGI, static files and proxies, as cases of our own: the facts, in
//! tables, each row with the file and the case that it is from. Where runner answers otherwise, the row says why.

#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code, reason = "a part of it is used here")]
#[path = "../fastcgi_upstream/fake_application.rs"]
mod fake_application;

mod cgi_cases;
mod fastcgi_cases;
mod file_cases;
mod php_cases;
mod proxy_cases;

/// A raw request or response from a text with one line for each of its lines.
fn wire(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}
