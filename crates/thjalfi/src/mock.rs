//! Generated mocks of this crate's traits and hand-written fakes, for the tests of dependent crates.
//!
//! A generated mock answers at once; what has to wait (a running process) is a fake with a control.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use tokio::sync::watch;

use crate::{ProcessExit, ServiceProcess, Signal, SignalTarget, process::Shared};
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
        let signals = Arc::new(FakeSignals::default());
        let process = ServiceProcess {
            service_name: service_name.to_owned(),
            pid,
            start_time: SystemTime::now(),
            shared: Arc::new(Shared {
                leader: signals.clone(),
                ready,
                exit,
                cgroup: None,
            }),
        };
        let control = FakeProcessControl {
            ready: Mutex::new(Some(ready_tx)),
            exit: exit_tx,
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
    signals: Arc<FakeSignals>,
}

impl FakeProcessControl {
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
