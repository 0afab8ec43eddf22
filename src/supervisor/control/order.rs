//! What is said on the control socket: orders, and what they are answered.

use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Map, Value as Json, json};

use crate::supervisor::notify::Manager;
use crate::unix::MOST_DESCRIPTORS;

/// How often a client that waits gets an empty line, which says that its order is still worked on.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(1);

/// What a master can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Say how things are.
    Status,
    /// End gracefully. Not answered but by the end of the connection, when the process ends.
    Stop,
    /// Read everything anew; answered when that has gone well or not.
    Reload,
    /// Hand over the listening sockets to a successor. A master that is ending already does not answer but by its
    /// end.
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

    /// As a line, with its end.
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
    /// Its socket URL, as it was configured.
    pub url: String,
    /// Its descriptors: a host may have several addresses.
    pub descriptors: Vec<OwnedFd>,
}

/// All that a successor is given.
#[derive(Debug, Default)]
pub struct Handover {
    /// The listening sockets. They are duplicates, so that the master goes on accepting on its own until it is told to
    /// retire.
    pub sockets: Vec<HandedSocket>,
    /// The service manager that the master speaks with.
    pub manager: Option<Manager>,
}

/// What an order is answered.
#[derive(Debug)]
pub enum Answer {
    /// It is done; what there is to say about it.
    Done(Json),
    /// It cannot be done, or has failed; why.
    Refused(String),
    /// That of a handover.
    Sockets(Handover),
}

/// An answer as JSON, and the sockets that go with it.
pub(crate) fn encode(answer: Answer) -> (Json, Vec<HandedSocket>) {
    match answer {
        Answer::Done(done) => (json!({ "done": done }), Vec::new()),
        Answer::Refused(reason) => (json!({ "refused": reason }), Vec::new()),
        Answer::Sockets(Handover { sockets, manager }) => {
            let count: usize = sockets.iter().map(|one| one.descriptors.len()).sum();
            if count > MOST_DESCRIPTORS {
                let reason = format!("{count} sockets are more than can be handed over");
                return (json!({ "refused": reason }), Vec::new());
            }
            let one = |one: &HandedSocket| {
                let mut object = Map::new();
                object.insert("url".to_owned(), json!(one.url));
                object.insert("descriptors".to_owned(), json!(one.descriptors.len()));
                Json::Object(object)
            };
            let list: Vec<Json> = sockets.iter().map(one).collect();
            (json!({ "sockets": list, "manager": manager }), sockets)
        }
    }
}

/// What was written by [`encode`], put together again with the descriptors that came with it.
pub(crate) fn decode(line: &[u8], descriptors: Vec<OwnedFd>) -> anyhow::Result<Answer> {
    let mut json: Json = serde_json::from_slice(line).context("the master's answer is no JSON")?;
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
        // One of an earlier version does not say it.
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

    /// Bytes, and what begins as if it made sense.
    fn line() -> impl Strategy<Value = Vec<u8>> {
        let text = r#"\{"(order|done|refused|sockets|manager)": ?([\[\]{}",:0-9a-z -]{0,60}|"(status|stop)"\}|\[\{"url":"a","descriptors":[0-9]{1,30}\}\]\})"#;
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            text.prop_map(String::into_bytes),
        ]
    }

    proptest! {
        #[test]
        fn whatever_somebody_says_is_an_order_or_none(line in line()) {
            if let Ok(order) = Order::parse(&line) {
                prop_assert_eq!(Order::parse(order.line().as_bytes()), Ok(order));
            }
        }

        #[test]
        fn whatever_a_master_says_is_an_answer_or_none(line in line(), count in 0_usize..4) {
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
            let (json, handed) = encode(Answer::Sockets(given));
            let sent = handed.into_iter().flat_map(|one| one.descriptors).collect();
            let Ok(Answer::Sockets(got)) = decode(json.to_string().as_bytes(), sent) else {
                panic!("no sockets: {json}");
            };
            let got = got.sockets.into_iter().map(|one| (one.url, one.descriptors.len()));
            prop_assert_eq!(got.collect::<Vec<_>>(), urls);
        }
    }

    #[test]
    fn what_is_nested_without_end_is_no_order() {
        let deep = "[".repeat(1 << 20);
        assert!(Order::parse(deep.as_bytes()).is_err());
        assert!(decode(deep.as_bytes(), Vec::new()).is_err());
    }
}
