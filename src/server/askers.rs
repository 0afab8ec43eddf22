//! Those who have given a server an order and wait for what comes of it.

use serde_json::json;
use tokio::sync::oneshot;

use crate::supervisor::control::order::Answer;

/// Somebody who waits.
type Asker = oneshot::Sender<Answer>;

/// Those who wait. Whoever has gone away meanwhile need not be told.
#[derive(Debug, Default)]
pub struct Askers {
    /// For the reload that is under way.
    current: Vec<Asker>,
    /// For the next one: what is under way may have read the files too early for them.
    next: Vec<Asker>,
    /// For our end, of which they learn when their connection is closed.
    end: Vec<Asker>,
}

impl Askers {
    /// Somebody waits for a reload that begins from now on.
    pub fn wait_for_reload(&mut self, asker: Asker) {
        self.next.push(asker);
    }

    /// Somebody waits for our end.
    pub fn wait_for_end(&mut self, asker: Asker) {
        self.end.push(asker);
    }

    /// A reload begins.
    pub fn begin(&mut self) {
        self.current.append(&mut self.next);
    }

    /// It has gone well, or it has not, for this reason.
    pub fn answer(&mut self, failure: Option<&str>) {
        for asker in self.current.drain(..) {
            let _ = asker.send(match failure {
                None => Answer::Done(json!({})),
                Some(text) => {
                    // Whoever is told says himself that it is an error.
                    let text = text.strip_prefix("error: ").unwrap_or(text);
                    Answer::Refused(text.trim_end().to_owned())
                }
            });
        }
    }

    /// There will be no reload.
    pub fn refuse(&mut self, why: &str) {
        for asker in self.current.drain(..).chain(self.next.drain(..)) {
            let _ = asker.send(Answer::Refused(why.to_owned()));
        }
    }

    /// We have ended, as far as they are concerned.
    pub fn end(&mut self) {
        self.end.clear();
    }
}
