//! Who is who: the address, the facts and the definition of every service's actor.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use tokio::sync::{mpsc, watch};

use crate::{
    GladsheimError, Result, ServiceDefinition,
    actor::{command::Command, facts::Facts},
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

#[derive(Debug, Clone)]
struct Entry {
    /// Unbounded, so that ports and actors never wait for each other in a circle; whoever sends waits
    /// for the reply, so there are no more messages than callers.
    ///
    /// In boxes, since a channel holds room for 32 messages from its beginning.
    mailbox: mpsc::UnboundedSender<Box<Command>>,
    facts: watch::Receiver<Facts>,
    definition: Arc<ServiceDefinition>,
}

impl Directory {
    /// Adds a service and returns what its actor needs.
    pub(crate) fn add(
        &self,
        definition: Arc<ServiceDefinition>,
    ) -> (mpsc::UnboundedReceiver<Box<Command>>, watch::Sender<Facts>) {
        let (mailbox, commands) = mpsc::unbounded_channel();
        let facts = Facts {
            state: skirnir::ServiceState::Stopped,
            ..Facts::default()
        };
        let (sender, facts) = watch::channel(facts);
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

    pub(crate) fn facts(&self, name: &str) -> Option<watch::Receiver<Facts>> {
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
