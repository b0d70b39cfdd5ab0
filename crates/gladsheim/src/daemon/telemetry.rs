//! The daemon's own log: where it goes, how a line of it looks, and how much of it there is.
//!
//! Lines go to standard error. There they are text for a person, for the journal (its priorities, no times of
//! their own), or JSON; what it is shows by itself, unless somebody says so. How much is told can be
//! changed while the daemon runs. Values of environment variables and arguments of services are never
//! logged, at no level.

mod format;
mod level;

use std::{
    env,
    fs::File,
    io::{self, IsTerminal as _, stderr},
    os::fd::{AsFd as _, BorrowedFd},
    sync::{Mutex, OnceLock},
};

use nix::sys::stat::fstat;
use tracing_subscriber::{
    Layer as _, Registry, layer::SubscriberExt as _, reload, util::SubscriberInitExt as _,
};

pub(crate) use self::{
    format::{Format, messages},
    level::{LevelError, Levels},
};

/// What whoever runs the daemon asks for; `None` where nobody does.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct LogOptions {
    /// How lines of the log look [env: GLADSHEIM_LOG_FORMAT] [default: journal where the log goes there, else text]
    #[arg(id = "log-format", long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,
    /// What the log tells: a level, TARGET=LEVEL, several with commas [env: GLADSHEIM_LOG] [default: info]
    #[arg(id = "log-level", long, value_name = "LEVEL")]
    pub(crate) levels: Option<Levels>,
}

/// Names of the environment variables that stand for options that are not given.
const FORMAT_VARIABLE: &str = "GLADSHEIM_LOG_FORMAT";
const LEVEL_VARIABLE: &str = "GLADSHEIM_LOG";

/// A variable of the environment that says something else than it can.
#[derive(Debug, thiserror::Error)]
#[error("{variable}={value}: {reason}")]
pub(crate) struct VariableError {
    variable: &'static str,
    value: String,
    reason: String,
}

impl LogOptions {
    /// These options; where they are silent, what the environment says.
    ///
    /// # Errors
    ///
    /// If the environment says something that is no format or no level.
    pub(crate) fn or_environment(self) -> Result<Self, VariableError> {
        Ok(Self {
            format: match self.format {
                Some(format) => Some(format),
                None => variable(FORMAT_VARIABLE, |text| {
                    <Format as clap::ValueEnum>::from_str(text, false)
                })?,
            },
            levels: match self.levels {
                Some(levels) => Some(levels),
                None => variable(LEVEL_VARIABLE, |text| {
                    text.parse().map_err(|error: LevelError| error.to_string())
                })?,
            },
        })
    }
}

fn variable<T>(
    variable: &'static str,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, VariableError> {
    let Some(value) = env::var_os(variable).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let value = value.to_string_lossy().into_owned();
    match read(&value) {
        Ok(read) => Ok(Some(read)),
        Err(reason) => Err(VariableError {
            variable,
            value,
            reason,
        }),
    }
}

/// Changes what is told. There is one log in a process, so there is one of these.
struct Dial {
    levels: Mutex<Levels>,
    handle: reload::Handle<tracing_subscriber::filter::Targets, Registry>,
}

static DIAL: OnceLock<Dial> = OnceLock::new();

/// The log is somebody else's in this process.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the log of this process belongs to the program that embeds the daemon")]
pub(crate) struct NotOurs;

/// Sends the log to standard error, unless the log has been taken in this process already.
pub(crate) fn init(options: LogOptions) {
    let format = options.format.unwrap_or_else(|| {
        if is_journal(stderr().as_fd()) {
            Format::Journal
        } else {
            Format::Text
        }
    });
    take(format, options.levels, stderr().is_terminal(), stderr);
}

/// Sends the log into a file, unless the log has been taken in this process already.
pub(crate) fn init_into(file: File, options: LogOptions) {
    let format = options.format.unwrap_or(Format::Text);
    take(format, options.levels, false, Mutex::new(file));
}

fn take(
    format: Format,
    levels: Option<Levels>,
    colors: bool,
    writer: impl for<'a> tracing_subscriber::fmt::MakeWriter<'a> + Send + Sync + 'static,
) {
    let levels = levels.unwrap_or_default();
    let (filter, handle) = reload::Layer::new(levels.targets());
    let lines = format::layer(format, colors && format == Format::Text, writer);
    let taken = tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .try_init();
    match taken {
        Ok(()) => {
            let levels = Mutex::new(levels);
            // Whoever takes the log is the first to set the dial.
            let _ = DIAL.set(Dial { levels, handle });
        }
        Err(error) => tracing::debug!(%error, "the log goes where it went before"),
    }
}

/// What is told at present.
///
/// # Errors
///
/// `NotOurs`.
pub(crate) fn levels() -> Result<Levels, NotOurs> {
    let dial = DIAL.get().ok_or(NotOurs)?;
    Ok(lock(&dial.levels).clone())
}

/// Changes what is told, at once.
///
/// # Errors
///
/// `NotOurs`.
pub(crate) fn set_levels(levels: Levels) -> Result<(), NotOurs> {
    let dial = DIAL.get().ok_or(NotOurs)?;
    let mut present = lock(&dial.levels);
    dial.handle.reload(levels.targets()).map_err(|_| NotOurs)?;
    *present = levels;
    Ok(())
}

fn lock(levels: &Mutex<Levels>) -> std::sync::MutexGuard<'_, Levels> {
    levels
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Whether the other end is the system's journal, as `systemd.exec(5)` has it: `$JOURNAL_STREAM` is set to the
/// device and inode of the descriptor. The variable alone is inherited by everybody.
fn is_journal(descriptor: BorrowedFd<'_>) -> bool {
    let Ok(stream) = env::var("JOURNAL_STREAM") else {
        return false;
    };
    let found = fstat(descriptor).map_err(io::Error::from);
    found.is_ok_and(|found| stream == format!("{}:{}", found.st_dev, found.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_says_nonsense_is_named_with_its_value() {
        let read = |text: &str| Err::<(), _>(format!("{text} is nonsense"));
        // Every process of cargo's has this one.
        let error = variable("CARGO_PKG_NAME", read).unwrap_err();
        assert_eq!(
            error.to_string(),
            "CARGO_PKG_NAME=gladsheim: gladsheim is nonsense"
        );
        assert!(variable("GLADSHEIM_IS_NOT_SET", read).unwrap().is_none());
    }
}
