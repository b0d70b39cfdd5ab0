//! Connections kept from one check to the next, by service and target.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A check takes its connection out and puts it back if it can be used again.
pub(crate) struct Kept<T> {
    connections: Mutex<HashMap<String, HashMap<String, T>>>,
}

impl<T> Kept<T> {
    pub(crate) fn take(&self, service: &str, target: &str) -> Option<T> {
        self.lock().get_mut(service)?.remove(target)
    }

    /// Another handle of what is kept.
    pub(crate) fn get(&self, service: &str, target: &str) -> Option<T>
    where
        T: Clone,
    {
        self.lock().get(service)?.get(target).cloned()
    }

    pub(crate) fn put(&self, service: &str, target: &str, connection: T) {
        self.lock()
            .entry(service.to_owned())
            .or_default()
            .insert(target.to_owned(), connection);
    }

    pub(crate) fn forget(&self, service: &str) {
        self.lock().remove(service);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, HashMap<String, T>>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self {
            connections: Mutex::default(),
        }
    }
}

impl<T> fmt::Debug for Kept<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}
