//! Colours of a terminal.

/// A way to show text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// As it is.
    Plain,
    /// Headings.
    Bold,
    /// What matters less.
    Dim,
    /// All is well.
    Good,
    /// Something is under way.
    Busy,
    /// Something is wrong.
    Bad,
    /// The name of a service; the number picks the colour.
    Name(usize),
}

/// Colours of names: those that are readable on dark and on light, and mean nothing else here.
const NAMES: [&str; 6] = ["36", "35", "34", "96", "95", "94"];

impl Style {
    /// The text between its escape sequences.
    pub(crate) fn paint(self, text: &str) -> String {
        let code = match self {
            Self::Plain => return text.to_owned(),
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Good => "32",
            Self::Busy => "33",
            Self::Bad => "31",
            Self::Name(number) => NAMES[number % NAMES.len()],
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// The style of a service's state.
    pub(crate) fn of_state(state: &str) -> Self {
        match state {
            "running" => Self::Good,
            "starting" | "stopping" | "restarting" => Self::Busy,
            "crashed" | "failed" => Self::Bad,
            "stopped" => Self::Dim,
            _ => Self::Plain,
        }
    }

    /// The style of a health verdict.
    pub(crate) fn of_health(health: &str) -> Self {
        match health {
            "healthy" => Self::Good,
            "unhealthy" | "timeout" => Self::Bad,
            "checking" => Self::Busy,
            _ => Self::Dim,
        }
    }
}
