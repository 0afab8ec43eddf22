//! The life of a master: what happens to it, and what it does then. A pure function; whoever calls it does
//! what comes out, and says how that went.

/// Where a master is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It starts the application for the first time.
    Starting {
        /// Somebody wants everything read anew already.
        reload: bool,
    },
    /// It serves.
    Serving,
    /// It serves, and prepares another version beside the one that serves.
    Reloading {
        /// Somebody has asked for yet another since this one was begun: it may have read files too early.
        again: bool,
    },
    /// It finishes what is under way.
    Ending(End),
    /// There is nothing left to do.
    Over,
}

/// In which way a master ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nobody serves after it.
    Stop,
    /// Another process serves already.
    Retire,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is told to end.
    Told(End),
    /// Somebody at a terminal wants it to end: gracefully at first, at once when he has no more patience.
    Interrupted,
    /// Everything is to be read anew.
    ReloadWanted,
    /// What a reload or the start was to bring about is there, or will not be.
    Prepared(Outcome),
    /// Nothing is under way any more, or the time for it is over.
    Finished,
}

/// How a start or a reload went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A new version of the application answers.
    Ready,
    /// Another process, of a newer program, serves in our place.
    Succeeded,
    /// It went wrong.
    Failed,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Prepare a new version, and say [`Event::Prepared`].
    Prepare,
    /// Have the version that was prepared answer from now on.
    Switch,
    /// Whoever asked for the reload that is over learns how it went.
    Answer,
    /// Give up what is being prepared.
    Abandon,
    /// Whoever waits for a reload learns that there will be none.
    Refuse,
    /// Begin to end, and say [`Event::Finished`].
    End(End),
    /// Leave: all is done.
    Leave,
    /// Leave: what should have been started could not be.
    Fail,
    /// Leave at once.
    Drop,
}

/// What follows from an event: the next state, and what is to be done, in this order.
#[must_use]
pub fn step(state: State, event: Event) -> (State, &'static [Action]) {
    use Action::{Abandon, Answer, Fail, Leave, Prepare, Refuse, Switch};
    use State::{Ending, Over, Reloading, Serving, Starting};
    let stop = &[Abandon, Refuse, Action::End(End::Stop)];
    let retire = &[Abandon, Refuse, Action::End(End::Retire)];
    match (state, event) {
        (Over, _) => (Over, &[]),

        // What has not begun to serve has nothing to finish.
        (Starting { .. }, Event::Told(_) | Event::Interrupted) => (Over, &[Abandon, Refuse, Leave]),
        (Starting { .. }, Event::ReloadWanted) => (Starting { reload: true }, &[]),
        (Starting { .. }, Event::Prepared(Outcome::Failed)) => (Over, &[Refuse, Fail]),
        (Starting { reload: false }, Event::Prepared(_)) => (Serving, &[Switch]),
        (Starting { reload: true }, Event::Prepared(_)) => {
            (Reloading { again: false }, &[Switch, Prepare])
        }

        (Serving, Event::ReloadWanted) => (Reloading { again: false }, &[Prepare]),
        (Reloading { .. }, Event::ReloadWanted) => (Reloading { again: true }, &[]),
        (Reloading { again: false }, Event::Prepared(Outcome::Ready)) => {
            (Serving, &[Switch, Answer])
        }
        (Reloading { again: true }, Event::Prepared(Outcome::Ready)) => {
            (Reloading { again: false }, &[Switch, Answer, Prepare])
        }
        (Reloading { again: false }, Event::Prepared(Outcome::Failed)) => (Serving, &[Answer]),
        (Reloading { again: true }, Event::Prepared(Outcome::Failed)) => {
            (Reloading { again: false }, &[Answer, Prepare])
        }
        (Reloading { .. }, Event::Prepared(Outcome::Succeeded)) => (
            Ending(End::Retire),
            // Whoever hears of it may ask at once: nothing is accepted here by then.
            &[Action::End(End::Retire), Answer, Refuse],
        ),
        (Serving | Reloading { .. }, Event::Told(End::Stop) | Event::Interrupted) => {
            (Ending(End::Stop), stop)
        }
        (Serving | Reloading { .. }, Event::Told(End::Retire)) => (Ending(End::Retire), retire),

        (Ending(_), Event::Interrupted) => (Over, &[Action::Drop]),
        (Ending(end), Event::ReloadWanted) => (Ending(end), &[Refuse]),
        (Ending(End::Retire), Event::Told(End::Stop)) => {
            (Ending(End::Stop), &[Action::End(End::Stop)])
        }
        (Ending(_), Event::Finished) => (Over, &[Leave]),
        // Said twice; or by what has been abandoned.
        (Ending(_), Event::Told(_) | Event::Prepared(_))
        | (Serving, Event::Prepared(_))
        | (Starting { .. } | Serving | Reloading { .. }, Event::Finished) => (state, &[]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Action, End, Event, Outcome, State, step};

    const BORN: State = State::Starting { reload: false };

    const STOP: Event = Event::Told(End::Stop);
    const RETIRE: Event = Event::Told(End::Retire);
    const READY: Event = Event::Prepared(Outcome::Ready);
    const FAILED: Event = Event::Prepared(Outcome::Failed);
    const SUCCEEDED: Event = Event::Prepared(Outcome::Succeeded);

    fn live(events: &[Event]) -> (State, Vec<Action>) {
        events
            .iter()
            .fold((BORN, Vec::new()), |(state, mut done), event| {
                let (state, actions) = step(state, *event);
                done.extend_from_slice(actions);
                (state, done)
            })
    }

    #[test]
    fn lives() {
        use Action::{Abandon, Answer, Fail, Leave, Prepare, Refuse, Switch};
        use Event::{Finished, Interrupted, ReloadWanted};
        let stop = Action::End(End::Stop);
        let retire = Action::End(End::Retire);
        let cases: &[(&[Event], &[Action])] = &[
            (
                &[READY, STOP, Finished],
                &[Switch, Abandon, Refuse, stop, Leave],
            ),
            (
                &[READY, STOP, STOP, Finished],
                &[Switch, Abandon, Refuse, stop, Leave],
            ),
            (&[STOP], &[Abandon, Refuse, Leave]),
            (&[FAILED], &[Refuse, Fail]),
            (
                &[READY, ReloadWanted, READY],
                &[Switch, Prepare, Switch, Answer],
            ),
            (&[READY, ReloadWanted, FAILED], &[Switch, Prepare, Answer]),
            // The second may have been asked for because of files that the first had read already.
            (
                &[
                    READY,
                    ReloadWanted,
                    ReloadWanted,
                    ReloadWanted,
                    READY,
                    READY,
                ],
                &[Switch, Prepare, Switch, Answer, Prepare, Switch, Answer],
            ),
            (
                &[READY, ReloadWanted, ReloadWanted, FAILED, READY],
                &[Switch, Prepare, Answer, Prepare, Switch, Answer],
            ),
            (
                &[ReloadWanted, READY, READY],
                &[Switch, Prepare, Switch, Answer],
            ),
            (
                &[READY, ReloadWanted, STOP],
                &[Switch, Prepare, Abandon, Refuse, stop],
            ),
            (
                &[READY, STOP, ReloadWanted],
                &[Switch, Abandon, Refuse, stop, Refuse],
            ),
            (
                &[READY, ReloadWanted, SUCCEEDED, Finished],
                &[Switch, Prepare, retire, Answer, Refuse, Leave],
            ),
            (
                &[READY, RETIRE, STOP],
                &[Switch, Abandon, Refuse, retire, stop],
            ),
            (
                &[READY, Interrupted, Interrupted],
                &[Switch, Abandon, Refuse, stop, Action::Drop],
            ),
            (
                &[READY, STOP, Interrupted],
                &[Switch, Abandon, Refuse, stop, Action::Drop],
            ),
        ];
        for (events, actions) in cases {
            assert_eq!(&live(events).1, actions, "{events:?}");
        }
    }

    fn any_event() -> impl Strategy<Value = Event> {
        prop::sample::select(vec![
            STOP,
            RETIRE,
            READY,
            FAILED,
            SUCCEEDED,
            Event::Interrupted,
            Event::ReloadWanted,
            Event::Finished,
        ])
    }

    proptest! {
        #[test]
        fn whatever_happens_it_can_be_stopped(events in prop::collection::vec(any_event(), 0..30)) {
            let (state, _) = live(&events);
            let (state, _) = step(state, STOP);
            let (state, _) = step(state, Event::Finished);
            prop_assert_eq!(state, State::Over);
        }

        #[test]
        fn each_version_is_prepared_before_it_answers(
            events in prop::collection::vec(any_event(), 0..30),
        ) {
            let mut state = BORN;
            let mut prepared = true;
            for event in events {
                let (next, actions) = step(state, event);
                state = next;
                for action in actions {
                    match action {
                        Action::Prepare => {
                            prop_assert!(!prepared);
                            prepared = true;
                        }
                        Action::Switch => prop_assert!(std::mem::take(&mut prepared)),
                        Action::Answer | Action::Abandon => prepared = false,
                        _ => {}
                    }
                }
            }
        }
    }
}
