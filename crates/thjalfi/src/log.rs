//! Captured output of a service: one line with its stream and time, and how to ask for lines.

use std::time::SystemTime;

use tokio::sync::mpsc;

/// One captured line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Name of the service.
    pub service_name: String,
    /// When the line was read.
    pub at: SystemTime,
    /// Which output it came from.
    pub stream: OutputStream,
    /// The line without its end; bytes that are no UTF-8 are replaced.
    pub line: String,
}

/// Which output of a process a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl OutputStream {
    /// `stdout` or `stderr`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Which lines of a log to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogQuery {
    /// At most this many of the last lines. Default: 100.
    pub last: usize,
    /// Go on with new lines as they are written. Default: false.
    pub follow: bool,
}

impl Default for LogQuery {
    fn default() -> Self {
        Self {
            last: 100,
            follow: false,
        }
    }
}

/// Lines of a log in order. Bounded: a reader that stalls stalls only itself. It ends after the last
/// line without `follow`; dropping it ends the reading.
pub type LogStream = mpsc::Receiver<LogLine>;
