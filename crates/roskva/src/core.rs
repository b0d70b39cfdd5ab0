//! The heart of the monitor: the book of services under one lock, and what changes it.
//!
//! The lock is held for short statements. Facts are queued for observers under it, so that everybody
//! sees them in the order in which they happened; listeners run elsewhere (see `herald`).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, SystemTime},
};

use gladsheim_types::ServiceHealth;
use tokio::{
    runtime::Handle,
    sync::{Notify, Semaphore, broadcast},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    CheckStatistics, HealthEvent, HealthMonitorConfig, HealthMonitorError, HealthStatusChange,
    MonitorOptions, MonitorPorts, ServiceCrash,
    agenda::{Agenda, Job},
    herald::Herald,
    policy::{backoff, budget::Budget, gate::CheckKind, guard::Delays},
    probe::{self, ProbeOutcome, StrategyProbe},
    service::{Phase, Service},
};

/// Checks that may be under way at the same time.
const CONCURRENCY: usize = 64;
/// Facts kept for a slow observer of all services, and of one.
const EVENTS: usize = 1024;
const UPDATES: usize = 16;
/// The first check comes within this time, so that whoever waits for health need not wait long.
const FIRST_CHECK: Duration = Duration::from_millis(100);
/// Part of an interval by which it is varied, so that checks do not march in step.
const INTERVAL_JITTER: f64 = 0.05;

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: HealthMonitorConfig,
    pub(crate) ports: MonitorPorts,
    pub(crate) probe: StrategyProbe,
    /// Guards everything that changes; never held across an await or while a listener runs.
    book: Mutex<Book>,
    /// Wakes the scheduler for an entry that is earlier than all others.
    pub(crate) wake: Notify,
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    pub(crate) events: broadcast::Sender<HealthEvent>,
    pub(crate) health_listeners: Herald<HealthStatusChange>,
    pub(crate) crash_listeners: Herald<ServiceCrash>,
    /// The runtime that first called: tasks run on it.
    runtime: OnceLock<Handle>,
    epoch: Instant,
}

#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) services: HashMap<Arc<str>, Service>,
    pub(crate) agenda: Agenda,
    pub(crate) budget: Budget,
    /// How late the scheduler was.
    pub(crate) delays: Delays,
    pub(crate) noise: fastrand::Rng,
    runs: u64,
    scheduling: bool,
    /// When the scheduler wakes by itself.
    pub(crate) planned: Option<Duration>,
}

impl Core {
    pub(crate) fn new(config: HealthMonitorConfig, ports: MonitorPorts) -> Self {
        Self {
            config,
            ports,
            probe: StrategyProbe::default(),
            book: Mutex::new(Book {
                services: HashMap::new(),
                agenda: Agenda::default(),
                budget: Budget::new(),
                delays: Delays::default(),
                noise: fastrand::Rng::new(),
                runs: 0,
                scheduling: false,
                planned: None,
            }),
            wake: Notify::new(),
            permits: Arc::new(Semaphore::new(CONCURRENCY)),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            events: broadcast::Sender::new(EVENTS),
            health_listeners: Herald::new(),
            crash_listeners: Herald::new(),
            runtime: OnceLock::new(),
            epoch: Instant::now(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time since the monitor was made.
    pub(crate) fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    pub(crate) fn runtime(&self) -> Option<&Handle> {
        self.runtime.get()
    }

    /// Whether the leader lives. Without a port, reports are believed: it lives until its exit.
    pub(crate) fn is_alive(&self, service_name: &str) -> bool {
        let port = self.ports.liveness.as_ref();
        port.is_none_or(|port| port.is_alive(service_name))
    }

    /// By how much the intervals of checks that pass are multiplied now.
    pub(crate) fn stretch(&self) -> u32 {
        let port = self.ports.pace.as_ref();
        port.map_or(1, |port| port.stretch()).max(1)
    }

    pub(crate) fn start(
        self: &Arc<Self>,
        name: &str,
        options: MonitorOptions,
    ) -> Result<(), HealthMonitorError> {
        let options = self.complete(options)?;
        let runtime = Handle::try_current()
            .map_err(|error| HealthMonitorError::HealthCheckFailed(error.to_string()))?;
        let _: &Handle = self.runtime.get_or_init(|| runtime); // the first one stays

        let alive = self.is_alive(name);
        let now = self.now();
        let mut book = self.lock();
        if self.stop.is_cancelled() {
            let text = "the health monitor has been shut down".to_owned();
            return Err(HealthMonitorError::HealthCheckFailed(text));
        }
        book.runs += 1;
        let run = book.runs;
        let service = match book.services.get_mut(name) {
            Some(service) => service,
            None => {
                let service = Service::new(name, &self.stop);
                let name = Arc::clone(&service.name);
                book.services.entry(name).or_insert(service)
            }
        };
        if service.phase.is_present() {
            return Err(HealthMonitorError::AlreadyMonitoring(name.to_owned()));
        }
        let checks = self.stop.child_token();
        service.begin(Arc::new(options), run, now, checks);
        // The run that a restart was due for is here.
        let pending = service.pending.take();
        if let Some(pending) = pending {
            book.agenda.remove(pending.key);
        }
        self.arrange(&mut book, name, alive);
        self.tell(&mut book, name, alive, None);
        Ok(())
    }

    /// The options with the default timeout where a strategy has none, if they make sense.
    fn complete(&self, mut options: MonitorOptions) -> Result<MonitorOptions, HealthMonitorError> {
        let MonitorOptions {
            liveness,
            readiness,
            startup,
            ..
        } = &mut options;
        for check in [Some(liveness), readiness.as_mut(), startup.as_mut()] {
            let Some(check) = check else { continue };
            let default = self.config.health_check_timeout;
            check.strategy = probe::with_timeout(check.strategy.clone(), default);
            check
                .validate()
                .map_err(HealthMonitorError::InvalidStrategy)?;
        }
        Ok(options)
    }

    /// Gives a service other options in the middle of a run; checks that did not change go on as they are.
    pub(crate) fn update(
        self: &Arc<Self>,
        name: &str,
        options: MonitorOptions,
    ) -> Result<(), HealthMonitorError> {
        let options = self.complete(options)?;
        let alive = self.is_alive(name);
        let mut book = self.lock();
        book.runs += 1;
        let run = book.runs;
        let timers =
            find(&mut book, name)?.redefine(Arc::new(options), run, self.stop.child_token());
        for key in timers {
            book.agenda.remove(key);
        }
        // It may be the connection to another address.
        self.probe.forget(name);
        self.arrange(&mut book, name, alive);
        self.tell(&mut book, name, alive, None);
        Ok(())
    }

    /// Puts the checks that shall run into the agenda, and takes out the others.
    pub(crate) fn arrange(self: &Arc<Self>, book: &mut Book, name: &str, alive: bool) {
        let Some(service) = book.services.get_mut(name) else {
            return;
        };
        let now = self.now();
        for kind in CheckKind::ALL {
            service.settle_process(kind, alive);
            let wanted = service.wants(kind);
            let name = Arc::clone(&service.name);
            let Some(slot) = service.slot_mut(kind) else {
                continue;
            };
            match (wanted, slot.timer) {
                (true, None) => {
                    let spread = slot.options.interval.min(FIRST_CHECK);
                    let at = now.saturating_add(spread.mul_f64(book.noise.f64()));
                    slot.timer = Some(book.agenda.insert(at, name, Job::Check(kind)));
                }
                (false, Some(key)) => {
                    book.agenda.remove(key);
                    slot.timer = None;
                }
                (true, Some(_)) | (false, None) => {}
            }
            if !wanted && let Some(postponed) = slot.postponed.take() {
                book.agenda.remove(postponed.key);
            }
        }
        self.attend(book);
    }

    /// Puts the next check into the agenda; called when one is due.
    pub(crate) fn rearrange(
        &self,
        book: &mut Book,
        name: &str,
        kind: CheckKind,
        due: Duration,
        now: Duration,
    ) {
        let Some(service) = book.services.get_mut(name) else {
            return;
        };
        let name = Arc::clone(&service.name);
        if let Some(slot) = service.slot_mut(kind) {
            let noise = book.noise.f64() * 2.0 - 1.0;
            let pace = slot.pace(self.stretch()).as_secs_f64();
            let interval = backoff::vary(pace, INTERVAL_JITTER, noise);
            // The schedule holds even if this check came late, but what was missed is not made up for.
            let next = due.saturating_add(interval);
            let at = if next > now {
                next
            } else {
                now.saturating_add(interval)
            };
            slot.timer = Some(book.agenda.insert(at, name, Job::Check(kind)));
        }
    }

    /// Sees to it that the scheduler knows of the agenda's next entry.
    pub(crate) fn attend(self: &Arc<Self>, book: &mut Book) {
        let Some(next) = book.agenda.next() else {
            return;
        };
        if !book.scheduling
            && let Some(runtime) = self.runtime()
        {
            book.scheduling = true;
            self.tasks.spawn_on(Arc::clone(self).schedule(), runtime);
        } else if book.planned.is_none_or(|planned| next < planned) {
            self.wake.notify_one();
        }
    }

    /// Takes a service out of the watch: no check of its present run changes anything from now on.
    pub(crate) fn unwatch(self: &Arc<Self>, book: &mut Book, name: &str, phase: Phase) {
        if let Some(service) = book.services.get_mut(name) {
            service.phase = phase;
            service.checks.cancel();
        }
        self.probe.forget(name);
        self.arrange(book, name, false);
        self.tell(book, name, false, None);
    }

    pub(crate) fn suspend(self: &Arc<Self>, name: &str) {
        let mut book = self.lock();
        if book
            .services
            .get(name)
            .is_some_and(|s| s.phase.is_present())
        {
            self.unwatch(&mut book, name, Phase::Suspended);
        }
    }

    pub(crate) fn set_maintenance(
        self: &Arc<Self>,
        name: &str,
        on: bool,
    ) -> Result<(), HealthMonitorError> {
        let alive = self.is_alive(name);
        let mut book = self.lock();
        find(&mut book, name)?.maintenance = on;
        self.arrange(&mut book, name, alive);
        self.tell(&mut book, name, alive, None);
        Ok(())
    }

    /// Counts the end of a check of run `run`; `took` is `None` where a stream has told.
    pub(crate) fn record(
        self: &Arc<Self>,
        name: &str,
        run: u64,
        kind: CheckKind,
        outcome: ProbeOutcome,
        took: Option<Duration>,
    ) {
        let alive = self.is_alive(name);
        let starving = self.starvation(&outcome);
        let now = self.now();
        let mut book = self.lock();
        match book.services.get_mut(name) {
            Some(service) if service.run == run && service.phase == Phase::Watched => {
                if let Some(took) = took {
                    service.statistics.record(kind, &outcome, took);
                }
                service.record(kind, outcome, now);
            }
            Some(_) | None => return,
        }
        // It may have been the start-up check, and have opened the gate for the others.
        self.arrange(&mut book, name, alive);
        self.hasten(&mut book, name, kind);
        self.begin_watch(&mut book, name, kind);
        let postponed = self.postpones(&mut book, name, kind, starving);
        self.tell(&mut book, name, alive, Some(kind));
        if !postponed {
            self.end_failed_run(&mut book, name, kind);
        }
    }

    pub(crate) fn restore(&self, name: &str, attempts: &[SystemTime]) {
        let now = self.now();
        let ages = attempts.iter().map(|at| at.elapsed().unwrap_or_default());
        if let Some(service) = self.lock().services.get_mut(name) {
            service.history.restore(ages, now);
        }
    }

    pub(crate) fn reset(&self, name: &str) {
        let mut book = self.lock();
        if let Some(service) = book.services.get_mut(name) {
            service.history = Default::default();
            if let Some(pending) = service.pending.take() {
                book.agenda.remove(pending.key);
            }
        }
    }

    /// Forgets a service; returns its tasks, which have been told to end.
    pub(crate) fn remove(self: &Arc<Self>, name: &str) -> Option<TaskTracker> {
        self.reset(name);
        let mut book = self.lock();
        self.unwatch(&mut book, name, Phase::Ended);
        let service = book.services.remove(name)?;
        service.restarting.cancel();
        service.tasks.close();
        Some(service.tasks)
    }

    /// Ends everything; nothing begins from now on.
    pub(crate) fn close(&self) {
        let mut book = self.lock();
        self.stop.cancel();
        self.tasks.close();
        book.services.clear();
        book.agenda = Agenda::default();
    }

    pub(crate) fn health(&self, name: &str) -> Result<ServiceHealth, HealthMonitorError> {
        let alive = self.is_alive(name);
        Ok(find(&mut self.lock(), name)?.health(self.now(), alive))
    }

    pub(crate) fn statistics(&self, name: &str) -> Vec<CheckStatistics> {
        let book = self.lock();
        let service = book.services.get(name);
        service.map_or_else(Vec::new, |service| service.statistics.present())
    }

    pub(crate) fn is_ready(&self, name: &str) -> Option<bool> {
        let alive = self.is_alive(name);
        self.lock().services.get(name)?.is_ready(alive)
    }

    pub(crate) fn updates(
        &self,
        name: &str,
    ) -> Result<broadcast::Receiver<ServiceHealth>, HealthMonitorError> {
        let mut book = self.lock();
        let updates = &mut find(&mut book, name)?.updates;
        let sender = updates.get_or_insert_with(|| broadcast::Sender::new(UPDATES));
        Ok(sender.subscribe())
    }
}

pub(crate) fn find<'a>(
    book: &'a mut Book,
    name: &str,
) -> Result<&'a mut Service, HealthMonitorError> {
    book.services
        .get_mut(name)
        .ok_or_else(|| HealthMonitorError::ServiceNotFound(name.to_owned()))
}
