//! The agenda: what is due when, for all services together. A value without a clock.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::policy::gate::CheckKind;

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    Check(CheckKind),
    /// The load guard's time is up: the run ends if this check still fails.
    EndFailed(CheckKind),
    Restart,
}

/// Names an entry; the time comes first, so that keys sort by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) at: Duration,
    number: u64,
}

/// Entries sorted by time; the same time keeps the order of entering.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    entries: BTreeMap<Key, (Arc<str>, Job)>,
    count: u64,
}

impl Agenda {
    pub(crate) fn insert(&mut self, at: Duration, service: Arc<str>, job: Job) -> Key {
        let key = Key {
            at,
            number: self.count,
        };
        self.count += 1;
        self.entries.insert(key, (service, job));
        key
    }

    pub(crate) fn remove(&mut self, key: Key) {
        self.entries.remove(&key);
    }

    /// Moves an entry to another time; `None` if it is not there.
    pub(crate) fn replace(&mut self, key: Key, at: Duration) -> Option<Key> {
        let (service, job) = self.entries.remove(&key)?;
        Some(self.insert(at, service, job))
    }

    /// The time of the earliest entry.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.entries.keys().next().map(|key| key.at)
    }

    /// Takes the earliest entry that is due.
    pub(crate) fn pop_due(&mut self, now: Duration) -> Option<(Duration, Arc<str>, Job)> {
        let entry = self.entries.first_entry().filter(|e| e.key().at <= now)?;
        let (key, (service, job)) = entry.remove_entry();
        Some((key.at, service, job))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_out_in_order_and_not_before_their_time() {
        let mut agenda = Agenda::default();
        let second = Duration::from_secs;
        let name = |text: &str| Arc::<str>::from(text);
        agenda.insert(second(2), name("late"), Job::Restart);
        agenda.insert(second(1), name("first"), Job::Check(CheckKind::Liveness));
        let dropped = agenda.insert(second(1), name("dropped"), Job::Restart);
        agenda.insert(second(1), name("second"), Job::Restart);
        agenda.remove(dropped);

        assert_eq!(agenda.next(), Some(second(1)));
        let mut due = |now| {
            agenda
                .pop_due(now)
                .map(|(_, service, _)| service.to_string())
        };
        assert_eq!(due(Duration::from_millis(999)), None);
        assert_eq!(due(second(1)).as_deref(), Some("first"));
        assert_eq!(due(second(1)).as_deref(), Some("second"));
        assert_eq!(due(second(1)), None);
        assert_eq!(due(second(3)).as_deref(), Some("late"));
        assert_eq!(agenda.next(), None);
    }
}
