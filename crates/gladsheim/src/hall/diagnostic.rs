//! What is wrong with a hall file, and where.

use std::{fmt, path::PathBuf};

use thiserror::Error;

/// One remark on a hall file. Displayed as `file:line:column: message`, or as `file: message` where
/// it concerns the file as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file.
    pub file: PathBuf,
    /// Where in it; `None` for the file as a whole.
    pub position: Option<Position>,
    /// What is wrong, on one line.
    pub message: String,
    /// Whether it keeps the file from being used.
    pub severity: Severity,
}

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, yet something will hardly do what was meant.
    Warning,
}

/// Why a hall file cannot be used: everything that is wrong with it, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", Lines(.diagnostics))]
pub struct HallError {
    /// At least one error; warnings may stand between.
    pub diagnostics: Vec<Diagnostic>,
}

impl HallError {
    /// An error about a file as a whole.
    pub(super) fn whole(file: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self {
            diagnostics: vec![Diagnostic {
                file: file.into(),
                position: None,
                message: message.into(),
                severity: Severity::Error,
            }],
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(Position { line, column }) = self.position {
            write!(f, "{line}:{column}:")?;
        }
        match self.severity {
            Severity::Error => write!(f, " {}", self.message),
            Severity::Warning => write!(f, " warning: {}", self.message),
        }
    }
}

/// One diagnostic a line, without a newline at the end.
struct Lines<'a>(&'a [Diagnostic]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}
