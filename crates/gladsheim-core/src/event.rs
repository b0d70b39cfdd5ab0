//! What travels on the bus: facts, in the past tense, never requests.

use std::time::SystemTime;

use byggvir::{LimitViolation, pressure::PressureReading};
use roskva::{CrashStage, HealthStatusChange};
use skirnir::Cause;

/// One fact, with its place in the bus's order.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// Position in the bus's order, from 1; a hole means that the subscriber fell behind.
    pub seq: u64,
    /// When it was published.
    pub at: SystemTime,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// Something about one service.
    Service {
        /// Name of the service.
        service_name: String,
        /// What happened to it.
        event: ServiceEvent,
    },
    /// The battery is low and discharging.
    BatteryLow {
        /// Level in percent.
        percent: u8,
    },
    /// The battery is charging, or well above the threshold again.
    BatteryOk {
        /// Level in percent.
        percent: u8,
    },
    /// Pressure on the machine went above its limit.
    PressureWarning(PressureReading),
    /// It is well below it again.
    PressureCleared(PressureReading),
    /// All services with `autostart` were asked to start, and each has answered.
    HallReady,
    /// A reload was carried out.
    HallReloaded,
    /// Shutdown has begun.
    HallShuttingDown,
    /// The subscriber fell behind: `missed` events are not held any more.
    HallGap {
        /// How many.
        missed: u64,
    },
}

/// What happened to a service.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ServiceEvent {
    /// A start was begun.
    Starting,
    /// `exec` has succeeded.
    Started {
        /// Process id of the leader.
        process_id: u32,
    },
    /// It runs since the time of an earlier daemon, which ended without stopping it.
    Adopted {
        /// Process id of the leader.
        process_id: u32,
    },
    /// It is ready.
    Ready,
    /// A stop was begun.
    Stopping {
        /// Why.
        cause: Cause,
    },
    /// It does not run, as it should be.
    Stopped {
        /// Why.
        cause: Cause,
    },
    /// A run ended: exactly one for each `Started`, if need be by the daemon that has adopted it.
    Exited {
        /// To what it is attributed.
        cause: Cause,
        /// Exit code of the leader.
        exit_code: Option<i32>,
        /// Signal that ended the leader.
        signal: Option<i32>,
    },
    /// It ended by a failure.
    Crashed {
        /// To what it is attributed.
        cause: Cause,
        /// What went wrong, for a person.
        message: String,
        /// How far the run had come.
        stage: CrashStage,
    },
    /// A new run follows by itself.
    Restarting {
        /// Why.
        cause: Cause,
        /// Number of the restart within the window; 0 for a restart that was asked for.
        attempt: u32,
        /// When it is due; `None` while the old run is being ended.
        next_attempt_at: Option<SystemTime>,
    },
    /// It was given up.
    Failed {
        /// To what the last end is attributed.
        cause: Cause,
        /// What went wrong, for a person.
        message: String,
    },
    /// The verdict about its health changed.
    HealthChanged(HealthStatusChange),
    /// A check has failed for good, and the load guard postpones the restart.
    RestartPostponed {
        /// What is wrong with the machine or with the daemon, for a person.
        reason: String,
        /// When the restart comes at the latest, if the checks go on failing.
        until: SystemTime,
    },
    /// A warning threshold was crossed.
    LimitWarning(LimitViolation),
    /// A limit was crossed.
    LimitExceeded(LimitViolation),
    /// What was crossed is no longer.
    LimitCleared(LimitViolation),
    /// The kernel has killed some of its processes for want of memory, and it runs on.
    OomKilled {
        /// How many since the last such event.
        kills: u64,
    },
    /// Pressure on it went above its limit.
    PressureWarning(PressureReading),
    /// It is well below it again, or its run has ended.
    PressureCleared(PressureReading),
    /// The authoriser refused its start.
    AuthRefused {
        /// Why.
        reason: String,
    },
    /// Lines of its output could not be written and were dropped.
    OutputDropped {
        /// How many since the last such event.
        lines: u64,
    },
}

impl EventKind {
    /// The contract's name, for example `service.started`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Service { event, .. } => event.name(),
            Self::BatteryLow { .. } => "battery.low",
            Self::BatteryOk { .. } => "battery.ok",
            Self::PressureWarning(_) => "pressure.warning",
            Self::PressureCleared(_) => "pressure.cleared",
            Self::HallReady => "hall.ready",
            Self::HallReloaded => "hall.reloaded",
            Self::HallShuttingDown => "hall.shutting_down",
            Self::HallGap { .. } => "hall.gap",
        }
    }

    /// The service that it is about, if it is about one.
    pub fn service_name(&self) -> Option<&str> {
        match self {
            Self::Service { service_name, .. } => Some(service_name),
            Self::BatteryLow { .. }
            | Self::BatteryOk { .. }
            | Self::PressureWarning(_)
            | Self::PressureCleared(_)
            | Self::HallReady
            | Self::HallReloaded
            | Self::HallShuttingDown
            | Self::HallGap { .. } => None,
        }
    }
}

impl ServiceEvent {
    /// The contract's name, for example `service.started`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Starting => "service.starting",
            Self::Started { .. } => "service.started",
            Self::Adopted { .. } => "service.adopted",
            Self::Ready => "service.ready",
            Self::Stopping { .. } => "service.stopping",
            Self::Stopped { .. } => "service.stopped",
            Self::Exited { .. } => "service.exited",
            Self::Crashed { .. } => "service.crashed",
            Self::Restarting { .. } => "service.restarting",
            Self::Failed { .. } => "service.failed",
            Self::HealthChanged(_) => "health.changed",
            Self::RestartPostponed { .. } => "health.restart_postponed",
            Self::LimitWarning(_) => "limit.warning",
            Self::LimitExceeded(_) => "limit.exceeded",
            Self::LimitCleared(_) => "limit.cleared",
            Self::OomKilled { .. } => "limit.oom_killed",
            Self::PressureWarning(_) => "pressure.warning",
            Self::PressureCleared(_) => "pressure.cleared",
            Self::AuthRefused { .. } => "auth.refused",
            Self::OutputDropped { .. } => "output.dropped",
        }
    }
}
