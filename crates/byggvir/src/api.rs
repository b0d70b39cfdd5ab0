//! The contract of the resource manager.

use std::sync::Arc;

use async_trait::async_trait;
use gladsheim_types::{ResourceLimits, ResourceUsage};
use tokio::sync::broadcast;

use crate::{
    LimitPolicy, LimitViolation, ProcessTree, ResourceEvent, ResourceManagerError,
    SystemResourceUsage, UsageDetail,
};

/// Called when a service exceeds a limit or a warning threshold. Runs on the sampling task: it must
/// not block. A panic in it is contained.
pub type ViolationListener = Arc<dyn Fn(LimitViolation) + Send + Sync>;

/// Measures services and watches over their limits (specification: Byggvir, Public API).
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait ResourceManagerApi: Send + Sync + 'static {
    /// Starts the sampling task; does nothing if it runs. Needs a tokio runtime.
    async fn start_monitoring(&self);

    /// Ends the sampling task and waits for it; does nothing if none runs.
    async fn stop_monitoring(&self);

    /// Added: begins to measure a running service. A name that is tracked already is replaced, and the
    /// old run's numbers are forgotten; its limits stay.
    fn track_service(&self, service_name: &str, tree: ProcessTree);

    /// Added: ends measuring; usage and limits of the name are forgotten.
    fn untrack_service(&self, service_name: &str);

    /// Added: ends measuring of a run that has ended; limits and policy of the name stay for the next.
    fn run_ended(&self, service_name: &str);

    /// The last sample of a service.
    ///
    /// # Errors
    ///
    /// `MonitoringNotStarted`, `ServiceNotFound`; `SystemError` if there is no sample yet and none
    /// can be taken.
    fn get_resource_usage(&self, service_name: &str)
    -> Result<ResourceUsage, ResourceManagerError>;

    /// Added: what is read about a running service only on request. Blocks for some milliseconds where
    /// the service has no cgroup and the machine very many processes.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`; `SystemError` if no process of it is alive.
    fn get_usage_detail(&self, service_name: &str) -> Result<UsageDetail, ResourceManagerError>;

    /// Added: the same for several services, in their order, at little more than the cost of one where they have
    /// no cgroups.
    fn get_usage_details(
        &self,
        service_names: &[String],
    ) -> Vec<Result<UsageDetail, ResourceManagerError>>;

    /// Usage of the whole machine.
    fn get_system_usage(&self) -> SystemResourceUsage;

    /// Sets the limits of a service, running or not, and enforces them at once where the kernel can.
    ///
    /// # Errors
    ///
    /// `InvalidLimits`; `SystemError` if the kernel refused them.
    fn set_resource_limits(
        &self,
        service_name: &str,
        limits: ResourceLimits,
    ) -> Result<(), ResourceManagerError>;

    /// Added: sets what is done about the limits of a service.
    fn set_limit_policy(&self, service_name: &str, policy: LimitPolicy);

    /// Limits of a service; the configured defaults if it has none of its own.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound` if the name is neither tracked nor has limits.
    fn get_resource_limits(
        &self,
        service_name: &str,
    ) -> Result<ResourceLimits, ResourceManagerError>;

    /// Compares the last sample with the limits.
    ///
    /// # Errors
    ///
    /// As `get_resource_usage`.
    fn check_limits(
        &self,
        service_name: &str,
    ) -> Result<Option<LimitViolation>, ResourceManagerError>;

    /// Added: who enforces the limits of a service, `kernel`, `sampling` or `none`.
    fn limits_enforced_by(&self, service_name: &str) -> &'static str;

    /// Added: the backend that took the last sample of a service, `cgroup`, `procfs` or `sysinfo`;
    /// `none` without a sample.
    fn measured_by(&self, service_name: &str) -> &'static str;

    /// Added: how many processes of a service the kernel has killed for want of memory, in its current
    /// run or, if that has ended, the last one.
    fn oom_kills(&self, service_name: &str) -> u64;

    /// Added: whether the machine lives on its battery, as of the last look. Never where the battery is
    /// not minded.
    fn on_battery(&self) -> bool;

    /// Adds a listener for violations; see [`ResourceManagerExt::on_limit_violation`].
    fn add_violation_listener(&self, listener: ViolationListener);

    /// Facts for observers.
    fn subscribe(&self) -> broadcast::Receiver<ResourceEvent>;
}

/// The specification's generic method, kept off the vtable.
pub trait ResourceManagerExt: ResourceManagerApi {
    /// Adds a callback for violations (specification: `on_limit_violation`).
    fn on_limit_violation<F>(&self, callback: F)
    where
        F: Fn(LimitViolation) + Send + Sync + 'static,
    {
        self.add_violation_listener(Arc::new(callback));
    }
}

impl<T: ResourceManagerApi + ?Sized> ResourceManagerExt for T {}

/// What the manager needs from its owner: to act on a service that exceeds a limit.
///
/// Each call has a task of its own, so a slow one never delays sampling; it is not cancelled when
/// monitoring stops. The violation may be some milliseconds old: the service may have ended since.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait LimitHandler: Send + Sync + 'static {
    /// Restart the service, under its restart policy, because of `violation`.
    async fn restart(&self, violation: LimitViolation);
    /// Stop the service because of `violation`.
    async fn stop(&self, violation: LimitViolation);
}

/// What the manager needs from its owner when the battery runs low: to stop what can wait.
///
/// As with [`LimitHandler`], each call has a task of its own. Every `low` is followed by one `ok` before
/// the next `low`, unless monitoring ends; a call may come before the one before it has returned.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait BatteryHandler: Send + Sync + 'static {
    /// Stop what can wait: the battery is below the threshold, and discharging.
    async fn low(&self, percent: u8);
    /// Bring it back: the battery is charging, or well above the threshold.
    async fn ok(&self, percent: u8);
}
