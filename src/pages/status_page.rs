//! The page of the status: the template `status_page.html` with what [`status_view`](super::status_view) makes of a status.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use minijinja::Environment;
use minijinja::value::Serde;

use super::status_view::view;
use crate::interface::master_status::Status;

/// The name of the template, whose ending turns escaping on.
const PAGE: &str = "status_page.html";

/// The templates.
static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    let page = environment.add_template(PAGE, include_str!("status_page.html"));
    // A test makes a page of it.
    page.expect("a template without mistakes");
    environment
});

/// The page, as HTML.
pub(super) fn page(status: &Status) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0.0, |since| since.as_secs_f64());
    let page = TEMPLATES
        .get_template(PAGE)
        .and_then(|template| template.render(Serde(view(status, now))));
    // A mistake in the template would be found by any test; a page is owed all the same.
    page.unwrap_or_else(|error| format!("<main>{error}</main>"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::master_status::{
        CurrentRequest, ProgramStatus, RecentFailure, WorkerStatus,
    };

    #[test]
    fn what_clients_send_is_text_on_the_page() {
        let mut status = Status {
            workers: vec![WorkerStatus::default()],
            ..Status::default()
        };
        let hostile = "<script>alert('1')</script>&\"";
        status.workers[0].current = vec![Some(CurrentRequest {
            method: hostile.to_owned(),
            path: hostile.to_owned(),
            age: 1.0,
            answered: false,
        })];
        status.failures = vec![RecentFailure {
            at: 0.0,
            what: hostile.to_owned(),
            ..RecentFailure::default()
        }];
        status.programs = vec![ProgramStatus {
            command: hostile.to_owned(),
            down: Some(hostile.to_owned()),
            ..ProgramStatus::default()
        }];
        status.sockets = vec![hostile.to_owned()];
        let page = page(&status);
        assert!(!page.contains("<script>"), "{page}");
        assert!(!page.contains("alert('"), "{page}");
        assert_eq!(page.matches("&lt;script&gt;").count(), 7, "{page}");
        assert!(page.starts_with("<!doctype html>"), "{page}");
    }
}
