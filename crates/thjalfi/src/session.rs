//! Containment without cgroups: a session for each service, and this process as subreaper.
//!
//! Once a leader has ended, every living member of its tree is a child of this process or below one:
//! orphans come here. So members are found among our unknown children and their descendants. An
//! orphan belongs to the service whose session or group it is in, or whose mark its environment
//! carries; one that left both behind and cannot be read is reported, never killed on suspicion.

use std::{
    collections::BTreeSet,
    io,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::Notify,
};

use crate::{
    Signal, SignalTarget,
    procfs::{self, Stat},
    sys::{self, Pidfd},
};

/// The variable that marks the processes of one run.
pub(crate) const MARK: &str = "GLADSHEIM_RUN";

/// Leaders that this process, whichever loader in it, has started and not yet reaped. Starts hold
/// the lock for reading until the new pid is in here, so a writer sees no child half way.
pub(crate) static LEADERS: Leaders = Leaders {
    starting: RwLock::new(()),
    pids: std::sync::Mutex::new(BTreeSet::new()),
    paused: AtomicBool::new(false),
    resumed: Notify::const_new(),
};

pub(crate) struct Leaders {
    starting: RwLock<()>,
    pids: std::sync::Mutex<BTreeSet<u32>>,
    /// None of them is reaped: that is left to the program that this process is about to execute.
    paused: AtomicBool,
    resumed: Notify,
}

impl Leaders {
    /// From now on none of them is reaped.
    pub(crate) fn pause(&self) {
        self.paused.store(true, Ordering::Release);
    }

    pub(crate) fn resume(&self) {
        self.paused.store(false, Ordering::Release);
        self.resumed.notify_waiters();
    }

    /// Returns at once, unless reaping is paused. Cancel safe.
    pub(crate) async fn may_be_reaped(&self) {
        loop {
            let resumed = self.resumed.notified();
            if !self.paused.load(Ordering::Acquire) {
                return;
            }
            resumed.await;
        }
    }

    pub(crate) fn contains(&self, pid: u32) -> bool {
        self.pids().contains(&pid)
    }

    /// Runs a start; the pid that it yields is a leader from then on.
    pub(crate) fn start<T, E>(
        &self,
        start: impl FnOnce() -> Result<(u32, T), E>,
    ) -> Result<(u32, T), E> {
        let _starting = self.starting.read().unwrap_or_else(PoisonError::into_inner);
        let started = start()?;
        self.pids().insert(started.0);
        Ok(started)
    }

    /// Takes over a leader that an earlier daemon has started.
    pub(crate) fn adopt(&self, pid: u32) {
        self.pids().insert(pid);
    }

    pub(crate) fn forget(&self, pid: u32) {
        self.pids().remove(&pid);
    }

    /// Runs something that must not take a leader for a stranger.
    pub(crate) fn with<T>(&self, run: impl FnOnce(&BTreeSet<u32>) -> T) -> T {
        let _none_starts = self
            .starting
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        run(&self.pids())
    }

    fn pids(&self) -> std::sync::MutexGuard<'_, BTreeSet<u32>> {
        self.pids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The mark of a new run of a hall: unique on this machine.
pub(crate) fn new_mark(hall: &str) -> String {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    format!("{hall}/{}{run}", own_mark())
}

/// What the marks of all runs that this process has started have in common.
pub(crate) fn own_mark() -> String {
    static OWN_START: OnceLock<u64> = OnceLock::new();
    let own = std::process::id();
    let start = OWN_START.get_or_init(|| procfs::stat(own).map_or(0, |stat| stat.start));
    format!("{own}.{start}.")
}

/// The session of this process, in which no service is.
pub(crate) fn own_session() -> u32 {
    // It cannot fail for the caller itself.
    nix::unistd::getsid(None).map_or(0, |session| session.as_raw().cast_unsigned())
}

/// The tree of one run.
#[derive(Debug)]
pub(crate) struct Session {
    leader: u32,
    /// In clock ticks since boot; nothing older belongs to the tree.
    not_before: u64,
    mark: String,
    /// Its orphans do not come to this process: an earlier daemon has started it.
    adopted: bool,
    /// Members whose end is awaited.
    awaited: Vec<AsyncFd<Arc<Pidfd>>>,
    killing: bool,
    /// The leader was reaped here, so that its number may mean another process.
    reaped: bool,
}

impl Session {
    pub(crate) fn new(leader: u32, mark: String, started: u64) -> Self {
        Self {
            leader,
            not_before: started,
            mark,
            adopted: false,
            awaited: Vec::new(),
            killing: false,
            reaped: false,
        }
    }

    /// The tree of a run that an earlier daemon has started.
    pub(crate) fn adopted(leader: u32, mark: String, started: u64) -> Self {
        Self {
            adopted: true,
            ..Self::new(leader, mark, started)
        }
    }

    /// To be told when the process that was started has been reaped.
    pub(crate) fn set_reaped(&mut self) {
        self.reaped = true;
    }

    pub(crate) fn mark(&self) -> &str {
        &self.mark
    }

    /// Kills the members whose end is awaited, and from now on all that `gone` still finds. Before
    /// the leader has ended, it would not find them all.
    pub(crate) fn kill(&mut self) {
        self.killing = true;
        for member in &self.awaited {
            // It has ended by itself if this fails.
            let _ = member.get_ref().signal(Signal::Kill);
        }
    }

    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        for member in self.find()?.members {
            match member.signal(signal) {
                Err(error) if error.raw_os_error() != Some(libc::ESRCH) => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// After the leader's end, waits for that of all others. Cancel safe.
    pub(crate) async fn gone(&mut self) -> io::Result<Vec<u32>> {
        loop {
            while let Some(member) = self.awaited.last() {
                member.ready(Interest::READABLE).await?.retain_ready();
                // It is our child by now or soon; the reaper takes what is not yet.
                let _ = member.get_ref().reap(false);
                self.awaited.pop();
            }
            let found = self.find()?;
            if found.members.is_empty() {
                return Ok(found.unknown);
            }
            for member in found.members {
                if self.killing {
                    // It has ended by itself if this fails.
                    let _ = member.signal(Signal::Kill);
                }
                self.awaited.push(sys::watch_process(Arc::new(member))?);
            }
        }
    }

    /// Living members other than the leader, and living orphans that belong to nobody.
    fn find(&self) -> io::Result<Found> {
        let own = std::process::id();
        let own_session = own_session();
        let mut found = Found::default();
        let mut pending = Vec::new();
        // A child that was being started when it was listed is a known leader under the lock.
        let listed = if self.adopted {
            let mut all = procfs::processes()?;
            all.retain(|pid| *pid != self.leader && *pid != own);
            all
        } else {
            if !self.reaped {
                pending = procfs::children(self.leader)?;
            }
            procfs::children(own)?
        };
        LEADERS.with(|leaders| {
            for pid in listed.into_iter().filter(|pid| !leaders.contains(pid)) {
                let Some(stat) = procfs::stat(pid).filter(|stat| stat.session != own_session)
                else {
                    continue;
                };
                match self.relation(pid, &stat, leaders) {
                    Relation::Member => pending.push(pid),
                    Relation::Other => {}
                    Relation::Unknown if self.adopted => {}
                    Relation::Unknown => found.unknown.push(pid),
                }
            }
        });
        while let Some(pid) = pending.pop() {
            let Some(before) = procfs::stat(pid) else {
                continue;
            };
            pending.extend(procfs::children(pid)?);
            // Only what did not end between the look and the opening is what was looked at.
            if let Ok(pidfd) = Pidfd::open(pid)
                && let Some(now) = procfs::stat(pid)
                && now.start == before.start
                && !now.zombie
            {
                found.members.push(pidfd);
            }
        }
        Ok(found)
    }

    /// Whether the leader ended while nobody looked, and its number means another process now.
    fn number_is_reused(&self) -> bool {
        let reused = |stat: Stat| self.reaped || stat.start != self.not_before;
        (self.adopted || self.reaped) && procfs::stat(self.leader).is_some_and(reused)
    }

    fn relation(&self, pid: u32, stat: &Stat, leaders: &BTreeSet<u32>) -> Relation {
        // A number cannot be given to a new process while a group or session carries it.
        if (stat.session == self.leader || stat.group == self.leader) && !self.number_is_reused() {
            return Relation::Member;
        }
        // All processes of the machine are looked at: what is surely none of ours costs least.
        if self.adopted && (stat.start < self.not_before || leaders.contains(&stat.session)) {
            return Relation::Other;
        }
        match procfs::environment_value(pid, MARK) {
            Some(mark) if mark == self.mark => Relation::Member,
            None if stat.zombie || leaders.contains(&stat.session) => Relation::Other,
            None if stat.start >= self.not_before => Relation::Unknown,
            Some(_) | None => Relation::Other,
        }
    }
}

#[derive(Default)]
struct Found {
    members: Vec<Pidfd>,
    unknown: Vec<u32>,
}

enum Relation {
    Member,
    Other,
    Unknown,
}
