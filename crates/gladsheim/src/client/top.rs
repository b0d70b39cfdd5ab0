//! `top`: a live view of the hall.
//!
//! # Theory of operation
//!
//! Everything that happens (keys, answers, lines, signals) is an event of one pure [`model`], which says what is
//! to be done about it; [`view`] draws the model, and knows nothing else. [`run`] is the one task: it waits for
//! events, carries out what the model asks for, and draws at most twenty times a second; [`desk`] has what is
//! asked of the daemon. [`screen`] gives the
//! terminal back as it was, whatever ends the program.
//!
//! The daemon is asked once a second, and at once when its event bus tells of something. A daemon that goes away
//! leaves what was known last on the screen; the next answer that comes is that of its successor.

mod desk;
mod key;
mod model;
mod run;
mod screen;
mod sort;
mod spark;
mod view;

use std::{io::IsTerminal as _, process::ExitCode};

use super::{CliError, Session};
use crate::{
    cli::{Format, Global},
    output::Output,
};

/// `top`
pub(crate) async fn top(global: &Global, output: Output) -> Result<ExitCode, CliError> {
    if !output.terminal || !std::io::stdin().is_terminal() || output.format == Format::Json {
        return Err(CliError::NoTerminal);
    }
    let session = Session::open(global, output).await?;
    run::run(session).await
}
