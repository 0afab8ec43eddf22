//! The clients of the control socket: their orders, and those that wait for the result of a reload, or for the end of the
//! server.

use serde_json::json;
use tokio::sync::oneshot;

use crate::server::claim::Claimed;
use crate::supervisor::control::ReceivedOrder;
use crate::supervisor::control::order::Answer;
use crate::supervisor::programs::parent_link::ParentOrders;
use crate::supervisor::seat::Seat;

/// Where a waiting client gets its answer.
type Reply = oneshot::Sender<Answer>;

/// The clients that wait. A client that has gone away meanwhile is skipped.
#[derive(Debug, Default)]
pub struct WaitingClients {
    /// For the reload that is running.
    current: Vec<Reply>,
    /// For the next reload: the running one may have read the files before these clients asked.
    next: Vec<Reply>,
    /// For the end of this process, which each client sees when its connection is closed.
    end: Vec<Reply>,
}

impl WaitingClients {
    /// Adds a client that waits for a reload which has not begun yet.
    pub fn wait_for_reload(&mut self, reply: Reply) {
        self.next.push(reply);
    }

    /// Adds a client that waits for the end of this process.
    pub fn wait_for_end(&mut self, reply: Reply) {
        self.end.push(reply);
    }

    /// A reload begins: it answers all that asked until now.
    pub fn begin(&mut self) {
        self.current.append(&mut self.next);
    }

    /// Answers the clients that wait for the running reload: it succeeded, or it failed for this reason.
    pub fn answer(&mut self, failure: Option<&str>) {
        for reply in self.current.drain(..) {
            let _ = reply.send(match failure {
                None => Answer::Done(json!({})),
                Some(text) => Answer::Refused(reason(text).to_owned()),
            });
        }
    }

    /// Refuses all reloads that clients wait for, since the server could not be started for this reason.
    pub fn not_started(&mut self, failure: &str) {
        self.refuse(&format!("it could not be started: {}", reason(failure)));
    }

    /// Refuses all reloads that clients wait for.
    pub fn refuse(&mut self, why: &str) {
        for reply in self.current.drain(..).chain(self.next.drain(..)) {
            let _ = reply.send(Answer::Refused(why.to_owned()));
        }
    }

    /// Closes the connections of the clients that wait for the end.
    pub fn end(&mut self) {
        self.end.clear();
    }
}

/// The text of a failure without the word that the client adds itself.
fn reason(text: &str) -> &str {
    text.strip_prefix("error: ").unwrap_or(text).trim_end()
}

/// The next order from the control socket or the parent; never, if there is neither. The control socket is that of the seat
/// or, until it is taken, of the claim on it.
pub async fn next_order(
    seat: &mut Option<Seat>,
    claim: &mut Option<Claimed>,
    parent_orders: &mut Option<ParentOrders>,
) -> ReceivedOrder {
    let of_clients = async {
        match (seat, claim) {
            (Some(seat), _) => seat.next().await,
            (None, Some(claim)) => claim.next().await,
            (None, None) => std::future::pending().await,
        }
    };
    let of_parent = async {
        match parent_orders {
            Some(parent_orders) => parent_orders.next().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        asked = of_clients => asked,
        asked = of_parent => asked,
    }
}
