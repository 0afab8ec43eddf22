//! README.md, tried out: its files are written, its commands run in order, and their output is compared. What README.md and
//! CONTRIBUTING.md name must exist.

mod support;

use support::walkthrough::Walkthrough;
use support::{Folder, project};

fn readme() -> String {
    std::fs::read_to_string(project("README.md")).expect("the README")
}

#[test]
fn the_examples_work() {
    let walkthrough = Walkthrough::of(&readme(), |_, block| match block.language.as_str() {
        // Installation: the commands are those of the Makefile.
        "sh" => {
            for line in block.text.lines() {
                let target = line
                    .strip_prefix("make ")
                    .and_then(|rest| rest.split(' ').next());
                makes(target.expect("a line of make"));
            }
        }
        other => panic!("what is a block of {other:?}?"),
    });
    assert!(
        walkthrough.tried >= 6,
        "only {} commands were found",
        walkthrough.tried
    );
    walkthrough.stop();
}

#[track_caller]
fn makes(target: &str) {
    let makefile = std::fs::read_to_string(project("Makefile")).expect("the Makefile");
    assert!(makefile.contains(&format!("\n{target}:")), "make {target}");
}

#[test]
fn the_files_and_targets_that_it_names_exist() {
    for name in ["README.md", "CONTRIBUTING.md"] {
        let text = std::fs::read_to_string(project(name)).expect("a file of the project");
        let after = |mark: &str, end: &[char]| -> Vec<&str> {
            let rests = text.split(mark).skip(1);
            rests.filter_map(|rest| rest.split(end).next()).collect()
        };
        for link in after("](", &[')']) {
            assert!(project(link).exists(), "{name}: {link}");
        }
        for target in [after("`make ", &['`', ' ']), after("\nmake ", &['\n', ' '])].concat() {
            makes(target);
        }
        for test in after("--test ", &['`', ' ', '\n']) {
            assert!(project(&format!("tests/{test}.rs")).exists(), "{test}");
        }
        for folder in ["src/", "tests/", "fuzz/", ".ci/"] {
            for rest in after(&format!("`{folder}"), &['`', '*']) {
                let path = format!("{folder}{rest}");
                assert!(project(&path).exists(), "{name}: {path}");
            }
        }
    }
}

#[test]
fn make_finds_what_cargo_builds_wherever_others_build() {
    let folder = Folder::new().executable("cargo", "#!/bin/sh\necho \"$CARGO_TARGET_DIR\"\n");
    let cargo = format!("CARGO={}", folder.path("cargo").display());
    let here = project("");
    let built = format!("{}\n", project("target").display());
    folder
        .program("make", ["-s", "--no-print-directory", &cargo, "all", "-C"])
        .arguments([here])
        .env("CARGO_TARGET_DIR", "/elsewhere")
        .run()
        .is(0, &built, "");
}
