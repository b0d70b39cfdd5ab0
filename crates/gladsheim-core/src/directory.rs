//! Who is who: the address, the facts and the definition of every service's actor.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use tokio::sync::mpsc;

use crate::{
    GladsheimError, Result, ServiceDefinition,
    actor::{
        board::{Board, Reader},
        command::Command,
        facts::Facts,
    },
    workflow::battery::Battery,
};

/// Maps names to actors. Its lock guards only the map, and is held for one look-up at a time.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    entries: RwLock<Entries>,
    pub(crate) battery: Battery,
}

#[derive(Debug, Default)]
struct Entries {
    by_name: HashMap<String, Entry>,
    /// Names in the order of the configuration.
    order: Vec<String>,
}

/// One service's actor.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Unbounded, so that ports and actors never wait for each other in a circle; whoever sends waits
    /// for the reply, so there are no more messages than callers.
    ///
    /// In boxes, since a channel holds room for 32 messages from its beginning.
    pub(crate) mailbox: mpsc::UnboundedSender<Box<Command>>,
    facts: Reader,
    definition: Arc<ServiceDefinition>,
}

impl Directory {
    /// Adds a service and returns what its actor needs.
    pub(crate) fn add(
        &self,
        definition: Arc<ServiceDefinition>,
    ) -> (mpsc::UnboundedReceiver<Box<Command>>, Board) {
        let (mailbox, commands) = mpsc::unbounded_channel();
        let facts = Facts {
            state: skirnir::ServiceState::Stopped,
            ..Facts::default()
        };
        let (sender, facts) = Board::new(facts);
        let name = definition.name.clone();
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries
            .by_name
            .insert(
                name.clone(),
                Entry {
                    mailbox,
                    facts,
                    definition,
                },
            )
            .is_none()
        {
            entries.order.push(name);
        }
        (commands, sender)
    }

    /// Replaces the definition of a service that is there.
    pub(crate) fn redefine(&self, definition: Arc<ServiceDefinition>) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.by_name.get_mut(&definition.name) {
            entry.definition = definition;
        }
    }

    /// Forgets one service and returns the last way to its actor, which ends once that is dropped and
    /// nothing runs.
    pub(crate) fn remove(&self, name: &str) -> Option<Entry> {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.order.retain(|other| other != name);
        entries.by_name.remove(name)
    }

    /// Takes back a removal. The service comes last in the order.
    pub(crate) fn put_back(&self, entry: Entry) {
        let name = entry.definition.name.clone();
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.order.push(name.clone());
        entries.by_name.insert(name, entry);
    }

    /// Puts the names into another order; those that are not listed come last, as they were.
    pub(crate) fn sort(&self, names: &[String]) {
        let places: HashMap<&String, usize> = names.iter().zip(0..).collect();
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries
            .order
            .sort_by_key(|name| places.get(name).copied().unwrap_or(usize::MAX));
    }

    /// Forgets all services; each actor ends once its mailbox is empty and nothing runs.
    pub(crate) fn clear(&self) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        *entries = Entries::default();
    }

    fn entry<T>(&self, name: &str, read: impl FnOnce(&Entry) -> T) -> Option<T> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.by_name.get(name).map(read)
    }

    /// Sends a command; without an actor of that name, the command and its reply are dropped.
    pub(crate) fn send(&self, name: &str, command: Command) {
        let sent = self.entry(name, |entry| entry.mailbox.send(Box::new(command)).is_ok());
        if sent != Some(true) {
            tracing::debug!(service = %name, "command for a service that is gone");
        }
    }

    pub(crate) fn facts(&self, name: &str) -> Option<Reader> {
        self.entry(name, |entry| entry.facts.clone())
    }

    pub(crate) fn definition(&self, name: &str) -> Option<Arc<ServiceDefinition>> {
        self.entry(name, |entry| Arc::clone(&entry.definition))
    }

    /// The definition, or `ServiceNotFound`.
    pub(crate) fn known(&self, name: &str) -> Result<Arc<ServiceDefinition>> {
        self.definition(name)
            .ok_or_else(|| GladsheimError::ServiceNotFound(name.to_owned()))
    }

    /// Names in the order of the configuration.
    pub(crate) fn names(&self) -> Vec<String> {
        self.entries
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .order
            .clone()
    }

    /// Definitions in the order of the configuration.
    pub(crate) fn definitions(&self) -> Vec<Arc<ServiceDefinition>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let definition = |name| entries.by_name.get(name);
        let all = entries.order.iter().filter_map(definition);
        all.map(|entry| Arc::clone(&entry.definition)).collect()
    }

    /// Names of the services that depend directly on `name`, sorted.
    pub(crate) fn dependents(&self, name: &str) -> Vec<String> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let mut dependents: Vec<String> = entries
            .by_name
            .values()
            .filter(|entry| {
                entry
                    .definition
                    .depends_on
                    .iter()
                    .any(|dependency| dependency.service_name == name)
            })
            .map(|entry| entry.definition.name.clone())
            .collect();
        dependents.sort();
        dependents
    }
}
