//! Facts that the health monitor tells.

use std::time::{Duration, SystemTime};

use gladsheim_types::{Cause, HealthStatus, ServiceHealth};
use tokio::sync::broadcast;

use crate::{MonitorOptions, policy::restart};

/// Updates of the health of one service (specification: Roskva, `HealthUpdateStream`).
pub type HealthUpdateStream = broadcast::Receiver<ServiceHealth>;

/// The verdict about a service changed (specification: Roskva, `HealthStatusChange`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthStatusChange {
    /// Name of the service.
    pub service_name: String,
    /// The verdict before.
    pub old_status: HealthStatus,
    /// The verdict now.
    pub new_status: HealthStatus,
    /// When it changed.
    pub timestamp: SystemTime,
}

/// A run ended in a failure (specification: Roskva, `ServiceCrash`): not in a success, not because somebody
/// wanted it, and it did begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceCrash {
    /// Name of the service.
    pub service_name: String,
    /// Exit code of the leader, if it exited with one.
    pub exit_code: Option<i32>,
    /// When it was seen.
    pub timestamp: SystemTime,
    /// Number of the restart that follows, from 1; 0 if none follows.
    pub restart_attempt: u32,
    /// Added: signal that ended the leader, if one did.
    pub signal: Option<i32>,
    /// Added: to what the end is attributed.
    pub cause: Cause,
    /// Added: how long it had run.
    pub uptime: Duration,
    /// Added: how far it had come.
    pub stage: CrashStage,
}

/// How far a run had come when it crashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CrashStage {
    /// It crashed within its start-up timeout, or used that up: it may never have worked.
    Startup,
    /// It had run for longer than that.
    Running,
    /// It had run so long that earlier restarts were forgiven ([`RestartPolicy::reset_after`](crate::RestartPolicy)).
    Stable,
}

impl CrashStage {
    /// How far the run had come that ended as `report` says.
    pub fn of(options: &MonitorOptions, report: &ExitReport) -> Self {
        restart::stage(options, report)
    }

    /// The name on the wire, for example `startup`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Running => "running",
            Self::Stable => "stable",
        }
    }
}

/// The end of a run, as whoever saw it reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitReport {
    /// Exit code of the leader, if it exited with one.
    pub exit_code: Option<i32>,
    /// Signal that ended the leader, if one did.
    pub signal: Option<i32>,
    /// To what the end is attributed.
    pub cause: Cause,
    /// How long the run had lasted.
    pub uptime: Duration,
}

/// What the restart policy says about the end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartDecision {
    /// A new run begins after `delay`; the [`RestartHandler`](crate::RestartHandler) will be called.
    Restart {
        /// Number of this restart within the window, from 1.
        attempt: u32,
        /// Time until then, with jitter.
        delay: Duration,
        /// The point in time.
        at: SystemTime,
    },
    /// The end was a success, or was asked for: nothing follows.
    Success,
    /// A failure, and the policy is never to restart.
    Never,
    /// A failure, and all attempts of the window are used up.
    GiveUp {
        /// The attempts that were made.
        attempts: u32,
    },
}

/// A fact about health, in the past tense. A stream for observers: a slow one sees a gap.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum HealthEvent {
    /// A liveness or start-up check ended; its service's health is as `get_health` says.
    Checked(ServiceHealth),
    /// The verdict changed.
    StatusChanged(HealthStatusChange),
    /// The readiness check changed its mind.
    ReadinessChanged {
        /// Name of the service.
        service_name: String,
        /// Whether it is ready now.
        ready: bool,
    },
    /// A check has failed for good, and the load guard postpones the restart; told once for a row of failures.
    RestartPostponed {
        /// Name of the service.
        service_name: String,
        /// What is wrong with the machine or with this process, for a person.
        reason: String,
        /// When the restart comes at the latest, if the checks go on failing.
        until: SystemTime,
    },
    /// A run ended in a failure.
    Crashed(ServiceCrash),
    /// All attempts are used up; reported once. A process that could not be started has none to use up.
    RestartsExhausted {
        /// Name of the service.
        service_name: String,
        /// The attempts that were made.
        attempts: u32,
    },
}
