//! The herald: tells listeners, so that a slow or panicking one harms nobody.
//!
//! Each listener has a queue of its own, emptied in order by at most one blocking task at a time; no
//! thread waits while there is nothing to tell. A listener that falls behind loses the oldest notices.

use std::{
    any::Any,
    collections::VecDeque,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::runtime::Handle;

/// Notices that wait for one listener.
const QUEUE: usize = 1024;

type Listener<T> = Arc<dyn Fn(T) + Send + Sync>;

/// All listeners for one kind of notice.
pub(crate) struct Herald<T> {
    outlets: Mutex<Vec<Arc<Outlet<T>>>>,
}

struct Outlet<T> {
    listener: Listener<T>,
    /// Guards the queue only; free while the listener runs.
    queue: Mutex<Queue<T>>,
}

struct Queue<T> {
    waiting: VecDeque<T>,
    /// Whether a task empties it.
    draining: bool,
}

impl<T: Clone + Send + 'static> Herald<T> {
    pub(crate) fn new() -> Self {
        Self {
            outlets: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn add(&self, listener: Listener<T>) {
        let queue = Mutex::new(Queue {
            waiting: VecDeque::new(),
            draining: false,
        });
        lock(&self.outlets).push(Arc::new(Outlet { listener, queue }));
    }

    /// Queues a notice for every listener; returns at once.
    pub(crate) fn tell(&self, runtime: &Handle, notice: &T) {
        for outlet in lock(&self.outlets).iter() {
            let mut queue = lock(&outlet.queue);
            if queue.waiting.len() == QUEUE {
                queue.waiting.pop_front();
                tracing::warn!("a listener is too slow: it loses the oldest notice");
            }
            queue.waiting.push_back(notice.clone());
            if !std::mem::replace(&mut queue.draining, true) {
                let outlet = Arc::clone(outlet);
                // Nobody waits for it: a listener that never returns must not hold up a shutdown.
                drop(runtime.spawn_blocking(move || outlet.drain()));
            }
        }
    }
}

impl<T> Outlet<T> {
    fn drain(&self) {
        while let Some(notice) = self.take() {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (self.listener)(notice))) {
                tracing::error!(panic = panic_text(&*panic), "a listener panicked");
            }
        }
    }

    fn take(&self) -> Option<T> {
        let mut queue = lock(&self.queue);
        let notice = queue.waiting.pop_front();
        queue.draining = notice.is_some();
        notice
    }
}

impl<T> fmt::Debug for Herald<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Herald").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a panic said, if it said anything.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a text")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn stuck_and_panicking_listeners_harm_nobody() {
        let herald = Herald::new();
        let (let_go, stuck) = mpsc::channel::<()>();
        let stuck = Mutex::new(stuck);
        herald.add(Arc::new(move |_| {
            let _ = lock(&stuck).recv(); // ends when the sender is dropped
        }));
        herald.add(Arc::new(|number: u32| panic!("number {number}")));
        let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
        herald.add(Arc::new(move |number| told.send(number).expect("heard")));

        for number in 0..100 {
            herald.tell(&Handle::current(), &number);
        }
        for number in 0..100 {
            assert_eq!(heard.recv().await, Some(number));
        }
        drop(let_go);
    }

    #[tokio::test]
    async fn listener_that_falls_behind_loses_the_oldest_notices() {
        let herald = Herald::new();
        let (let_go, stuck) = mpsc::channel::<()>();
        let stuck = Mutex::new(stuck);
        let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
        herald.add(Arc::new(move |number| {
            told.send(number).expect("heard");
            let _ = lock(&stuck).recv(); // ends when the sender is dropped
        }));

        herald.tell(&Handle::current(), &0);
        assert_eq!(heard.recv().await, Some(0));
        for number in 1..=QUEUE + 10 {
            herald.tell(&Handle::current(), &number);
        }
        drop(let_go);
        for number in 11..=QUEUE + 10 {
            assert_eq!(heard.recv().await, Some(number));
        }
    }
}
