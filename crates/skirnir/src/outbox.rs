//! Hands changes of state to the listeners: in order, and with no lock held.

use std::{
    collections::VecDeque,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use crate::{
    StateChange, StateListener,
    sync::{Mutex, lock},
};

/// Changes on their way to the listeners.
///
/// Changes are posted in their order by whoever makes them, and handed over by one thread at a time: the
/// first that comes to [`deliver`](Outbox::deliver) empties the box for all that come meanwhile. So a
/// listener sees one order, and may itself change the registry: that change waits in the box until
/// the listener has returned.
#[derive(Default)]
pub(crate) struct Outbox {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    listeners: Arc<Vec<StateListener>>,
    /// Each with the listeners that were there when it happened.
    posted: VecDeque<(Arc<StateChange>, Arc<Vec<StateListener>>)>,
    delivering: bool,
}

impl Outbox {
    pub(crate) fn add_listener(&self, listener: StateListener) {
        Arc::make_mut(&mut lock(&self.inner).listeners).push(listener);
    }

    pub(crate) fn post(&self, change: &Arc<StateChange>) {
        let mut inner = lock(&self.inner);
        if !inner.listeners.is_empty() {
            let listeners = Arc::clone(&inner.listeners);
            inner.posted.push_back((Arc::clone(change), listeners));
        }
    }

    /// Empties the box, unless somebody else is at it.
    pub(crate) fn deliver(&self) {
        if mem::replace(&mut lock(&self.inner).delivering, true) {
            return;
        }
        while let Some((change, listeners)) = self.take() {
            for listener in listeners.iter() {
                // The listener's own state after a panic is the listener's business.
                if catch_unwind(AssertUnwindSafe(|| listener((*change).clone()))).is_err() {
                    tracing::error!(
                        service = change.service_name,
                        seq = change.seq,
                        "a state listener panicked"
                    );
                }
            }
        }
    }

    /// The next one; if there is none, whoever posts the next one delivers it.
    fn take(&self) -> Option<(Arc<StateChange>, Arc<Vec<StateListener>>)> {
        let mut inner = lock(&self.inner);
        let next = inner.posted.pop_front();
        inner.delivering = next.is_some();
        next
    }
}
