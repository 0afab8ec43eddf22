//! The `runner` program: everything is in [`runner::run`].

use std::process::ExitCode;

fn main() -> ExitCode {
    runner::run::main()
}
