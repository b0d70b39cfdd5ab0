//! One service in the registry: what is known about it, and how it came to that.

use std::{collections::VecDeque, mem, sync::Arc};

use crate::{
    ServiceMetadata, StateChange,
    sync::{RwLock, read, write},
};

/// Changes of state that are kept per service.
const HISTORY: usize = 32;

/// A slot for the current metadata. Readers take the `Arc`; the one writer puts another in its place,
/// so that neither holds the lock for longer than it takes to copy a pointer.
pub(crate) struct Entry {
    metadata: RwLock<Arc<ServiceMetadata>>,
    history: RwLock<VecDeque<Arc<StateChange>>>,
}

impl Entry {
    pub(crate) fn new(metadata: Arc<ServiceMetadata>) -> Self {
        Self {
            metadata: RwLock::new(metadata),
            history: RwLock::default(),
        }
    }

    pub(crate) fn metadata(&self) -> Arc<ServiceMetadata> {
        Arc::clone(&read(&self.metadata))
    }

    pub(crate) fn replace(&self, metadata: Arc<ServiceMetadata>) {
        let old = mem::replace(&mut *write(&self.metadata), metadata);
        drop(old); // With the lock released: freeing takes longer than swapping.
    }

    /// Changes the metadata where they are, unless somebody holds them; returns whether it did. What every
    /// sample of every service pays for need not be a copy.
    pub(crate) fn edit_in_place(&self, edit: impl FnOnce(&mut ServiceMetadata)) -> bool {
        match Arc::get_mut(&mut write(&self.metadata)) {
            Some(metadata) => {
                edit(metadata);
                true
            }
            None => false,
        }
    }

    pub(crate) fn remember(&self, change: Arc<StateChange>) {
        let mut history = write(&self.history);
        if history.len() == HISTORY {
            history.pop_front();
        }
        history.push_back(change);
    }

    /// Oldest first.
    pub(crate) fn history(&self) -> Vec<StateChange> {
        let history = read(&self.history).clone();
        history.iter().map(|change| (**change).clone()).collect()
    }
}
