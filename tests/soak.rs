//! `make soak-site` for some seconds: a whole site under load, while it is reloaded and its processes are killed.

mod support;

use support::{Folder, project};

#[test]
fn a_site_loses_nothing_but_what_a_killed_process_had_begun() {
    let outcome = Folder::new()
        .program("python3", [project("benches/soak_site.py")])
        .arguments(["--runner", env!("CARGO_BIN_EXE_runner")])
        .arguments(["--seconds", "8", "--clients", "2"])
        .run();
    assert!(outcome.status == 0, "{outcome:#?}");
    assert!(
        outcome.stdout.ends_with("all is well\n"),
        "{}",
        outcome.stdout
    );
}
