//! Which process reaps the children of a process.

use std::io::ErrorKind;
use std::process::{Child, Command};
use std::thread;

use runner::{children, unix};

/// A program that cannot be executed is a child, too, for a moment: until the code that starts it has waited for it.
#[test]
fn a_process_that_is_starting_is_not_reaped() {
    let start = |program: &str| {
        let mut command = Command::new(program);
        unix::signal_as_orphan(&mut command, 15);
        children::start(|| command.spawn(), |child: &Child| Some(child.id()))
    };
    let starter = thread::spawn(move || {
        for _ in 0..200 {
            let error = start("/nowhere/at/all").expect_err("there is no such program");
            assert_eq!(error.kind(), ErrorKind::NotFound);
            let (mut child, awaited) = start("true").expect("a program");
            assert!(child.wait().expect("it is ours to wait for").success());
            drop(awaited);
        }
    });
    while !starter.is_finished() {
        children::bury_orphans();
    }
    starter.join().expect("each start succeeds or says why not");
}
