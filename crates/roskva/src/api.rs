//! The contract of the health monitor, and what it needs from its owner.

use std::{sync::Arc, time::SystemTime};

use async_trait::async_trait;
use gladsheim_types::{HealthCheckStrategy, ServiceHealth};
use tokio::sync::broadcast;

use crate::{
    CheckStatistics, ExitReport, HealthEvent, HealthMonitorError, HealthStatusChange,
    HealthUpdateStream, MonitorOptions, RestartDecision, ServiceCrash,
};

/// Called when a verdict changes. Must not block; a panic in it is contained.
pub type HealthListener = Arc<dyn Fn(HealthStatusChange) + Send + Sync>;

/// Called when a run ended in a failure. Must not block; a panic in it is contained.
pub type CrashListener = Arc<dyn Fn(ServiceCrash) + Send + Sync>;

/// An error of a port's implementation.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Checks services and decides about restarts (specification: Roskva, Public API).
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait HealthMonitorApi: Send + Sync + 'static {
    /// Begins to monitor a run of a service, with the configured interval, threshold and policy.
    ///
    /// # Errors
    ///
    /// `AlreadyMonitoring` if the present run is monitored; `InvalidStrategy`.
    async fn start_monitoring(
        &self,
        service_name: &str,
        strategy: HealthCheckStrategy,
    ) -> Result<(), HealthMonitorError>;

    /// Added: as `start_monitoring`, with options of its own. The restart history of the name goes on.
    ///
    /// # Errors
    ///
    /// As `start_monitoring`.
    async fn start_monitoring_with(
        &self,
        service_name: &str,
        options: MonitorOptions,
    ) -> Result<(), HealthMonitorError>;

    /// Added: gives a service that is monitored other options in the middle of its run. Checks that did not
    /// change keep their counters, the others begin anew; the restart history goes on.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`; `InvalidStrategy`, and nothing has changed then.
    fn update_monitoring(
        &self,
        service_name: &str,
        options: MonitorOptions,
    ) -> Result<(), HealthMonitorError>;

    /// Ends the checks of a service and cancels a restart that is due; does nothing for an unknown
    /// name. No check and no restart is under way when it returns. The restart history is forgotten.
    async fn stop_monitoring(&self, service_name: &str);

    /// Added: ends the checks of the present run, which is about to be ended; health is unknown until
    /// the next `start_monitoring`. A restart that is due and the restart history stay.
    fn suspend_checks(&self, service_name: &str);

    /// Added: maintenance mode: checks rest (`true`) or go on (`false`) while the service runs.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    fn set_maintenance(&self, service_name: &str, on: bool) -> Result<(), HealthMonitorError>;

    /// Health of a service.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    fn get_health(&self, service_name: &str) -> Result<ServiceHealth, HealthMonitorError>;

    /// Added: how long the checks of a service take, and how they end: a value for each kind of check that
    /// has run. Nothing for a name that is not monitored.
    fn check_statistics(&self, service_name: &str) -> Vec<CheckStatistics>;

    /// Added: what the readiness check says; `None` if there is none.
    fn is_ready(&self, service_name: &str) -> Option<bool>;

    /// Checks at once, outside the schedule, and without disturbing it.
    ///
    /// Cancellation: dropping the future abandons the check; it changes nothing then.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`; `HealthCheckFailed` if the service does not run. A check that fails is no
    /// error: the health says so.
    async fn check_health_now(
        &self,
        service_name: &str,
    ) -> Result<ServiceHealth, HealthMonitorError>;

    /// Updates of one service's health from now on.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    fn subscribe_health_updates(
        &self,
        service_name: &str,
    ) -> Result<HealthUpdateStream, HealthMonitorError>;

    /// Added: a run has ended, by itself or not; checks end at once, crash listeners are told, and
    /// the restart policy decides. Where a restart follows, the handler is called after the delay.
    ///
    /// A name that is not monitored gets [`RestartDecision::Success`].
    fn report_exit(&self, service_name: &str, report: ExitReport) -> RestartDecision;

    /// Added: takes on a restart history that was kept elsewhere: when the restarts took place, oldest
    /// first. Does nothing for a name that is not monitored.
    fn restore_attempts(&self, service_name: &str, attempts: Vec<SystemTime>);

    /// Added: forgets the restart history and cancels a restart that is due.
    fn reset_attempts(&self, service_name: &str);

    /// Adds a listener for verdicts; see [`HealthMonitorExt::on_health_change`].
    fn add_health_listener(&self, listener: HealthListener);

    /// Adds a listener for crashes; see [`HealthMonitorExt::on_service_crash`].
    fn add_crash_listener(&self, listener: CrashListener);

    /// Added: ends all tasks of the monitor and waits for them.
    async fn shutdown(&self);

    /// Facts for observers.
    fn subscribe(&self) -> broadcast::Receiver<HealthEvent>;
}

/// The specification's generic methods, kept off the vtable.
pub trait HealthMonitorExt: HealthMonitorApi {
    /// Adds a callback for changes of the verdict (specification: `on_health_change`).
    fn on_health_change<F>(&self, callback: F)
    where
        F: Fn(HealthStatusChange) + Send + Sync + 'static,
    {
        self.add_health_listener(Arc::new(callback));
    }

    /// Adds a callback for crashes (specification: `on_service_crash`).
    fn on_service_crash<F>(&self, callback: F)
    where
        F: Fn(ServiceCrash) + Send + Sync + 'static,
    {
        self.add_crash_listener(Arc::new(callback));
    }
}

impl<T: HealthMonitorApi + ?Sized> HealthMonitorExt for T {}
