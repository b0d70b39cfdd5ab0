//! Roskva, the health monitor: checks services, sees crashes, decides about restarts.
//!
//! # Theory of operation
//!
//! Three parts that know little of each other:
//!
//! - **Policy** is a set of functions of values: thresholds, the start-up gate, back-off, the decision
//!   table, the hall's budget of restarts. It has no clock and no randomness of its own.
//! - **The book** remembers every service under one lock that is held for short statements.
//! - **One scheduler task** serves all services. It sleeps until the next check or restart is due, and
//!   begins each as a short task; at most 64 checks are under way, never two of the same kind of one
//!   service. It does not exist before there is something to schedule: process checks are answered
//!   when they are asked, and cost nothing else.
//!
//! A run is watched from [`start_monitoring`](HealthMonitorApi::start_monitoring) until
//! [`report_exit`](HealthMonitorApi::report_exit), by which the owner of the process tells its end at
//! once; no crash is found by polling. The restart policy answers there, and where a new run follows,
//! the [`RestartHandler`] is called when the back-off is over. A liveness or start-up check that fails
//! for good makes the monitor ask [`RestartHandler::end_run`]; readiness never ends anything.
//!
//! The restart history belongs to a name and spans its runs, until
//! [`stop_monitoring`](HealthMonitorApi::stop_monitoring) or
//! [`reset_attempts`](HealthMonitorApi::reset_attempts).
//!
//! Construct [`HealthMonitor`]; depend on [`HealthMonitorApi`].

pub use gladsheim_types::{Cause, HealthCheckStrategy, HealthStatus, ServiceHealth};

pub use crate::{
    api::{BoxError, CrashListener, HealthListener, HealthMonitorApi, HealthMonitorExt},
    config::{CheckOptions, HealthMonitorConfig, MonitorOptions, RestartMode, RestartPolicy},
    error::HealthMonitorError,
    event::{
        CrashStage, ExitReport, HealthEvent, HealthStatusChange, HealthUpdateStream,
        RestartDecision, ServiceCrash,
    },
    monitor::HealthMonitor,
    pace::Pace,
    probe::{HealthProbe, ProbeOutcome},
    restart::{
        CommandEnd, CommandRunner, EndRequest, MonitorPorts, ProcessLiveness, RestartHandler,
    },
    starvation::{MachinePressure, Starvation},
    statistics::CheckStatistics,
};

mod agenda;
mod api;
mod config;
mod core;
mod ending;
mod error;
mod event;
mod guard;
mod herald;
mod monitor;
mod observer;
mod pace;
mod policy;
mod probe;
mod restart;
mod scheduler;
mod service;
mod starvation;
mod statistics;
mod watch;

/// Generated mocks of this crate's traits, for the tests of dependent crates.
#[cfg(any(test, feature = "mock"))]
pub mod mock {
    pub use crate::{
        api::MockHealthMonitorApi,
        pace::MockPace,
        probe::MockHealthProbe,
        restart::{MockCommandRunner, MockProcessLiveness, MockRestartHandler},
        starvation::MockStarvation,
    };
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExample;
