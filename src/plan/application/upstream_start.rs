//! The start of an application over servers.

use std::sync::Arc;

use crate::application::fastcgi::FastCgiUpstream;
use crate::application::http_upstream::HttpUpstream;
use crate::application::program_upstream::ProgramUpstream;
use crate::interface::Application;
use crate::line::failure::Failure;
use crate::plan::application::start::{Readiness, Starting};
use crate::upstream::programs::ProgramPool;
use crate::upstream::servers::Servers;
use crate::upstream::upstream_options::{UpstreamOptions, UpstreamProtocol};

/// Begins to start an application. Servers that run are asked only when there are requests; if they are processes of a
/// program, these are started.
pub(super) fn begin(options: &UpstreamOptions, readiness: Readiness) -> Starting {
    match &options.name.protocol {
        UpstreamProtocol::Http(http) => begin_over(options, readiness, |servers| {
            HttpUpstream::new(servers, options, http)
        }),
        UpstreamProtocol::FastCgi(fastcgi) => begin_over(options, readiness, |servers| {
            FastCgiUpstream::new(servers, options, fastcgi)
        }),
    }
}

/// The same where the application is made of its servers.
fn begin_over<C: Send + 'static, A: Application + 'static>(
    options: &UpstreamOptions,
    readiness: Readiness,
    application: impl FnOnce(Arc<Servers<C>>) -> A,
) -> Starting {
    let Some(program) = options.program() else {
        let addresses = options.addresses().iter().cloned();
        let servers = Servers::new(addresses, options.limits);
        return Starting::ready(Arc::new(application(servers)));
    };
    let servers = Servers::of_program(options.limits);
    let (pool, start) = ProgramPool::begin(program, options.folder.clone(), Arc::clone(&servers));
    let ready = start.ready(readiness == Readiness::All);
    Starting {
        application: Arc::new(ProgramUpstream::new(application(servers), pool)),
        ready: Box::pin(async move { ready.await.map_err(Failure::World) }),
    }
}
