//! Generated mocks of this crate's traits and hand-written fakes, for the tests of dependent crates.
//!
//! A generated mock answers at once; what has to wait (a running process) is a fake with a control.

use std::{
    io,
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    path::PathBuf,
    process::ExitStatus,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::SystemTime,
};

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};

use crate::{
    ChildProcess, ProcessExit, ProcessIdentity, ProcessSpawner, ServiceProcess, Signal,
    SignalTarget, SpawnError, SpawnSpec, main_process::Leader, process::Shared,
    watchdog::KeepAlive,
};
pub use crate::{api::MockServiceLoaderApi, authorize::MockAuthorizer, spawn::MockProcessSpawner};

/// Makes [`ServiceProcess`] handles without a process behind them.
#[derive(Debug)]
pub struct FakeProcess;

impl FakeProcess {
    /// A running process that is not ready yet, and the control that decides what becomes of it.
    #[expect(
        clippy::new_ret_no_self,
        reason = "a fake is the handle and its control"
    )]
    pub fn new(service_name: &str, pid: u32) -> (ServiceProcess, FakeProcessControl) {
        let (ready_tx, ready) = watch::channel(false);
        let (exit_tx, exit) = watch::channel(None);
        let keep_alive = watch::Sender::new(KeepAlive::default());
        let signals = Arc::new(FakeSignals::default());
        let process = ServiceProcess {
            service_name: service_name.to_owned(),
            pid,
            start_time: SystemTime::now(),
            shared: Arc::new(Shared {
                leader: Arc::new(Leader::new(pid, signals.clone())),
                ready,
                exit,
                keep_alive: keep_alive.subscribe(),
                extended: watch::channel(None).1,
                cgroup: None,
                mark: None,
            }),
        };
        let control = FakeProcessControl {
            ready: Mutex::new(Some(ready_tx)),
            exit: exit_tx,
            keep_alive,
            signals,
        };
        (process, control)
    }
}

/// Decides what becomes of a fake process. Dropping it leaves `exited()` with an unknown status.
#[derive(Debug)]
pub struct FakeProcessControl {
    ready: Mutex<Option<watch::Sender<bool>>>,
    exit: watch::Sender<Option<ProcessExit>>,
    keep_alive: watch::Sender<KeepAlive>,
    signals: Arc<FakeSignals>,
}

impl FakeProcessControl {
    /// It asks for its watchdog's alarm.
    pub fn trigger_watchdog(&self) {
        self.keep_alive.send_replace(KeepAlive::Refused);
    }

    /// The process says that it is ready; without effect after its end.
    pub fn ready(&self) {
        let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ready) = &*ready {
            ready.send_replace(true);
        }
    }

    /// The process ends.
    pub fn exit(&self, exit: ProcessExit) {
        self.exit.send_replace(Some(exit));
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        *ready = None;
    }

    /// The signals that the process was sent, in order.
    pub fn signals(&self) -> Vec<Signal> {
        self.signals.sent().clone()
    }
}

/// A spawner of processes that exist in the test alone.
#[derive(Debug)]
pub struct FakeSpawner {
    pids: AtomicU32,
    children: mpsc::UnboundedSender<FakeChildControl>,
}

impl FakeSpawner {
    /// The spawner, and the controls of what it starts, in order.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<FakeChildControl>) {
        let (children, controls) = mpsc::unbounded_channel();
        let pids = AtomicU32::new(100);
        (Self { pids, children }, controls)
    }
}

#[async_trait]
impl ProcessSpawner for FakeSpawner {
    async fn spawn(&self, spec: SpawnSpec) -> Result<Box<dyn ChildProcess>, SpawnError> {
        let leader = watch::Sender::new(None);
        let tree = watch::Sender::new(false);
        let control = FakeChildControl {
            spec,
            leader: leader.clone(),
            tree: tree.clone(),
            leader_signals: Arc::default(),
            tree_signals: Arc::default(),
        };
        let child = FakeChild {
            pid: self.pids.fetch_add(1, Ordering::Relaxed),
            leader,
            tree,
            leader_signals: Arc::clone(&control.leader_signals),
            tree_signals: Arc::clone(&control.tree_signals),
        };
        // A test that does not look at its children needs no control.
        let _ = self.children.send(control);
        Ok(Box::new(child))
    }

    async fn adopt(
        &self,
        _: &str,
        _: &ProcessIdentity,
        _: Option<OwnedFd>,
    ) -> io::Result<Box<dyn ChildProcess>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn end_leftovers(&self) -> io::Result<()> {
        Ok(())
    }

    fn forget(&self, _service_name: &str) {}

    fn containment(&self) -> &'static str {
        "session"
    }
}

/// Decides what becomes of a fake child. Signals do nothing by themselves, SIGKILL to the tree ends all.
#[derive(Debug)]
pub struct FakeChildControl {
    /// What was to be started.
    pub spec: SpawnSpec,
    leader: watch::Sender<Option<ExitStatus>>,
    tree: watch::Sender<bool>,
    leader_signals: Arc<FakeSignals>,
    tree_signals: Arc<FakeSignals>,
}

impl FakeChildControl {
    /// The leader ends.
    pub fn end_leader(&self, status: ExitStatus) {
        self.leader.send_replace(Some(status));
    }

    /// The rest of the tree ends.
    pub fn end_tree(&self) {
        self.tree.send_replace(true);
    }

    /// The signals that the leader alone was sent.
    pub fn leader_signals(&self) -> Vec<Signal> {
        self.leader_signals.sent().clone()
    }

    /// The signals that the whole tree was sent.
    pub fn tree_signals(&self) -> Vec<Signal> {
        self.tree_signals.sent().clone()
    }
}

#[derive(Debug)]
struct FakeChild {
    pid: u32,
    leader: watch::Sender<Option<ExitStatus>>,
    tree: watch::Sender<bool>,
    leader_signals: Arc<FakeSignals>,
    tree_signals: Arc<FakeSignals>,
}

#[async_trait]
impl ChildProcess for FakeChild {
    fn pid(&self) -> u32 {
        self.pid
    }

    fn leader(&self) -> Arc<dyn SignalTarget> {
        Arc::clone(&self.leader_signals) as Arc<dyn SignalTarget>
    }

    fn cgroup(&self) -> Option<PathBuf> {
        None
    }

    async fn wait(&mut self) -> io::Result<ExitStatus> {
        let mut leader = self.leader.subscribe();
        let ended = leader.wait_for(Option::is_some).await.ok();
        ended
            .and_then(|status| *status)
            .ok_or_else(|| io::Error::from_raw_os_error(libc::ECHILD))
    }

    fn signal_tree(&mut self, signal: Signal) -> io::Result<()> {
        self.tree_signals.signal(signal)
    }

    fn kill_tree(&mut self) -> io::Result<()> {
        let killed = ExitStatus::from_raw(libc::SIGKILL);
        self.leader.send_if_modified(|status| {
            let lives = status.is_none();
            status.get_or_insert(killed);
            lives
        });
        self.tree.send_replace(true);
        self.tree_signals.signal(Signal::Kill)
    }

    async fn tree_gone(&mut self) -> io::Result<Vec<u32>> {
        // The sender lives in `self`, so this cannot fail.
        let _ = self.tree.subscribe().wait_for(|gone| *gone).await;
        Ok(Vec::new())
    }
}

/// Remembers the signals that it is sent.
#[derive(Debug, Default)]
struct FakeSignals(Mutex<Vec<Signal>>);

impl FakeSignals {
    fn sent(&self) -> std::sync::MutexGuard<'_, Vec<Signal>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SignalTarget for FakeSignals {
    fn signal(&self, signal: Signal) -> io::Result<()> {
        self.sent().push(signal);
        Ok(())
    }
}
