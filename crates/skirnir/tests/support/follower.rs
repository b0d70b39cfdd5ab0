//! A consumer that keeps a copy of the registry by following it, and checks that nothing is missing.

use std::{collections::BTreeMap, sync::Arc};

use skirnir::{
    RegistryChange, RegistryChangeKind, RegistryWatch, ServiceMetadata, ServiceRegistry, WatchEvent,
};

pub(crate) struct Follower {
    pub(crate) watch: RegistryWatch,
    copy: BTreeMap<String, Arc<ServiceMetadata>>,
    pub(crate) revision: Option<u64>,
    pub(crate) snapshots: usize,
}

impl Follower {
    pub(crate) fn new(registry: &ServiceRegistry, revision: Option<u64>) -> Self {
        Self {
            watch: registry.watch_from(revision),
            copy: BTreeMap::new(),
            revision,
            snapshots: 0,
        }
    }

    /// Takes all that is there.
    pub(crate) fn catch_up(&mut self) {
        while let Some(event) = self.watch.try_next() {
            self.take(event);
        }
    }

    pub(crate) fn take(&mut self, event: WatchEvent) {
        match event {
            WatchEvent::Snapshot { revision, services } => {
                assert!(self.revision.is_none_or(|last| last < revision));
                self.snapshots += 1;
                self.revision = Some(revision);
                let names = services.iter().map(|service| service.service_name.clone());
                self.copy = names.zip(services.iter().cloned()).collect();
            }
            WatchEvent::Change(RegistryChange { revision, kind }) => {
                assert_eq!(self.revision.map(|last| last + 1), Some(revision), "no gap");
                self.revision = Some(revision);
                self.apply(kind);
            }
        }
    }

    fn apply(&mut self, kind: RegistryChangeKind) {
        match kind {
            RegistryChangeKind::Registered(service) => {
                let old = self.copy.insert(service.service_name.clone(), service);
                assert_eq!(old, None, "registered once");
            }
            RegistryChangeKind::StateChanged { change, metadata } => {
                assert_eq!(metadata.state, change.new_state);
                let old = self.copy.insert(change.service_name.clone(), metadata);
                assert_eq!(old.map(|old| old.state), Some(change.old_state));
            }
            RegistryChangeKind::Updated(service) => {
                let old = self.copy.insert(service.service_name.clone(), service);
                assert!(old.is_some(), "updated while it is registered");
            }
            RegistryChangeKind::Unregistered(name) => {
                assert!(self.copy.remove(&name).is_some(), "{name} was there");
            }
        }
    }

    /// Measurements aside, which are no changes.
    pub(crate) fn assert_copy_of(&self, registry: &ServiceRegistry) {
        let unmeasured = |service: &Arc<ServiceMetadata>| ServiceMetadata {
            resource_usage: None,
            ..ServiceMetadata::clone(service)
        };
        let copied: Vec<_> = self.copy.values().map(unmeasured).collect();
        let listed: Vec<_> = registry.list_services().iter().map(unmeasured).collect();
        assert_eq!(copied, listed);
    }
}
