//! The hall itself: what the daemon, or a program that embeds it, talks to.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use byggvir::ResourceManagerApi;
use roskva::HealthMonitorApi;
use skirnir::{Cause, ServiceMetadata, ServiceRegistryApi, ServiceState};
use thjalfi::ServiceLoaderApi;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    EventKind, GladsheimConfig, GladsheimError, Result, ServiceDefinition, StopReport,
    actor::{Hall, ServiceActor, command::Command, remember::Past},
    bus::EventBus,
    directory::Directory,
    graph,
    group::{Notice, keeper},
    journal::Journal,
    ports::Orders,
    pump::Pump,
    servants::{HallPorts, Servants},
    workflow::resume,
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
    pub(crate) life: Arc<Life>,
}

/// How far the hall is between opening and end, and its tasks.
#[derive(Debug)]
pub(crate) struct Life {
    directory: Arc<Directory>,
    /// What waits until the hall is opened.
    to_open: Mutex<Option<ToOpen>>,
    /// Paths that the loader knows beside those of the services.
    pub(crate) other_paths: HashMap<String, PathBuf>,
    /// One reload at a time.
    pub(crate) reloading: tokio::sync::Mutex<()>,
    /// Services that the first bring-up leaves as they are.
    resting: Mutex<HashSet<String>>,
    closing: AtomicBool,
    /// How the stops of the shutdown went.
    stops: Mutex<Vec<StopReport>>,
    /// Set once everything has ended.
    closed: watch::Sender<bool>,
    pub(crate) tasks: TaskTracker,
    stop: CancellationToken,
}

#[derive(Debug)]
struct ToOpen {
    services: Vec<ServiceDefinition>,
    notices: mpsc::UnboundedReceiver<Notice>,
}

impl Drop for Life {
    /// Ends the actors and the pump; what runs, runs on.
    fn drop(&mut self) {
        self.directory.clear();
        self.stop.cancel();
    }
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
        let servants = Servants::real(&config, HallPorts::to(&directory));
        Self::assemble(config, servants, directory)
    }

    /// A hall with servants of the caller's, who get the ports that lead back to this hall.
    pub fn with_servants(
        config: GladsheimConfig,
        servants: impl FnOnce(HallPorts) -> Servants,
    ) -> Self {
        let directory = Arc::new(Directory::default());
        let servants = servants(HallPorts::to(&directory));
        Self::assemble(config, servants, directory)
    }

    fn assemble(
        mut config: GladsheimConfig,
        servants: Servants,
        directory: Arc<Directory>,
    ) -> Self {
        // The definitions move on to their actors: they are not kept twice.
        let services = std::mem::take(&mut config.services);
        // Enough for a bring-up of everything, and never less than is useful.
        let bus = EventBus::new((services.len() * 8).max(1024), config.events_before);
        let (groups, notices) = mpsc::unbounded_channel();
        let mut other_paths = config.loader.service_paths.clone();
        for service in &services {
            other_paths.remove(&service.name);
        }
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
                directory: Arc::clone(&directory),
                groups,
                journal: Journal::default(),
            },
            life: Arc::new(Life {
                directory,
                to_open: Mutex::new(Some(ToOpen { services, notices })),
                resting: Mutex::default(),
                other_paths,
                reloading: tokio::sync::Mutex::default(),
                closing: AtomicBool::new(false),
                stops: Mutex::default(),
                closed: watch::Sender::new(false),
                tasks: TaskTracker::new(),
                stop: CancellationToken::new(),
            }),
        }
    }

    /// Opens the hall: registers the services as stopped and starts the monitoring loops (specification:
    /// `start`). Starts no service; see [`bring_up`](Self::bring_up). Needs a tokio runtime.
    ///
    /// With a `state_dir`, it goes on where an earlier hall was cut off: what still runs is taken over, what
    /// has ended meanwhile is followed by what the restart policy says, and what was coming up comes up.
    ///
    /// # Errors
    ///
    /// `Config` for a cycle, an unknown dependency or a name that is there twice; `ResourceManager` for
    /// limits that make no sense; `Journal` if it cannot be read or written; `NotOpen` if it was opened before. The hall stays closed then.
    pub async fn start(&self) -> Result<()> {
        let to_open = {
            let mut to_open = self
                .life
                .to_open
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(to_open) = &*to_open {
                check(&to_open.services)?;
            }
            to_open.take()
        };
        let Some(ToOpen { services, notices }) = to_open else {
            return Err(GladsheimError::NotOpen("it was opened before".to_owned()));
        };
        let mut past = match &self.config.state_dir {
            Some(state_dir) => self.resume(state_dir, &services).await?,
            None => HashMap::new(),
        };
        *self.resting() = resume::resting(&past);
        for service in services {
            let past = past.remove(&service.name);
            if let Err(error) = self.add_service(Arc::new(service), past, None) {
                self.forget_services();
                return Err(error);
            }
        }
        let pump = Pump::new(self.hall.clone());
        self.spawn(pump.run(self.life.stop.clone()));
        self.spawn(keeper::run(
            self.orders.clone(),
            notices,
            self.life.stop.clone(),
        ));
        self.spawn(self.hall.journal.clone().mend(self.life.stop.clone()));
        self.byggvir.start_monitoring().await;
        Ok(())
    }

    /// Registers a service as stopped or as it was in the `past`, and gives it its actor; `held` as by a suspension.
    pub(crate) fn add_service(
        &self,
        definition: Arc<ServiceDefinition>,
        past: Option<Past>,
        held: Option<Cause>,
    ) -> Result<()> {
        let name = definition.name.clone();
        self.byggvir
            .set_resource_limits(&name, definition.limits.clone())?;
        self.byggvir
            .set_limit_policy(&name, definition.limit_policy.clone());
        let mut metadata = ServiceMetadata {
            service_name: name.clone(),
            state: ServiceState::Stopped,
            custom: definition.metadata.clone().into_iter().collect(),
            endpoints: definition.endpoints.clone(),
            ..ServiceMetadata::default()
        };
        if let Some(past) = &past {
            past.record.restore(past.resumption, &mut metadata);
        }
        self.skirnir.register_service(name, metadata)?;
        let (mailbox, facts) = self.hall.directory.add(Arc::clone(&definition));
        let mut actor = ServiceActor::new(definition, self.hall.clone(), mailbox, facts, held);
        if let Some(past) = past {
            actor.restore(past);
        }
        self.spawn(Box::new(actor).run());
        Ok(())
    }

    /// Takes back what [`start`](Self::start) has done so far.
    fn forget_services(&self) {
        for name in self.hall.directory.names() {
            // Registered by us just before, so it is there.
            let _ = self.skirnir.unregister_service(&name);
        }
        self.hall.directory.clear();
    }

    /// Stops all services in reverse dependency order, then the servants (specification: `shutdown`); at the
    /// [deadline](GladsheimConfig::shutdown_deadline) it kills what is left.
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
        let stops = self.stop_all().await;
        *self
            .life
            .stops
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = stops;
        self.hall.directory.clear();
        self.life.stop.cancel();
        self.life.tasks.close();
        self.life.tasks.wait().await;
        self.thjalfi.close().await;
        self.hall.journal.close();
        self.life.closed.send_replace(true);
        Ok(())
    }

    /// How long each service took to stop in the shutdown, the slowest first; empty before its end. Services that
    /// did not run are left out.
    pub fn stop_reports(&self) -> Vec<StopReport> {
        self.life
            .stops
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
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

    /// A task that the end of the hall waits for.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.life.tasks.spawn(task);
    }

    /// The services that the first bring-up leaves as they are.
    pub(crate) fn resting(&self) -> MutexGuard<'_, HashSet<String>> {
        let resting = &self.life.resting;
        resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn was_opened(&self) -> bool {
        self.life
            .to_open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_none()
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.life.closing.load(Ordering::Acquire)
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
pub(crate) fn check(services: &[ServiceDefinition]) -> Result<()> {
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
