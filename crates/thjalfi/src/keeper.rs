//! The keeper: a small process that keeps descriptors open while no daemon lives.
//!
//! # Theory of operation
//!
//! What a service wrote and then ended, its exit status, and the sockets that clients connect to would be
//! gone with the daemon, for the kernel keeps them only as long as somebody has them open. So a child of
//! the daemon holds copies: the reading ends of the FIFOs and the leader's pidfd of each run, and each
//! socket. The next daemon connects to it, fetches what means a run or a socket by its [`Key`], and goes on; the FIFOs it
//! finds by their names, with all that is in them.
//!
//! ```text
//! daemon ──hold, release──> keeper          daemon ──fetch──> keeper ──held, held, …, done──> daemon
//! ```
//!
//! Here is the daemon's side. What is to be held stands in a table; [`Agent`], a task, carries changes
//! over as soon as the runtime has nothing more urgent to do, so that no start waits for them. A keeper that was
//! killed is noticed by the end of its connection, and the next one is given the whole table.
//!
//! The keeper starts with the first thing that is to be held, in the daemon's own group and in a session of
//! its own. Once its daemon has gone and nothing is held, it ends.

use std::{
    collections::{HashMap, HashSet},
    fmt, io,
    os::fd::{AsFd, OwnedFd},
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, task::JoinHandle, time::timeout};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use self::{agent::Agent, connection::Connection};
use crate::{KeeperConfig, SocketAddress};

mod agent;
mod connection;
mod protocol;
pub(crate) mod server;

/// How long a keeper may take to hear of everything.
const PATIENCE: Duration = Duration::from_secs(5);

/// A descriptor that somebody has open.
pub type Descriptor = Arc<dyn AsFd + Send + Sync>;

/// What is held.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// The leader's pidfd, then the reading ends of its output.
    Run { service_name: String, pid: u32 },
    /// A socket of `sockets`.
    Socket {
        service_name: String,
        address: SocketAddress,
    },
    /// The notify socket, if there is one, while the daemon executes itself anew.
    Notify,
}

impl Key {
    pub(crate) fn run(service_name: &str, pid: u32) -> Self {
        Self::Run {
            service_name: service_name.to_owned(),
            pid,
        }
    }

    fn service_name(&self) -> Option<&str> {
        match self {
            Self::Run { service_name, .. } | Self::Socket { service_name, .. } => {
                Some(service_name)
            }
            Self::Notify => None,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run { service_name, pid } => write!(f, "run {service_name} {pid}"),
            Self::Socket {
                service_name,
                address,
            } => write!(f, "socket {service_name} {address}"),
            Self::Notify => f.write_str("notify"),
        }
    }
}

impl FromStr for Key {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "notify" {
            return Ok(Self::Notify);
        }
        let mut words = text.splitn(3, ' ');
        let (Some(kind), Some(name), Some(rest)) = (words.next(), words.next(), words.next())
        else {
            return Err(());
        };
        let service_name = name.to_owned();
        match kind {
            "run" => Ok(Self::Run {
                service_name,
                pid: rest.parse().map_err(drop)?,
            }),
            "socket" => Ok(Self::Socket {
                service_name,
                address: rest.parse().map_err(drop)?,
            }),
            _ => Err(()),
        }
    }
}

/// The daemon's side of its keeper; without a configuration, everything here does nothing. A cheap clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keeper(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    table: Arc<Table>,
    /// What an earlier daemon has left, until somebody takes or forgets it.
    found: Mutex<HashMap<Key, Vec<OwnedFd>>>,
    agent: Mutex<Option<JoinHandle<()>>>,
    closing: CancellationToken,
    _close_on_drop: DropGuard,
}

/// What is to be held, and what of it the keeper has not heard yet.
#[derive(Default)]
struct Table {
    entries: Mutex<Entries>,
    changed: Notify,
    /// The keeper has heard of all changes.
    told: Notify,
    config: KeeperConfig,
}

#[derive(Default)]
struct Entries {
    held: HashMap<Key, Vec<Descriptor>>,
    untold: HashSet<Key>,
    /// One of them is on its way.
    telling: bool,
}

impl Keeper {
    pub(crate) fn new(config: Option<KeeperConfig>) -> Self {
        Self(config.map(|config| {
            let closing = CancellationToken::new();
            Arc::new(Inner {
                table: Arc::new(Table {
                    config,
                    ..Table::default()
                }),
                found: Mutex::default(),
                agent: Mutex::default(),
                _close_on_drop: closing.clone().drop_guard(),
                closing,
            })
        }))
    }

    /// Fetches what an earlier daemon has left, and begins to carry over what is to be held. Once only.
    pub(crate) async fn open(&self, tasks: &TaskTracker) {
        let Some(inner) = &self.0 else { return };
        let (connection, found) = Connection::find(&inner.table.config).await;
        *lock(&inner.found) = found;
        let agent = Agent {
            table: Arc::clone(&inner.table),
            connection,
        };
        let agent = tasks.spawn(agent.run(inner.closing.clone()));
        *lock(&inner.agent) = Some(agent);
    }

    /// Has copies of these held; they stay open here until then.
    pub(crate) fn hold(&self, key: Key, descriptors: Vec<Descriptor>) {
        let Some(inner) = &self.0 else { return };
        // What cannot be recognised later is not worth keeping.
        if key.to_string().parse().as_ref() == Ok(&key) {
            let mut entries = lock(&inner.table.entries);
            entries.untold.insert(key.clone());
            entries.held.insert(key, descriptors);
            inner.table.changed.notify_one();
        }
    }

    pub(crate) fn release(&self, key: Key) {
        let Some(inner) = &self.0 else { return };
        let mut entries = lock(&inner.table.entries);
        entries.held.remove(&key);
        entries.untold.insert(key);
        inner.table.changed.notify_one();
    }

    /// What an earlier daemon has left under a key, for good.
    pub(crate) fn take(&self, key: &Key) -> Option<Vec<OwnedFd>> {
        lock(&self.0.as_ref()?.found).remove(key)
    }

    /// What an earlier daemon has left of its sockets, for good.
    pub(crate) fn take_sockets(&self) -> Vec<(String, SocketAddress, OwnedFd)> {
        let Some(inner) = &self.0 else {
            return Vec::new();
        };
        let mut found = lock(&inner.found);
        let sockets = found.extract_if(|key, _| matches!(key, Key::Socket { .. }));
        let socket = |(key, mut descriptors): (Key, Vec<OwnedFd>)| match key {
            Key::Run { .. } | Key::Notify => None,
            Key::Socket {
                service_name,
                address,
            } => Some((service_name, address, descriptors.pop()?)),
        };
        sockets.filter_map(socket).collect()
    }

    /// Releases the runs that an earlier daemon has left of a service and nobody has taken.
    pub(crate) fn forget_runs(&self, service_name: &str) {
        self.forget(|name| name == service_name);
    }

    /// The same of all services that are not known.
    pub(crate) fn forget_others(&self, is_known: impl Fn(&str) -> bool) {
        self.forget(|name| !is_known(name));
    }

    fn forget(&self, is_gone: impl Fn(&str) -> bool) {
        let Some(inner) = &self.0 else { return };
        let gone: Vec<_> = lock(&inner.found)
            .extract_if(|key, _| key.service_name().is_some_and(&is_gone))
            .collect();
        for (key, _) in gone {
            self.release(key);
        }
    }

    /// Has the keeper hold the notify socket as well, and waits until it holds everything.
    pub(crate) async fn hand_over(&self, notify: Option<Descriptor>) -> io::Result<()> {
        let Some(inner) = &self.0 else {
            return Ok(());
        };
        self.hold(Key::Notify, notify.into_iter().collect());
        let all_told = async {
            while !inner.table.is_told() {
                inner.table.told.notified().await;
            }
        };
        Ok(timeout(PATIENCE, all_told).await?)
    }

    /// Tells the keeper the rest and parts from it; where nothing is held any more, it ends.
    pub(crate) async fn close(&self) {
        let Some(inner) = &self.0 else { return };
        inner.closing.cancel();
        let agent = lock(&inner.agent).take();
        if let Some(agent) = agent
            && let Err(error) = agent.await
        {
            tracing::warn!(%error, "the keeper may live on");
        }
    }
}

impl Table {
    /// A change that the keeper has not heard of, with what is to be held, if anything.
    fn next_untold(&self) -> Option<(Key, Option<Vec<Descriptor>>)> {
        let mut entries = lock(&self.entries);
        entries.telling = false;
        let Some(key) = entries.untold.iter().next().cloned() else {
            self.told.notify_one();
            return None;
        };
        entries.telling = entries.untold.remove(&key);
        let held = entries.held.get(&key).cloned();
        Some((key, held))
    }

    /// A new keeper knows nothing.
    fn tell_all_again(&self) {
        let mut entries = lock(&self.entries);
        let Entries { held, untold, .. } = &mut *entries;
        untold.clear();
        untold.extend(held.keys().cloned());
    }

    fn is_told(&self) -> bool {
        let entries = lock(&self.entries);
        entries.untold.is_empty() && !entries.telling
    }

    fn is_empty(&self) -> bool {
        lock(&self.entries).held.is_empty()
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").finish_non_exhaustive()
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn a_key_is_read_as_it_is_written() {
        for text in [
            "run thor 42",
            "notify",
            "socket thor tcp:127.0.0.1:80",
            "socket thor unix:/a folder/sock",
        ] {
            let key: Key = text.parse().expect("is one");
            assert_eq!(key.to_string(), text);
        }
        for text in [
            "",
            "run thor",
            "run thor x",
            "walk thor 1",
            "socket thor 80",
        ] {
            text.parse::<Key>().expect_err(text);
        }
    }
}
