//! Following the registry without missing anything.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Weak},
};

use tokio::sync::watch;

use crate::{
    ServiceMetadata, StateChange,
    registry::Inner,
    sync::{RwLock, read, write},
};

/// Changes that are held for those who follow.
const HELD: usize = 1024;

/// Added: one change of the registry.
///
/// Applied in order to a snapshot, changes give the registry as it is, but for measurements: a sample of
/// usage, or a check that confirms the verdict, is no change and makes none. Changes carry the
/// last ones.
#[derive(Debug, Clone, PartialEq)]
pub struct RegistryChange {
    /// How many changes the registry has seen, this one included. From 1, without gaps, in the order in
    /// which they happened. (Not [`StateChange::seq`], which counts changes of state alone.)
    pub revision: u64,
    /// What changed.
    pub kind: RegistryChangeKind,
}

/// Added: what changed in the registry.
#[derive(Debug, Clone, PartialEq)]
pub enum RegistryChangeKind {
    /// A service was registered.
    Registered(Arc<ServiceMetadata>),
    /// A service moved to another state.
    StateChanged {
        /// How it moved.
        change: Arc<StateChange>,
        /// All that was known about it right after.
        metadata: Arc<ServiceMetadata>,
    },
    /// Something else about a service changed: its process, its end, its restarts, whether it is
    /// ready, the verdict on its health, its endpoints, its custom metadata.
    Updated(Arc<ServiceMetadata>),
    /// The service of this name was removed.
    Unregistered(String),
}

/// Added: what a [`RegistryWatch`] tells.
#[derive(Debug, Clone, PartialEq)]
pub enum WatchEvent {
    /// All services, sorted by name, as of `revision`. It replaces whatever the consumer knew.
    Snapshot {
        /// The last change that it contains; 0 before the first.
        revision: u64,
        /// The services.
        services: Vec<Arc<ServiceMetadata>>,
    },
    /// The next change: its revision is that of the event before and one.
    Change(RegistryChange),
}

/// The last changes, and how many there were.
pub(crate) struct ChangeLog {
    held: Arc<RwLock<VecDeque<RegistryChange>>>,
    /// The last revision; its end tells the watches that the registry is gone.
    revision: watch::Sender<u64>,
}

impl Default for ChangeLog {
    fn default() -> Self {
        Self {
            held: Arc::default(),
            revision: watch::Sender::new(0),
        }
    }
}

impl ChangeLog {
    /// Adds the next change. Only the holder of the writer's lock may do that.
    pub(crate) fn push(&self, kind: RegistryChangeKind) {
        let revision = self.revision() + 1;
        let mut held = write(&self.held);
        let oldest = if held.len() == HELD {
            held.pop_front()
        } else {
            None
        };
        held.push_back(RegistryChange { revision, kind });
        drop(held);
        drop(oldest); // With the lock released: it may be the last to hold large metadata.
        self.revision.send_replace(revision);
    }

    pub(crate) fn revision(&self) -> u64 {
        *self.revision.borrow()
    }

    pub(crate) fn watch(&self, registry: Weak<Inner>, position: Option<u64>) -> RegistryWatch {
        RegistryWatch {
            registry,
            held: Arc::clone(&self.held),
            revision: self.revision.subscribe(),
            position,
        }
    }
}

/// Added: follows the registry; see [`ServiceRegistryApi::watch_from`](crate::ServiceRegistryApi::watch_from).
///
/// A slow consumer costs nothing and harms nobody: changes are held once for all, the last 1,024. Who
/// falls further behind gets a [`WatchEvent::Snapshot`] in place of what was missed, and goes on from
/// there. A watch does not keep the registry alive. Dropping it ends it.
pub struct RegistryWatch {
    registry: Weak<Inner>,
    held: Arc<RwLock<VecDeque<RegistryChange>>>,
    revision: watch::Receiver<u64>,
    /// The revision last told; none: a snapshot is due.
    position: Option<u64>,
}

/// Where the change after a position is.
enum Next {
    Held(RegistryChange),
    NotYet,
    Gone,
}

impl RegistryWatch {
    /// Waits for what comes next; `None` once the last handle on the registry is gone and all that
    /// is held has been told.
    ///
    /// Cancel safe: an event is either returned or told by the next call.
    pub async fn next(&mut self) -> Option<WatchEvent> {
        loop {
            // Marked as seen before looking, so that a change in between ends the wait.
            self.revision.borrow_and_update();
            if let Some(event) = self.try_next() {
                return Some(event);
            }
            if self.revision.changed().await.is_err() {
                return self.try_next();
            }
        }
    }

    /// What comes next, if it is there already.
    pub fn try_next(&mut self) -> Option<WatchEvent> {
        let next = self.position.map_or(Next::Gone, |told| self.after(told));
        let (revision, event) = match next {
            Next::NotYet => return None,
            Next::Held(change) => (change.revision, WatchEvent::Change(change)),
            Next::Gone => {
                let (revision, services) = self.registry.upgrade()?.snapshot();
                (revision, WatchEvent::Snapshot { revision, services })
            }
        };
        self.position = Some(revision);
        Some(event)
    }

    fn after(&self, told: u64) -> Next {
        let held = read(&self.held);
        let first = held.front().map_or(1, |change| change.revision);
        // A position before the first that is held, or one that this registry never gave out.
        let Some(index) = told.checked_add(1).and_then(|next| next.checked_sub(first)) else {
            return Next::Gone;
        };
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        match held.get(index) {
            Some(change) => Next::Held(change.clone()),
            None if index == held.len() => Next::NotYet,
            None => Next::Gone,
        }
    }
}

impl fmt::Debug for RegistryWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryWatch")
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
