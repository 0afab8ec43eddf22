//! Several applications that are served together, behind one that decides which of them answers.

use std::sync::Arc;

use bytes::Bytes;

use crate::interface::master_status::Status;
use crate::interface::{Application, Pending, Request, Response};

/// Applications by name, and what is in front of them.
pub struct Site {
    front: Arc<dyn Application>,
    /// Those that have processes, each once, however many ways lead to them.
    named: Vec<(String, Arc<dyn Application>)>,
    /// The others that answer requests themselves.
    others: Vec<Arc<dyn Application>>,
}

impl Site {
    /// Applications behind a front, which leads to all of them.
    #[must_use]
    pub fn new(
        front: Arc<dyn Application>,
        named: Vec<(String, Arc<dyn Application>)>,
        others: Vec<Arc<dyn Application>>,
    ) -> Self {
        Self {
            front,
            named,
            others,
        }
    }
}

impl Application for Site {
    fn respond(self: Arc<Self>, request: Request) -> Pending<'static, Response> {
        Arc::clone(&self.front).respond(request)
    }

    fn name_for(&self, host: &[u8], path: &Bytes) -> Option<Arc<str>> {
        self.front.name_for(host, path)
    }

    /// The front is left out: what is behind it would be asked twice.
    fn inner(&self) -> Vec<&dyn Application> {
        let named = self.named.iter().map(|(_, application)| application);
        named.chain(&self.others).map(|one| &**one).collect()
    }

    /// One application needs no name.
    fn status(&self) -> Status {
        let is_one = self.named.len() == 1;
        let named = self.named.iter().map(|(name, application)| {
            let status = application.status();
            match is_one {
                true => status,
                false => status.of_application(name),
            }
        });
        let others = self.others.iter().map(|other| other.status());
        let all = named.chain(others);
        all.reduce(Status::beside).unwrap_or_default()
    }
}
