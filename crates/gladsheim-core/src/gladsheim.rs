//! The hall itself: what the daemon, or a program that embeds it, talks to.

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use byggvir::{ResourceLimits, ResourceUsage, SystemResourceUsage};
use roskva::{HealthUpdateStream, ServiceHealth};
use skirnir::ServiceStatistics;
use thjalfi::{LogQuery, LogStream, Signal};
use tokio::sync::mpsc;

use crate::{
    Event, GladsheimConfig, GladsheimError, Result, ServiceDefinition, ServiceStatus, Subscription,
};

/// Coordinates the four servants (specification: Integration, `Gladsheim`).
#[derive(Debug, Clone)]
pub struct Gladsheim {
    config: Arc<GladsheimConfig>,
}

/// What one start asks for beyond the service's definition; holds until a person starts it again.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StartOverrides {
    /// Added to the definition's environment.
    pub env_vars: HashMap<String, String>,
    /// Instead of the definition's working directory.
    pub working_dir: Option<PathBuf>,
    /// Instead of the definition's arguments.
    pub args: Option<Vec<String>>,
    /// Instead of the definition's limits.
    pub resource_limits: Option<ResourceLimits>,
    /// Instead of the definition's start-up timeout.
    pub startup_timeout: Option<Duration>,
}

/// How to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StopOptions {
    /// Instead of the definition's shutdown timeout.
    pub timeout: Option<Duration>,
    /// Stop running dependents first, instead of refusing.
    pub force: bool,
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitCondition {
    /// Its process runs and it counts as running.
    Running,
    /// It is ready.
    Ready,
    /// It is healthy.
    Healthy,
    /// No process, and none coming.
    Stopped,
    /// The present run has ended; at once if none runs and one has ended.
    Exited,
}

/// What became of one service of a bring-up.
#[derive(Debug)]
pub struct BringUpProgress {
    /// Name of the service.
    pub service_name: String,
    /// Its status once it is up, or why it is not.
    pub result: Result<ServiceStatus>,
}

impl Gladsheim {
    /// A hall with the four real servants. Never spawns, opens or fails.
    pub fn new(config: GladsheimConfig) -> Self {
        Self {
            config: Arc::new(config),
        }
    }

    /// Opens the hall: registers the services as stopped and starts the monitoring loops. Starts no service.
    pub async fn start(&self) -> Result<()> {
        todo!()
    }

    /// Stops all services in reverse dependency order, then the servants. A second call, or one
    /// beside the first, waits for the same end.
    pub async fn shutdown(&self) -> Result<()> {
        todo!()
    }

    /// Hastens a shutdown under way: kills what is left.
    pub async fn kill_all(&self) {
        todo!()
    }

    /// Starts all services with `autostart`, or the named ones, with what they depend on; one message for
    /// each service concerned as it is done, then the end. Dropping the receiver cancels nothing.
    pub fn bring_up(&self, _names: &[String]) -> Result<mpsc::Receiver<BringUpProgress>> {
        todo!()
    }

    /// Starts a service after what it depends on; returns when it is ready.
    pub async fn start_service(
        &self,
        _name: &str,
        _overrides: StartOverrides,
    ) -> Result<ServiceStatus> {
        todo!()
    }

    /// Stops a service gracefully.
    pub async fn stop_service(&self, _name: &str, _options: StopOptions) -> Result<ServiceStatus> {
        todo!()
    }

    /// Kills a service's whole tree at once.
    pub async fn force_kill_service(&self, _name: &str) -> Result<ServiceStatus> {
        todo!()
    }

    /// Stops a service if it runs, and starts it; dependents are left running.
    pub async fn restart_service(&self, _name: &str) -> Result<ServiceStatus> {
        todo!()
    }

    /// Sends one signal to the leader.
    pub fn signal_service(&self, _name: &str, _signal: Signal) -> Result<()> {
        todo!()
    }

    /// Clears `failed` (to stopped) and the counted attempts.
    pub async fn reset_service(&self, _name: &str) -> Result<()> {
        todo!()
    }

    /// Keeps a service running without checks (`true`), or goes on checking (`false`).
    pub async fn set_maintenance(&self, _name: &str, _on: bool) -> Result<()> {
        todo!()
    }

    /// Waits until `condition` holds, or cannot hold any more (`WaitFailed`). For `Exited` the status has
    /// `exit_code` and `signal` of the run that ended.
    pub async fn wait_for(&self, _name: &str, _condition: WaitCondition) -> Result<ServiceStatus> {
        todo!()
    }

    /// Status of one service.
    pub fn get_service_status(&self, _name: &str) -> Result<ServiceStatus> {
        todo!()
    }

    /// Status of all services, in the order of the configuration.
    pub fn list_services(&self) -> Vec<ServiceStatus> {
        todo!()
    }

    /// Names of all services, in the order of the configuration.
    pub fn service_names(&self) -> Vec<String> {
        todo!()
    }

    /// Definition of one service.
    pub fn definition(&self, _name: &str) -> Option<Arc<ServiceDefinition>> {
        todo!()
    }

    /// Last known health; `unknown` if it does not run.
    pub fn get_health(&self, _name: &str) -> Result<ServiceHealth> {
        todo!()
    }

    /// Checks now.
    pub async fn check_health(&self, _name: &str) -> Result<ServiceHealth> {
        todo!()
    }

    /// Updates of the health of a service that is running.
    pub fn watch_health(&self, _name: &str) -> Result<HealthUpdateStream> {
        todo!()
    }

    /// Last sample of a running service.
    pub fn get_resource_usage(&self, _name: &str) -> Result<ResourceUsage> {
        todo!()
    }

    /// Usage of the machine.
    pub fn get_system_usage(&self) -> SystemResourceUsage {
        todo!()
    }

    /// Limits of a service.
    pub fn get_resource_limits(&self, _name: &str) -> Result<ResourceLimits> {
        todo!()
    }

    /// Sets limits of a service, live.
    pub fn set_resource_limits(&self, _name: &str, _limits: ResourceLimits) -> Result<()> {
        todo!()
    }

    /// Counts per state.
    pub fn get_statistics(&self) -> ServiceStatistics {
        todo!()
    }

    /// Captured output.
    pub fn read_log(&self, _name: &str, _query: LogQuery) -> Result<LogStream> {
        todo!()
    }

    /// Events after number `since` that are still held, and all that follow. A hole shows as `hall.gap`.
    pub fn events_since(&self, _since: u64) -> Subscription {
        todo!()
    }

    /// Which containment is active: `cgroup` or `session`.
    pub fn containment(&self) -> &'static str {
        todo!()
    }
}
