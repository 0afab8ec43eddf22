//! The life of a master: what happens to it, and what it does then. A pure function; whoever calls it does
//! what comes out, and says how that went.

/// Where a master is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
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
    Ending(Shutdown),
    /// There is nothing left to do.
    Over,
}

/// In which way a master ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Nobody serves after it.
    Stop,
    /// Another process serves already.
    Retire,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// It is told to end.
    Told(Shutdown),
    /// Somebody at a terminal wants it to end: gracefully at first, at once when he has no more patience.
    Interrupted,
    /// Everything is to be read anew.
    ReloadWanted,
    /// What a reload or the start was to bring about is there, or will not be.
    Prepared(StartResult),
    /// Nothing is under way any more, or the time for it is over.
    Finished,
}

/// How a start or a reload went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartResult {
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
    /// Prepare a new version, and say [`Trigger::Prepared`].
    Prepare,
    /// Have the version that was prepared answer from now on.
    Switch,
    /// Whoever asked for the reload that is over learns how it went.
    Answer,
    /// Give up what is being prepared.
    Abandon,
    /// Whoever waits for a reload learns that there will be none.
    Refuse,
    /// Begin to end, and say [`Trigger::Finished`].
    End(Shutdown),
    /// Leave: all is done.
    Leave,
    /// Leave: what should have been started could not be.
    Fail,
    /// Leave at once.
    Drop,
}

/// What follows from an event: the next state, and what is to be done, in this order.
#[must_use]
pub fn step(state: Phase, event: Trigger) -> (Phase, &'static [Action]) {
    use Action::{Abandon, Answer, Fail, Leave, Prepare, Refuse, Switch};
    use Phase::{Ending, Over, Reloading, Serving, Starting};
    let stop = &[Abandon, Refuse, Action::End(Shutdown::Stop)];
    let retire = &[Abandon, Refuse, Action::End(Shutdown::Retire)];
    match (state, event) {
        (Over, _) => (Over, &[]),

        // What has not begun to serve has nothing to finish.
        (Starting { .. }, Trigger::Told(_) | Trigger::Interrupted) => {
            (Over, &[Abandon, Refuse, Leave])
        }
        (Starting { .. }, Trigger::ReloadWanted) => (Starting { reload: true }, &[]),
        (Starting { .. }, Trigger::Prepared(StartResult::Failed)) => (Over, &[Refuse, Fail]),
        (Starting { reload: false }, Trigger::Prepared(_)) => (Serving, &[Switch]),
        (Starting { reload: true }, Trigger::Prepared(_)) => {
            (Reloading { again: false }, &[Switch, Prepare])
        }

        (Serving, Trigger::ReloadWanted) => (Reloading { again: false }, &[Prepare]),
        (Reloading { .. }, Trigger::ReloadWanted) => (Reloading { again: true }, &[]),
        (Reloading { again: false }, Trigger::Prepared(StartResult::Ready)) => {
            (Serving, &[Switch, Answer])
        }
        (Reloading { again: true }, Trigger::Prepared(StartResult::Ready)) => {
            (Reloading { again: false }, &[Switch, Answer, Prepare])
        }
        (Reloading { again: false }, Trigger::Prepared(StartResult::Failed)) => {
            (Serving, &[Answer])
        }
        (Reloading { again: true }, Trigger::Prepared(StartResult::Failed)) => {
            (Reloading { again: false }, &[Answer, Prepare])
        }
        (Reloading { .. }, Trigger::Prepared(StartResult::Succeeded)) => (
            Ending(Shutdown::Retire),
            // Whoever hears of it may ask at once: nothing is accepted here by then.
            &[Action::End(Shutdown::Retire), Answer, Refuse],
        ),
        (Serving | Reloading { .. }, Trigger::Told(Shutdown::Stop) | Trigger::Interrupted) => {
            (Ending(Shutdown::Stop), stop)
        }
        (Serving | Reloading { .. }, Trigger::Told(Shutdown::Retire)) => {
            (Ending(Shutdown::Retire), retire)
        }

        (Ending(_), Trigger::Interrupted) => (Over, &[Action::Drop]),
        (Ending(end), Trigger::ReloadWanted) => (Ending(end), &[Refuse]),
        (Ending(Shutdown::Retire), Trigger::Told(Shutdown::Stop)) => {
            (Ending(Shutdown::Stop), &[Action::End(Shutdown::Stop)])
        }
        (Ending(_), Trigger::Finished) => (Over, &[Leave]),
        // Said twice; or by what has been abandoned.
        (Ending(_), Trigger::Told(_) | Trigger::Prepared(_))
        | (Serving, Trigger::Prepared(_))
        | (Starting { .. } | Serving | Reloading { .. }, Trigger::Finished) => (state, &[]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Action, Phase, Shutdown, StartResult, Trigger, step};

    const BORN: Phase = Phase::Starting { reload: false };

    const STOP: Trigger = Trigger::Told(Shutdown::Stop);
    const RETIRE: Trigger = Trigger::Told(Shutdown::Retire);
    const READY: Trigger = Trigger::Prepared(StartResult::Ready);
    const FAILED: Trigger = Trigger::Prepared(StartResult::Failed);
    const SUCCEEDED: Trigger = Trigger::Prepared(StartResult::Succeeded);

    fn live(events: &[Trigger]) -> (Phase, Vec<Action>) {
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
        use Trigger::{Finished, Interrupted, ReloadWanted};
        let stop = Action::End(Shutdown::Stop);
        let retire = Action::End(Shutdown::Retire);
        let cases: &[(&[Trigger], &[Action])] = &[
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

    fn any_event() -> impl Strategy<Value = Trigger> {
        prop::sample::select(vec![
            STOP,
            RETIRE,
            READY,
            FAILED,
            SUCCEEDED,
            Trigger::Interrupted,
            Trigger::ReloadWanted,
            Trigger::Finished,
        ])
    }

    proptest! {
        #[test]
        fn whatever_happens_it_can_be_stopped(events in prop::collection::vec(any_event(), 0..30)) {
            let (state, _) = live(&events);
            let (state, _) = step(state, STOP);
            let (state, _) = step(state, Trigger::Finished);
            prop_assert_eq!(state, Phase::Over);
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
