//! What a shell is told when somebody presses the tabulator.
//!
//! The scripts hold no lists: they call this program, with a variable in its environment, so that a completion is
//! always that of the installed version. Names of services come from the daemon, else from the hall file.

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::CommandFactory as _;
use clap_complete::{
    CompleteEnv,
    engine::{ArgValueCompleter, CompletionCandidate, PathCompleter},
    env::Shells,
};
use tokio::time::timeout;

use crate::{
    cli::{Cli, Format, Global, Remote, Shell},
    client, runtime,
};

/// In its value the scripts say which shell asks.
const VARIABLE: &str = "GLADSHEIM_COMPLETE";
const NAME: &str = "gladsheim";
/// Whoever presses a key does not wait longer for a daemon.
const PATIENCE: Duration = Duration::from_millis(500);

/// Whether this process was started by a script of ours.
pub(crate) fn is_asked_for() -> bool {
    env::var_os(VARIABLE).is_some()
}

/// Answers the script.
pub(crate) fn run() -> ExitCode {
    let arguments = env::args_os();
    let complete = CompleteEnv::with_factory(command).var(VARIABLE);
    match complete.try_complete(arguments, env::current_dir().ok().as_deref()) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if the stream is gone.
            let _ = error.print();
            ExitCode::FAILURE
        }
    }
}

/// What a shell reads once.
///
/// # Errors
///
/// None but those of the machine.
pub(crate) fn script(shell: Shell) -> io::Result<String> {
    let shell = match shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
    };
    let mut script = Vec::new();
    let shells = Shells::builtins();
    let completer = shells.completer(shell).ok_or(io::ErrorKind::Unsupported)?;
    completer.write_registration(VARIABLE, NAME, NAME, NAME, &mut script)?;
    String::from_utf8(script).map_err(io::Error::other)
}

/// The command line, with what completes its values. Only here: an ordinary command need not build it.
fn command() -> clap::Command {
    Cli::command()
        .mut_args(complete_argument)
        .mut_subcommands(|command| command.mut_args(complete_argument))
}

fn complete_argument(argument: clap::Arg) -> clap::Arg {
    let value = argument.get_value_names().and_then(|names| names.first());
    match value.map(|name| name.as_str()) {
        Some("NAME") => argument.add(ArgValueCompleter::new(services)),
        Some("FILE") => argument.add(ArgValueCompleter::new(PathCompleter::file())),
        Some("PATH") => argument.add(ArgValueCompleter::new(PathCompleter::any())),
        Some("FOLDER") => argument.add(ArgValueCompleter::new(PathCompleter::dir())),
        Some(_) | None => argument,
    }
}

/// Names that begin with what has been typed. Where nobody knows any, there are none.
fn services(typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let global = global(env::args_os().skip_while(|word| word != "--"));
    let names = known_names(&global).unwrap_or_default();
    let names = names.into_iter().filter(|name| name.starts_with(&*typed));
    names.map(CompletionCandidate::new).collect()
}

fn known_names(global: &Global) -> Option<Vec<String>> {
    let asked = async { timeout(PATIENCE, client::service_names(global)).await };
    match runtime().ok()?.block_on(asked) {
        Ok(Ok(names)) => Some(names),
        Ok(Err(_)) | Err(_) => {
            let hall = client::load_hall(global).ok()?;
            let services = hall.config.services.into_iter();
            Some(services.map(|service| service.name).collect())
        }
    }
}

/// What the words of an unfinished command line say about which hall is meant.
fn global(words: impl Iterator<Item = OsString>) -> Global {
    let mut global = Global {
        hall: None,
        socket: None,
        format: Format::default(),
        remote: Remote::default(),
    };
    let mut words = words.peekable();
    while let Some(word) = words.next() {
        for (option, place) in [
            ("--hall", &mut global.hall),
            ("--socket", &mut global.socket),
        ] {
            let value = match word.to_str().and_then(|word| word.strip_prefix(option)) {
                Some("") => words.peek().map(PathBuf::from),
                Some(rest) => rest.strip_prefix('=').map(PathBuf::from),
                None => None,
            };
            if value.is_some() {
                *place = value;
            }
        }
    }
    global
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hall_that_is_being_typed_is_the_one_that_is_asked() {
        let words = [
            "--",
            "gladsheim",
            "--hall",
            "a.toml",
            "start",
            "--socket=b.sock",
            "",
        ];
        let global = global(words.into_iter().map(OsString::from));
        assert_eq!(global.hall, Some("a.toml".into()));
        assert_eq!(global.socket, Some("b.sock".into()));
    }

    #[test]
    fn the_command_line_with_completers_is_sound() {
        command().debug_assert();
    }
}
