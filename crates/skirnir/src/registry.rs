//! The registry: what it keeps, and how that is read. How it is changed stands in `change.rs`.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Bound,
    sync::{Arc, OnceLock, Weak},
};

use tokio::sync::broadcast;

use crate::{
    RegistryWatch, ServiceFilter, ServiceMetadata, ServiceState, ServiceStatistics, StateChange,
    StateListener,
    entry::Entry,
    outbox::Outbox,
    sync::{Mutex, RwLock, lock, read},
    watch::ChangeLog,
};

/// Services that a listing reads under one hold of the lock, so that a registration which waits for it,
/// and the readers behind that, wait for a few microseconds.
const CHUNK: usize = 256;

/// Changes of state that a subscriber may lie behind before it sees a gap.
const SUBSCRIBER_CAPACITY: usize = 1024;

/// Knows who runs, in which state, since when and why (specification: Skirnir, `ServiceRegistry`).
///
/// A cheap clone of one shared registry; with the last clone its contents are dropped, subscribers see the
/// end of their channel, and watches end. Every method may be called from any thread, returns at once,
/// and needs no runtime. The methods are those of [`ServiceRegistryApi`](crate::ServiceRegistryApi),
/// callable without an import.
#[derive(Clone, Default)]
pub struct ServiceRegistry {
    pub(crate) inner: Arc<Inner>,
}

/// What the handles share.
///
/// `writer` puts changes in a row. Its holder alone writes the rest, and takes the other locks one after the
/// other, each for one short statement; a reader never takes it, so it never waits for a change that
/// is being worked out.
pub(crate) struct Inner {
    pub(crate) writer: Mutex<Writer>,
    pub(crate) services: RwLock<BTreeMap<String, Arc<Entry>>>,
    /// Services per state, in the order of `ServiceState::ALL`.
    pub(crate) counts: RwLock<[usize; ServiceState::ALL.len()]>,
    pub(crate) log: ChangeLog,
    pub(crate) outbox: Outbox,
    /// Made for the first subscriber: a channel holds all its room from its beginning.
    pub(crate) changes: OnceLock<broadcast::Sender<StateChange>>,
}

/// What only writers need to know.
#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) locked: bool,
    /// The last [`StateChange::seq`].
    pub(crate) seq: u64,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            writer: Mutex::default(),
            services: RwLock::default(),
            counts: RwLock::default(),
            log: ChangeLog::default(),
            outbox: Outbox::default(),
            changes: OnceLock::new(),
        }
    }
}

impl Inner {
    pub(crate) fn entry(&self, service_name: &str) -> Option<Arc<Entry>> {
        read(&self.services).get(service_name).cloned()
    }

    fn list(&self) -> Vec<Arc<ServiceMetadata>> {
        let mut listed: Vec<Arc<ServiceMetadata>> = Vec::new();
        loop {
            let before = listed.len();
            let last = listed.last().cloned();
            let after = last.as_ref().map_or(Bound::Unbounded, |service| {
                Bound::Excluded(service.service_name.as_str())
            });
            let services = read(&self.services);
            listed.reserve(services.len().saturating_sub(before));
            listed.extend(
                services
                    .range::<str, _>((after, Bound::Unbounded))
                    .take(CHUNK)
                    .map(|(_, entry)| entry.metadata()),
            );
            if listed.len() < before + CHUNK {
                return listed;
            }
        }
    }

    /// All services and the revision of which they are; writers wait meanwhile, readers do not.
    pub(crate) fn snapshot(&self) -> (u64, Vec<Arc<ServiceMetadata>>) {
        let _writer = lock(&self.writer);
        (self.log.revision(), self.list())
    }
}

impl ServiceRegistry {
    /// An empty registry. Never fails, starts nothing, needs no runtime.
    pub fn new() -> Self {
        Self::default()
    }

    /// All that is known about a service.
    pub fn get_service(&self, service_name: &str) -> Option<Arc<ServiceMetadata>> {
        read(&self.inner.services)
            .get(service_name)
            .map(|entry| entry.metadata())
    }

    /// All services, sorted by name. Each is as of the moment when it was read; for one moment of
    /// all of them, take the snapshot of [`watch_from`](Self::watch_from).
    pub fn list_services(&self) -> Vec<Arc<ServiceMetadata>> {
        self.inner.list()
    }

    /// The services in one state, sorted by name.
    pub fn list_services_by_state(&self, state: ServiceState) -> Vec<Arc<ServiceMetadata>> {
        self.find_services(&ServiceFilter::default().state(state))
    }

    /// Added: the services that a filter means, sorted by name.
    pub fn find_services(&self, filter: &ServiceFilter) -> Vec<Arc<ServiceMetadata>> {
        let mut services = self.inner.list();
        services.retain(|service| filter.matches(service));
        services
    }

    /// Whether a service is registered.
    pub fn is_registered(&self, service_name: &str) -> bool {
        read(&self.inner.services).contains_key(service_name)
    }

    /// Counts per state, of one moment: they add up.
    pub fn get_statistics(&self) -> ServiceStatistics {
        ServiceStatistics::from_counts(*read(&self.inner.counts))
    }

    /// Added: the last 32 changes of a service's state, oldest first; none for an unknown service.
    pub fn history(&self, service_name: &str) -> Vec<StateChange> {
        self.inner
            .entry(service_name)
            .map_or_else(Vec::new, |entry| entry.history())
    }

    /// Adds a callback for changes of state; see
    /// [`add_state_listener`](crate::ServiceRegistryApi::add_state_listener).
    pub fn on_state_change<F>(&self, callback: F)
    where
        F: Fn(StateChange) + Send + Sync + 'static,
    {
        self.add_state_listener(Arc::new(callback));
    }

    /// Adds a listener; see [`add_state_listener`](crate::ServiceRegistryApi::add_state_listener).
    pub fn add_state_listener(&self, listener: StateListener) {
        self.inner.outbox.add_listener(listener);
    }

    /// Changes of state from now on. Whoever lies more than 1,024 behind sees `Lagged`, and reads the
    /// registry again.
    pub fn subscribe(&self) -> broadcast::Receiver<StateChange> {
        let changes = &self.inner.changes;
        changes
            .get_or_init(|| broadcast::Sender::new(SUBSCRIBER_CAPACITY))
            .subscribe()
    }

    /// Added: follows the registry; see [`watch_from`](crate::ServiceRegistryApi::watch_from).
    pub fn watch_from(&self, revision: Option<u64>) -> RegistryWatch {
        let registry: Weak<Inner> = Arc::downgrade(&self.inner);
        self.inner.log.watch(registry, revision)
    }
}

impl fmt::Debug for ServiceRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceRegistry")
            .field("statistics", &self.get_statistics())
            .finish_non_exhaustive()
    }
}
