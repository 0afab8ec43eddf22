//! `invoke`: lets a `#!` line name an interpreter with arguments and find it through `PATH`.

fn main() {}
