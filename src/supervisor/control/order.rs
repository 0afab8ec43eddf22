//! The messages on the control socket: orders and their answers.

use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value as Json, json};

use crate::supervisor::notify::Manager;
use crate::unix::MOST_DESCRIPTORS;

/// The interval of the empty lines that tell a client that its order is still worked on.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(1);

/// An order to a master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Report the status.
    Status,
    /// End gracefully. The answer is the end of the connection, when the process ends.
    Stop,
    /// Reread the configuration and reload the application; answered when that has succeeded or failed.
    Reload,
    /// Hand over the listening sockets to a successor. From a master that is ending already, the answer is the end of the
    /// connection.
    Handover,
}

impl Order {
    const ALL: [Self; 4] = [Self::Status, Self::Stop, Self::Reload, Self::Handover];

    /// Its name in the protocol.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Stop => "stop",
            Self::Reload => "reload",
            Self::Handover => "handover",
        }
    }

    /// The order as a line.
    pub(crate) fn line(self) -> String {
        format!("{}\n", json!({ "order": self.name() }))
    }

    pub(crate) fn parse(line: &[u8]) -> Result<Self, String> {
        let order: Json = serde_json::from_slice(line)
            .map_err(|_| "an order is a JSON object on a line".to_owned())?;
        let name = order["order"].as_str().unwrap_or_default();
        Self::ALL
            .into_iter()
            .find(|order| order.name() == name)
            .ok_or_else(|| format!("there is no order `{}`", name.escape_debug()))
    }
}

/// A listening socket that is handed over.
#[derive(Debug)]
pub struct HandedSocket {
    /// Its socket URL, as configured.
    pub url: String,
    /// Its descriptors: a host can have several addresses.
    pub descriptors: Vec<OwnedFd>,
}

/// What a successor gets.
#[derive(Debug, Default)]
pub struct Handover {
    /// Duplicates of the listening sockets: the master goes on accepting connections until it is told to retire.
    pub sockets: Vec<HandedSocket>,
    /// The master's service manager.
    pub manager: Option<Manager>,
}

/// The answer to an order.
#[derive(Debug)]
pub enum Answer {
    /// The order was carried out, with this result.
    Done(Json),
    /// The order cannot be carried out, or has failed, for this reason.
    Refused(String),
    /// The answer to [`Order::Handover`].
    Sockets(Handover),
}

/// An answer as a line, and the descriptors to send with it.
pub(crate) fn encode(answer: Answer) -> (String, Vec<OwnedFd>) {
    let refused = |reason: String| json!({ "refused": reason });
    let (json, descriptors) = match answer {
        Answer::Done(done) => (json!({ "done": done }), Vec::new()),
        Answer::Refused(reason) => (refused(reason), Vec::new()),
        Answer::Sockets(Handover { sockets, manager }) => {
            let one = |one: &HandedSocket| json!({ "url": one.url, "descriptors": one.descriptors.len() });
            let list: Vec<Json> = sockets.iter().map(one).collect();
            let descriptors = sockets.into_iter().flat_map(|one| one.descriptors);
            let descriptors: Vec<OwnedFd> = descriptors.collect();
            match descriptors.len() {
                ..=MOST_DESCRIPTORS => {
                    (json!({ "sockets": list, "manager": manager }), descriptors)
                }
                count => (
                    refused(format!("{count} sockets are more than can be handed over")),
                    Vec::new(),
                ),
            }
        }
    };
    (format!("{json}\n"), descriptors)
}

/// Reads what [`encode`] wrote, and the descriptors that came with it.
pub(crate) fn decode(line: &[u8], descriptors: Vec<OwnedFd>) -> anyhow::Result<Answer> {
    let mut json: Json = serde_json::from_slice(line).context("the master's answer is not JSON")?;
    if let Some(reason) = json["refused"].as_str() {
        return Ok(Answer::Refused(reason.to_owned()));
    }
    if let Some(list) = json["sockets"].as_array() {
        let mut descriptors = descriptors.into_iter();
        let mut sockets = Vec::new();
        for one in list {
            let count = one["descriptors"].as_u64().unwrap_or_default();
            let handed = HandedSocket {
                url: one["url"].as_str().unwrap_or_default().to_owned(),
                descriptors: descriptors.by_ref().take(usize::try_from(count)?).collect(),
            };
            if handed.descriptors.len() as u64 != count {
                bail!("the master has sent fewer sockets than it says");
            }
            sockets.push(handed);
        }
        // A master of an earlier version does not send it.
        let manager = serde_json::from_value(json["manager"].take()).unwrap_or_default();
        return Ok(Answer::Sockets(Handover { sockets, manager }));
    }
    match json.get_mut("done") {
        Some(done) => Ok(Answer::Done(done.take())),
        None => bail!("the master's answer makes no sense"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use proptest::prelude::*;

    use super::*;

    fn descriptors(count: usize) -> Vec<OwnedFd> {
        let device = || File::open("/dev/null").expect("a device").into();
        (0..count).map(|_| device()).collect()
    }

    /// Any bytes, and the beginnings of proper lines.
    fn line() -> impl Strategy<Value = Vec<u8>> {
        let text = r#"\{"(order|done|refused|sockets|manager)": ?([\[\]{}",:0-9a-z -]{0,60}|"(status|stop)"\}|\[\{"url":"a","descriptors":[0-9]{1,30}\}\]\})"#;
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            text.prop_map(String::into_bytes),
        ]
    }

    proptest! {
        #[test]
        fn any_line_is_an_order_or_refused(line in line()) {
            if let Ok(order) = Order::parse(&line) {
                prop_assert_eq!(Order::parse(order.line().as_bytes()), Ok(order));
            }
        }

        #[test]
        fn any_line_is_an_answer_or_an_error(line in line(), count in 0_usize..4) {
            if let Ok(Answer::Sockets(handover)) = decode(&line, descriptors(count)) {
                let got = handover.sockets.iter().map(|one| one.descriptors.len()).sum::<usize>();
                prop_assert!(got <= count);
            }
        }

        #[test]
        fn an_answer_arrives_as_it_was_given(
            urls in prop::collection::vec((".{0,20}", 0_usize..4), 0..5),
        ) {
            let sockets = urls.iter().map(|(url, count)| HandedSocket {
                url: url.clone(),
                descriptors: descriptors(*count),
            });
            let given = Handover { sockets: sockets.collect(), manager: None };
            let (line, sent) = encode(Answer::Sockets(given));
            let Ok(Answer::Sockets(got)) = decode(line.as_bytes(), sent) else {
                panic!("no sockets: {line}");
            };
            let got = got.sockets.into_iter().map(|one| (one.url, one.descriptors.len()));
            prop_assert_eq!(got.collect::<Vec<_>>(), urls);
        }
    }

    #[test]
    fn deep_nesting_is_an_error() {
        let deep = "[".repeat(1 << 20);
        assert!(Order::parse(deep.as_bytes()).is_err());
        assert!(decode(deep.as_bytes(), Vec::new()).is_err());
    }
}
