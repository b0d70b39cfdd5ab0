//! Roskva, the health monitor: checks services, sees crashes, decides about restarts.

pub use gladsheim_types::{Cause, HealthCheckStrategy, HealthStatus, ServiceHealth};

pub use crate::{
    api::{BoxError, CrashListener, HealthListener, HealthMonitorApi, HealthMonitorExt},
    config::{CheckOptions, HealthMonitorConfig, MonitorOptions, RestartMode, RestartPolicy},
    error::HealthMonitorError,
    event::{
        ExitReport, HealthEvent, HealthStatusChange, HealthUpdateStream, RestartDecision,
        ServiceCrash,
    },
    restart::{ProcessLiveness, RestartHandler},
};

mod api;
mod config;
mod error;
mod event;
mod restart;
