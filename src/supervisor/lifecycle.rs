//! The life of a master: what happens to it, and what it does then. A pure function; the caller carries out the actions, and
//! reports how that went.

/// A phase in the life of a master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It starts the application for the first time.
    Starting {
        /// Whether a reload is wanted already.
        reload: bool,
    },
    /// It serves.
    Serving,
    /// It serves, and prepares another version beside the one that serves.
    Reloading {
        /// Whether another reload is wanted since this one began, which may have read files too early.
        again: bool,
    },
    /// It finishes requests and connections.
    Ending(Shutdown),
    /// It is over.
    Over,
}

/// A way to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// No process serves afterwards.
    Stop,
    /// Another process serves already.
    Retire,
}

/// What happens to a master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// It is told to end.
    Told(Shutdown),
    /// A user at a terminal interrupts it: the first time it ends gracefully, the second time at once.
    Interrupted,
    /// A reload is wanted.
    ReloadWanted,
    /// The same, and the reload that is running reads what is out of date, and takes long.
    Overtaken,
    /// The start or the reload is over.
    Prepared(StartResult),
    /// No request or connection is left, or their time is over.
    Finished,
}

/// How a start or a reload went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartResult {
    /// A new version of the application is ready.
    Ready,
    /// Another process, of a newer program, serves in our place.
    Succeeded,
    /// It has failed.
    Failed,
}

/// What a master does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MasterAction {
    /// Prepare a new version, and report [`Trigger::Prepared`].
    Prepare,
    /// Have the version that was prepared serve from now on.
    Switch,
    /// Report the result to those who wanted the reload that is over.
    Answer,
    /// Give up what is being prepared.
    Abandon,
    /// Report to those who wait for a reload that there will be none.
    Refuse,
    /// Begin to end, and report [`Trigger::Finished`].
    End(Shutdown),
    /// Exit: all is done.
    Leave,
    /// Exit: the start has failed.
    Fail,
    /// Exit at once.
    Drop,
}

/// What follows from a trigger: the next phase, and the actions, in this order.
#[must_use]
pub fn step(phase: Phase, trigger: Trigger) -> (Phase, &'static [MasterAction]) {
    use MasterAction::{Abandon, Answer, Fail, Leave, Prepare, Refuse, Switch};
    use Phase::{Ending, Over, Reloading, Serving, Starting};
    let stop = &[Abandon, Refuse, MasterAction::End(Shutdown::Stop)];
    let retire = &[Abandon, Refuse, MasterAction::End(Shutdown::Retire)];
    match (phase, trigger) {
        (Over, _) => (Over, &[]),

        // A master that does not serve yet has nothing to finish.
        (Starting { .. }, Trigger::Told(_) | Trigger::Interrupted) => {
            (Over, &[Abandon, Refuse, Leave])
        }
        (Starting { .. }, Trigger::ReloadWanted | Trigger::Overtaken) => {
            (Starting { reload: true }, &[])
        }
        (Starting { .. }, Trigger::Prepared(StartResult::Failed)) => (Over, &[Refuse, Fail]),
        (Starting { reload: false }, Trigger::Prepared(_)) => (Serving, &[Switch]),
        (Starting { reload: true }, Trigger::Prepared(_)) => {
            (Reloading { again: false }, &[Switch, Prepare])
        }

        (Serving, Trigger::ReloadWanted | Trigger::Overtaken) => {
            (Reloading { again: false }, &[Prepare])
        }
        (Reloading { .. }, Trigger::Overtaken) => (Reloading { again: false }, &[Abandon, Prepare]),
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
            // End first: a client that hears the answer may connect at once, and must not reach this process.
            &[MasterAction::End(Shutdown::Retire), Answer, Refuse],
        ),
        (Serving | Reloading { .. }, Trigger::Told(Shutdown::Stop) | Trigger::Interrupted) => {
            (Ending(Shutdown::Stop), stop)
        }
        (Serving | Reloading { .. }, Trigger::Told(Shutdown::Retire)) => {
            (Ending(Shutdown::Retire), retire)
        }

        (Ending(_), Trigger::Interrupted) => (Over, &[MasterAction::Drop]),
        (Ending(end), Trigger::ReloadWanted | Trigger::Overtaken) => (Ending(end), &[Refuse]),
        (Ending(Shutdown::Retire), Trigger::Told(Shutdown::Stop)) => {
            (Ending(Shutdown::Stop), &[MasterAction::End(Shutdown::Stop)])
        }
        (Ending(_), Trigger::Finished) => (Over, &[Leave]),
        // Told twice, or the result of what was given up.
        (Ending(_), Trigger::Told(_) | Trigger::Prepared(_))
        | (Serving, Trigger::Prepared(_))
        | (Starting { .. } | Serving | Reloading { .. }, Trigger::Finished) => (phase, &[]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{MasterAction, Phase, Shutdown, StartResult, Trigger, step};

    const BORN: Phase = Phase::Starting { reload: false };

    const STOP: Trigger = Trigger::Told(Shutdown::Stop);
    const RETIRE: Trigger = Trigger::Told(Shutdown::Retire);
    const READY: Trigger = Trigger::Prepared(StartResult::Ready);
    const FAILED: Trigger = Trigger::Prepared(StartResult::Failed);
    const SUCCEEDED: Trigger = Trigger::Prepared(StartResult::Succeeded);

    fn live(events: &[Trigger]) -> (Phase, Vec<MasterAction>) {
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
        use MasterAction::{Abandon, Answer, Fail, Leave, Prepare, Refuse, Switch};
        use Trigger::{Finished, Interrupted, Overtaken, ReloadWanted};
        let stop = MasterAction::End(Shutdown::Stop);
        let retire = MasterAction::End(Shutdown::Retire);
        let cases: &[(&[Trigger], &[MasterAction])] = &[
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
            (
                &[READY, ReloadWanted, ReloadWanted, Overtaken, READY],
                &[Switch, Prepare, Abandon, Prepare, Switch, Answer],
            ),
            // The second may be wanted because of files that the first had read already.
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
                &[Switch, Abandon, Refuse, stop, MasterAction::Drop],
            ),
            (
                &[READY, STOP, Interrupted],
                &[Switch, Abandon, Refuse, stop, MasterAction::Drop],
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
        fn it_can_always_be_stopped(events in prop::collection::vec(any_event(), 0..30)) {
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
                        MasterAction::Prepare => {
                            prop_assert!(!prepared);
                            prepared = true;
                        }
                        MasterAction::Switch => prop_assert!(std::mem::take(&mut prepared)),
                        MasterAction::Answer | MasterAction::Abandon => prepared = false,
                        _ => {}
                    }
                }
            }
        }
    }
}
