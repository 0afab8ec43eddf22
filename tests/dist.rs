//! What `make dist PROFILE=dev` makes of the programs under test: a wheel, its source, a Debian package. Each is installed
//! where nothing else is, runs `examples/hello`, and leaves nothing when it is removed. `make test` makes them first.
//!
//! Only root can install a Debian package; the test of that passes without a check for other users.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use support::{Folder, Program, project, python};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The package whose name begins and ends like this.
#[track_caller]
fn package(begin: &str, end: &str) -> PathBuf {
    let folder = project("target/dist-dev");
    let names = |entry: std::io::Result<fs::DirEntry>| entry.ok()?.file_name().into_string().ok();
    let mut found = fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .filter_map(names);
    let found = found.find(|name| name.starts_with(begin) && name.ends_with(end));
    folder.join(found.expect("`make dist PROFILE=dev` makes the packages"))
}

/// Serves the example, and asks it.
#[track_caller]
fn greets(program: Program) {
    let server = program.start();
    let page = server.get("/Zo%C3%AB").ok();
    assert!(page.contains("<h1>Hello, Zoë!</h1>"), "{page}");
    assert_eq!(server.stop().status, 0);
}

/// The files and links below a folder, relative to it, without compiled Python.
fn files(folder: &Path) -> BTreeSet<String> {
    let find = "find . -name __pycache__ -prune -o ! -type d -print";
    let found = Folder::new()
        .program("sh", ["-c", find])
        .current_folder(folder)
        .run();
    found
        .success()
        .lines()
        .map(|line| line.trim_start_matches("./").to_owned())
        .collect()
}

/// The pages in `man/`, such as `man1/runner.1`.
fn pages() -> BTreeSet<String> {
    let names = files(&project("man"))
        .into_iter()
        .filter(|name| !name.ends_with(".in"));
    names
        .map(|name| format!("man{}/{name}", name.rsplit('.').next().unwrap_or_default()))
        .collect()
}

/// The pages in a folder, such as `usr/share/man/`, of a list of files.
fn pages_in<'a>(folder: &str, files: impl Iterator<Item = &'a String>) -> BTreeSet<String> {
    let names = files.filter_map(|name| name.strip_prefix(folder));
    names
        .map(|name| name.trim_end_matches(".gz").to_owned())
        .collect()
}

#[test]
fn the_wheel_in_a_new_environment() {
    let folder = Folder::new().copy("examples/hello").file("which.py", WHICH);
    let environment = folder.path("env");
    // The pip of another environment works as well, and is there already.
    let venv = ["-m", "venv", "--without-pip", "env"];
    folder.program("/usr/bin/python3", venv).run().success();
    let before = files(&environment);
    let pip = |words: &[&str]| {
        folder
            .program(python(), ["-m", "pip", "--python", "env/bin/python3"])
            .arguments(words)
            .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
            .run()
    };
    let wheel = package("runner-", ".whl");
    pip(&["install", "--no-index", wheel.to_str().expect("UTF-8")]).success();

    let runner = |arguments: &[&str]| folder.program("env/bin/runner", arguments);
    runner(&["--version"])
        .run()
        .is(0, &format!("runner {VERSION}\n"), "");
    assert_eq!(folder.program("env/bin/invoke", ["--help"]).run().status, 0);
    greets(runner(&["runIni", "hello/hello.ini"]));
    let server = runner(&["serve", "WSGI", "import:which.application"]).start();
    assert_eq!(server.get("/").ok(), environment.to_str().expect("UTF-8"));
    assert_eq!(server.stop().status, 0);

    let after = files(&environment);
    assert_eq!(pages_in("share/man/", after.difference(&before)), pages());
    let is_metadata = |name: &&String| name.ends_with(".dist-info/METADATA");
    let metadata = after.difference(&before).find(is_metadata).expect("it");
    let metadata = fs::read_to_string(environment.join(metadata)).expect("our own file");
    let license = format!("License-Expression: {}", env!("CARGO_PKG_LICENSE"));
    for line in [&format!("Version: {VERSION}"), &license] {
        let is_there = metadata.lines().any(|there| there == line);
        assert!(is_there, "{line}\n{metadata}");
    }
    pip(&["uninstall", "--yes", "runner"]).success();
    assert_eq!(files(&environment), before);
}

const WHICH: &str = "\
import sys

def application(environ, start_response):
    start_response('200 OK', [])
    return [sys.prefix.encode()]
";

/// What Python and the system must be is in its name: any Python 3, and no more than the libraries of any Linux.
#[test]
fn the_wheel_is_for_any_python() {
    let wheel = package("runner-", ".whl");
    let name = wheel
        .file_name()
        .and_then(|name| name.to_str())
        .expect("UTF-8");
    assert!(
        name.starts_with(&format!("runner-{VERSION}-py3-none-manylinux")),
        "{name}"
    );
}

/// The source has all files that cargo reads, so that pip can build it.
#[test]
fn the_source_is_whole() {
    let source = package("runner-", ".tar.gz");
    let folder = Folder::new();
    let source = source.to_str().expect("UTF-8");
    folder
        .program("tar", ["xf", source, "--strip-components=1"])
        .run()
        .success();
    let packed = files(&folder.path(""));
    let read = ["src", "grammar", "benches", "man"].map(|name| {
        let below = files(&project(name)).into_iter();
        below.map(move |file| format!("{name}/{file}"))
    });
    let top = [
        "Cargo.toml",
        "Cargo.lock",
        "pyproject.toml",
        "README.md",
        "LICENSE-MIT",
    ];
    let top = top.map(str::to_owned).into_iter();
    let missing: Vec<String> = read
        .into_iter()
        .flatten()
        .chain(top)
        .filter(|name| !packed.contains(name))
        .collect();
    assert_eq!(missing, [] as [&str; 0]);
}

/// Debian's own judge of packages. Two of its rules are for what Debian itself publishes: that the first version answers a
/// request for it, and that a copyright has a year.
#[test]
fn the_debian_package_follows_debians_rules() {
    let debians = "initial-upload-closes-no-bugs,copyright-without-copyright-notice";
    Folder::new()
        .program("lintian", ["--allow-root", "--fail-on", "error,warning"])
        .arguments(["--suppress-tags", debians])
        .arguments([package("runner_", ".deb")])
        .run()
        .is(0, "", "");
}

/// A minimal Debian with Python, and nothing else of ours.
struct Debian(Folder);

impl Debian {
    /// `None` for users who cannot have one.
    fn new() -> Option<Self> {
        if !geteuid().is_root() {
            return None;
        }
        let folder = Folder::new().file("root/.keep", "");
        let archive = project("target/debian.tar");
        assert!(archive.exists(), "`make test` makes {}", archive.display());
        let unpack = [
            "--extract",
            "--numeric-owner",
            "--exclude=./dev/*",
            "--directory=root",
            "--file",
        ];
        folder
            .program("tar", unpack)
            .arguments([archive])
            .run()
            .success();
        let debian = Self(folder);
        debian.run(&["mknod", "-m", "666", "/dev/null", "c", "1", "3"]);
        Some(debian)
    }

    /// A program in it, on the network of the tests.
    fn program(&self, words: &[&str]) -> Program {
        let inside = ["--mount", "--root=root", "--wd=/", "--mount-proc"];
        self.0
            .program("unshare", inside)
            .arguments(words)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root")
            .env("DEBIAN_FRONTEND", "noninteractive")
    }

    #[track_caller]
    fn run(&self, words: &[&str]) -> String {
        self.program(words).run().success().to_owned()
    }

    fn files(&self) -> BTreeSet<String> {
        files(&self.0.path("root"))
    }
}

#[test]
fn the_debian_package_in_a_new_system() {
    let Some(debian) = Debian::new() else { return };
    fs::copy(package("runner_", ".deb"), debian.0.path("root/runner.deb")).expect("our own folder");
    let before = debian.files();
    debian.run(&["dpkg", "--install", "/runner.deb"]);

    let after = debian.files();
    let added: BTreeSet<&String> = after.difference(&before).collect();
    assert_eq!(pages_in("usr/share/man/", added.iter().copied()), pages());
    for name in [
        "usr/bin/runner",
        "usr/bin/invoke",
        "usr/lib/systemd/system/runner@.service",
        "usr/share/bash-completion/completions/runner",
        "usr/share/zsh/vendor-completions/_runner",
        "usr/share/fish/vendor_completions.d/runner.fish",
        "usr/share/doc/runner/copyright",
        "usr/share/doc/runner/changelog.gz",
    ] {
        assert!(
            added.contains(&name.to_owned()),
            "{name} is not in {added:#?}"
        );
    }
    // Nothing is started, now or at boot: that takes links there, or scripts.
    let starts = |name: &&&String| name.starts_with("etc/") || name.contains("info/runner.p");
    assert_eq!(
        added.iter().filter(starts).collect::<Vec<_>>(),
        [] as [&&String; 0]
    );

    assert_eq!(
        debian.run(&["runner", "--version"]),
        format!("runner {VERSION}\n")
    );
    greets(debian.program(&["/usr/share/doc/runner/examples/hello/hello.ini"]));

    debian.run(&["dpkg", "--purge", "runner"]);
    let left = debian.files();
    // dpkg keeps a log, and old versions of its lists.
    let is_dpkgs = |name: &&String| {
        let begins = |folder| name.starts_with(folder) && !name.contains("runner");
        begins("var/lib/dpkg/") || begins("var/log/")
    };
    let left: Vec<&String> = left
        .difference(&before)
        .filter(|name| !is_dpkgs(name))
        .collect();
    assert_eq!(left, [] as [&String; 0]);
    assert!(!debian.0.path("root/etc/runner").exists());
}

/// `make install` puts the same files in any folder; systemd takes the unit, whose applications have few rights.
#[test]
fn what_make_installs() {
    let folder = Folder::new();
    let before = files(&folder.path(""));
    let make = |target| {
        folder
            .program("make", ["-s", target, "PROFILE=dev", "-C"])
            .arguments([project("")])
            .arguments([format!("PREFIX={}", folder.path("").display())])
            .run()
            .success();
    };
    make("install-built");
    let installed = files(&folder.path(""));
    assert_eq!(pages_in("share/man/", installed.iter()), pages());
    let unit = "lib/systemd/system/runner@.service";
    let instance = unit.replace("@.", "@shop.");
    fs::copy(folder.path(unit), folder.path(&instance)).expect("our own folder");
    folder
        .program("systemd-analyze", ["verify", "--man=no", &instance])
        .run()
        .is(0, "", "");
    fs::remove_file(folder.path(instance)).expect("our own file");
    let judge = ["security", "--offline=yes", "--no-pager", "--threshold=25"];
    folder
        .program("systemd-analyze", judge)
        .arguments([unit])
        .run()
        .success();
    make("uninstall");
    assert_eq!(files(&folder.path("")), before);
}

/// The image runs as a user without rights, known by number, and each `make` in it is there.
#[test]
fn the_image_has_no_rights() {
    let text = fs::read_to_string(project("Containerfile")).expect("the Containerfile");
    let instructions: Vec<&str> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let last_stage = instructions
        .iter()
        .rposition(|line| line.starts_with("FROM "));
    let last_stage = &instructions[last_stage.expect("a stage")..];
    let users = last_stage
        .iter()
        .filter_map(|line| line.strip_prefix("USER "));
    assert_eq!(users.collect::<Vec<_>>(), ["65534:65534"]);
    let made: Vec<&str> = instructions
        .iter()
        .filter_map(|line| line.strip_prefix("RUN make ")?.split(' ').next())
        .collect();
    assert_eq!(made, ["install"]);
    let copied = |line: &&&str| line.starts_with("COPY --from=build /built/ /");
    assert_eq!(last_stage.iter().filter(copied).count(), 1);
}
