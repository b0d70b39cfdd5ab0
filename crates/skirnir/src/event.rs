//! What changes in the registry, and what a change carries.

use std::time::SystemTime;

use gladsheim_types::Cause;

use crate::ServiceState;

/// A service moved from one state to another (specification: Skirnir, `StateChange`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChange {
    /// Name of the service.
    pub service_name: String,
    /// The state before.
    pub old_state: ServiceState,
    /// The state now.
    pub new_state: ServiceState,
    /// When it changed.
    pub timestamp: SystemTime,
    /// Added: position in the registry's order of changes, from 1, without gaps.
    pub seq: u64,
    /// Added: which run of the service, from 1; 0 before the first.
    pub generation: u64,
    /// Added: why, if it is known.
    pub cause: Option<Cause>,
    /// Added: why, for a person.
    pub reason: Option<String>,
}

/// A change of state with what goes with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transition {
    /// The state to move to.
    pub new_state: ServiceState,
    /// Why, if it is known.
    pub cause: Option<Cause>,
    /// Why, for a person; replaces the service's reason.
    pub reason: Option<String>,
    /// When the next attempt is due; replaces the service's `next_attempt_at`.
    pub next_attempt_at: Option<SystemTime>,
    /// Which attempt that is; replaces the service's `attempt`.
    pub attempt: u32,
}

impl Transition {
    /// A change to `new_state` without anything else.
    pub fn to(new_state: ServiceState) -> Self {
        Self {
            new_state,
            ..Self::default()
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEnd {
    /// To what it is attributed.
    pub cause: Cause,
    /// Exit code of the leader, if it exited with one.
    pub exit_code: Option<i32>,
    /// Signal that ended the leader, if one did.
    pub signal: Option<i32>,
    /// What went wrong, for a person; `None` where nothing did.
    pub error_message: Option<String>,
    /// When it ended.
    pub at: SystemTime,
}
