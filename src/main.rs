//! The `runner` program: everything is in [`runner::run`].

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A request takes some twenty pieces of memory, in which the C library spends a fifth of the time: mimalloc a twentieth.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    runner::run::main()
}
