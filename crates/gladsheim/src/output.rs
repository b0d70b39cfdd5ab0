//! The one place that prints: results on standard output, errors on standard error.

pub(crate) mod detail;
pub(crate) mod event;
pub(crate) mod health;
pub(crate) mod log;
pub(crate) mod reload;
pub(crate) mod resource;
pub(crate) mod status;
pub(crate) mod stop;
mod style;
mod table;
pub(crate) mod text;
mod time;
mod tree;
mod words;

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use serde::Serialize;

pub(crate) use self::{
    detail::need,
    style::Style,
    table::{Align, Cell, Table},
    time::{now_unix_ms, rfc3339},
    tree::branches,
    words::{bytes, explain, span},
};
use crate::{cli::Format, client::CliError};

/// Where and how to print.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// For people, or for programs.
    pub(crate) format: Format,
    /// Whether standard output is a terminal that shows colours.
    pub(crate) color: bool,
    /// Whether standard output is a terminal.
    pub(crate) terminal: bool,
    /// Columns of the terminal; `None` where lines may be as long as they are.
    pub(crate) width: Option<usize>,
}

impl Output {
    /// Standard output as it is.
    pub(crate) fn new(format: Format) -> Self {
        let terminal = io::stdout().is_terminal();
        Self {
            format,
            color: terminal && wants_color(),
            terminal,
            width: terminal.then(columns).flatten(),
        }
    }

    /// Rows of the terminal as it is now; `None` if it does not tell.
    pub(crate) fn rows() -> Option<usize> {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
        Some(size.ws_row.into()).filter(|rows| *rows > 0)
    }

    /// For a pipe.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self {
            format: Format::Table,
            color: false,
            terminal: false,
            width: None,
        }
    }

    /// Text for people, in a style where colours are shown.
    pub(crate) fn paint(self, style: Style, text: &str) -> String {
        if self.color {
            style.paint(text)
        } else {
            text.to_owned()
        }
    }

    /// One line, or several.
    pub(crate) fn line(self, text: &str) -> io::Result<()> {
        self.raw(&format!("{text}\n"))
    }

    /// Text as it is, in one write.
    pub(crate) fn raw(self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }

    /// One JSON document on one line.
    pub(crate) fn json(self, document: &impl Serialize) -> io::Result<()> {
        self.line(&serde_json::to_string(document)?)
    }

    /// The version of this binary.
    pub(crate) fn version(self) -> io::Result<()> {
        let version = env!("CARGO_PKG_VERSION");
        match self.format {
            Format::Json => self.json(&serde_json::json!({ "version": version })),
            Format::Table => self.line(&format!("gladsheim {version}")),
        }
    }

    /// An error: one line, and with `--format json` its document too.
    pub(crate) fn error(self, error: &CliError) {
        let mut text = error_line(error);
        if self.format == Format::Json
            && let Ok(document) = serde_json::to_string(&ErrorDocument::of(error))
        {
            text.push_str(&document);
            text.push('\n');
        }
        warn(&text);
    }
}

/// What clap has to say: help and version on standard output, a usage error on standard error, and the
/// exit code of each.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    // Nobody is left to tell if the stream is gone.
    let _ = error.print();
    let asked_for_json = std::env::args_os().any(|arg| arg == "json" || arg == "--format=json");
    if error.use_stderr() && asked_for_json {
        let message = error.to_string();
        let message = message
            .lines()
            .next()
            .unwrap_or_default()
            .trim_start_matches("error: ");
        let message = message.to_owned();
        let error = ErrorFields {
            reason: "usage",
            message,
            service_name: None,
        };
        if let Ok(document) = serde_json::to_string(&ErrorDocument { error }) {
            warn(&(document + "\n"));
        }
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// A line on standard error that is no error.
pub(crate) fn warn(text: &str) {
    // Nobody is left to tell if standard error is gone.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Columns of the terminal that standard output is; `None` if it does not tell.
fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(size.ws_col.into()).filter(|columns| *columns > 0)
}

/// Whether the environment has nothing against colours.
fn wants_color() -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    set("NO_COLOR").is_none() && set("TERM").is_some_and(|term| term != "dumb")
}

/// What a person is told; diagnostics of a hall file stand for themselves.
fn error_line(error: &CliError) -> String {
    match error {
        CliError::HallFile(_) => format!("{error}\n"),
        _ => format!("gladsheim: {}\n", message(error)),
    }
}

/// The error with its sources and the way out, on one line; diagnostics of a hall file a line each.
fn message(error: &CliError) -> String {
    let mut line = error.to_string();
    if error.is_diagnostics() {
        return line;
    }
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        line.push_str(": ");
        line.push_str(&error.to_string());
        source = error.source();
    }
    if let Some(way_out) = error.way_out() {
        line.push_str("; ");
        line.push_str(way_out);
    }
    // Names and what others said may hold anything; it moves no cursor.
    line.replace('\n', " ")
        .replace(char::is_control, "\u{fffd}")
}

/// `{"error":{…}}`
#[derive(Serialize)]
struct ErrorDocument<'a> {
    error: ErrorFields<'a>,
}

#[derive(Serialize)]
struct ErrorFields<'a> {
    reason: &'a str,
    message: String,
    service_name: Option<&'a str>,
}

impl<'a> ErrorDocument<'a> {
    fn of(error: &'a CliError) -> Self {
        let (reason, service_name) = (error.reason(), error.service_name());
        Self {
            error: ErrorFields {
                reason,
                message: message(error),
                service_name,
            },
        }
    }
}
