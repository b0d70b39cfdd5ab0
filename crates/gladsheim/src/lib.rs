//! Gladsheim, a service supervisor for one machine: daemon and command line in one binary.
//!
//! The outermost crate: only it knows files, sockets and terminals.

pub mod hall;

mod cli;
mod client;
mod completion;
mod daemon;
mod demo;
mod import;
mod keeper;
mod manual;
mod output;

use std::process::ExitCode;

use clap::Parser as _;
use tokio::runtime::{Builder, Runtime};

use crate::{
    cli::{Cli, Command},
    client::CliError,
    output::Output,
};

/// The whole program: reads the command line of this process, does what it says, and tells how it went.
pub fn main_impl() -> ExitCode {
    if keeper::is_asked_for() {
        return keeper::run();
    }
    if completion::is_asked_for() {
        return completion::run();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return output::usage(&error),
    };
    let output = Output::new(cli.global.format);
    match run(cli, output) {
        Ok(code) => code,
        // Whoever read our output has had enough of it: `gladsheim logs | head`.
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error);
            error.exit_code()
        }
    }
}

fn run(cli: Cli, output: Output) -> Result<ExitCode, CliError> {
    let Cli { global, command } = cli;
    match command {
        Command::Up(args) => client::up(args, &global, output),
        Command::Daemon(args) => daemon(&args, &global),
        Command::Ask(ask) => runtime()?.block_on(client::ask(ask, &global, output)),
        Command::Top => runtime()?.block_on(client::top(&global, output)),
        Command::Check => client::check(&global, output),
        Command::Init(args) => client::init(args, &global, output),
        Command::Import(args) => client::import(args, &global, output),
        Command::Demo(args) => Ok(demo::run(&args)),
        Command::Completions(args) => {
            output.raw(&completion::script(args.shell)?)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Man(args) => {
            match args.dir {
                Some(folder) => manual::write(&folder).map_err(|source| CliError::NotWritten {
                    path: folder.clone(),
                    source,
                })?,
                None => output.raw(&manual::page()?)?,
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Schema => {
            output.raw(hall::SCHEMA)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Version => {
            output.version()?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// One thread is plenty for a client, and for a daemon that mostly waits.
fn runtime() -> Result<Runtime, CliError> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CliError::Runtime)
}

/// `daemon`
fn daemon(args: &cli::Daemon, global: &cli::Global) -> Result<ExitCode, CliError> {
    let handover = args.handover.map(daemon::upgrade::Numbers::take);
    let handover = handover.transpose().map_err(CliError::Handover)?;
    let program = daemon::upgrade::Program::of_this_process().map_err(CliError::Handover)?;
    let hall = client::load_hall(global)?;
    if let Some([state_dir, socket]) = args.check_handover.as_deref() {
        return client::check_handover(&hall, state_dir, socket);
    }
    client::warn_of(&hall.warnings);
    if args.detached && handover.is_none() {
        // Fails only for the leader of a process group, whom no terminal's end can take along either.
        let _ = nix::unistd::setsid();
    }
    let options = daemon::DaemonOptions {
        log: args.log.clone().or_environment()?,
        autostart: !args.detached,
        handle_signals: true,
        program: Some(program),
        handover,
        ..daemon::DaemonOptions::default()
    };
    runtime()?.block_on(daemon::run(hall, options))?;
    Ok(ExitCode::SUCCESS)
}
