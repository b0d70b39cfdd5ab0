//! Which service runs: one slot for each name, and the stream of facts about all of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

use crate::{
    ProcessEvent, ServiceLoaderError, ServiceProcess,
    actor::{Command, OnTimeout, StopOutcome},
    command::Setting,
};

/// Facts that a slow observer may be behind before it sees a gap.
const EVENTS: usize = 1024;

#[derive(Debug)]
pub(crate) struct Slots {
    slots: Mutex<HashMap<String, Slot>>,
    events: broadcast::Sender<ProcessEvent>,
}

#[derive(Debug)]
enum Slot {
    /// The name is taken, the process does not exist yet.
    Starting {
        cancel: CancellationToken,
        over: watch::Receiver<()>,
    },
    Running(Run),
}

/// A run and how to reach its supervisor.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) process: ServiceProcess,
    /// What commands beside it share with it.
    pub(crate) setting: Arc<Setting>,
    /// In boxes, since a channel holds room for 32 messages from its beginning.
    pub(crate) commands: mpsc::UnboundedSender<Box<Command>>,
    /// Being stopped, or its leader has ended.
    pub(crate) ending: Arc<watch::Sender<bool>>,
}

impl Run {
    /// Ends the run and waits for that; the request stays in force if the future is dropped.
    pub(crate) async fn end(
        &self,
        command: impl FnOnce(oneshot::Sender<StopOutcome>) -> Command,
    ) -> StopOutcome {
        let (done, outcome) = oneshot::channel();
        self.ending.send_replace(true);
        // Where the supervisor has ended or ends before it reads this, the run has ended.
        let _ = self.commands.send(Box::new(command(done)));
        match outcome.await {
            Ok(outcome) => outcome,
            Err(_) => {
                self.process.exited().await;
                StopOutcome::Ended
            }
        }
    }

    async fn ended_or_left_running(&self) {
        let mut ending = self.ending.subscribe();
        tokio::select! {
            _ = self.process.exited() => {}
            // The sender lives in `self`, so this cannot fail.
            _ = ending.wait_for(|ending| !ending) => {}
        }
    }
}

impl Slots {
    pub(crate) fn new() -> Self {
        Self {
            slots: Mutex::default(),
            events: broadcast::channel(EVENTS).0,
        }
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<ProcessEvent> {
        self.events.subscribe()
    }

    pub(crate) fn tell(&self, event: ProcessEvent) {
        // Nobody has to listen.
        let _ = self.events.send(event);
    }

    /// Takes the name, after the end of a run that is being stopped.
    pub(crate) async fn reserve(
        self: &Arc<Self>,
        service_name: &str,
    ) -> Result<Reservation, ServiceLoaderError> {
        loop {
            let run = match self.lock().get(service_name) {
                None => None,
                Some(Slot::Running(run)) if *run.ending.borrow() => Some(run.clone()),
                Some(Slot::Running(_) | Slot::Starting { .. }) => {
                    return Err(ServiceLoaderError::AlreadyRunning(service_name.to_owned()));
                }
            };
            match run {
                Some(run) => run.ended_or_left_running().await,
                None => {
                    if let Some(reservation) = self.try_reserve(service_name) {
                        return Ok(reservation);
                    }
                }
            }
        }
    }

    fn try_reserve(self: &Arc<Self>, service_name: &str) -> Option<Reservation> {
        let mut slots = self.lock();
        if slots.contains_key(service_name) {
            return None;
        }
        let cancel = CancellationToken::new();
        let (done, over) = watch::channel(());
        let slot = Slot::Starting {
            cancel: cancel.clone(),
            over,
        };
        slots.insert(service_name.to_owned(), slot);
        Some(Reservation {
            slots: Arc::clone(self),
            service_name: service_name.to_owned(),
            cancel,
            _done: done,
        })
    }

    /// The run, where there is a process.
    pub(crate) fn run(&self, service_name: &str) -> Option<Run> {
        match self.lock().get(service_name)? {
            Slot::Running(run) => Some(run.clone()),
            Slot::Starting { .. } => None,
        }
    }

    /// Ends a run, or a start that has no process yet.
    pub(crate) async fn end(
        &self,
        service_name: &str,
        command: impl FnOnce(oneshot::Sender<StopOutcome>) -> Command,
    ) -> Result<StopOutcome, ServiceLoaderError> {
        let mut over = match self.lock().get(service_name) {
            None => return Err(ServiceLoaderError::NotRunning(service_name.to_owned())),
            Some(Slot::Running(run)) => Err(run.clone()),
            Some(Slot::Starting { cancel, over }) => {
                cancel.cancel();
                Ok(over.clone())
            }
        };
        match &mut over {
            Err(run) => Ok(run.end(command).await),
            Ok(over) => {
                // It is never written to: it ends with the reservation.
                let _ = over.changed().await;
                match self.run(service_name) {
                    // Too late for the cancellation: the process exists.
                    Some(run) => Ok(run.end(command).await),
                    None => Ok(StopOutcome::Ended),
                }
            }
        }
    }

    /// Whether a condition holds of the pids of all leaders.
    pub(crate) fn all_leaders(&self, condition: impl Fn(u32) -> bool) -> bool {
        self.lock().values().all(|slot| match slot {
            Slot::Running(run) => condition(run.process.pid),
            Slot::Starting { .. } => true,
        })
    }

    /// Another process of the run with this pid is its leader from now on.
    pub(crate) fn lead(&self, service_name: &str, before: u32, leader: u32) {
        if let Some(Slot::Running(run)) = self.lock().get_mut(service_name)
            && run.process.pid == before
        {
            run.process.pid = leader;
        }
    }

    /// Kills all that runs, as far as that is possible without waiting.
    pub(crate) fn kill_all(&self) {
        for slot in self.lock().values() {
            if let Slot::Running(run) = slot {
                run.process.kill();
            }
        }
    }

    /// Gives the name back after the end of the run with this pid.
    pub(crate) fn free(&self, service_name: &str, pid: u32) {
        let mut slots = self.lock();
        if let Some(Slot::Running(run)) = slots.get(service_name)
            && run.process.pid == pid
        {
            slots.remove(service_name);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A taken name. Dropping it without a run gives the name back.
#[derive(Debug)]
pub(crate) struct Reservation {
    slots: Arc<Slots>,
    service_name: String,
    pub(crate) cancel: CancellationToken,
    _done: watch::Sender<()>,
}

impl Reservation {
    pub(crate) fn fulfil(self, run: Run) {
        let mut slots = self.slots.lock();
        slots.insert(self.service_name.clone(), Slot::Running(run));
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut slots = self.slots.lock();
        if let Some(Slot::Starting { .. }) = slots.get(&self.service_name) {
            slots.remove(&self.service_name);
        }
    }
}

/// A graceful end.
pub(crate) fn stop(
    grace: Duration,
    on_timeout: OnTimeout,
) -> impl FnOnce(oneshot::Sender<StopOutcome>) -> Command {
    move |done| Command::Stop {
        grace,
        on_timeout,
        done,
    }
}

/// An end at once.
pub(crate) fn kill(done: oneshot::Sender<StopOutcome>) -> Command {
    Command::Kill { done }
}
