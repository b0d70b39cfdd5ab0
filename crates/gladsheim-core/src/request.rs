//! What the hall can be asked to do with one service.

use std::{collections::HashMap, path::PathBuf, time::Duration};

use byggvir::ResourceLimits;
use skirnir::Cause;
use thjalfi::Signal;

use crate::{Gladsheim, GladsheimError, Result, ServiceStatus, actor::command::Command};

/// What one start asks for beyond the service's definition.
///
/// Holds for that run and its automatic restarts.
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

/// How the stop of one service went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopReport {
    /// Name of the service.
    pub service_name: String,
    /// How long it waited for its dependents before it was asked; zero outside a shutdown.
    pub waited: Duration,
    /// From the request to the end of its process tree.
    pub took: Duration,
    /// Whether it was killed: at its shutdown timeout, at the deadline of the shutdown, or by
    /// [`kill_all`](Gladsheim::kill_all).
    pub killed: bool,
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitCondition {
    /// It counts as running.
    Running,
    /// It is ready.
    Ready,
    /// It is healthy.
    Healthy,
    /// No process, and none coming by itself.
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
    /// Starts a service after what it depends on; returns when it is ready.
    ///
    /// Cancellation: dropping the future does not cancel the start.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`, `AlreadyRunning`, `DependencyFailed`, `Overtaken` by a stop, `NotOpen`;
    /// `ServiceLoader` with what went wrong.
    pub async fn start_service(
        &self,
        name: &str,
        overrides: StartOverrides,
    ) -> Result<ServiceStatus> {
        self.ensure_open()?;
        self.hall.directory.known(name)?;
        self.orders
            .ask(name, |reply| Command::Start {
                overrides,
                join: false,
                reply,
            })
            .await?;
        self.get_service_status(name)
    }

    /// Kills a service's whole process tree at once; returns when it is gone.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`, `NotRunning`.
    pub async fn force_kill_service(&self, name: &str) -> Result<ServiceStatus> {
        self.hall.directory.known(name)?;
        self.orders
            .ask(name, |reply| Command::Kill {
                cause: Cause::User,
                reply,
            })
            .await?;
        self.get_service_status(name)
    }

    /// Stops a service if it runs, and starts it; leaves dependents running.
    ///
    /// # Errors
    ///
    /// As [`start_service`](Self::start_service) without `AlreadyRunning`, and as `stop_service`.
    pub async fn restart_service(&self, name: &str) -> Result<ServiceStatus> {
        self.ensure_open()?;
        self.hall.directory.known(name)?;
        self.orders
            .ask(name, |reply| Command::Restart { reply })
            .await?;
        self.get_service_status(name)
    }

    /// Brings a service's binary and shared libraries into the page cache, ahead of a start.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`; `ServiceLoader` if it may not start, or cannot be read.
    pub async fn load_service(&self, name: &str) -> Result<thjalfi::Loaded> {
        let definition = self.hall.directory.known(name)?;
        let sha256 = definition.start.sha256.clone();
        Ok(self.thjalfi.load_service(name, sha256).await?)
    }

    /// Sends one signal to the leader.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`, `NotRunning`; `ServiceLoader` if the signal could not be sent.
    pub fn signal_service(&self, name: &str, signal: Signal) -> Result<()> {
        self.hall.directory.known(name)?;
        match self.thjalfi.signal_service(name, signal) {
            Err(thjalfi::ServiceLoaderError::NotRunning(name)) => {
                Err(GladsheimError::NotRunning(name))
            }
            outcome => Ok(outcome?),
        }
    }

    /// Clears `failed` (to stopped) and the counted attempts, and cancels a restart that is due.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    pub async fn reset_service(&self, name: &str) -> Result<()> {
        self.hall.directory.known(name)?;
        self.orders
            .ask(name, |reply| Command::Reset { reply })
            .await
    }

    /// Keeps a service running without checks (`true`), or goes on checking (`false`).
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    pub async fn set_maintenance(&self, name: &str, on: bool) -> Result<()> {
        self.hall.directory.known(name)?;
        self.orders
            .ask(name, |reply| Command::Maintenance { on, reply })
            .await
    }
}
