//! One of several applications, whose name lines of the log about its requests have.

use std::sync::Arc;

use bytes::Bytes;

use crate::interface::{Application, Pending, Request, Response};

/// Passes requests on, with the name of the application that answers them.
pub struct NamedApplication {
    name: Arc<str>,
    application: Arc<dyn Application>,
}

impl NamedApplication {
    /// An application by its name.
    #[must_use]
    pub fn new(name: &str, application: Arc<dyn Application>) -> Self {
        Self {
            name: name.into(),
            application,
        }
    }
}

impl Application for NamedApplication {
    fn respond(self: Arc<Self>, mut request: Request) -> Pending<'static, Response> {
        if let Some(notes) = &request.notes {
            notes.set_application(&self.name);
        }
        request.application = Some(Arc::clone(&self.name));
        Arc::clone(&self.application).respond(request)
    }

    fn name_for(&self, _: &[u8], _: &Bytes) -> Option<Arc<str>> {
        Some(Arc::clone(&self.name))
    }

    fn inner(&self) -> Vec<&dyn Application> {
        vec![&*self.application]
    }
}
