//! The internal event bus: a bounded ring of numbered facts that any number of observers follow.
//!
//! Publishing never waits and never fails. An observer that falls behind the ring sees one
//! `hall.gap` event that says how many it missed, and goes on from the oldest event still held; it
//! reads the registry again to know the present. Nothing that must happen depends on an event.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use tokio::sync::watch;

use crate::{Event, EventKind, ServiceEvent};

/// The publishing side; clones share one ring.
#[derive(Debug, Clone)]
pub(crate) struct EventBus {
    ring: Arc<Mutex<Ring>>,
    /// Number of the newest event. Closed when the last bus is dropped.
    newest: Arc<watch::Sender<u64>>,
}

#[derive(Debug)]
struct Ring {
    events: VecDeque<Arc<Event>>,
    capacity: usize,
    /// Number of the newest event; 0 before the first.
    newest: u64,
    counts: EventCounts,
}

/// What a bus has carried since it was made: whoever counts by following it could fall behind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct EventCounts {
    /// How many events, by [`EventKind::name`].
    pub kinds: BTreeMap<&'static str, u64>,
    /// Lines of output that were dropped, by service; without those of which none was.
    pub dropped_lines: BTreeMap<String, u64>,
}

impl EventCounts {
    fn count(&mut self, kind: &EventKind) {
        *self.kinds.entry(kind.name()).or_default() += 1;
        if let EventKind::Service {
            service_name,
            event: ServiceEvent::OutputDropped { lines },
        } = kind
        {
            let dropped = self.dropped_lines.entry(service_name.clone()).or_default();
            *dropped = dropped.saturating_add(*lines);
        }
    }
}

impl EventBus {
    /// A bus that holds the last `capacity` events, and whose first one comes after number `before`.
    pub(crate) fn new(capacity: usize, before: u64) -> Self {
        let ring = Ring {
            events: VecDeque::new(),
            capacity,
            newest: before,
            counts: EventCounts::default(),
        };
        Self {
            ring: Arc::new(Mutex::new(ring)),
            newest: Arc::new(watch::Sender::new(before)),
        }
    }

    /// Number of the newest event.
    pub(crate) fn newest(&self) -> u64 {
        *self.newest.borrow()
    }

    /// Adds a fact and wakes the observers.
    pub(crate) fn publish(&self, kind: EventKind) {
        // The number is announced under the ring's lock, so that announcements come in order.
        let mut ring = lock(&self.ring);
        ring.newest += 1;
        ring.counts.count(&kind);
        let event = Event {
            seq: ring.newest,
            at: SystemTime::now(),
            kind,
        };
        if ring.events.len() == ring.capacity {
            ring.events.pop_front();
        }
        ring.events.push_back(Arc::new(event));
        self.newest.send_replace(ring.newest);
    }

    /// What was published so far.
    pub(crate) fn counts(&self) -> EventCounts {
        lock(&self.ring).counts.clone()
    }

    /// An observer that begins after event number `since`.
    pub(crate) fn subscribe_since(&self, since: u64) -> Subscription {
        Subscription {
            ring: Arc::clone(&self.ring),
            newest: self.newest.subscribe(),
            // A number from the future is one of an earlier daemon: begin anew.
            position: if since > lock(&self.ring).newest {
                0
            } else {
                since
            },
        }
    }
}

/// One observer's place on the bus. Dropping it ends the observation; nobody else notices.
#[derive(Debug)]
pub struct Subscription {
    ring: Arc<Mutex<Ring>>,
    newest: watch::Receiver<u64>,
    /// Number of the last event seen.
    position: u64,
}

impl Subscription {
    /// The next event; a `hall.gap` event where some are not held any more; `None` after the bus has
    /// closed and everything held was seen. Cancel safe.
    pub async fn next(&mut self) -> Option<Arc<Event>> {
        loop {
            if let Some(event) = self.try_next() {
                return Some(event);
            }
            let position = self.position;
            if self
                .newest
                .wait_for(|newest| *newest > position)
                .await
                .is_err()
            {
                return self.try_next();
            }
        }
    }

    /// The next event that is held already; `None` if there is none at present.
    pub fn try_next(&mut self) -> Option<Arc<Event>> {
        let ring = lock(&self.ring);
        let oldest = ring.events.front()?.seq;
        if self.position + 1 < oldest {
            let missed = oldest - 1 - self.position;
            self.position = oldest - 1;
            return Some(Arc::new(Event {
                seq: self.position,
                at: SystemTime::now(),
                kind: EventKind::HallGap { missed },
            }));
        }
        let index = usize::try_from(self.position + 1 - oldest).ok()?;
        let event = Arc::clone(ring.events.get(index)?);
        self.position = event.seq;
        Some(event)
    }
}

fn lock(ring: &Mutex<Ring>) -> std::sync::MutexGuard<'_, Ring> {
    // The ring is whole after every statement, so a panic elsewhere cannot have broken it.
    ring.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn battery(percent: u8) -> EventKind {
        EventKind::BatteryLow { percent }
    }

    #[tokio::test]
    async fn observers_see_all_events_in_order() {
        let bus = EventBus::new(8, 0);
        let mut early = bus.subscribe_since(0);
        for percent in 0..5 {
            bus.publish(battery(percent));
        }
        let mut late = bus.subscribe_since(2);
        for seq in 1..=5 {
            assert_eq!(early.next().await.unwrap().seq, seq);
        }
        for seq in 3..=5 {
            assert_eq!(late.try_next().unwrap().seq, seq);
        }
        assert_eq!(late.try_next(), None);
    }

    #[tokio::test]
    async fn a_slow_observer_sees_one_gap_and_goes_on() {
        let bus = EventBus::new(3, 0);
        let mut slow = bus.subscribe_since(0);
        for percent in 0..10 {
            bus.publish(battery(percent));
        }
        let gap = slow.next().await.unwrap();
        assert_eq!((gap.seq, &gap.kind), (7, &EventKind::HallGap { missed: 7 }));
        for seq in 8..=10 {
            assert_eq!(slow.next().await.unwrap().seq, seq);
        }
    }

    #[tokio::test]
    async fn a_waiting_observer_wakes_and_sees_the_end() {
        let bus = EventBus::new(3, 0);
        let mut observer = bus.subscribe_since(0);
        let watching = async {
            let first = observer.next().await.map(|event| event.seq);
            (first, observer.next().await)
        };
        let publishing = async move {
            bus.publish(EventKind::HallReady);
            drop(bus);
        };
        // The observer is polled first, and waits.
        let (seen, ()) = tokio::join!(biased; watching, publishing);
        assert_eq!(seen, (Some(1), None));
    }

    #[test]
    fn events_and_dropped_lines_are_counted() {
        let bus = EventBus::new(1, 0);
        for lines in [3, 4] {
            bus.publish(EventKind::Service {
                service_name: "thor".into(),
                event: ServiceEvent::OutputDropped { lines },
            });
        }
        bus.publish(EventKind::HallReady);
        let counts = bus.counts();
        assert_eq!(
            counts.kinds,
            BTreeMap::from([("hall.ready", 1), ("output.dropped", 2)])
        );
        assert_eq!(
            counts.dropped_lines,
            BTreeMap::from([("thor".to_owned(), 7)])
        );
    }

    #[test]
    fn a_number_from_the_future_begins_anew() {
        let bus = EventBus::new(3, 0);
        bus.publish(EventKind::HallReady);
        assert_eq!(bus.subscribe_since(99).try_next().unwrap().seq, 1);
    }
}
