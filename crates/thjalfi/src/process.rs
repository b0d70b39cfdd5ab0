//! The handle of one running service.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{sync::watch, time::Instant};

use crate::{
    ProcessIdentity, ProcessInfo, ServiceLoaderError, Signal,
    actor::reached,
    adopt::boot_id,
    main_process::Leader,
    procfs,
    tree::Membership,
    watchdog::{KeepAlive, WatchdogAlarm, alarm},
};

/// Handle of one run of a service (specification: Thjalfi, `ServiceProcess`).
///
/// A cheap clone over channels: one task owns the process and reaps it. Signals go through a pidfd,
/// which never means another process. Dropping a handle does nothing to the process.
#[derive(Debug, Clone)]
pub struct ServiceProcess {
    /// Name of the service.
    pub service_name: String,
    /// Process id of the leader when this handle was made; a service may name another one of its processes,
    /// see [`successor`](Self::successor).
    pub pid: u32,
    /// When it was started.
    pub start_time: SystemTime,
    pub(crate) shared: Arc<Shared>,
}

/// What all handles of one run share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) leader: Arc<Leader>,
    pub(crate) ready: watch::Receiver<bool>,
    pub(crate) exit: watch::Receiver<Option<ProcessExit>>,
    pub(crate) keep_alive: watch::Receiver<KeepAlive>,
    /// Until when the start may take, if the service asked for more time.
    pub(crate) extended: watch::Receiver<Option<Instant>>,
    pub(crate) cgroup: Option<PathBuf>,
    pub(crate) mark: Option<String>,
}

/// Where signals for one process go, whoever holds it; a pidfd, or a fake in tests.
pub trait SignalTarget: fmt::Debug + Send + Sync + 'static {
    /// Sends one signal.
    ///
    /// # Errors
    ///
    /// `ESRCH` if the process has ended and was reaped.
    fn signal(&self, signal: Signal) -> io::Result<()>;
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessExit {
    /// Exit status of the leader; `None` where the kernel no longer tells it (an adopted process).
    pub status: Option<ExitStatus>,
    /// When the end was seen.
    pub at: SystemTime,
    /// Whether it was ended by our SIGKILL after the shutdown timeout or by a force kill.
    pub killed: bool,
    /// Members of the tree that could not be found and ended (session containment only).
    pub leaked: Vec<u32>,
    /// Members of the tree that the kernel killed for want of memory; 0 where nobody counts, for it
    /// takes a cgroup with the memory controller.
    pub oom_kills: u64,
}

impl ServiceProcess {
    /// Waits for the end of the run: the leader is reaped and its tree is gone.
    ///
    /// May be called by several tasks at once, and after the end. Cancel safe.
    ///
    /// # Errors
    ///
    /// If the exit status is not known.
    pub async fn wait(&self) -> Result<ExitStatus, io::Error> {
        self.exited()
            .await
            .status
            .ok_or_else(|| io::Error::other(format!("{}: exit status unknown", self.service_name)))
    }

    /// Added: as [`wait`](Self::wait), with all that is known about the end.
    pub async fn exited(&self) -> ProcessExit {
        let mut exit = self.shared.exit.clone();
        // The supervisor publishes the exit before it ends; were it gone without one, nobody
        // would know the status.
        match exit.wait_for(Option::is_some).await {
            Ok(exit) => exit.clone(),
            Err(_) => None,
        }
        .unwrap_or(ProcessExit {
            status: None,
            at: SystemTime::now(),
            killed: false,
            leaked: Vec::new(),
            oom_kills: 0,
        })
    }

    /// Added: waits until the service is ready as its [`Readiness`](crate::Readiness) says.
    ///
    /// Has no timeout of its own. Cancel safe.
    ///
    /// # Errors
    ///
    /// `SpawnFailed` if the run ends first.
    pub async fn ready(&self) -> Result<(), ServiceLoaderError> {
        let mut ready = self.shared.ready.clone();
        if ready.wait_for(|ready| *ready).await.is_ok() {
            return Ok(());
        }
        let status = self.exited().await.status;
        let how = status.map_or("unknown".to_owned(), |status| status.to_string());
        Err(ServiceLoaderError::SpawnFailed(format!(
            "{}: ended before it was ready ({how})",
            self.service_name
        )))
    }

    /// Added: awaits something of a start, at most for `limit` or, if that is longer, as long as the service asks for by
    /// `EXTEND_TIMEOUT_USEC`; `None` if it is not there then. Cancel safe if that is.
    pub async fn within_start<T>(
        &self,
        limit: Duration,
        awaited: impl Future<Output = T>,
    ) -> Option<T> {
        let mut extended = self.shared.extended.clone();
        let mut deadline = Instant::now().checked_add(limit);
        let mut until = *extended.borrow_and_update();
        tokio::pin!(awaited);
        loop {
            deadline = deadline.map(|deadline| until.unwrap_or(deadline).max(deadline));
            tokio::select! {
                biased;
                value = &mut awaited => return Some(value),
                Ok(()) = extended.changed() => until = *extended.borrow_and_update(),
                () = reached(deadline) => return None,
            }
        }
    }

    /// Added: waits until the service has not sent `WATCHDOG=1` for `interval`, counted from this call at the
    /// earliest, or has sent `WATCHDOG=trigger`.
    ///
    /// Needs [`StartOptions::watchdog`](crate::StartOptions): otherwise the service has nowhere to send it to.
    /// Cancel safe; the next call counts anew.
    pub async fn watchdog(&self, interval: Duration) -> WatchdogAlarm {
        alarm(self.shared.keep_alive.clone(), interval).await
    }

    /// Added: waits until another process is the leader than the one that this handle names, since the service
    /// said so by `MAINPID`; the same run with that one. Cancel safe.
    pub async fn successor(&self) -> Self {
        let pid = self.shared.leader.is_other_than(self.pid).await;
        Self {
            pid,
            ..self.clone()
        }
    }

    /// Sends a signal to the leader.
    ///
    /// # Errors
    ///
    /// `ESRCH` if the run has ended.
    pub fn send_signal(&self, signal: Signal) -> Result<(), io::Error> {
        if !self.is_alive() {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        self.shared.leader.signal(signal)
    }

    /// Kills what can be killed at once; the supervisor, if it still lives, sees to the rest.
    pub(crate) fn kill(&self) {
        // Either fails only where there is nothing left to be killed.
        let _ = self.shared.leader.signal(Signal::Kill);
        if let Some(cgroup) = &self.shared.cgroup {
            let _ = std::fs::write(cgroup.join("cgroup.kill"), "1");
        }
    }

    /// Whether the leader still runs.
    pub fn is_alive(&self) -> bool {
        self.shared.exit.borrow().is_none()
    }

    /// Added: what it takes to recognise the run later, and to adopt it; `None` if it has ended.
    ///
    /// Reads `/proc`, and waits for the rest of an `exec` under way.
    pub fn identity(&self) -> Option<ProcessIdentity> {
        // The number may mean another process only once the leader was reaped.
        let pid = self.shared.leader.pid();
        let stat = procfs::stat(pid).filter(|_| self.is_alive())?;
        Some(ProcessIdentity {
            pid,
            start_ticks: stat.start,
            boot_id: boot_id().ok()?,
            cgroup: self.shared.cgroup.clone(),
            mark: self.shared.mark.clone(),
            start_time: self.start_time,
        })
    }

    /// Added: the living processes of the whole tree, sorted by pid; none once the run has ended.
    ///
    /// For people: by the time it returns some may have ended. Blocks for some milliseconds where the service
    /// has no cgroup and the machine very many processes.
    ///
    /// # Errors
    ///
    /// If `/proc` cannot be read.
    pub fn processes(&self) -> Result<Vec<ProcessInfo>, io::Error> {
        if !self.is_alive() {
            return Ok(Vec::new());
        }
        Membership {
            leader: self.shared.leader.pid(),
            cgroup: self.cgroup(),
            mark: self.shared.mark.as_deref(),
        }
        .processes()
    }

    /// Added: folder of the service's own cgroup, where it has one.
    pub fn cgroup(&self) -> Option<&Path> {
        self.shared.cgroup.as_deref()
    }
}
