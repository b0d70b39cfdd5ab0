//! What the registry knows about a service, and the counts over all of them.

use std::{collections::HashMap, time::SystemTime};

use gladsheim_types::{Cause, ResourceUsage, ServiceHealth};

use crate::ServiceState;

/// All that is known about a service (specification: Skirnir, `ServiceMetadata`).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ServiceMetadata {
    /// Name of the service.
    pub service_name: String,
    /// Process id of the leader; 0 if it does not run.
    pub process_id: u32,
    /// When the last run began.
    pub start_time: Option<SystemTime>,
    /// When the last run ended; `None` while it runs.
    pub stop_time: Option<SystemTime>,
    /// Its state.
    pub state: ServiceState,
    /// Last sample of the present run.
    pub resource_usage: Option<ResourceUsage>,
    /// Last health of the present run.
    pub health_status: Option<ServiceHealth>,
    /// What went wrong at the last end, for a person.
    pub error_message: Option<String>,
    /// Automatic restarts; never falls.
    pub restart_count: u32,
    /// Custom metadata.
    pub custom: HashMap<String, String>,
    /// Added: of these, how many since this registry was made, by the cause of the end that each followed.
    pub restart_causes: Vec<(Cause, u32)>,
    /// Added: addresses where it listens.
    pub endpoints: Vec<String>,
    /// Added: which run of the service this is, from 1; 0 before the first.
    pub generation: u64,
    /// Added: whether the present run is ready.
    pub ready: bool,
    /// Added: to what the last end is attributed.
    pub cause: Option<Cause>,
    /// Added: exit code of the last end.
    pub exit_code: Option<i32>,
    /// Added: signal of the last end.
    pub signal: Option<i32>,
    /// Added: why it is in its state, for a person.
    pub reason: Option<String>,
    /// Added: when the next attempt is due, while it restarts.
    pub next_attempt_at: Option<SystemTime>,
    /// Added: the number of that attempt, or of the last one before it was given up, counted as the restart
    /// policy counts, from 1; 0 where none is due and none was made.
    pub attempt: u32,
}

/// Counts per state (specification: Skirnir, `ServiceStatistics`).
///
/// The five counts add up to the total: failed counts as crashed, restarting as starting, unknown as
/// stopped. The separate counts stand beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServiceStatistics {
    /// All services.
    pub total_count: usize,
    /// Running ones.
    pub running_count: usize,
    /// Stopped and unknown ones.
    pub stopped_count: usize,
    /// Crashed and failed ones.
    pub crashed_count: usize,
    /// Starting and restarting ones.
    pub starting_count: usize,
    /// Stopping ones.
    pub stopping_count: usize,
    /// Added: failed ones alone.
    pub failed_count: usize,
    /// Added: restarting ones alone.
    pub restarting_count: usize,
    /// Added: unknown ones alone.
    pub unknown_count: usize,
}

impl ServiceStatistics {
    /// From the number of services in each state, in the order of [`ServiceState::ALL`].
    pub(crate) fn from_counts(counts: [usize; ServiceState::ALL.len()]) -> Self {
        let [
            unknown,
            starting,
            running,
            stopping,
            stopped,
            crashed,
            restarting,
            failed,
        ] = counts;
        Self {
            total_count: counts.iter().sum(),
            running_count: running,
            stopped_count: stopped + unknown,
            crashed_count: crashed + failed,
            starting_count: starting + restarting,
            stopping_count: stopping,
            failed_count: failed,
            restarting_count: restarting,
            unknown_count: unknown,
        }
    }
}
