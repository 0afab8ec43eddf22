//! An application that answers requests itself: what is needed to start it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::application::cgi_bin::{CgiBin, CgiBinOptions};
use crate::application::demo::Demo;
use crate::application::fixed_answer::FixedAnswer;
use crate::application::send_file::{SendFolder, SendsFiles};
use crate::log::LineForm;
use crate::plan::application::imported::Imported;
use crate::plan::application::start::{Readiness, Starting};
use crate::plan::application::upstream_start;
use crate::plan::worker_options;
use crate::upstream::upstream_options::UpstreamOptions;

/// A leaf of the tree of applications.
#[derive(Debug)]
pub(super) struct Leaf {
    /// Leaves with the same are one, wherever they are named.
    pub(super) identity: String,
    /// What it is called where there are several: the route that leads to it.
    pub(super) name: String,
    /// What it is.
    pub(super) what: LeafKind,
    /// The folders whose files it can name to be sent.
    pub(super) sends: Vec<SendFolder>,
}

/// What a leaf is.
#[derive(Debug)]
pub(super) enum LeafKind {
    /// The built-in demonstration.
    Demo,
    /// The same answer for each request.
    Fixed(FixedAnswer),
    /// Servers that are asked.
    Upstream(Box<UpstreamOptions>),
    /// CGI programs.
    CgiBin(Box<CgiBinOptions>),
    /// A Python application.
    Python(Box<Imported>),
}

impl Leaf {
    /// What is imported for it, if it is a Python application.
    pub(super) fn imported(&self) -> Option<&Imported> {
        match &self.what {
            LeafKind::Python(imported) => Some(imported),
            LeafKind::Demo | LeafKind::Fixed(_) | LeafKind::Upstream(_) | LeafKind::CgiBin(_) => {
                None
            }
        }
    }

    /// The same, to be changed.
    pub(super) fn imported_mut(&mut self) -> Option<&mut Imported> {
        match &mut self.what {
            LeafKind::Python(imported) => Some(imported),
            LeafKind::Demo | LeafKind::Fixed(_) | LeafKind::Upstream(_) | LeafKind::CgiBin(_) => {
                None
            }
        }
    }

    /// Whether it has processes or servers, whose state is shown.
    pub(super) fn has_state(&self) -> bool {
        match &self.what {
            LeafKind::Python(_) | LeafKind::Upstream(_) | LeafKind::CgiBin(_) => true,
            LeafKind::Demo | LeafKind::Fixed(_) => false,
        }
    }

    /// How long its start may take, if it has processes; zero for no limit.
    pub(super) fn start_timeout(&self) -> Option<Duration> {
        match &self.what {
            LeafKind::Python(imported) => Some(imported.options.start_timeout),
            LeafKind::Upstream(options) => options
                .program()
                .map(|program| program.processes.start_timeout),
            LeafKind::Demo | LeafKind::Fixed(_) | LeafKind::CgiBin(_) => None,
        }
    }

    /// Has it start processes as one request needs them.
    pub(super) fn for_one_request(&mut self) {
        match &mut self.what {
            LeafKind::Python(imported) => {
                imported.options = worker_options::for_one_request(imported.options.clone());
            }
            LeafKind::Upstream(options) => {
                // The request starts it, if it comes here.
                options.processes.min = 0;
                options.processes.max = 1;
            }
            LeafKind::Demo | LeafKind::Fixed(_) | LeafKind::CgiBin(_) => {}
        }
    }

    /// Sets the form of its lines in the log; `is_named` if they are to name it.
    pub(super) fn log_in(&mut self, form: &LineForm, is_named: bool) {
        let application = is_named.then(|| self.name.clone());
        match &mut self.what {
            LeafKind::Python(imported) => {
                imported.options.line_form = LineForm {
                    application,
                    ..form.clone()
                };
            }
            LeafKind::Upstream(options) => options.processes.application = application,
            LeafKind::Demo | LeafKind::Fixed(_) | LeafKind::CgiBin(_) => {}
        }
    }

    /// Sets the folder for responses that are too large for memory.
    pub(super) fn keep_in(&mut self, folder: PathBuf) {
        match &mut self.what {
            LeafKind::Python(imported) => imported.options.folder = folder,
            LeafKind::Upstream(options) => options.folder = folder,
            LeafKind::CgiBin(options) => options.host.folder = folder,
            LeafKind::Demo | LeafKind::Fixed(_) => {}
        }
    }

    /// Begins to start it.
    pub(super) fn begin(&self, readiness: Readiness) -> Starting {
        self.sending(self.begin_itself(readiness))
    }

    /// Has the files sent that it names.
    fn sending(&self, starting: Starting) -> Starting {
        if self.sends.is_empty() {
            return starting;
        }
        let sends = SendsFiles::new(starting.application, self.sends.clone());
        Starting {
            application: Arc::new(sends),
            ..starting
        }
    }

    fn begin_itself(&self, readiness: Readiness) -> Starting {
        match &self.what {
            LeafKind::Python(imported) => imported.begin(readiness),
            LeafKind::Demo => Starting::ready(Arc::new(Demo)),
            LeafKind::Fixed(answer) => Starting::ready(Arc::new(answer.clone())),
            LeafKind::CgiBin(options) => {
                Starting::ready(Arc::new(CgiBin::new((**options).clone())))
            }
            LeafKind::Upstream(options) => upstream_start::begin(options, readiness),
        }
    }

    /// The application without a start, if it has processes: these are started when a request needs them.
    pub(super) fn on_demand(&self) -> Starting {
        match &self.what {
            LeafKind::Python(imported) => self.sending(Starting::ready(imported.on_demand())),
            LeafKind::Demo | LeafKind::Fixed(_) | LeafKind::Upstream(_) | LeafKind::CgiBin(_) => {
                self.begin(Readiness::First)
            }
        }
    }
}
