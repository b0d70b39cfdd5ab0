//! The hall itself: what the daemon, or a program that embeds it, talks to.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use byggvir::{ResourceLimits, ResourceManagerApi, ResourceUsage, SystemResourceUsage};
use roskva::{HealthMonitorApi, HealthUpdateStream, ServiceHealth};
use skirnir::{Cause, ServiceMetadata, ServiceRegistryApi, ServiceState, ServiceStatistics};
use thjalfi::{LogQuery, LogStream, ServiceLoaderApi, Signal};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    EventKind, GladsheimConfig, GladsheimError, Result, ServiceDefinition, ServiceStatus,
    Subscription,
    actor::{Hall, ServiceActor, command::Command},
    bus::EventBus,
    directory::Directory,
    graph,
    ports::Orders,
    pump::Pump,
    servants::Servants,
};

/// Coordinates the four servants (specification: Integration, `Gladsheim`).
///
/// A cheap clone; all clones are one hall. Dropping the last one without [`shutdown`](Self::shutdown)
/// ends the hall's tasks, not the services.
#[derive(Clone)]
pub struct Gladsheim {
    pub(crate) thjalfi: Arc<dyn ServiceLoaderApi>,
    pub(crate) byggvir: Arc<dyn ResourceManagerApi>,
    pub(crate) roskva: Arc<dyn HealthMonitorApi>,
    pub(crate) skirnir: Arc<dyn ServiceRegistryApi>,
    pub(crate) config: Arc<GladsheimConfig>,
    pub(crate) hall: Hall,
    pub(crate) orders: Orders,
    life: Arc<Life>,
}

/// How far the hall is between opening and end, and its tasks.
#[derive(Debug)]
struct Life {
    opened: AtomicBool,
    closing: AtomicBool,
    /// Set once everything has ended.
    closed: watch::Sender<bool>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

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
    /// A hall with the four real servants. Never spawns, opens or fails; callable outside a runtime.
    pub fn new(mut config: GladsheimConfig) -> Self {
        config.loader.service_paths.extend(
            config
                .services
                .iter()
                .map(|service| (service.name.clone(), service.path.clone())),
        );
        let directory = Arc::new(Directory::default());
        let servants = Servants::real(&config, &directory);
        Self::assemble(config, servants, directory)
    }

    /// A hall with servants of the caller's. They must send what they decide to this hall by its
    /// methods; the real ones that [`new`](Self::new) makes do.
    pub fn with_servants(config: GladsheimConfig, servants: Servants) -> Self {
        Self::assemble(config, servants, Arc::new(Directory::default()))
    }

    fn assemble(config: GladsheimConfig, servants: Servants, directory: Arc<Directory>) -> Self {
        // Enough for a bring-up of everything, and never less than is useful.
        let bus = EventBus::new((config.services.len() * 8).max(1024));
        Self {
            thjalfi: Arc::clone(&servants.thjalfi),
            byggvir: Arc::clone(&servants.byggvir),
            roskva: Arc::clone(&servants.roskva),
            skirnir: Arc::clone(&servants.skirnir),
            config: Arc::new(config),
            orders: Orders {
                directory: Arc::clone(&directory),
            },
            hall: Hall {
                servants,
                bus,
                directory,
            },
            life: Arc::new(Life {
                opened: AtomicBool::new(false),
                closing: AtomicBool::new(false),
                closed: watch::Sender::new(false),
                tasks: TaskTracker::new(),
                stop: CancellationToken::new(),
            }),
        }
    }

    /// Opens the hall: registers the services as stopped and starts the monitoring loops (specification:
    /// `start`). Starts no service; see [`bring_up`](Self::bring_up). Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// `Config` for a cycle, an unknown dependency or a name that is there twice; `ResourceManager` for
    /// limits that make no sense; `NotOpen` if it was opened before. Nothing has been started then.
    pub async fn start(&self) -> Result<()> {
        check(&self.config.services)?;
        if self.life.opened.swap(true, Ordering::AcqRel) {
            return Err(GladsheimError::NotOpen("it was opened before".to_owned()));
        }
        for service in &self.config.services {
            self.add_service(Arc::new(service.clone()))?;
        }
        let pump = Pump::new(self.hall.clone());
        self.life.tasks.spawn(pump.run(self.life.stop.clone()));
        self.byggvir.start_monitoring().await;
        Ok(())
    }

    fn add_service(&self, definition: Arc<ServiceDefinition>) -> Result<()> {
        let name = definition.name.clone();
        self.byggvir
            .set_resource_limits(&name, definition.limits.clone())?;
        self.byggvir
            .set_limit_policy(&name, definition.limit_policy.clone());
        self.skirnir.register_service(
            name.clone(),
            ServiceMetadata {
                service_name: name,
                state: ServiceState::Stopped,
                custom: definition.metadata.clone().into_iter().collect(),
                endpoints: definition.endpoints.clone(),
                ..ServiceMetadata::default()
            },
        )?;
        let (mailbox, facts) = self.hall.directory.add(Arc::clone(&definition));
        let actor = ServiceActor::new(definition, self.hall.clone(), mailbox, facts);
        self.life.tasks.spawn(actor.run());
        Ok(())
    }

    /// Says on the bus that every service which was to start by itself has answered.
    pub fn announce_ready(&self) {
        self.hall.bus.publish(EventKind::HallReady);
    }

    /// Stops all services in reverse dependency order, then the servants (specification: `shutdown`).
    ///
    /// A second call, or one beside the first, waits for the same end. Cancellation: dropping the future
    /// of the first call leaves the hall closed to starts, with the stops that were begun.
    ///
    /// # Errors
    ///
    /// None at present; a service that could not be stopped is logged.
    pub async fn shutdown(&self) -> Result<()> {
        if self.life.closing.swap(true, Ordering::AcqRel) {
            let mut closed = self.life.closed.subscribe();
            // The sender is ours, so the wait cannot fail.
            let _ = closed.wait_for(|closed| *closed).await;
            return Ok(());
        }
        self.hall.bus.publish(EventKind::HallShuttingDown);
        self.skirnir.lock();
        self.roskva.shutdown().await;
        self.byggvir.stop_monitoring().await;
        self.stop_all().await;
        self.hall.directory.clear();
        self.life.stop.cancel();
        self.life.tasks.close();
        self.life.tasks.wait().await;
        self.life.closed.send_replace(true);
        Ok(())
    }

    /// Hastens a shutdown under way: kills what is left, and waits until it is gone.
    pub async fn kill_all(&self) {
        let mut kills = JoinSet::new();
        for name in self.hall.directory.names() {
            let orders = self.orders.clone();
            kills.spawn(async move {
                // Not running is what was wanted.
                let _ = orders
                    .ask(&name, |reply| Command::Kill {
                        cause: Cause::Shutdown,
                        reply,
                    })
                    .await;
            });
        }
        while kills.join_next().await.is_some() {}
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.life.closing.load(Ordering::Acquire)
    }

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

    /// Status of one service.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    pub fn get_service_status(&self, name: &str) -> Result<ServiceStatus> {
        self.skirnir
            .get_service(name)
            .map(|metadata| self.status_of(&metadata))
            .ok_or_else(|| GladsheimError::ServiceNotFound(name.to_owned()))
    }

    /// Status of all services, in the order of the configuration.
    pub fn list_services(&self) -> Vec<ServiceStatus> {
        self.service_names()
            .iter()
            .filter_map(|name| self.get_service_status(name).ok())
            .collect()
    }

    fn status_of(&self, metadata: &ServiceMetadata) -> ServiceStatus {
        ServiceStatus {
            containment: self.thjalfi.containment().to_owned(),
            limits_enforced_by: self
                .byggvir
                .limits_enforced_by(&metadata.service_name)
                .to_owned(),
            ..ServiceStatus::from_metadata(metadata)
        }
    }

    /// Names of all services, in the order of the configuration.
    pub fn service_names(&self) -> Vec<String> {
        self.hall.directory.names()
    }

    /// Definition of one service.
    pub fn definition(&self, name: &str) -> Option<Arc<ServiceDefinition>> {
        self.hall.directory.definition(name)
    }

    /// Last known health; `unknown` if it does not run.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    pub fn get_health(&self, name: &str) -> Result<ServiceHealth> {
        let definition = self.hall.directory.known(name)?;
        Ok(self
            .roskva
            .get_health(name)
            .unwrap_or_else(|_| ServiceHealth {
                service_name: name.to_owned(),
                check_strategy: definition.monitor.liveness.strategy.clone(),
                ..ServiceHealth::default()
            }))
    }

    /// Checks now, outside the schedule.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`; `NotRunning` if there is nothing to check. A check that fails is no error.
    pub async fn check_health(&self, name: &str) -> Result<ServiceHealth> {
        self.hall.directory.known(name)?;
        match self.roskva.check_health_now(name).await {
            Err(roskva::HealthMonitorError::ServiceNotFound(name)) => {
                Err(GladsheimError::NotRunning(name))
            }
            outcome => Ok(outcome?),
        }
    }

    /// Updates of the health of a service that is running.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`; `NotRunning` if it has never run.
    pub fn watch_health(&self, name: &str) -> Result<HealthUpdateStream> {
        self.hall.directory.known(name)?;
        self.roskva
            .subscribe_health_updates(name)
            .map_err(|_| GladsheimError::NotRunning(name.to_owned()))
    }

    /// Last sample of a running service.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`; `NotRunning`; `ResourceManager` if it could not be measured.
    pub fn get_resource_usage(&self, name: &str) -> Result<ResourceUsage> {
        self.hall.directory.known(name)?;
        match self.byggvir.get_resource_usage(name) {
            Err(byggvir::ResourceManagerError::ServiceNotFound(name)) => {
                Err(GladsheimError::NotRunning(name))
            }
            outcome => Ok(outcome?),
        }
    }

    /// Usage of the machine.
    pub fn get_system_usage(&self) -> SystemResourceUsage {
        self.byggvir.get_system_usage()
    }

    /// Limits of a service.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    pub fn get_resource_limits(&self, name: &str) -> Result<ResourceLimits> {
        self.hall.directory.known(name)?;
        Ok(self.byggvir.get_resource_limits(name)?)
    }

    /// Sets limits of a service, running or not; they hold until the next reload.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`; `ResourceManager` with `InvalidLimits`.
    pub fn set_resource_limits(&self, name: &str, limits: ResourceLimits) -> Result<()> {
        self.hall.directory.known(name)?;
        Ok(self.byggvir.set_resource_limits(name, limits)?)
    }

    /// Counts per state.
    pub fn get_statistics(&self) -> ServiceStatistics {
        self.skirnir.get_statistics()
    }

    /// Captured output.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`; `ServiceLoader` if it cannot be read.
    pub fn read_log(&self, name: &str, query: LogQuery) -> Result<LogStream> {
        self.hall.directory.known(name)?;
        Ok(self.thjalfi.read_log(name, query)?)
    }

    /// Events after number `since` that are still held, and all that follow.
    pub fn events_since(&self, since: u64) -> Subscription {
        self.hall.bus.subscribe_since(since)
    }

    /// Which containment is active: `cgroup` or `session`.
    pub fn containment(&self) -> &'static str {
        self.thjalfi.containment()
    }
}

impl std::fmt::Debug for Gladsheim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gladsheim")
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

/// What would make waiting pointless or names ambiguous.
fn check(services: &[ServiceDefinition]) -> Result<()> {
    let mut names = HashSet::new();
    for service in services {
        if !names.insert(service.name.as_str()) {
            return Err(GladsheimError::Config(format!(
                "service {} is there twice",
                service.name
            )));
        }
    }
    for service in services {
        for dependency in &service.depends_on {
            if !names.contains(dependency.service_name.as_str()) {
                return Err(GladsheimError::Config(format!(
                    "service {} depends on {}, which is not defined",
                    service.name, dependency.service_name
                )));
            }
        }
    }
    match graph::find_cycle(services) {
        Some(cycle) => Err(GladsheimError::Config(format!(
            "services depend on each other in a circle: {}",
            cycle.join(" -> ")
        ))),
        None => Ok(()),
    }
}
