//! PHP-FPM for tests.

use std::fs;
use std::path::PathBuf;

use super::{Address, Folder, Program, Server};

/// Options for PHP without the `php.ini` and the extensions of this machine, and without tight bounds for uploads.
const PLAIN: [&str; 5] = [
    "-n",
    "-d",
    "post_max_size=64M",
    "-d",
    "upload_max_filesize=64M",
];

/// The program, whose name has a version.
fn program() -> PathBuf {
    let programs = fs::read_dir("/usr/sbin").expect("a folder").flatten();
    let mut programs: Vec<_> = programs
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().contains("/php-fpm"))
        .collect();
    programs.sort();
    programs.pop().expect("`tests/install.sh` installs php-fpm")
}

/// PHP-FPM at `run/fpm.sock` with settings of its pool, and no extensions.
pub fn start_fpm(folder: &Folder, settings: &str) -> Server {
    let settings = format!("pm.max_children = 2\n{settings}");
    let socket = folder.path("run/fpm.sock");
    fpm(folder, &settings)
        .arguments(PLAIN)
        .start_at(Address::Unix(socket))
}

/// PHP-FPM at `run/fpm.sock` with settings of its pool, and the extensions that are installed.
pub fn fpm(folder: &Folder, settings: &str) -> Program {
    let pool = format!(
        "[global]\n\
         daemonize = no\n\
         error_log = /dev/stderr\n\
         log_limit = 8192\n\
         process_control_timeout = 10s\n\
         [site]\n\
         user = {}\n\
         listen = {}\n\
         pm = static\n\
         {settings}\n",
        rustix::process::geteuid().as_raw(),
        folder.path("run/fpm.sock").display()
    );
    let folder = folder.clone().file("fpm.conf", pool).file("run/keep", "");
    folder.program(program(), ["-F", "-R", "-y", "fpm.conf"])
}
