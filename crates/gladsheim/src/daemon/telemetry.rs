//! The daemon's own log: lines for a person on standard error.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::filter::LevelFilter;

/// Sends the log to standard error, unless somebody else in this process has taken it already.
pub(super) fn init() {
    let taken = tracing_subscriber::fmt()
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .with_target(false)
        .with_max_level(LevelFilter::INFO)
        .try_init();
    if let Err(error) = taken {
        tracing::debug!(%error, "the log goes where it went before");
    }
}
