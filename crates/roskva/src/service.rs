//! What the monitor remembers about one service. A value: whoever holds the lock may change it, tasks
//! and clocks are elsewhere.
//!
//! ```text
//! Watched ──end_run asked──> Held ──refused, or a minute has passed──> Watched
//!    │ suspend_checks          │
//!    v                         v
//! Suspended ──report_exit──> Ended ──start_monitoring──> Watched (a new run)
//! ```

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use gladsheim_types::{HealthCheckStrategy, HealthStatus, ServiceHealth};
use tokio::sync::{Mutex as CheckLock, broadcast};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    CheckOptions, MonitorOptions, RestartDecision,
    agenda::Key,
    guard::Postponed,
    policy::{
        gate::{self, CheckKind},
        restart::History,
        threshold::{Outcome, Threshold, Verdict},
    },
    probe::ProbeOutcome,
    statistics::Statistics,
    watch::Watch,
};

/// Where the present run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Checks run by the schedule.
    Watched,
    /// A check has failed for good and the owner was asked to end the run: no more checks, the
    /// verdict stays.
    Held,
    /// The owner is about to end the run.
    Suspended,
    /// No process.
    Ended,
}

impl Phase {
    /// Whether the present run is monitored.
    pub(crate) fn is_present(self) -> bool {
        match self {
            Self::Watched | Self::Held => true,
            Self::Suspended | Self::Ended => false,
        }
    }
}

/// A restart that is due.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) key: Key,
    pub(crate) attempt: u32,
    /// What the owner was told.
    pub(crate) decision: RestartDecision,
}

/// One kind of check in the present run.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) options: Arc<CheckOptions>,
    pub(crate) threshold: Threshold,
    pub(crate) message: String,
    pub(crate) last_check: Option<SystemTime>,
    /// Its entry in the agenda.
    pub(crate) timer: Option<Key>,
    /// Its stream, where it has one.
    pub(crate) watch: Watch,
    pub(crate) postponed: Option<Postponed>,
    /// Held while a check is under way, so that no two overlap.
    pub(crate) lock: Arc<CheckLock<()>>,
}

impl Slot {
    fn new(options: &CheckOptions) -> Self {
        Self {
            options: Arc::new(options.clone()),
            threshold: Threshold::new(options.failure_threshold, options.success_threshold),
            message: String::new(),
            last_check: None,
            timer: None,
            watch: Watch::Closed,
            postponed: None,
            lock: Arc::default(),
        }
    }

    /// Whether this is the check that needs no schedule.
    pub(crate) fn is_process(&self) -> bool {
        self.options.strategy == HealthCheckStrategy::Process
    }

    /// Whether it passes, and no failure has been counted since.
    pub(crate) fn is_calm(&self) -> bool {
        self.threshold.verdict() == Verdict::Passing && self.threshold.failures() == 0
    }

    /// Time to the next check, where those that pass are stretched.
    pub(crate) fn pace(&self, stretch: u32) -> Duration {
        let interval = self.options.interval;
        if self.is_calm() {
            self.watch
                .pace(interval)
                .max(interval.saturating_mul(stretch))
        } else {
            interval
        }
    }

    fn passes(&self, alive: bool) -> bool {
        self.threshold.verdict() == Verdict::Passing && (alive || !self.is_process())
    }
}

#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: Arc<str>,
    pub(crate) options: Arc<MonitorOptions>,
    pub(crate) phase: Phase,
    pub(crate) maintenance: bool,
    /// Tells runs apart: a check that was begun in an earlier run changes nothing.
    pub(crate) run: u64,
    /// When the present run began to be monitored.
    pub(crate) began: Duration,
    /// Ends the checks of the present run.
    pub(crate) checks: CancellationToken,
    /// In the order of [`CheckKind::ALL`].
    slots: [Option<Slot>; 3],
    pub(crate) history: History,
    pub(crate) statistics: Statistics,
    pub(crate) pending: Option<Pending>,
    /// Ends a restart that is under way.
    pub(crate) restarting: CancellationToken,
    /// All checks and restarts of this service.
    pub(crate) tasks: TaskTracker,
    /// Made by the first subscriber.
    pub(crate) updates: Option<broadcast::Sender<ServiceHealth>>,
    told_status: HealthStatus,
    told_ready: bool,
}

impl Service {
    pub(crate) fn new(name: &str, parent: &CancellationToken) -> Self {
        Self {
            name: Arc::from(name),
            options: Arc::default(),
            phase: Phase::Ended,
            maintenance: false,
            run: 0,
            began: Duration::ZERO,
            checks: parent.child_token(),
            slots: [None, None, None],
            history: History::default(),
            statistics: Statistics::default(),
            pending: None,
            restarting: parent.child_token(),
            tasks: TaskTracker::new(),
            updates: None,
            told_status: HealthStatus::Unknown,
            told_ready: false,
        }
    }

    /// Begins a new run with fresh counters.
    pub(crate) fn begin(
        &mut self,
        options: Arc<MonitorOptions>,
        run: u64,
        now: Duration,
        checks: CancellationToken,
    ) {
        self.slots = [
            options.startup.as_ref().map(Slot::new),
            Some(Slot::new(&options.liveness)),
            options.readiness.as_ref().map(Slot::new),
        ];
        self.options = options;
        self.phase = Phase::Watched;
        self.run = run;
        self.began = now;
        self.checks = checks;
    }

    /// Takes on other options in the middle of a run, which counts as run `run` from now on, so that checks and
    /// watches under way change nothing. Returns the timers of checks that come anew.
    pub(crate) fn redefine(
        &mut self,
        options: Arc<MonitorOptions>,
        run: u64,
        tasks: CancellationToken,
    ) -> Vec<Key> {
        let checks = [
            options.startup.as_ref(),
            Some(&options.liveness),
            options.readiness.as_ref(),
        ];
        let mut timers = Vec::new();
        for (slot, check) in self.slots.iter_mut().zip(checks) {
            match slot {
                Some(kept) if Some(&*kept.options) == check => {
                    // Its watch ends with the others.
                    if kept.watch != Watch::Closed {
                        kept.watch = Watch::Closed;
                        timers.extend(kept.timer.take());
                    }
                }
                changed => {
                    timers.extend(changed.take().and_then(|slot| slot.timer));
                    *changed = check.map(Slot::new);
                }
            }
        }
        self.options = options;
        if self.phase == Phase::Watched {
            self.run = run;
            std::mem::replace(&mut self.checks, tasks).cancel();
        }
        timers
    }

    pub(crate) fn slot(&self, kind: CheckKind) -> Option<&Slot> {
        self.slots[kind as usize].as_ref()
    }

    pub(crate) fn slot_mut(&mut self, kind: CheckKind) -> Option<&mut Slot> {
        self.slots[kind as usize].as_mut()
    }

    /// Whether checks of this kind count now.
    fn is_open(&self, kind: CheckKind) -> bool {
        self.phase == Phase::Watched && gate::is_open(kind, self.startup_verdict())
    }

    /// Whether checks of this kind are to be scheduled now.
    pub(crate) fn wants(&self, kind: CheckKind) -> bool {
        let scheduled = self.slot(kind).is_some_and(|slot| !slot.is_process());
        scheduled && !self.maintenance && self.is_open(kind)
    }

    fn startup_verdict(&self) -> Option<Verdict> {
        self.slot(CheckKind::Startup)
            .map(|slot| slot.threshold.verdict())
    }

    /// Counts the end of a check.
    pub(crate) fn record(&mut self, kind: CheckKind, outcome: ProbeOutcome, now: Duration) {
        let since_start = now.saturating_sub(self.began);
        let Some(slot) = self.slot_mut(kind) else {
            return;
        };
        slot.last_check = Some(SystemTime::now());
        let timed_out = matches!(outcome, ProbeOutcome::TimedOut(_));
        match outcome {
            ProbeOutcome::Healthy(message) => {
                slot.message = message;
                slot.threshold.record(Outcome::Success);
            }
            ProbeOutcome::Unhealthy(message) | ProbeOutcome::TimedOut(message) => {
                if gate::failure_counts(since_start, slot.options.start_period) {
                    slot.message = message;
                    slot.threshold.record(Outcome::Failure { timed_out });
                } else {
                    slot.message = format!("{message} (does not count yet: start period)");
                }
            }
        }
    }

    /// Judges a process check of this kind: it is right at once, and needs no schedule.
    pub(crate) fn settle_process(&mut self, kind: CheckKind, alive: bool) {
        let open = self.is_open(kind);
        if let Some(slot) = self.slot_mut(kind).filter(|slot| open && slot.is_process()) {
            slot.threshold.settle(if alive {
                Outcome::Success
            } else {
                Outcome::Failure { timed_out: false }
            });
        }
    }

    /// Why the run should end, now that a check of this kind has ended; `None` if it should not.
    pub(crate) fn failed_for_good(&self, kind: CheckKind) -> Option<String> {
        let slot = self
            .slot(kind)
            .filter(|_| kind.ends_run() && self.wants(kind))?;
        let failing = matches!(slot.threshold.verdict(), Verdict::Failing { .. });
        // A success that does not suffice yet to pass again is no reason to end anything.
        (failing && slot.threshold.failures() > 0)
            .then(|| format!("{} check: {}", kind.as_str(), slot.message))
    }

    /// The check that `get_health` tells about: start-up until it has passed, then liveness.
    pub(crate) fn leading(&self) -> CheckKind {
        match self.startup_verdict() {
            None | Some(Verdict::Passing) => CheckKind::Liveness,
            Some(Verdict::Undecided | Verdict::Failing { .. }) => CheckKind::Startup,
        }
    }

    /// Health as of now; `alive` is what the process check would say.
    pub(crate) fn health(&self, now: Duration, alive: bool) -> ServiceHealth {
        let mut health = ServiceHealth {
            service_name: self.name.to_string(),
            check_strategy: self.options.liveness.strategy.clone(),
            ..ServiceHealth::default()
        };
        let Some(slot) = self.slot(self.leading()) else {
            return health;
        };
        health.last_check = slot.last_check.unwrap_or(SystemTime::UNIX_EPOCH);
        if !self.phase.is_present() {
            health.message = "the service does not run".to_owned();
            return health;
        }
        health.status = slot.threshold.verdict().status();
        health.consecutive_failures = slot.threshold.failures();
        health.message.clone_from(&slot.message);
        health.next_check = slot.timer.map_or(SystemTime::UNIX_EPOCH, |key| {
            wall_clock(key.at.saturating_sub(now))
        });
        if slot.is_process() {
            (health.status, health.message) = process_verdict(alive);
            health.consecutive_failures = u32::from(!alive);
            health.last_check = SystemTime::now();
            health.next_check = wall_clock(slot.options.interval);
        } else if slot.last_check.is_none() && slot.lock.try_lock().is_err() {
            health.status = HealthStatus::Checking;
        }
        if self.leading() == CheckKind::Startup {
            health.message = format!("starting: {}", health.message);
        }
        health
    }

    /// What the readiness check says; `None` if there is none.
    pub(crate) fn is_ready(&self, alive: bool) -> Option<bool> {
        self.options.readiness.as_ref()?;
        let slot = self.slot(CheckKind::Readiness);
        Some(self.phase.is_present() && slot.is_some_and(|slot| slot.passes(alive)))
    }

    /// The verdict before and now, if it has changed since this was last asked.
    pub(crate) fn status_change(&mut self) -> Option<(HealthStatus, HealthStatus)> {
        let status = match (self.phase.is_present(), self.slot(self.leading())) {
            (true, Some(slot)) => slot.threshold.verdict().status(),
            (true, None) | (false, _) => HealthStatus::Unknown,
        };
        let old = std::mem::replace(&mut self.told_status, status);
        (old != status).then_some((old, status))
    }

    /// Readiness, if it has changed since this was last asked.
    pub(crate) fn readiness_change(&mut self) -> Option<bool> {
        let ready = self.is_ready(true).unwrap_or(false);
        (std::mem::replace(&mut self.told_ready, ready) != ready).then_some(ready)
    }
}

fn process_verdict(alive: bool) -> (HealthStatus, String) {
    if alive {
        (HealthStatus::Healthy, "the process lives".to_owned())
    } else {
        (HealthStatus::Unhealthy, "the process has ended".to_owned())
    }
}

/// The wall clock's time after a while; far ends of time are cut off.
pub(crate) fn wall_clock(after: Duration) -> SystemTime {
    let now = SystemTime::now();
    now.checked_add(after).unwrap_or(now)
}
