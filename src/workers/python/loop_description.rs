//! What a template is told about the event loop of ASGI workers.

use crate::protocol::worker::marshal::Writer;
use crate::workers::options::{Lifespan, WorkerOptions};

/// Writes the options of `runner.asgi.*`, with the times that the application has to begin and to end; none for WSGI.
pub(super) fn describe(options: &WorkerOptions, writer: &mut Writer) {
    let Some(asgi) = &options.asgi else {
        return writer.none();
    };
    writer.dict();
    writer.string("lifespan");
    writer.string(match asgi.lifespan {
        Lifespan::Auto => "auto",
        Lifespan::On => "on",
        Lifespan::Off => "off",
    });
    writer.string("loop");
    writer.string(&asgi.event_loop);
    writer.string("concurrency");
    writer.integer(i32::try_from(asgi.concurrency).unwrap_or(i32::MAX));
    for (name, time) in [
        ("disconnect_grace", asgi.disconnect_grace),
        ("start_timeout", options.start_timeout),
        ("last_moment", options.last_moment()),
    ] {
        writer.string(name);
        writer.float(time.as_secs_f64());
    }
    writer.end_dict();
}
