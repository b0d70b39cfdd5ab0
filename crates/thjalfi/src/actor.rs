//! The supervisor task: sole owner of one child process, from its start until its tree is gone.
//!
//! ```text
//! Running --Stop--> Stopping --deadline or Kill--> Killing
//!    ^                 |
//!    '---- deadline, leave: the waiters are told `TimedOut`
//!
//! any phase --leader ended--> the same phase, waiting for the rest of the tree
//!     Running: the rest is killed     Stopping: the rest gets the stop signal
//! any phase --leader ended, tree gone--> the exit is published, the task ends
//! ```

use std::{future, io, process::ExitStatus, sync::Arc, time::SystemTime};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Duration, Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

mod lead;

use crate::{
    ChildProcess, ProcessEvent, ProcessExit, Readiness, Signal, SignalTarget,
    command::AfterStop,
    keeper::{Keeper, Key},
    main_process::{Leader, MainProcess},
    notify::{Notice, Notifier},
    output::{Output, pumped},
    slots::Slots,
    watchdog::KeepAlive,
};

/// What the loader asks of a supervisor. A caller that gives up leaves the request in force.
#[derive(Debug)]
pub(crate) enum Command {
    /// End gracefully; the deadline starts now.
    Stop {
        grace: Duration,
        on_timeout: OnTimeout,
        done: oneshot::Sender<StopOutcome>,
    },
    /// End at once; overtakes a stop.
    Kill { done: oneshot::Sender<StopOutcome> },
}

/// What happens at the deadline of a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnTimeout {
    Kill,
    /// Let the leader go on. Where only the rest of its tree is left, that is killed.
    Leave,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopOutcome {
    Ended,
    TimedOut,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Running,
    Stopping {
        deadline: Option<Instant>,
        on_timeout: OnTimeout,
    },
    Killing,
}

/// Everything about one run that only its task may touch.
#[derive(Debug)]
pub(crate) struct Supervisor {
    pub(crate) service_name: String,
    pub(crate) child: Box<dyn ChildProcess>,
    /// What the handles take for the leader.
    pub(crate) leader: Arc<Leader>,
    /// The leader, where it is another one than that of `child`.
    pub(crate) main: Option<MainProcess>,
    /// The process that was started has ended, and the leader is another one.
    pub(crate) first_ended: bool,
    pub(crate) stop_signal: Signal,
    pub(crate) commands: mpsc::UnboundedReceiver<Box<Command>>,
    /// Gone once the leader has ended, so that nobody waits for readiness any more.
    pub(crate) ready: Option<watch::Sender<bool>>,
    pub(crate) readiness: Readiness,
    pub(crate) ending: Arc<watch::Sender<bool>>,
    pub(crate) exit: watch::Sender<Option<ProcessExit>>,
    pub(crate) keep_alive: watch::Sender<KeepAlive>,
    /// Of a service that tells of itself, and where to sign off.
    pub(crate) notices: Option<(mpsc::Receiver<Notice>, Arc<Notifier>)>,
    /// Until when the start may take, if the service asked for more time.
    pub(crate) extended: watch::Sender<Option<Instant>>,
    pub(crate) output: Option<Output>,
    pub(crate) after_stop: Option<AfterStop>,
    pub(crate) keeper: Keeper,
    pub(crate) slots: Arc<Slots>,
    /// The last handle of the loader is gone and takes its services along.
    pub(crate) abandoned: CancellationToken,
}

/// One end of the two that a run has.
enum End {
    /// Of the process that was started, while another one is the leader.
    First,
    Leader(io::Result<ExitStatus>),
    Tree(io::Result<Vec<u32>>),
}

impl Supervisor {
    /// Runs until the tree is gone. There is no other way out, so no child is ever forgotten.
    ///
    /// In a box, as is its end: the task is no larger than what waits for the child.
    pub(crate) async fn run(mut self: Box<Self>) {
        let mut phase = Phase::Running;
        let mut waiters = Vec::new();
        let mut killed = false;
        let mut leader: Option<io::Result<ExitStatus>> = None;
        let ready_at = match self.readiness {
            Readiness::Delay(delay) => Instant::now().checked_add(delay),
            Readiness::Exec | Readiness::Log(_) | Readiness::Notify => None,
        };
        let leaked = loop {
            tokio::select! {
                // An end that races with a deadline or a command wins: it is already a fact.
                biased;
                end = next_end(&mut *self.child, self.main.as_ref(), self.first_ended, leader.is_some()) => match end {
                    End::First => self.on_first_ended(&mut phase),
                    // It may have named another one right before.
                    End::Leader(_) if self.main.is_none() && self.is_followed(&mut phase) => {}
                    End::Leader(status) => {
                        leader = Some(status);
                        self.on_leader_ended(phase);
                    }
                    End::Tree(Ok(leaked)) => break leaked,
                    End::Tree(Err(error)) => {
                        tracing::warn!(service = self.service_name, %error, "its tree cannot be watched");
                        break Vec::new();
                    }
                },
                Some(command) = self.commands.recv() => match *command {
                    Command::Stop { grace, on_timeout, done } => {
                        waiters.push(done);
                        phase = self.on_stop(phase, grace, on_timeout, leader.is_some());
                    }
                    Command::Kill { done } => {
                        waiters.push(done);
                        killed = true;
                        phase = self.kill();
                    }
                },
                () = self.abandoned.cancelled(), if !matches!(phase, Phase::Killing) => {
                    killed = true;
                    phase = self.kill();
                }
                () = deadline_of(&phase) => match phase {
                    Phase::Stopping { on_timeout: OnTimeout::Leave, .. } if leader.is_none() => {
                        self.ending.send_replace(false);
                        tell(&mut waiters, StopOutcome::TimedOut);
                        phase = Phase::Running;
                    }
                    Phase::Running | Phase::Stopping { .. } | Phase::Killing => {
                        killed = true;
                        phase = self.kill();
                    }
                },
                () = reached(ready_at), if self.waits_for_ready() => self.become_ready(),
                notice = noticed(&mut self.notices) => self.on_notice(notice, &mut phase),
                matched = pumped(&mut self.output) => if matched { self.become_ready() },
            }
        };
        let exit = ProcessExit {
            status: leader.and_then(|status| self.status(status)),
            at: SystemTime::now(),
            killed,
            leaked,
            oom_kills: self.child.oom_kills(),
        };
        Box::pin(self.finish(exit)).await;
        tell(&mut waiters, StopOutcome::Ended);
    }

    fn on_stop(
        &mut self,
        phase: Phase,
        grace: Duration,
        on_timeout: OnTimeout,
        leader_ended: bool,
    ) -> Phase {
        // Without one where the time is beyond what a clock can tell.
        let deadline = Instant::now().checked_add(grace);
        match phase {
            Phase::Killing => Phase::Killing,
            // The rest of the tree of a leader that ended by itself is being killed already.
            Phase::Running if leader_ended => Phase::Running,
            Phase::Running => {
                self.signal_leader(self.stop_signal);
                // A stopped process acts upon nothing but SIGKILL until it goes on.
                self.signal_leader(Signal::Continue);
                Phase::Stopping {
                    deadline,
                    on_timeout,
                }
            }
            // Of several callers, the one with the least patience counts.
            Phase::Stopping {
                deadline: earlier, ..
            } => Phase::Stopping {
                deadline: match (deadline, earlier) {
                    (Some(deadline), Some(earlier)) => Some(deadline.min(earlier)),
                    (deadline, earlier) => deadline.or(earlier),
                },
                on_timeout,
            },
        }
    }

    fn on_leader_ended(&mut self, phase: Phase) {
        self.ending.send_replace(true);
        self.ready = None;
        let result = match phase {
            Phase::Stopping { .. } => self.signal_rest(),
            // What it has born since it was killed is seen now.
            Phase::Running | Phase::Killing => self.child.kill_tree(),
        };
        if let Err(error) = result {
            tracing::warn!(service = self.service_name, %error, "the rest of its tree cannot be signalled");
        }
    }

    fn on_notice(&mut self, notice: Notice, phase: &mut Phase) {
        if let Notice::ExtendTimeout(more) = notice {
            let until = Instant::now().checked_add(more);
            match phase {
                Phase::Stopping { deadline, .. } => *deadline = until.max(*deadline),
                Phase::Running => drop(self.extended.send_replace(until)),
                Phase::Killing => {}
            }
        }
        match notice {
            Notice::Ready => return self.become_ready(),
            Notice::Watchdog => {
                self.keep_alive.send_replace(KeepAlive::At(Instant::now()));
            }
            Notice::WatchdogTrigger => {
                self.keep_alive.send_replace(KeepAlive::Refused);
            }
            Notice::MainPid(pid) => self.follow(pid),
            Notice::ExtendTimeout(_) | Notice::Reloading | Notice::Stopping | Notice::Status(_) => {
            }
        }
        self.slots.tell(ProcessEvent::Notified {
            service_name: self.service_name.clone(),
            notice,
        });
    }

    fn kill(&mut self) -> Phase {
        if self.main.is_some() {
            self.signal_leader(Signal::Kill);
        }
        if let Err(error) = self.child.kill_tree() {
            tracing::warn!(service = self.service_name, %error, "its tree cannot be killed");
        }
        Phase::Killing
    }

    fn signal_leader(&self, signal: Signal) {
        if let Err(error) = self.leader.signal(signal)
            && error.raw_os_error() != Some(libc::ESRCH)
        {
            tracing::warn!(service = self.service_name, %signal, %error, "signal not delivered");
        }
    }

    fn waits_for_ready(&self) -> bool {
        self.ready.as_ref().is_some_and(|ready| !*ready.borrow())
    }

    /// Tells once.
    pub(crate) fn become_ready(&self) {
        if let Some(ready) = &self.ready
            && !ready.send_replace(true)
        {
            let service_name = self.service_name.clone();
            self.slots.tell(ProcessEvent::Ready { service_name });
        }
    }

    fn status(&self, status: io::Result<ExitStatus>) -> Option<ExitStatus> {
        status
            .inspect_err(|error| {
                tracing::warn!(service = self.service_name, %error, "exit status unknown");
            })
            .ok()
    }

    /// Output and afterwork first, then the name is free, then the exit is told: who waits for the
    /// exit can start the next run at once.
    async fn finish(mut self: Box<Self>, exit: ProcessExit) {
        if let Some(output) = &mut self.output {
            output.drain();
        }
        let pid = self.leader.pid();
        self.keeper.release(Key::run(&self.service_name, pid));
        if let Some((_, notifier)) = self.notices {
            notifier.forget(pid);
        }
        drop(self.main);
        drop(self.child);
        if let Some(after_stop) = self.after_stop {
            after_stop.run(&self.service_name).await;
        }
        self.slots.free(&self.service_name, pid);
        self.exit.send_replace(Some(exit.clone()));
        self.slots.tell(ProcessEvent::Exited {
            service_name: self.service_name,
            pid,
            exit,
        });
    }
}

async fn next_end(
    child: &mut dyn ChildProcess,
    main: Option<&MainProcess>,
    first_ended: bool,
    leader_ended: bool,
) -> End {
    match main {
        None if leader_ended => End::Tree(child.tree_gone().await),
        None => End::Leader(child.wait().await),
        Some(_) if first_ended && leader_ended => End::Tree(child.tree_gone().await),
        Some(main) => tokio::select! {
            biased;
            // Its status is not the service's.
            _ = child.wait(), if !first_ended => End::First,
            status = main.wait(), if !leader_ended => End::Leader(status),
        },
    }
}

async fn deadline_of(phase: &Phase) {
    match phase {
        Phase::Stopping { deadline, .. } => reached(*deadline).await,
        Phase::Running | Phase::Killing => future::pending().await,
    }
}

/// Waits for a time, for ever without one.
pub(crate) async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => future::pending().await,
    }
}

async fn noticed(notices: &mut Option<(mpsc::Receiver<Notice>, Arc<Notifier>)>) -> Notice {
    if let Some((notices, _)) = notices
        && let Some(notice) = notices.recv().await
    {
        return notice;
    }
    future::pending().await
}

fn tell(waiters: &mut Vec<oneshot::Sender<StopOutcome>>, outcome: StopOutcome) {
    for waiter in waiters.drain(..) {
        // A caller that gave up is no error.
        let _ = waiter.send(outcome);
    }
}
