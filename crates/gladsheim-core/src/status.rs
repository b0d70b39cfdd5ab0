//! What a status query answers.

use std::time::{Duration, SystemTime};

use skirnir::{ServiceMetadata, ServiceState, StateChange};
use thjalfi::ProcessInfo;

use crate::Dependency;

/// Status of one service (specification: Integration, `ServiceStatus`): plain data, flat.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ServiceStatus {
    /// Name of the service.
    pub service_name: String,
    /// Its state.
    pub state: ServiceState,
    /// Process id of the leader; 0 if it does not run.
    pub process_id: i32,
    /// When the last run began, in seconds since 1970; 0 if it never ran. Kept after the end.
    pub start_time_unix: i64,
    /// Its health: `unknown`, `healthy`, `unhealthy`, `checking` or `timeout`.
    pub health: roskva::HealthStatus,
    /// What the last check said; empty if there was none.
    pub health_message: String,
    /// Memory of the whole tree in bytes; `None` if it does not run or is not measured.
    pub memory_bytes: Option<u64>,
    /// CPU in percent of all CPUs together; `None` like `memory_bytes`.
    pub cpu_percent: Option<f32>,
    /// Automatic restarts; never falls.
    pub restart_count: u32,
    /// Of these, how many since this daemon began, by the cause of the end that each followed.
    pub restart_causes: Vec<(skirnir::Cause, u32)>,
    /// How the last run ended; kept until the next end.
    pub cause: Option<skirnir::Cause>,
    /// What went wrong at the last end.
    pub error_message: Option<String>,
    /// Why it is in its state, for a person.
    pub reason: Option<String>,
    /// Whether the present run is ready.
    pub ready: bool,
    /// Exit code of the last end.
    pub exit_code: Option<i32>,
    /// Signal of the last end.
    pub signal: Option<i32>,
    /// When the next attempt is due, while it restarts.
    pub next_attempt_at: Option<SystemTime>,
    /// The number of that attempt within the window, or of the last one before it was given up; else 0.
    pub attempts: u32,
    /// How many attempts its restart policy allows within the window; 0 is no limit.
    pub max_attempts: u32,
    /// The window in which attempts count.
    pub attempts_window: Duration,
    /// Which containment is active: `cgroup` or `session`.
    pub containment: String,
    /// Who enforces its limits: `kernel`, `sampling` or `none`.
    pub limits_enforced_by: String,
    /// What measures it: `cgroup`, `procfs` or `sysinfo`; `none` before the first sample of a run.
    pub measured_by: String,
    /// Which run of the service this is, from 1; 0 before the first.
    pub generation: u64,
    /// Custom metadata, sorted by key.
    pub metadata: Vec<(String, String)>,
    /// Addresses where it listens.
    pub endpoints: Vec<String>,
}

/// One service at length: its status, and how it came to that.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ServiceDescription {
    /// Its status.
    pub status: ServiceStatus,
    /// Its last changes of state, oldest first; bounded.
    pub history: Vec<StateChange>,
    /// The living processes of its tree, sorted by pid.
    pub processes: Vec<ProcessInfo>,
    /// What it waits for before it starts.
    pub depends_on: Vec<Dependency>,
}

impl ServiceStatus {
    /// The part that the registry knows.
    pub fn from_metadata(metadata: &ServiceMetadata) -> Self {
        let usage = metadata.resource_usage.as_ref();
        let health = metadata.health_status.as_ref();
        let mut custom: Vec<_> = metadata
            .custom
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        custom.sort();
        Self {
            service_name: metadata.service_name.clone(),
            state: metadata.state,
            // Process ids fit: the kernel's largest is 2^22.
            process_id: i32::try_from(metadata.process_id).unwrap_or(i32::MAX),
            start_time_unix: metadata.start_time.map_or(0, unix_seconds),
            health: health.map(|health| health.status).unwrap_or_default(),
            health_message: health
                .map(|health| health.message.clone())
                .unwrap_or_default(),
            memory_bytes: usage.map(|usage| usage.memory_bytes),
            cpu_percent: usage.map(|usage| usage.cpu_percent),
            restart_count: metadata.restart_count,
            restart_causes: metadata.restart_causes.clone(),
            cause: metadata.cause,
            error_message: metadata.error_message.clone(),
            reason: metadata.reason.clone(),
            ready: metadata.ready,
            exit_code: metadata.exit_code,
            signal: metadata.signal,
            next_attempt_at: metadata.next_attempt_at,
            attempts: metadata.attempt,
            max_attempts: 0,
            attempts_window: Duration::ZERO,
            containment: String::new(),
            limits_enforced_by: String::new(),
            measured_by: String::new(),
            generation: metadata.generation,
            metadata: custom,
            endpoints: metadata.endpoints.clone(),
        }
    }
}

fn unix_seconds(time: SystemTime) -> i64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        })
}
