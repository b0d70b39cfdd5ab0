//! Why a run of a service ended.

use std::fmt;

/// How a run of a service ended, attributed to one cause.
///
/// The attribution is made once, where the end is decided or first seen: a SIGKILL that enforces a
/// memory limit is [`Cause::Limit`], not [`Cause::Signal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The leader ended by itself with an exit code.
    Exit,
    /// The leader was ended by a signal that nobody here sent.
    Signal,
    /// The kernel's out-of-memory killer.
    Oom,
    /// A resource limit, enforced by us.
    Limit,
    /// A failed liveness check.
    Probe,
    /// The service's own keep-alives stopped.
    Watchdog,
    /// Something that it depends on failed or stopped.
    Dependency,
    /// A person or a program asked for it.
    User,
    /// A reload of the hall file changed or removed it.
    Reload,
    /// Low battery.
    Battery,
    /// The hall shut down.
    Shutdown,
    /// It never ran: the process could not be started.
    Spawn,
    /// It was not ready within its start-up timeout.
    StartupTimeout,
    /// It ended while nobody watched, and the kernel no longer tells how.
    Unknown,
}

impl Cause {
    /// All causes, in the order in which they are declared.
    pub const ALL: [Self; 14] = [
        Self::Exit,
        Self::Signal,
        Self::Oom,
        Self::Limit,
        Self::Probe,
        Self::Watchdog,
        Self::Dependency,
        Self::User,
        Self::Reload,
        Self::Battery,
        Self::Shutdown,
        Self::Spawn,
        Self::StartupTimeout,
        Self::Unknown,
    ];

    /// The name used in JSON, on the wire and in text, for example `startup_timeout`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exit => "exit",
            Self::Signal => "signal",
            Self::Oom => "oom",
            Self::Limit => "limit",
            Self::Probe => "probe",
            Self::Watchdog => "watchdog",
            Self::Dependency => "dependency",
            Self::User => "user",
            Self::Reload => "reload",
            Self::Battery => "battery",
            Self::Shutdown => "shutdown",
            Self::Spawn => "spawn",
            Self::StartupTimeout => "startup_timeout",
            Self::Unknown => "unknown",
        }
    }

    /// The inverse of [`Cause::as_str`]; `None` for any other text.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == name)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Cause;

    #[test]
    fn every_name_leads_back_to_its_cause() {
        for cause in Cause::ALL {
            assert_eq!(Cause::from_name(cause.as_str()), Some(cause));
        }
        assert_eq!(Cause::from_name("weather"), None);
    }
}
