//! Health of a service: what a check says, and how to check.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// Health of a service at one moment (specification: Roskva, `ServiceHealth`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceHealth {
    /// Name of the service.
    pub service_name: String,
    /// The verdict.
    pub status: HealthStatus,
    /// Details for a person, for example why the last check failed. Empty before the first check.
    pub message: String,
    /// When the last check ended; `UNIX_EPOCH` before the first one.
    pub last_check: SystemTime,
    /// When the next check is due.
    pub next_check: SystemTime,
    /// Failures since the last success.
    pub consecutive_failures: u32,
    /// How it is checked.
    pub check_strategy: HealthCheckStrategy,
}

impl Default for ServiceHealth {
    fn default() -> Self {
        Self {
            service_name: String::new(),
            status: HealthStatus::default(),
            message: String::new(),
            last_check: SystemTime::UNIX_EPOCH,
            next_check: SystemTime::UNIX_EPOCH,
            consecutive_failures: 0,
            check_strategy: HealthCheckStrategy::default(),
        }
    }
}

/// The verdict of a health check (specification: Roskva, `HealthStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HealthStatus {
    /// No check yet, or the service does not run.
    #[default]
    Unknown,
    /// The service answers as it should.
    Healthy,
    /// The failure threshold was crossed.
    Unhealthy,
    /// The first check is under way. Later checks keep the last verdict while they run.
    Checking,
    /// The failure threshold was crossed by a check that timed out.
    Timeout,
}

impl HealthStatus {
    /// All verdicts, in the order in which they are declared.
    pub const ALL: [Self; 5] = [
        Self::Unknown,
        Self::Healthy,
        Self::Unhealthy,
        Self::Checking,
        Self::Timeout,
    ];

    /// The name used in JSON, on the wire and in text, for example `healthy`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Checking => "checking",
            Self::Timeout => "timeout",
        }
    }

    /// The inverse of [`HealthStatus::as_str`]; `None` for any other text.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// Whether the service counts as failing: [`Self::Unhealthy`] or [`Self::Timeout`].
    pub fn is_failing(self) -> bool {
        match self {
            Self::Unhealthy | Self::Timeout => true,
            Self::Unknown | Self::Healthy | Self::Checking => false,
        }
    }
}

impl fmt::Display for HealthStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a service is checked (specification: Roskva, `HealthCheckStrategy`).
///
/// `Tcp` and `Exec` are added beside the specification.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum HealthCheckStrategy {
    /// HTTP GET; 2xx and 3xx are healthy.
    Http {
        /// URL of the health endpoint, `http://host:port/path` or `unix:PATH:/path`.
        url: String,
        /// A check never takes longer; bounds: above zero.
        timeout: Duration,
    },
    /// `grpc.health.v1.Health`; only SERVING is healthy.
    Grpc {
        /// Address of the server, `host:port` or `unix:PATH`.
        address: String,
        /// Name that the server's health service knows; empty for the server as a whole.
        service_name: String,
        /// A check never takes longer; bounds: above zero.
        timeout: Duration,
    },
    /// Healthy while the leader process lives.
    #[default]
    Process,
    /// Healthy if a TCP connection is accepted.
    Tcp {
        /// Address, `host:port`.
        address: String,
        /// A check never takes longer; bounds: above zero.
        timeout: Duration,
    },
    /// Healthy if the command exits with code 0.
    Exec {
        /// Program and arguments; the program is looked up in `PATH`.
        command: Vec<String>,
        /// At its end the command's whole process tree is killed; bounds: above zero.
        timeout: Duration,
    },
}

impl HealthCheckStrategy {
    /// The longest time that one check may take; `None` where nothing is waited for.
    pub fn timeout(&self) -> Option<Duration> {
        match self {
            Self::Http { timeout, .. }
            | Self::Grpc { timeout, .. }
            | Self::Tcp { timeout, .. }
            | Self::Exec { timeout, .. } => Some(*timeout),
            Self::Process => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_verdict() {
        for status in HealthStatus::ALL {
            assert_eq!(HealthStatus::from_name(status.as_str()), Some(status));
        }
        assert_eq!(HealthStatus::from_name("Healthy"), None);
    }

    #[test]
    fn only_a_crossed_threshold_counts_as_failing() {
        let failing = HealthStatus::ALL.into_iter().filter(|s| s.is_failing());
        assert!(failing.eq([HealthStatus::Unhealthy, HealthStatus::Timeout]));
    }

    #[test]
    fn health_is_unknown_before_the_first_check() {
        let health = ServiceHealth::default();
        assert_eq!(health.status, HealthStatus::Unknown);
        assert_eq!(health.last_check, SystemTime::UNIX_EPOCH);
        assert_eq!(
            health.check_strategy.timeout(),
            None,
            "a process check waits for nothing"
        );
    }
}
