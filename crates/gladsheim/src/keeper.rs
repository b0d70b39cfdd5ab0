//! The daemon's keeper: this same program, started by a daemon with one word and a socket.
//!
//! It lives as long as services do, so it stays small: the word is understood before anything else here
//! is set up.

use std::{env, path::Path, process::ExitCode};

use gladsheim_core::thjalfi::{KeeperConfig, run_keeper};

const WORD: &str = "keeper";

/// The keeper of the hall with this state folder.
pub(crate) fn config(state_dir: &Path) -> KeeperConfig {
    KeeperConfig {
        // Whatever may lie at the program's path by now.
        program: "/proc/self/exe".into(),
        args: vec!["gladsheim".to_owned(), WORD.to_owned()],
        socket: state_dir.join("keeper"),
    }
}

/// Whether this process was started as a keeper.
pub(crate) fn is_asked_for() -> bool {
    let mut arguments = env::args_os().skip(1);
    arguments.next().is_some_and(|word| word == WORD) && arguments.next().is_none()
}

/// The keeper's whole life.
pub(crate) fn run() -> ExitCode {
    match run_keeper() {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody reads what it says; a daemon that has started it sees its end.
        Err(_) => ExitCode::FAILURE,
    }
}
