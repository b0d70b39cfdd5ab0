//! What means one process for ever, across the ends of daemons, and how it is taken over again.

use std::{fs, io, path::PathBuf, sync::OnceLock, time::SystemTime};

use crate::StartOptions;

/// All that it takes to recognise the process tree of one run later: kept by whoever starts
/// services, and handed back to [`adopt_service`](crate::ServiceLoaderApi::adopt_service).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessIdentity {
    /// Process id of the leader.
    pub pid: u32,
    /// When the leader was started, in clock ticks since boot: tells it from a later process that
    /// was given the same number.
    pub start_ticks: u64,
    /// Where `pid` and `start_ticks` mean something: [`boot_id`] at that time.
    pub boot_id: String,
    /// Folder of the run's cgroup, where it has one.
    pub cgroup: Option<PathBuf>,
    /// What marks the processes of the run, where it has no cgroup.
    pub mark: Option<String>,
    /// When it was started.
    pub start_time: SystemTime,
}

/// How a process is taken over.
#[derive(Debug, Clone, PartialEq)]
pub struct AdoptOptions {
    /// Which one.
    pub identity: ProcessIdentity,
    /// Whether it was ready before; if not, it is awaited as its options say.
    pub ready: bool,
    /// What it was started with; the stop signal, log rotation, user, readiness and `post_stop` of it count.
    pub options: StartOptions,
}

/// Names this boot of the machine and this process's pid namespace.
///
/// # Errors
///
/// If `/proc` does not tell.
pub fn boot_id() -> io::Result<String> {
    static BOOT: OnceLock<String> = OnceLock::new();
    if let Some(boot) = BOOT.get() {
        return Ok(boot.clone());
    }
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let namespace = fs::read_link("/proc/self/ns/pid")?;
    let id = format!("{} {}", boot.trim(), namespace.display());
    Ok(BOOT.get_or_init(|| id).clone())
}
