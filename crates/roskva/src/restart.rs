//! Ports: what the monitor needs from its owner.

use async_trait::async_trait;

use crate::BoxError;

/// Carries out what the restart policy decides.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait RestartHandler: Send + Sync + 'static {
    /// Begin the next run of the service; `attempt` is the number within the window, from 1.
    ///
    /// # Errors
    ///
    /// If the run could not begin. The monitor only reports it: the owner tells a failed start by
    /// [`report_exit`](crate::HealthMonitorApi::report_exit).
    async fn restart(&self, service_name: &str, attempt: u32) -> Result<(), BoxError>;

    /// End the present run because a check failed for good; the owner then tells its end by
    /// [`report_exit`](crate::HealthMonitorApi::report_exit) with [`Cause::Probe`](gladsheim_types::Cause::Probe).
    /// `will_restart` says whether, as things stand, the policy will restart it; `reason` is for a person.
    ///
    /// # Errors
    ///
    /// If it could not be ended; the monitor goes on checking.
    async fn end_run(
        &self,
        service_name: &str,
        will_restart: bool,
        reason: &str,
    ) -> Result<(), BoxError>;
}

/// Tells whether the process of a service lives: the process check asks it.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
pub trait ProcessLiveness: Send + Sync + 'static {
    /// Whether the leader of the service lives.
    fn is_alive(&self, service_name: &str) -> bool;
}
