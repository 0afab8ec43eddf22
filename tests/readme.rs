//! README.md, tried out: its files are written, its commands run in order, and their output is compared. What README.md and
//! CONTRIBUTING.md name must exist.

mod support;

use std::net::TcpListener;

use support::{Folder, Server, project, without_times};

/// A block between lines of three backticks.
struct Block {
    language: String,
    text: String,
}

fn blocks(readme: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = readme.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let text: String = lines
                .by_ref()
                .take_while(|line| *line != "```")
                .map(|line| format!("{line}\n"))
                .collect();
            let language = language.to_owned();
            blocks.push(Block { language, text });
        }
    }
    blocks
}

/// The commands of a block, each with what it says.
fn commands(text: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), String::new())),
            (None, Some((_, output))) => output.push_str(&format!("{line}\n")),
            (None, None) => panic!("output without a command: {line}"),
        }
    }
    commands
}

fn readme() -> String {
    std::fs::read_to_string(project("README.md")).expect("the README")
}

#[test]
fn the_examples_work() {
    let text = readme();
    // Its ports may be in use here. Others must be as long: what is shown has columns.
    let text = ["8000", "8001", "8002"]
        .iter()
        .zip((8003..10_000).filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()))
        .fold(text, |text, (port, free)| {
            text.replace(port, &free.to_string())
        });
    let mut folder = Folder::new().file(".curlrc", "silent\nshow-error\nnoproxy = *\n");
    let mut servers: Vec<Server> = Vec::new();
    let mut tried = 0;
    for block in blocks(&text) {
        match block.language.as_str() {
            "python" => folder = folder.file("hello.py", block.text),
            "ini" => folder = folder.executable("hello.ini", block.text),
            "console" => {
                for (command, output) in commands(&block.text) {
                    tried += 1;
                    if let Some(name) = command.strip_prefix("cat ") {
                        folder = folder.file(name, output);
                    } else if without_times(&output).starts_with("runner: serving ") {
                        let exec = format!("exec env {command}");
                        let server = folder.program("sh", ["-c", &exec]).start();
                        assert_eq!(server.log(), without_times(&output), "{command}");
                        assert_eq!(server.get("/").ok(), "Hello, world!\n");
                        servers.push(server);
                    } else {
                        let both = format!("({command}) 2>&1");
                        let outcome = folder.program("sh", ["-c", &both]).run();
                        assert_eq!(outcome.stdout, output, "{command}");
                    }
                }
            }
            // Installation: the commands are those of the Makefile.
            "sh" => {
                for line in block.text.lines() {
                    let target = line
                        .strip_prefix("make ")
                        .and_then(|rest| rest.split(' ').next());
                    makes(target.expect("a line of make"));
                }
            }
            "systemd" => verify_unit(&block.text),
            other => panic!("what is a block of {other:?}?"),
        }
    }
    assert!(tried >= 6, "only {tried} commands were found");
    for server in servers {
        assert_eq!(server.stop().status, 0);
    }
}

/// Has systemd read a unit.
#[track_caller]
fn verify_unit(text: &str) {
    // The application's user must not be able to change its code.
    assert!(text.contains("\nRuntimeDirectory=hello\n"), "{text}");
    assert!(!text.contains("\nReadWritePaths="), "{text}");
    let unit = text.replace("/usr/local/bin/runner", env!("CARGO_BIN_EXE_runner"));
    Folder::new()
        .file("hello.service", unit)
        .program("systemd-analyze", ["verify", "--man=no", "hello.service"])
        .run()
        .is(0, "", "");
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
