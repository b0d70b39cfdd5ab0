//! The workspace's own commands: `cargo xtask VERB`.
//!
//! One verb, one file. A verb is a plain function that echoes each command line before it runs it
//! and fails with a message that stands alone, so CI runs exactly what a developer runs. Nothing
//! here imports a project crate: what has to speak to the daemon is a program of the package
//! `gladsheim-tests`, and the verbs start it.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "talking to a terminal is all that this program does"
)]

mod api;
mod bench;
mod ci;
mod codegen;
mod command;
mod dist;
mod lint;
mod release_check;
mod session;
mod table;
mod test;
mod tidy;
mod vm_test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Gladsheim's development commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Check formatting, lints, documentation and, where cargo-deny is installed, dependencies
    Lint,
    /// Run unit, crate, doc and black-box tests
    Test(test::Args),
    /// Run the tests that need all cgroup controllers, in a virtual machine
    VmTest(vm_test::Args),
    /// Check the house rules that no compiler knows
    Tidy,
    /// Measure, and print the figures beside their targets
    Bench(bench::Args),
    /// Generate the committed gRPC code from the .proto file
    Codegen(codegen::Args),
    /// Write down the public API of each library
    Api(api::Args),
    /// Build a static binary, and a Debian package with all that belongs to it
    Dist(dist::Args),
    /// Check that each crate could be published as it stands
    ReleaseCheck(release_check::Args),
    /// Run everything that has to pass before a change goes in
    Ci,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().verb {
        Verb::Lint => lint::run(),
        Verb::Test(args) => test::run(&args),
        Verb::VmTest(args) => vm_test::run(&args),
        Verb::Tidy => tidy::run(),
        Verb::Bench(args) => bench::run(&args),
        Verb::Codegen(args) => codegen::run(&args),
        Verb::Api(args) => api::run(&args),
        Verb::Dist(args) => dist::run(&args),
        Verb::ReleaseCheck(args) => release_check::run(&args),
        Verb::Ci => ci::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
