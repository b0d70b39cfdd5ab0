//! The public handle.

use std::{sync::Arc, time::SystemTime};

use async_trait::async_trait;
use gladsheim_types::{HealthCheckStrategy, ServiceHealth};
use tokio::sync::broadcast;
use tokio_util::sync::DropGuard;

use crate::{
    CheckStatistics, CrashListener, ExitReport, HealthEvent, HealthListener, HealthMonitorApi,
    HealthMonitorConfig, HealthMonitorError, HealthStatusChange, HealthUpdateStream,
    MonitorOptions, MonitorPorts, RestartDecision, ServiceCrash, core::Core,
};

/// Checks services, sees crashes, decides about restarts (specification: Roskva).
///
/// A cheap clone: all clones are the same monitor. With the last one its tasks end: checks under way
/// are abandoned and no restart follows; the services themselves are not touched.
#[derive(Debug, Clone)]
pub struct HealthMonitor {
    core: Arc<Core>,
    _ends_tasks: Arc<DropGuard>,
}

impl HealthMonitor {
    /// A monitor that checks and reports, and carries out no restarts: it has nobody to ask.
    ///
    /// Spawns and opens nothing, cannot fail, and may be called outside a runtime. A process check is
    /// healthy here until [`report_exit`](Self::report_exit).
    pub fn new(config: HealthMonitorConfig) -> Self {
        Self::with_ports(config, MonitorPorts::default())
    }

    /// A monitor whose owner carries out restarts, and knows which process lives.
    pub fn with_ports(config: HealthMonitorConfig, ports: MonitorPorts) -> Self {
        let core = Core::new(config, ports);
        Self {
            _ends_tasks: Arc::new(core.stop.clone().drop_guard()),
            core: Arc::new(core),
        }
    }

    /// Begins to monitor a run of a service, with the configured interval, threshold and policy.
    ///
    /// # Errors
    ///
    /// `AlreadyMonitoring` if the present run is monitored; `InvalidStrategy`.
    pub async fn start_monitoring(
        &self,
        service_name: &str,
        strategy: HealthCheckStrategy,
    ) -> Result<(), HealthMonitorError> {
        let options = self.core.config.monitor_options(strategy);
        self.core.start(service_name, options)
    }

    /// Added: as `start_monitoring`, with options of its own. The restart history of the name goes on.
    ///
    /// # Errors
    ///
    /// As `start_monitoring`.
    pub async fn start_monitoring_with(
        &self,
        service_name: &str,
        options: MonitorOptions,
    ) -> Result<(), HealthMonitorError> {
        self.core.start(service_name, options)
    }

    /// Added: gives a service that is monitored other options in the middle of its run. Checks that did not
    /// change keep their counters, the others begin anew; the restart history goes on.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`; `InvalidStrategy`, and nothing has changed then.
    pub fn update_monitoring(
        &self,
        service_name: &str,
        options: MonitorOptions,
    ) -> Result<(), HealthMonitorError> {
        self.core.update(service_name, options)
    }

    /// Ends the checks of a service and cancels a restart that is due; does nothing for an unknown
    /// name. No check and no restart is under way when it returns. The restart history is forgotten.
    pub async fn stop_monitoring(&self, service_name: &str) {
        if let Some(tasks) = self.core.remove(service_name) {
            tasks.wait().await;
            // A check that was just ending may have put its connection back.
            self.core.probe.forget(service_name);
        }
    }

    /// Added: ends the checks of the present run, which is about to be ended; health is unknown until
    /// the next `start_monitoring`. A restart that is due and the restart history stay.
    pub fn suspend_checks(&self, service_name: &str) {
        self.core.suspend(service_name);
    }

    /// Added: maintenance mode: checks rest (`true`) or go on (`false`) while the service runs.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    pub fn set_maintenance(&self, service_name: &str, on: bool) -> Result<(), HealthMonitorError> {
        self.core.set_maintenance(service_name, on)
    }

    /// Health of a service.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    pub fn get_health(&self, service_name: &str) -> Result<ServiceHealth, HealthMonitorError> {
        self.core.health(service_name)
    }

    /// Added: how long the checks of a service take, and how they end: a value for each kind of check that
    /// has run. Nothing for a name that is not monitored.
    pub fn check_statistics(&self, service_name: &str) -> Vec<CheckStatistics> {
        self.core.statistics(service_name)
    }

    /// Added: what the readiness check says; `None` if there is none.
    pub fn is_ready(&self, service_name: &str) -> Option<bool> {
        self.core.is_ready(service_name)
    }

    /// Checks at once, outside the schedule, and without disturbing it.
    ///
    /// Cancellation: dropping the future abandons the check; it changes nothing then.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`; `HealthCheckFailed` if the service does not run. A check that fails is no
    /// error: the health says so.
    pub async fn check_health_now(
        &self,
        service_name: &str,
    ) -> Result<ServiceHealth, HealthMonitorError> {
        self.core.check_now(service_name).await
    }

    /// Updates of one service's health from now on.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    pub fn subscribe_health_updates(
        &self,
        service_name: &str,
    ) -> Result<HealthUpdateStream, HealthMonitorError> {
        self.core.updates(service_name)
    }

    /// Added: a run has ended, by itself or not; checks end at once, crash listeners are told, and
    /// the restart policy decides. Where a restart follows, the handler is called after the delay.
    ///
    /// A name that is not monitored gets [`RestartDecision::Success`].
    pub fn report_exit(&self, service_name: &str, report: ExitReport) -> RestartDecision {
        self.core.exited(service_name, &report)
    }

    /// Added: takes on a restart history that was kept elsewhere: when the restarts took place, oldest
    /// first. Does nothing for a name that is not monitored.
    pub fn restore_attempts(&self, service_name: &str, attempts: &[SystemTime]) {
        self.core.restore(service_name, attempts);
    }

    /// Added: forgets the restart history and cancels a restart that is due.
    pub fn reset_attempts(&self, service_name: &str) {
        self.core.reset(service_name);
    }

    /// Adds a listener for verdicts; see [`on_health_change`](Self::on_health_change).
    pub fn add_health_listener(&self, listener: HealthListener) {
        self.core.health_listeners.add(listener);
    }

    /// Adds a listener for crashes; see [`on_service_crash`](Self::on_service_crash).
    pub fn add_crash_listener(&self, listener: CrashListener) {
        self.core.crash_listeners.add(listener);
    }

    /// Added: ends all tasks of the monitor and waits for them.
    pub async fn shutdown(&self) {
        self.core.close();
        self.core.tasks.wait().await;
    }

    /// Facts for observers.
    pub fn subscribe(&self) -> broadcast::Receiver<HealthEvent> {
        self.core.events.subscribe()
    }

    /// Adds a callback for changes of the verdict.
    ///
    /// It is called on a blocking thread, in order; a slow or panicking callback harms nobody but
    /// itself: if it falls behind by more than a thousand changes, it loses the oldest.
    pub fn on_health_change<F>(&self, callback: F)
    where
        F: Fn(HealthStatusChange) + Send + Sync + 'static,
    {
        self.add_health_listener(Arc::new(callback));
    }

    /// Adds a callback for crashes; called as that of [`on_health_change`](Self::on_health_change).
    pub fn on_service_crash<F>(&self, callback: F)
    where
        F: Fn(ServiceCrash) + Send + Sync + 'static,
    {
        self.add_crash_listener(Arc::new(callback));
    }
}

#[async_trait]
impl HealthMonitorApi for HealthMonitor {
    async fn start_monitoring(
        &self,
        service_name: &str,
        strategy: HealthCheckStrategy,
    ) -> Result<(), HealthMonitorError> {
        self.start_monitoring(service_name, strategy).await
    }

    async fn start_monitoring_with(
        &self,
        service_name: &str,
        options: MonitorOptions,
    ) -> Result<(), HealthMonitorError> {
        self.start_monitoring_with(service_name, options).await
    }

    fn update_monitoring(
        &self,
        service_name: &str,
        options: MonitorOptions,
    ) -> Result<(), HealthMonitorError> {
        self.update_monitoring(service_name, options)
    }

    async fn stop_monitoring(&self, service_name: &str) {
        self.stop_monitoring(service_name).await;
    }

    fn suspend_checks(&self, service_name: &str) {
        self.suspend_checks(service_name);
    }

    fn set_maintenance(&self, service_name: &str, on: bool) -> Result<(), HealthMonitorError> {
        self.set_maintenance(service_name, on)
    }

    fn get_health(&self, service_name: &str) -> Result<ServiceHealth, HealthMonitorError> {
        self.get_health(service_name)
    }

    fn check_statistics(&self, service_name: &str) -> Vec<CheckStatistics> {
        self.check_statistics(service_name)
    }

    fn is_ready(&self, service_name: &str) -> Option<bool> {
        self.is_ready(service_name)
    }

    async fn check_health_now(
        &self,
        service_name: &str,
    ) -> Result<ServiceHealth, HealthMonitorError> {
        self.check_health_now(service_name).await
    }

    fn subscribe_health_updates(
        &self,
        service_name: &str,
    ) -> Result<HealthUpdateStream, HealthMonitorError> {
        self.subscribe_health_updates(service_name)
    }

    fn report_exit(&self, service_name: &str, report: ExitReport) -> RestartDecision {
        self.report_exit(service_name, report)
    }

    fn restore_attempts(&self, service_name: &str, attempts: Vec<SystemTime>) {
        self.restore_attempts(service_name, &attempts);
    }

    fn reset_attempts(&self, service_name: &str) {
        self.reset_attempts(service_name);
    }

    fn add_health_listener(&self, listener: HealthListener) {
        self.add_health_listener(listener);
    }

    fn add_crash_listener(&self, listener: CrashListener) {
        self.add_crash_listener(listener);
    }

    async fn shutdown(&self) {
        self.shutdown().await;
    }

    fn subscribe(&self) -> broadcast::Receiver<HealthEvent> {
        self.subscribe()
    }
}
