//! The files of the project: as git lists them, or planted by a test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::crate_map::CrateMap;

/// A text file of the project.
pub struct File {
    /// Its path from the top of the project, such as `src/lib.rs`.
    pub name: String,
    pub text: String,
}

/// What the rules look at.
pub struct Project {
    pub files: Vec<File>,
    /// What the Rust files below `src` declare and import.
    pub map: CrateMap,
}

impl Project {
    pub fn new(files: Vec<File>) -> Self {
        let map = CrateMap::new(&files);
        Self { files, map }
    }

    /// This project.
    pub fn here() -> Self {
        let read = |path: PathBuf| {
            let text = fs::read_to_string(root().join(&path)).ok()?;
            let name = path.to_str()?.to_owned();
            Some(File { name, text })
        };
        let files: Vec<File> = tracked().into_iter().filter_map(read).collect();
        assert!(files.iter().any(|file| file.name == "tests/tidy.rs"));
        Self::new(files)
    }

    /// A project of a few files, with offences.
    pub fn planted(files: &[(&str, &str)]) -> Self {
        let file = |&(name, text): &(&str, &str)| File {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        Self::new(files.iter().map(file).collect())
    }

    /// The text of one file; empty if there is none.
    pub fn text(&self, name: &str) -> &str {
        let file = self.files.iter().find(|file| file.name == name);
        file.map_or("", |file| &file.text)
    }

    /// The Rust files below `src`.
    pub fn source(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| is_source(&file.name))
    }
}

pub fn is_source(name: &str) -> bool {
    name.starts_with("src/") && name.ends_with(".rs")
}

/// The paths of all files that git tracks, or would if they were added; without git, of all files.
fn tracked() -> Vec<PathBuf> {
    let listing = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root())
        .output();
    match listing {
        Ok(output) if output.status.success() => output
            .stdout
            .split(|&byte| byte == 0)
            .filter(|path| !path.is_empty())
            .map(|path| PathBuf::from(String::from_utf8_lossy(path).into_owned()))
            .filter(|path| root().join(path).is_file())
            .collect(),
        _ => walk(&root()),
    }
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)
        .expect("a folder of the project")
        .flatten()
    {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            if name != "target" && name != ".git" && name != "__pycache__" {
                found.append(&mut walk(&path));
            }
        } else if let Ok(relative) = path.strip_prefix(root()) {
            found.push(relative.to_path_buf());
        }
    }
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
