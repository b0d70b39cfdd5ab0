//! The crates' own benches: programs in `crates/*/benches`, without a harness.

use crate::{
    command::{self, cargo},
    workspace::{Target, Workspace},
};

/// Runs each program that there is, and only those: `cargo bench` would also run the unit tests.
pub(super) fn run() -> anyhow::Result<()> {
    for package in Workspace::load()?.packages {
        for bench in package.targets.iter().filter(|target| is_bench(target)) {
            command::run(&mut cargo([
                "bench",
                "-p",
                &package.name,
                "--bench",
                &bench.name,
            ]))?;
        }
    }
    Ok(())
}

/// Byggvir's alone.
pub(super) fn resources() -> anyhow::Result<()> {
    command::run(&mut cargo([
        "bench", "-p", "byggvir", "--bench", "sampling",
    ]))
}

/// The core's alone.
pub(super) fn hall() -> anyhow::Result<()> {
    command::run(&mut cargo([
        "bench",
        "-p",
        "gladsheim-core",
        "--bench",
        "hall",
    ]))
}

fn is_bench(target: &Target) -> bool {
    target.kind.iter().any(|kind| kind == "bench")
}
