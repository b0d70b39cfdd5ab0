//! The internal event bus.

use std::sync::Arc;

use crate::Event;

/// One subscriber's place on the bus.
#[derive(Debug)]
pub struct Subscription {}

impl Subscription {
    /// The next event; a `hall.gap` event where some are not held any more; `None` after the bus has
    /// closed. Cancel safe.
    pub async fn next(&mut self) -> Option<Arc<Event>> {
        todo!()
    }

    /// The next event that is held already; `None` if there is none at present.
    pub fn try_next(&mut self) -> Option<Arc<Event>> {
        todo!()
    }
}
