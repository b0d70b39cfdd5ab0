//! The contract of the service loader.

use std::{collections::HashMap, path::PathBuf, time::Duration};

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::{
    AdoptOptions, CommandEnd, Loaded, LogQuery, LogStream, ProcessEvent, ServiceLoaderError,
    ServiceProcess, Signal, StartOptions,
};

/// Starts, stops and looks up service processes (specification: Thjalfi, Public API).
///
/// Methods take `&self`: an implementation is shared as `Arc<dyn ServiceLoaderApi>` and serialises
/// requests for one service by itself. Requests for different services never wait for each other.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait ServiceLoaderApi: Send + Sync + 'static {
    /// Starts a service and returns once it is ready.
    ///
    /// [`launch_service`](Self::launch_service), then [`ServiceProcess::ready`] within
    /// `options.startup_timeout`; when that has passed, the whole tree is killed.
    /// A start during a slow stop waits for the stop.
    ///
    /// Cancellation: dropping the future leaves the process running, found by `get_process`.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`, `AlreadyRunning`, `Unauthorized`, `SpawnFailed`, `StartupTimeout`.
    async fn start_service(
        &self,
        service_name: &str,
        options: StartOptions,
    ) -> Result<ServiceProcess, ServiceLoaderError>;

    /// Added: starts a service and returns as soon as `exec` has succeeded.
    ///
    /// # Errors
    ///
    /// As `start_service`, without `StartupTimeout`.
    async fn launch_service(
        &self,
        service_name: &str,
        options: StartOptions,
    ) -> Result<ServiceProcess, ServiceLoaderError>;

    /// Added: goes on with a run that an earlier daemon has started: same process, same output.
    ///
    /// A process that has ended meanwhile is a run that ends at once, with its exit status where the
    /// kernel still tells it; what is left of its tree is killed. A number that was given to another
    /// process is recognised, and that process left alone. The name need not be configured.
    ///
    /// # Errors
    ///
    /// `AlreadyRunning`; `Io` if there is no telling whether it lives.
    async fn adopt_service(
        &self,
        service_name: &str,
        options: AdoptOptions,
    ) -> Result<ServiceProcess, ServiceLoaderError>;

    /// Added: kills what earlier daemons of this hall have left running and nobody has adopted, and
    /// waits for its end. Called after all adoptions, before the first start.
    ///
    /// # Errors
    ///
    /// `Io` if something could not be found or killed.
    async fn end_leftovers(&self) -> Result<(), ServiceLoaderError>;

    /// Stops a service: its stop signal to the leader, then to what is left of the tree; SIGKILL to
    /// all of it after `timeout`. Returns when the tree is gone.
    ///
    /// Cancellation: dropping the future does not cancel the stop.
    ///
    /// # Errors
    ///
    /// `NotRunning`; `ShutdownTimeout` where `force_kill_after_timeout` is off, and it still runs.
    async fn stop_service(
        &self,
        service_name: &str,
        timeout: Duration,
    ) -> Result<(), ServiceLoaderError>;

    /// Kills the whole tree at once and returns when it is gone; overtakes a stop under way.
    ///
    /// # Errors
    ///
    /// `NotRunning`.
    async fn force_kill_service(&self, service_name: &str) -> Result<(), ServiceLoaderError>;

    /// Stops the service if it runs, within the configured shutdown timeout, and starts it.
    ///
    /// # Errors
    ///
    /// As `start_service`, and `ShutdownTimeout`.
    async fn restart_service(
        &self,
        service_name: &str,
        options: StartOptions,
    ) -> Result<ServiceProcess, ServiceLoaderError>;

    /// Added: runs a command beside a running service, and waits for its end: as the service's user, in its
    /// environment and folder, with its limits for a process. Its tree is one of its own, is contained as the
    /// service's is, and does not outlive the command.
    ///
    /// Cancellation: dropping the future kills the whole tree.
    ///
    /// # Errors
    ///
    /// `NotRunning`; `SpawnFailed` if it cannot be started, or its end is not known.
    async fn run_command(
        &self,
        service_name: &str,
        command: &[String],
    ) -> Result<CommandEnd, ServiceLoaderError>;

    /// The handle of a running service.
    fn get_process(&self, service_name: &str) -> Option<ServiceProcess>;

    /// Whether a service has a living process.
    fn is_running(&self, service_name: &str) -> bool;

    /// Added: sends one signal to the leader.
    ///
    /// # Errors
    ///
    /// `NotRunning`, `Io`.
    fn signal_service(&self, service_name: &str, signal: Signal) -> Result<(), ServiceLoaderError>;

    /// Added: brings a service's binary and shared libraries into the page cache, ahead of a start.
    ///
    /// It is authorised as for a start, with the SHA-256 that the file must have, if any.
    /// Cancellation: dropping the future does not end the reading.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`, `Unauthorized`, `SpawnFailed` if the binary cannot be read.
    async fn load_service(
        &self,
        service_name: &str,
        sha256: Option<String>,
    ) -> Result<Loaded, ServiceLoaderError>;

    /// Added: replaces the paths of the services, and with them the list of what may start.
    /// Running services are left alone.
    fn set_service_paths(&self, service_paths: HashMap<String, PathBuf>);

    /// Added: which containment is active, `cgroup` or `session`.
    fn containment(&self) -> &'static str;

    /// Added: captured output, oldest first; with `query.follow`, goes on as it is written.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`; `Io` if the log cannot be read.
    fn read_log(
        &self,
        service_name: &str,
        query: LogQuery,
    ) -> Result<LogStream, ServiceLoaderError>;

    /// Added: prepares for this process to execute another program, which goes on with all services: starts under way are
    /// waited for and no further one begins, no process is reaped any more, and the keeper holds everything.
    ///
    /// [`go_on`](Self::go_on) takes it back. Cancellation: dropping the future may leave it half done; `go_on` helps.
    ///
    /// # Errors
    ///
    /// `Io` if starts or ends under way take too long, or the keeper does not answer; everything goes on then.
    async fn hand_over(&self) -> Result<(), ServiceLoaderError>;

    /// Added: goes on after a [`hand_over`](Self::hand_over) to a program that could not be executed.
    fn go_on(&self);

    /// Added: closes the sockets, and parts from the keeper, which ends unless something still runs. Called last, in
    /// good order; without it, a later loader goes on as after a crash.
    async fn close(&self);

    /// Facts for observers.
    fn subscribe(&self) -> broadcast::Receiver<ProcessEvent>;
}
