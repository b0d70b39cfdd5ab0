//! The state machine of a service, and its one transition table.

use std::fmt;

/// State of a service (specification: Skirnir, `ServiceState`; `Failed` is added).
///
/// | from | to |
/// | --- | --- |
/// | unknown | starting, running, stopped, crashed, failed |
/// | starting | running, stopping, crashed, failed |
/// | running | stopping, stopped, crashed, restarting |
/// | stopping | stopped, running (not stopped in time, and not killed) |
/// | stopped | starting |
/// | crashed | restarting, starting, stopped, failed |
/// | restarting | starting, stopping, stopped, failed |
/// | failed | starting, stopped |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ServiceState {
    /// Nothing is known yet.
    #[default]
    Unknown,
    /// It is being started and is not ready yet.
    Starting,
    /// It runs.
    Running,
    /// It is being stopped.
    Stopping,
    /// It does not run, and that is as it should be.
    Stopped,
    /// It ended by a failure.
    Crashed,
    /// A new run follows by itself.
    Restarting,
    /// Added: it was given up.
    Failed,
}

impl ServiceState {
    /// All states, in the order in which they are declared.
    pub const ALL: [Self; 8] = [
        Self::Unknown,
        Self::Starting,
        Self::Running,
        Self::Stopping,
        Self::Stopped,
        Self::Crashed,
        Self::Restarting,
        Self::Failed,
    ];

    /// The transition table.
    const fn next(self) -> &'static [Self] {
        match self {
            Self::Unknown => &[
                Self::Starting,
                Self::Running,
                Self::Stopped,
                Self::Crashed,
                Self::Failed,
            ],
            Self::Starting => &[Self::Running, Self::Stopping, Self::Crashed, Self::Failed],
            Self::Running => &[
                Self::Stopping,
                Self::Stopped,
                Self::Crashed,
                Self::Restarting,
            ],
            Self::Stopping => &[Self::Stopped, Self::Running],
            Self::Stopped => &[Self::Starting],
            Self::Crashed => &[
                Self::Restarting,
                Self::Starting,
                Self::Stopped,
                Self::Failed,
            ],
            Self::Restarting => &[Self::Starting, Self::Stopping, Self::Stopped, Self::Failed],
            Self::Failed => &[Self::Starting, Self::Stopped],
        }
    }

    /// Whether a service may move from this state to `new_state`. No state leads to itself.
    pub fn is_valid_transition(&self, new_state: ServiceState) -> bool {
        self.next().contains(&new_state)
    }

    /// All states that may follow this one.
    pub fn possible_next_states(&self) -> Vec<ServiceState> {
        self.next().to_vec()
    }

    /// The name used in JSON, on the wire and in text, for example `running`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Crashed => "crashed",
            Self::Restarting => "restarting",
            Self::Failed => "failed",
        }
    }

    /// The inverse of [`ServiceState::as_str`]; `None` for any other text.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

impl fmt::Display for ServiceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
