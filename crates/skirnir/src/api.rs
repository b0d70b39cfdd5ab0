//! The contract of the registry.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use gladsheim_types::{ResourceUsage, ServiceHealth};
use tokio::sync::broadcast;

use crate::{
    RegistryWatch, RunEnd, ServiceFilter, ServiceMetadata, ServiceRegistryError, ServiceState,
    ServiceStatistics, StateChange, Transition,
};

/// Called after a state has changed, with no lock held. Must not block; a panic in it is contained.
pub type StateListener = Arc<dyn Fn(StateChange) + Send + Sync>;

/// Knows who runs, in which state, and why (specification: Skirnir, Public API).
///
/// All methods return at once; a reader never waits for a writer that is busy.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
pub trait ServiceRegistryApi: Send + Sync + 'static {
    /// Registers a service. The entry's name is `service_name`, whatever the metadata say.
    ///
    /// # Errors
    ///
    /// `AlreadyRegistered`; `RegistryLocked` after [`lock`](Self::lock).
    fn register_service(
        &self,
        service_name: String,
        metadata: ServiceMetadata,
    ) -> Result<(), ServiceRegistryError>;

    /// Removes a service and its history.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    fn unregister_service(&self, service_name: &str) -> Result<(), ServiceRegistryError>;

    /// All that is known about a service.
    fn get_service(&self, service_name: &str) -> Option<Arc<ServiceMetadata>>;

    /// All services, sorted by name.
    fn list_services(&self) -> Vec<Arc<ServiceMetadata>>;

    /// The services in one state, sorted by name.
    fn list_services_by_state(&self, state: ServiceState) -> Vec<Arc<ServiceMetadata>>;

    /// Added: the services that a filter means, sorted by name: discovery.
    fn find_services(&self, filter: &ServiceFilter) -> Vec<Arc<ServiceMetadata>>;

    /// Whether a service is registered.
    fn is_registered(&self, service_name: &str) -> bool;

    /// Moves a service to another state, without a cause and in the same generation.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`, `InvalidTransition`.
    fn update_state(
        &self,
        service_name: &str,
        new_state: ServiceState,
    ) -> Result<(), ServiceRegistryError>;

    /// Added: moves a service to another state and records why, in one step with all that the
    /// transition carries.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`, `InvalidTransition`; nothing has changed then.
    fn transition(
        &self,
        service_name: &str,
        transition: Transition,
    ) -> Result<(), ServiceRegistryError>;

    /// Added: records the process of a new run: `process_id`, `start_time`, no `stop_time`, and the
    /// next generation.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    fn record_start(
        &self,
        service_name: &str,
        process_id: u32,
        start_time: SystemTime,
    ) -> Result<(), ServiceRegistryError>;

    /// Added: records the end of a run: `process_id` 0, `stop_time`, how it ended; usage and health of
    /// the run are dropped.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    fn record_end(&self, service_name: &str, end: RunEnd) -> Result<(), ServiceRegistryError>;

    /// Added: another process stands for the present run.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    fn update_process(
        &self,
        service_name: &str,
        process_id: u32,
    ) -> Result<(), ServiceRegistryError>;

    /// Added: one more automatic restart.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    fn record_restart(&self, service_name: &str) -> Result<(), ServiceRegistryError>;

    /// Added: whether the service is ready, and what it waits for or why it is in its state, for a
    /// person (`None` leaves the reason as it is, an empty one clears it).
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    fn update_readiness(
        &self,
        service_name: &str,
        ready: bool,
        reason: Option<String>,
    ) -> Result<(), ServiceRegistryError>;

    /// Added: when the next attempt of a service that restarts is due, `None` if that is not known, and which
    /// it is.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    fn update_next_attempt(
        &self,
        service_name: &str,
        next_attempt_at: Option<SystemTime>,
        attempt: u32,
    ) -> Result<(), ServiceRegistryError>;

    /// Records the last sample.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    fn update_resource_usage(
        &self,
        service_name: &str,
        usage: ResourceUsage,
    ) -> Result<(), ServiceRegistryError>;

    /// Records the last health.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    fn update_health_status(
        &self,
        service_name: &str,
        health: ServiceHealth,
    ) -> Result<(), ServiceRegistryError>;

    /// Added: the addresses where the service listens, as its declaration or the service itself has
    /// them.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    fn update_endpoints(
        &self,
        service_name: &str,
        endpoints: Vec<String>,
    ) -> Result<(), ServiceRegistryError>;

    /// Added: replaces the custom metadata.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    fn update_custom(
        &self,
        service_name: &str,
        custom: HashMap<String, String>,
    ) -> Result<(), ServiceRegistryError>;

    /// Added: the last changes of a service's state, oldest first; bounded.
    fn history(&self, service_name: &str) -> Vec<StateChange>;

    /// Adds a listener for the changes of state from now on.
    ///
    /// It is called in the order of [`StateChange::seq`], one call at a time, by a thread that changes a
    /// state: as a rule the one that made the change, before its call returns; where several threads
    /// change states at once, any of them, and then a call may return earlier. A listener
    /// may call the registry; what it changes is told after it has returned. It must not block: other
    /// listeners wait for it, though no writer's change does.
    fn add_state_listener(&self, listener: StateListener);

    /// Counts per state.
    fn get_statistics(&self) -> ServiceStatistics;

    /// Added: from now on nothing is registered (shutdown has begun).
    fn lock(&self);

    /// Changes of state for observers: a slow one sees a gap and reads the registry again.
    fn subscribe(&self) -> broadcast::Receiver<StateChange>;

    /// Added: follows the registry without missing anything.
    ///
    /// With `None`, a snapshot comes first, then every change after it. With the revision of the event that
    /// a consumer handled last, every change after that one, as long as they are held (the last
    /// 1,024); else, and for a revision that this registry has not reached yet, a snapshot. A
    /// revision means nothing to any other registry, nor to the same program's next run.
    fn watch_from(&self, revision: Option<u64>) -> RegistryWatch;
}

/// The specification's generic method, kept off the vtable.
pub trait ServiceRegistryExt: ServiceRegistryApi {
    /// Adds a callback for changes of state (specification: `on_state_change`).
    fn on_state_change<F>(&self, callback: F)
    where
        F: Fn(StateChange) + Send + Sync + 'static,
    {
        self.add_state_listener(Arc::new(callback));
    }
}

impl<T: ServiceRegistryApi + ?Sized> ServiceRegistryExt for T {}
