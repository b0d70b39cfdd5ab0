//! The actor of one service: the only task that changes it.
//!
//! Every command, the end of a run, and everything that the actor waits for arrive in one loop, one
//! after another; so there is one legal history, and at most one process. Nothing in the loop waits
//! for long: what takes time (a launch, readiness, a stop) is a future in `task` that the loop polls
//! beside the mailbox, so that a kill overtakes a stop and a stop overtakes a start.
//!
//! ```text
//!  Idle ─Start─> Waiting ─dependencies hold─> Launching ─exec─> Starting ─ready─> Running
//!   ^  ─NextAttempt───────────────────────────────^                │               │
//!   │                                                              v               v
//!   └────────────────────────── the run has ended ──────────── Ending <─Stop, Kill, Restart, EndRun
//! ```
//!
//! The registry is written first, then the bus, the journal, the [`Facts`](facts::Facts), and replies come last: whoever got
//! an answer finds everything up to date.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use skirnir::{Cause, RunEnd, ServiceState, Transition};
use thjalfi::{ProcessExit, ServiceLoaderError, ServiceProcess, WatchdogAlarm};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    EventKind, GladsheimError, Result, ServiceDefinition, ServiceEvent, StartOverrides,
    actor::{
        board::Board,
        command::{Command, Reply},
        facts::{End, Facts},
    },
    bus::EventBus,
    directory::Directory,
    group::Notice,
    journal::Journal,
    servants::Servants,
};

pub(crate) mod board;
pub(crate) mod command;
mod dependency;
mod ending;
pub(crate) mod facts;
mod hold;
mod monitor;
pub(crate) mod remember;
mod start;
mod stop;

/// What all actors share.
#[derive(Debug, Clone)]
pub(crate) struct Hall {
    pub(crate) servants: Servants,
    pub(crate) bus: EventBus,
    pub(crate) directory: Arc<Directory>,
    pub(crate) journal: Journal,
    /// To the keeper of the restart groups.
    pub(crate) groups: mpsc::UnboundedSender<Notice>,
}

pub(crate) struct ServiceActor {
    name: String,
    definition: Arc<ServiceDefinition>,
    hall: Hall,
    mailbox: mpsc::UnboundedReceiver<Box<Command>>,
    facts: Board,
    phase: Phase,
    /// State in the registry; only this actor moves it.
    state: ServiceState,
    run: Option<Run>,
    task: Option<Task>,
    /// What the last person who started it asked for.
    overrides: StartOverrides,
    /// Wait until it is ready.
    starters: Vec<Reply>,
    /// Wait until it has stopped.
    stoppers: Vec<Reply>,
    /// Answers that go out once the facts are up to date.
    answers: Vec<(Reply, Result<()>)>,
    /// For its restart group, once the facts are up to date.
    notices: Vec<Notice>,
    ready: bool,
    health: roskva::HealthStatus,
    ends: u64,
    last_end: Option<End>,
    maintenance: bool,
    /// Why the start under way was begun; `Asked` once it is launched.
    begun: Begun,
    memory: remember::Memory,
}

/// Where in its life the service is; each phase names what the loop waits for beside the mailbox.
#[derive(Debug, Clone, PartialEq)]
enum Phase {
    /// No process, none coming but by the restart policy.
    Idle,
    /// For its dependencies.
    Waiting,
    /// For `exec`; `Some` if the run is to be ended as soon as it has begun.
    Launching(Option<Ending>),
    /// For readiness, or the exit.
    Starting,
    /// For the exit.
    Running,
    /// For the exit; the task is the loader's stop.
    Ending(Ending),
    /// For whoever holds it down, and starts it again: a reload, or its restart group (`Dependency`).
    Held(Cause),
}

/// Why a start was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    /// Somebody asked for it. What it depends on is started first.
    Asked,
    /// By its restart group. It waits for those of its dependencies that come up by themselves, as they do that
    /// are in the group; what somebody has stopped stays so.
    Restarted,
    /// It was to be restarted when an earlier daemon was cut off.
    Resumed,
}

/// A run that is being ended on purpose.
#[derive(Debug, Clone, PartialEq)]
struct Ending {
    intent: Intent,
    then: Then,
    /// Kill at once instead of asking first.
    kill: bool,
    timeout: Option<Duration>,
}

/// What follows once a run has ended on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// Nothing, or what the restart policy decides.
    Rest,
    /// A new run, at once.
    Again,
    /// A new run, when whoever asked for the end says so.
    Hold,
}

#[derive(Debug, Clone, PartialEq)]
enum Intent {
    /// To stay down.
    Stop(Cause),
    /// The restart policy decides what follows.
    Policy { cause: Cause, message: String },
}

/// The present run.
struct Run {
    process: ServiceProcess,
    started: Instant,
    exited: Pin<Box<dyn Future<Output = ProcessExit> + Send>>,
    /// Where it has one, from the time when it runs.
    watchdog: Option<Pin<Box<dyn Future<Output = WatchdogAlarm> + Send>>>,
}

type Task = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// What came of the task.
enum Outcome {
    /// All dependencies hold, or why one never will.
    Dependencies(Result<()>),
    Launched(std::result::Result<ServiceProcess, ServiceLoaderError>),
    Ready(std::result::Result<(), ServiceLoaderError>),
    Stopped(std::result::Result<(), ServiceLoaderError>),
}

impl ServiceActor {
    pub(crate) fn new(
        definition: Arc<ServiceDefinition>,
        hall: Hall,
        mailbox: mpsc::UnboundedReceiver<Box<Command>>,
        facts: Board,
        held: Option<Cause>,
    ) -> Self {
        Self {
            name: definition.name.clone(),
            definition,
            hall,
            mailbox,
            facts,
            phase: held.map_or(Phase::Idle, Phase::Held),
            state: ServiceState::Stopped,
            run: None,
            task: None,
            overrides: StartOverrides::default(),
            starters: Vec::new(),
            stoppers: Vec::new(),
            answers: Vec::new(),
            notices: Vec::new(),
            ready: false,
            health: roskva::HealthStatus::Unknown,
            ends: 0,
            last_end: None,
            maintenance: false,
            begun: Begun::Asked,
            memory: remember::Memory::default(),
        }
    }

    /// Runs until the directory has forgotten the service and nothing is under way. A process that runs
    /// then, runs on: either it refused to stop in a hall that does not kill, or the hall was dropped.
    ///
    /// What waits for most of its life is small: the actor and what it does about an event are in boxes,
    /// or the task would be as large as its largest moment, for each service.
    pub(crate) async fn run(mut self: Box<Self>) {
        Box::pin(self.resume()).await;
        let mut open = true;
        while open || self.task.is_some() {
            tokio::select! {
                // An exit that races with a command is a fact already, so it comes first.
                biased;
                told = told(&mut self.run) => match told {
                    Told::Exited(exit) => Box::pin(self.on_exit(exit)).await,
                    Told::Barked(alarm) => self.on_watchdog(alarm),
                    Told::Led(process) => self.on_led(process),
                },
                outcome = finished(&mut self.task) => Box::pin(self.on_outcome(outcome)).await,
                command = self.mailbox.recv(), if open => match command {
                    Some(command) => Box::pin(self.on_command(*command)).await,
                    None => open = false,
                },
            }
            self.tell();
        }
    }

    async fn on_command(&mut self, command: Command) {
        self.note(&command);
        match command {
            Command::Start {
                overrides,
                join,
                reply,
            } => {
                self.on_start(overrides, join, reply).await;
            }
            Command::Stop {
                timeout,
                cause,
                reply,
            } => {
                self.on_stop(cause, timeout, false, reply).await;
            }
            Command::Kill { cause, reply } => self.on_stop(cause, None, true, reply).await,
            Command::Restart { reply } => self.on_restart(reply).await,
            Command::Suspend { cause, reply } => self.on_suspend(cause, reply).await,
            Command::Resume { cause, reply } => self.on_resume(cause, reply),
            Command::Redefine { definition, reply } => self.on_redefine(definition, reply),
            Command::NextAttempt { attempt } => self.on_next_attempt(attempt),
            Command::EndRun {
                cause,
                request,
                reply,
            } => self.on_end_run(cause, request, reply),
            Command::Reset { reply } => self.on_reset(reply),
            Command::Maintenance { on, reply } => self.on_maintenance(on, reply),
            Command::Health(health) => self.on_health(health),
            Command::HealthChanged(change) => self.on_health_changed(change),
            Command::Readiness(ready) => self.on_readiness(ready),
        }
    }

    async fn on_outcome(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Dependencies(result) => self.on_dependencies(result),
            Outcome::Launched(result) => self.on_launched(result).await,
            Outcome::Ready(result) => self.on_ready(result),
            Outcome::Stopped(result) => self.on_stopped(result).await,
        }
    }

    /// Moves the service to another state, in the registry first, then on the bus.
    fn enter(&mut self, transition: Transition, event: ServiceEvent) {
        let new_state = transition.new_state;
        match self
            .hall
            .servants
            .skirnir
            .transition(&self.name, transition)
        {
            Ok(()) => self.state = new_state,
            // The table is ours, so this is a defect of this actor: say so, and go on supervising.
            Err(error) => tracing::error!(service = %self.name, %error, "state not recorded"),
        }
        self.publish(event);
    }

    fn publish(&self, event: ServiceEvent) {
        self.hall.bus.publish(EventKind::Service {
            service_name: self.name.clone(),
            event,
        });
    }

    /// Logs what the registry refused; it can only refuse a name that it does not know.
    fn recorded(&self, result: std::result::Result<(), skirnir::ServiceRegistryError>) {
        if let Err(error) = result {
            tracing::error!(service = %self.name, %error, "not recorded");
        }
    }

    fn set_ready(&mut self, ready: bool, reason: Option<String>) {
        self.ready = ready;
        self.recorded(
            self.hall
                .servants
                .skirnir
                .update_readiness(&self.name, ready, reason),
        );
    }

    /// Records how a run, or a start that came to nothing, ended.
    fn record_end(&mut self, end: RunEnd, success: bool) {
        self.ends += 1;
        self.last_end = Some(End {
            cause: end.cause,
            success,
            message: end.error_message.clone().unwrap_or_default(),
        });
        self.ready = false;
        self.health = roskva::HealthStatus::Unknown;
        self.recorded(self.hall.servants.skirnir.record_end(&self.name, end));
    }

    fn answer_starters(&mut self, outcome: Result<()>) {
        answer_all(&mut self.starters, &mut self.answers, outcome);
    }

    fn answer_stoppers(&mut self, outcome: Result<()>) {
        answer_all(&mut self.stoppers, &mut self.answers, outcome);
    }

    fn answer(&mut self, reply: Reply, outcome: Result<()>) {
        self.answers.push((reply, outcome));
    }

    /// Brings the journal and the facts up to date, then lets the answers out.
    fn tell(&mut self) {
        let facts = Facts {
            state: self.state,
            active: self.phase != Phase::Idle || self.state == ServiceState::Restarting,
            backing_off: self.phase == Phase::Idle && self.state == ServiceState::Restarting,
            held: match self.phase {
                Phase::Held(cause) => Some(cause),
                _ => None,
            },
            alive: self.run.is_some(),
            ready: self.ready,
            health: self.health,
            ends: self.ends,
            last_end: self.last_end.clone(),
        };
        self.remember(facts.active);
        self.facts.put(facts);
        for (reply, outcome) in self.answers.drain(..) {
            reply(outcome);
        }
        for notice in self.notices.drain(..) {
            // Nobody minds groups any more once the hall has ended.
            let _ = self.hall.groups.send(notice);
        }
    }
}

/// Everybody who waits gets the same outcome.
fn answer_all(
    waiting: &mut Vec<Reply>,
    answers: &mut Vec<(Reply, Result<()>)>,
    outcome: Result<()>,
) {
    let mut rest = std::mem::take(waiting);
    let Some(last) = rest.pop() else { return };
    for reply in rest {
        answers.push((
            reply,
            outcome.as_ref().copied().map_err(GladsheimError::duplicate),
        ));
    }
    answers.push((last, outcome));
}

/// What a run tells of itself.
enum Told {
    Exited(ProcessExit),
    Barked(WatchdogAlarm),
    /// Another process is its leader.
    Led(ServiceProcess),
}

/// What the present run tells; never, if none runs.
async fn told(run: &mut Option<Run>) -> Told {
    let Some(run) = run else {
        return std::future::pending().await;
    };
    let barked = async {
        match &mut run.watchdog {
            Some(watchdog) => watchdog.await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        exit = run.exited.as_mut() => Told::Exited(exit),
        alarm = barked => {
            run.watchdog = None;
            Told::Barked(alarm)
        }
        process = run.process.successor() => Told::Led(process),
    }
}

/// The outcome of the present task; never, if there is none.
async fn finished(task: &mut Option<Task>) -> Outcome {
    let Some(future) = task else {
        return std::future::pending().await;
    };
    let outcome = future.as_mut().await;
    *task = None;
    outcome
}
