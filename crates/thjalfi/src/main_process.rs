//! The process that stands for a run: the one that was started, or the one that the service has named by `MAINPID=`.

use std::{
    io,
    process::ExitStatus,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{io::unix::AsyncFd, sync::watch};

use crate::{
    Descriptor, Signal, SignalTarget, adopted,
    procfs::{self, Stat},
    session::LEADERS,
    sys::{self, Pidfd},
    tree::Membership,
};

/// Where signals for the main process go, and which one that is; what all handles of a run share.
#[derive(Debug)]
pub(crate) struct Leader {
    target: Mutex<Arc<dyn SignalTarget>>,
    pid: watch::Sender<u32>,
}

impl Leader {
    pub(crate) fn new(pid: u32, target: Arc<dyn SignalTarget>) -> Self {
        Self {
            target: Mutex::new(target),
            pid: watch::Sender::new(pid),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        *self.pid.borrow()
    }

    /// Cancel safe.
    pub(crate) async fn is_other_than(&self, pid: u32) -> u32 {
        let mut changes = self.pid.subscribe();
        match changes.wait_for(|now| *now != pid).await {
            Ok(now) => *now,
            // The sender lives in `self`.
            Err(_) => pid,
        }
    }

    pub(crate) fn change(&self, pid: u32, target: Arc<dyn SignalTarget>) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = target;
        self.pid.send_replace(pid);
    }
}

impl SignalTarget for Leader {
    fn signal(&self, signal: Signal) -> io::Result<()> {
        let target = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        target.signal(signal)
    }
}

/// A main process that the service has named: a member of its tree, held by a pidfd.
#[derive(Debug)]
pub(crate) struct MainProcess {
    pub(crate) pid: u32,
    start_ticks: u64,
    pidfd: AsyncFd<Arc<Pidfd>>,
}

impl MainProcess {
    /// Fails unless the number is that of a living member.
    pub(crate) fn open(pid: u32, tree: Membership<'_>) -> io::Result<Self> {
        let pidfd = Pidfd::open(pid)?;
        // Looked at after the opening: if this is a member, the pidfd means it.
        let living = procfs::stat(pid).filter(|stat| !stat.zombie);
        let Some(Stat { start, .. }) = living.filter(|_| tree.has(pid)) else {
            return Err(io::Error::other("it is none of the service's processes"));
        };
        let pidfd = sys::watch_process(Arc::new(pidfd))?;
        LEADERS.adopt(pid);
        Ok(Self {
            pid,
            start_ticks: start,
            pidfd,
        })
    }

    pub(crate) fn target(&self) -> Arc<dyn SignalTarget> {
        Arc::clone(self.pidfd.get_ref()) as Arc<dyn SignalTarget>
    }

    pub(crate) fn descriptor(&self) -> Descriptor {
        Arc::clone(self.pidfd.get_ref()) as Descriptor
    }

    /// Waits for its end, and reaps it where this process is its parent. Cancel safe.
    pub(crate) async fn wait(&self) -> io::Result<ExitStatus> {
        self.pidfd.readable().await?.retain_ready();
        LEADERS.may_be_reaped().await;
        let status = adopted::status(self.pidfd.get_ref(), self.pid, self.start_ticks);
        LEADERS.forget(self.pid);
        status
    }
}

impl Drop for MainProcess {
    fn drop(&mut self) {
        LEADERS.forget(self.pid);
    }
}
