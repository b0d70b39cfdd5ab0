//! The board where an actor puts up its facts, for whoever passes by and whoever waits.
//!
//! It is smaller than a watch channel of tokio's, and those who wait are woken in the order in which they came:
//! a watch channel wakes them as chance has it, and no story of the simulator could be told twice.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::facts::Facts;

/// The writing side, the actor's. Dropping it ends every wait.
#[derive(Debug)]
pub(crate) struct Board(Arc<Shared>);

/// The reading side. A cheap clone.
#[derive(Debug, Clone)]
pub(crate) struct Reader(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    present: Mutex<Present>,
    changed: Notify,
}

#[derive(Debug)]
struct Present {
    facts: Facts,
    /// The actor has ended, and nothing changes any more.
    ended: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Present> {
        // It is whole after every statement.
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board {
    pub(crate) fn new(facts: Facts) -> (Self, Reader) {
        let present = Present {
            facts,
            ended: false,
        };
        let shared = Arc::new(Shared {
            present: Mutex::new(present),
            changed: Notify::new(),
        });
        (Self(Arc::clone(&shared)), Reader(shared))
    }

    /// Puts up the present; wakes nobody if it is as it was.
    pub(crate) fn put(&self, facts: Facts) {
        let mut present = self.0.lock();
        if present.facts != facts {
            present.facts = facts;
            drop(present);
            self.0.changed.notify_waiters();
        }
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.changed.notify_waiters();
    }
}

impl Reader {
    /// Looks at the present. `look` must be short: the actor waits for it.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&Facts) -> T) -> T {
        look(&self.0.lock().facts)
    }

    /// Waits until `find` finds what it looks for; `None` if the actor has ended without. Cancel safe.
    pub(crate) async fn until<T>(&self, find: impl Fn(&Facts) -> Option<T>) -> Option<T> {
        loop {
            // Made before the look, so that no change falls between.
            let changed = self.0.changed.notified();
            {
                let present = self.0.lock();
                let found = find(&present.facts);
                if found.is_some() || present.ended {
                    return found;
                }
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(ends: u64) -> Facts {
        Facts {
            ends,
            ..Facts::default()
        }
    }

    fn third(facts: &Facts) -> Option<u64> {
        (facts.ends >= 3).then_some(facts.ends)
    }

    #[tokio::test]
    async fn whoever_waits_sees_the_change_and_the_end() {
        let (board, reader) = Board::new(ends(1));
        let late = reader.clone();
        let writing = async move {
            board.put(ends(2));
            tokio::task::yield_now().await;
            board.put(ends(3));
            drop(board);
        };
        let (found, ()) = tokio::join!(biased; reader.until(third), writing);
        assert_eq!(found, Some(3));
        assert_eq!(late.until(third).await, Some(3), "it is still up");
        assert_eq!(late.until(|_| None::<()>).await, None);
    }

    #[tokio::test]
    async fn those_who_wait_are_woken_in_their_order() {
        let (board, reader) = Board::new(ends(1));
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiting = tokio::task::JoinSet::new();
        for number in 0..32 {
            let (reader, order) = (reader.clone(), Arc::clone(&order));
            waiting.spawn(async move {
                reader.until(third).await;
                order.lock().unwrap().push(number);
            });
        }
        tokio::task::yield_now().await;
        board.put(ends(3));
        waiting.join_all().await;
        assert_eq!(*order.lock().unwrap(), (0..32).collect::<Vec<_>>());
    }
}
