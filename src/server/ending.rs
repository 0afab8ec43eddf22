//! The end of a version that served: its gateways first, then its application, within one time limit.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{timeout, timeout_at};

use crate::application::replaceable::Replaceable;
use crate::interface::Application;
use crate::server::gateway_task::GatewayTask;

/// How long a gateway has for the last responses (503, 504) of an application that has run out of time.
pub const LAST_WORDS: Duration = Duration::from_millis(500);
/// A stop that takes longer is explained.
const MOMENT: Duration = Duration::from_millis(500);

/// Waits until no gateway is left. Nothing is lost if the future is dropped.
async fn all_ended(gateways: &mut Vec<GatewayTask>) {
    while let Some(last) = gateways.last_mut() {
        last.ended().await;
        gateways.pop();
    }
}

/// Waits for the end. If that takes a moment, the log says what it waits for.
pub async fn explained(
    mut end: Pin<&mut (impl Future<Output = ()> + Send)>,
    application: &Replaceable,
    patience: Duration,
) {
    if timeout(MOMENT, &mut end).await.is_ok() {
        return;
    }
    let workers = application.status().workers;
    let web_sockets: usize = workers.iter().map(|it| it.web_sockets).sum();
    let requests: usize = workers.iter().map(|it| it.in_flight).sum();
    let count = |number: usize, what: &str| match number {
        0 => None,
        1 => Some(format!("1 {what}")),
        _ => Some(format!("{number} {what}s")),
    };
    let waits = [count(requests, "request"), count(web_sockets, "WebSocket")];
    let waits: Vec<String> = waits.into_iter().flatten().collect();
    let waits = match waits.is_empty() {
        true => "the application".to_owned(),
        false => waits.join(" and "),
    };
    crate::log!(
        "stopping: waiting for {waits}, for {} s at most (runner.stop_timeout); Ctrl-C again ends at once",
        patience.as_secs_f64()
    );
    end.await;
}

/// Waits for the end of the gateways, then ends the application. When time is over, the application ends first: it
/// answers what it has, and the gateway passes these answers on before it breaks off the rest.
pub fn finish(
    mut gateways: Vec<GatewayTask>,
    application: Arc<Replaceable>,
    patience: Duration,
) -> impl Future<Output = ()> + Send {
    let deadline = Instant::now() + patience;
    async move {
        let ended = timeout_at(deadline.into(), all_ended(&mut gateways));
        let ended = ended.await.is_ok();
        let left = deadline.saturating_duration_since(Instant::now());
        let passing_on = async {
            if !ended && timeout(LAST_WORDS, all_ended(&mut gateways)).await.is_err() {
                let patience = patience.as_secs_f64();
                crate::log_warning!(
                    "some connections did not end in {patience} s (runner.stop_timeout)"
                );
            }
            drop(gateways);
        };
        tokio::join!(application.stop(left), passing_on);
    }
}
