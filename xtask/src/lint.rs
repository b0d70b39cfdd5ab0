//! `cargo xtask lint`: formatting, compiler and clippy lints, documentation, dependencies.

use crate::command::{self, cargo, has_cargo};

/// Runs the linters in order of their cost; the first that complains ends it.
pub(crate) fn run() -> anyhow::Result<()> {
    command::run(&mut cargo(["fmt", "--all", "--check"]))?;
    command::run(&mut cargo([
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "--deny=warnings",
    ]))?;
    command::run(
        cargo(["doc", "--workspace", "--all-features", "--no-deps"])
            .env("RUSTDOCFLAGS", "--deny=warnings"),
    )?;
    if has_cargo("deny") {
        command::run(&mut cargo(["deny", "check", "bans", "licenses", "sources"]))?;
    } else {
        eprintln!("SKIPPED: cargo deny check: cargo-deny is not installed");
    }
    Ok(())
}
