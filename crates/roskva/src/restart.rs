//! Ports: what the monitor needs from its owner.

use std::{fmt, process::ExitStatus, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{BoxError, HealthProbe, Pace, Starvation};

/// What a [`HealthMonitor`](crate::HealthMonitor) is given by its owner; each may be left out.
#[derive(Clone, Default)]
pub struct MonitorPorts {
    /// Carries out restarts. Without it the monitor only says what it would do.
    pub restart: Option<Arc<dyn RestartHandler>>,
    /// Answers process checks. Without it a process lives from `start_monitoring` to `report_exit`.
    pub liveness: Option<Arc<dyn ProcessLiveness>>,
    /// Runs the commands of `Exec` checks where the service lives. Without it they have the environment and the
    /// folder of this process, and a process group of their own.
    pub commands: Option<Arc<dyn CommandRunner>>,
    /// Carries out checks in the place of the built-in ones.
    pub probe: Option<Arc<dyn HealthProbe>>,
    /// Tells the load guard how the machine is. Without it, the guard knows only this process's own delays.
    pub starvation: Option<Arc<dyn Starvation>>,
    /// Tells how much less often services are checked. Without it, their intervals hold.
    pub pace: Option<Arc<dyn Pace>>,
}

impl fmt::Debug for MonitorPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MonitorPorts")
            .field("restart", &self.restart.is_some())
            .field("liveness", &self.liveness.is_some())
            .field("commands", &self.commands.is_some())
            .field("probe", &self.probe.is_some())
            .field("starvation", &self.starvation.is_some())
            .field("pace", &self.pace.is_some())
            .finish()
    }
}

/// Carries out what the restart policy decides.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait RestartHandler: Send + Sync + 'static {
    /// Begin the next run of the service; `attempt` is the number within the window, from 1.
    ///
    /// Cancellation: dropped where `stop_monitoring` of this service is called meanwhile, so it must not
    /// call that itself.
    ///
    /// # Errors
    ///
    /// If the run could not begin. The monitor only reports it: the owner tells a failed start by
    /// [`report_exit`](crate::HealthMonitorApi::report_exit).
    async fn restart(&self, service_name: &str, attempt: u32) -> Result<(), BoxError>;

    /// End the present run because a check failed for good; the owner then tells its end by
    /// [`report_exit`](crate::HealthMonitorApi::report_exit) with [`Cause::Probe`](gladsheim_types::Cause::Probe).
    /// Checks rest meanwhile: it is asked once, unless the run is neither ended nor its checks suspended
    /// within a minute.
    ///
    /// # Errors
    ///
    /// If it is not ended; the monitor goes on checking, and asks again at the next failure.
    async fn end_run(&self, service_name: &str, request: EndRequest) -> Result<(), BoxError>;
}

/// How a run is to be ended whose check has failed for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndRequest {
    /// Which check, and what it said, for a person.
    pub reason: String,
    /// Whether, as things stand, the policy will restart it.
    pub will_restart: bool,
    /// How long the stop may take, if the check says so ([`CheckOptions`](crate::CheckOptions)).
    pub shutdown_timeout: Option<Duration>,
}

/// Runs the command of an [`Exec`](gladsheim_types::HealthCheckStrategy::Exec) check where the service lives.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait CommandRunner: Send + Sync + 'static {
    /// Runs a command, program and arguments, to its end.
    ///
    /// Cancellation: dropped at the check's timeout and when its service ends; then, too, nothing that the
    /// command has started may stay behind.
    ///
    /// # Errors
    ///
    /// If it cannot be started; the text becomes the check's message.
    async fn run(&self, service_name: &str, command: &[String]) -> Result<CommandEnd, BoxError>;
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandEnd {
    /// Its exit status; 0 is healthy.
    pub status: ExitStatus,
    /// The end of what it wrote; the last line becomes the check's message.
    pub output: Vec<u8>,
}

/// Tells whether the process of a service lives: the process check asks it.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
pub trait ProcessLiveness: Send + Sync + 'static {
    /// Whether the leader of the service lives.
    fn is_alive(&self, service_name: &str) -> bool;
}
