//! How long configuration takes: a bundle of 100 000 settings in 100 files, and an ordinary file. A figure above its
//! limit ends the run with an error, after all measurements.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use runner::config::{Configuration, Layer};
use tempfile::TempDir;

const FILES: usize = 100;

/// For reading the large bundle and looking up one property.
const MOST_TIME: Duration = Duration::from_secs(1);
const MOST_MEMORY: u64 = 200 << 20;
/// The ratio of the time for the large bundle to that for a tenth of it.
const MOST_GROWTH: f64 = 12.0;
const MOST_LOOKUP: Duration = Duration::from_micros(2);
const MOST_START: Duration = Duration::from_millis(5);

/// The property that is looked up; it depends on others, in other files.
const ASKED: &str = "part42.service3.summary";

/// Writes a bundle: a file that includes `FILES` others, each with this many settings of all kinds, 105 bytes each on
/// average. Returns the path of the first file.
fn bundle(folder: &Path, settings: usize) -> PathBuf {
    let mut main = "#!/usr/bin/env -S runner runIni\n\n[Load Settings From]\n".to_owned();
    for file in 0..FILES {
        writeln!(main, "file = 'part{file}.ini', 'part{file}.*'").expect("a string");
        fs::write(folder.join(format!("part{file}.ini")), part(file, settings)).expect("a part");
    }
    let path = folder.join("bundle.ini");
    fs::write(&path, main).expect("the bundle");
    path
}

/// One file of a bundle, with eight settings per section.
fn part(file: usize, settings: usize) -> String {
    let mut text = format!("# part {file} of a bundle that was generated\n");
    for section in 0..settings / 8 {
        write!(
            text,
            "\n# what the service with the number {section} is told when it starts: nothing that it could know by itself,\n\
             # and nothing that another file says better; whoever changes this, changes it in every part that has something like it\n\
             [service{section}]\n\
             title = 'the service number {section} of part {file}, which has a title of quite some length, as titles in real files often have'\n\
             port = {}\n\
             enabled = True\n\
             url = \"http://service{section}.part{file}.example.com:8080/with/a/path?and=a&query=of-some-length\"\n\
             timeout = 1.5 * 60  # a minute and a half\n\
             hosts = ['one.example.com', 'two.example.com', 'three.example.com', 'four.example.com']\n\
             limits = {{\n    'requests': 1000, 'bytes': 64 * 1024,\n    # a comment in between\n    \
             'names': ('first', 'second', 'third'),\n  }}\n\
             summary = '%s on port %d' % (config.lookup(targetObj, 'part{}.service{section}.title'), config.lookup(targetObj, rulePrefix + 'port'))\n",
            1024 + section,
            (file + 1) % FILES,
        )
        .expect("a string");
    }
    text
}

/// Reads a bundle and looks up one property.
fn read(path: &Path) -> Configuration {
    let configuration = Configuration::load(&[Layer::File(path.to_owned())])
        .unwrap_or_else(|mistakes| panic!("{}", mistakes.0[0]));
    let value = configuration.get(ASKED).expect("no mistake");
    let value = value.expect("the property is set");
    assert!(
        value
            .as_str()
            .is_some_and(|text| text.ends_with(" on port 1027"))
    );
    configuration
}

/// The shortest of a few runs, since other processes may use the machine. The results are dropped outside of the time.
fn shortest<T>(runs: usize, mut run: impl FnMut() -> T) -> Duration {
    let times = (0..runs).map(|_| {
        let started = Instant::now();
        let made = run();
        let time = started.elapsed();
        drop(made);
        time
    });
    times.min().unwrap_or_default()
}

/// The peak memory of this process in bytes; `None` if the system does not tell.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

fn size(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).expect("the bundle's folder");
    files
        .map(|file| {
            file.and_then(|file| file.metadata())
                .map_or(0, |data| data.len())
        })
        .sum()
}

fn start(folder: &Path) {
    let status = Command::new(env!("CARGO_BIN_EXE_runner"))
        .args(["-c", "app.ini", "true"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .status()
        .expect("runner");
    assert!(status.success());
}

fn new_folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn configuration(criterion: &mut Criterion) {
    let (small, large, ordinary) = (new_folder(), new_folder(), new_folder());
    let small_path = bundle(small.path(), 10_000 / FILES);
    let large_path = bundle(large.path(), 100_000 / FILES);
    let bytes = size(large.path());
    assert!(bytes >= 10 << 20, "the bundle has only {bytes} bytes");
    let text = "app = commands.Alias(command=['serve', 'WSGI', 'import:hello.application'])\n\n\
                [runner.workers]\nmin = 2\nthreads = 4\n";
    fs::write(ordinary.path().join("app.ini"), text).expect("an ordinary file");

    let read_large = shortest(3, || read(&large_path));
    let memory = peak_memory();
    let read_small = shortest(10, || read(&small_path));
    let loaded = read(&large_path);
    let lookup = shortest(10, || {
        for _ in 0..1000 {
            std::hint::black_box(loaded.get(ASKED).expect("no mistake"));
        }
    }) / 1000;
    let starting = shortest(20, || start(ordinary.path()));
    let growth = read_large.as_secs_f64() / read_small.as_secs_f64();
    println!(
        "reading {} MiB: {read_large:?}, {growth:.1} times a tenth of it",
        bytes >> 20
    );
    println!("most memory: {} MiB", memory.unwrap_or_default() >> 20);
    println!("a lookup: {lookup:?}; `runner true`: {starting:?}");
    let mut over = String::new();
    for (what, is) in [
        ("reading takes too long", read_large > MOST_TIME),
        ("memory", memory.is_some_and(|memory| memory > MOST_MEMORY)),
        ("time grows faster than size", growth > MOST_GROWTH),
        ("a lookup takes too long", lookup > MOST_LOOKUP),
        ("starting takes too long", starting > MOST_START),
    ] {
        if is {
            writeln!(over, "over its limit: {what}").expect("a string");
        }
    }
    let mut group = criterion.benchmark_group("configuration");
    group.sample_size(10);
    group.bench_function("read 100 000 settings", |bencher| {
        bencher.iter(|| read(&large_path));
    });
    group.bench_function("read 10 000 settings", |bencher| {
        bencher.iter(|| read(&small_path));
    });
    group.bench_function("look a property up", |bencher| {
        bencher.iter(|| loaded.get(ASKED));
    });
    group.bench_function("runner true", |bencher| {
        bencher.iter(|| start(ordinary.path()));
    });
    group.finish();
    assert!(over.is_empty(), "{over}");
}

criterion_group!(benches, configuration);
criterion_main!(benches);
