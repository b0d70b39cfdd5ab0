//! The measuring port: what a backend tells about process trees and about the machine.
//!
//! Backends only read counters. Rates are made of two samples by their owner, so that every backend
//! agrees on what an interval is.
//!
//! | backend | memory of a tree | CPU of a tree |
//! | --- | --- | --- |
//! | [`CgroupProbe`] | `memory.current` less `inactive_file`: all but the page cache that can be dropped at once | `cpu.stat`: exact, every process that ever was in it |
//! | [`ProcfsProbe`] | anonymous pages of each process, and shared memory once | `cpu.stat` where the tree has a cgroup, else `stat` of each process and what they reaped, in clock ticks |
//! | [`SysinfoProbe`] | resident memory of each process, shared pages counted for each | of each process that is seen; children that come and go between two samples are missed |
//!
//! For a program whose memory is anonymous they agree, up to the code and libraries that it maps.

use std::{
    fmt, io,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{ProcessTree, SystemResourceUsage};

pub(crate) use self::detail::{is_alive, read_details};
pub use self::{
    cgroup::CgroupProbe, detail::UsageDetail, host::HostProbe, procfs::ProcfsProbe,
    sysinfo::SysinfoProbe,
};

mod cgroup;
mod detail;
mod host;
mod member;
mod number;
mod procfs;
mod stat;
mod sysinfo;
mod system;

/// One run of a service whose tree is measured. Equal runs have equal numbers, and no number is
/// ever used again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackedTree {
    /// Number of the run.
    pub run: u64,
    /// Its processes.
    pub tree: Arc<ProcessTree>,
}

/// Counters of one process tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeSample {
    /// Memory in use, in bytes; see the table of the module.
    pub memory_bytes: u64,
    /// CPU time used so far. Never falls during a run.
    pub cpu_time: Duration,
    /// When the counters were read.
    pub at: Instant,
    /// Name of the backend that read them.
    pub backend: &'static str,
}

/// Counters of the whole machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemSample {
    /// All memory in bytes.
    pub total_memory: u64,
    /// Memory that can be had without swapping, in bytes.
    pub available_memory: u64,
    /// CPU time spent so far by all CPUs together, idle and I/O wait left out.
    pub cpu_time: Duration,
    /// Number of CPUs on line.
    pub num_cores: usize,
    /// When the counters were read.
    pub at: Instant,
}

/// A source of measurements. Calls block on system calls, and never wait for another process.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
pub trait SystemProbe: fmt::Debug + Send + 'static {
    /// Reads the counters of all trees of a round; the answers are in the order of `trees`.
    ///
    /// A run that is seen for the first time is measured from its leader on. What is held for a run
    /// that is not among `trees` stays: that is what [`forget`](Self::forget) is for.
    ///
    /// # Errors
    ///
    /// `NotFound` for a tree that has no living process; what the system said otherwise.
    fn sample(&mut self, trees: &[TrackedTree]) -> Vec<io::Result<TreeSample>>;

    /// Lets go of everything that is held for a run; does nothing for an unknown one.
    fn forget(&mut self, run: u64);

    /// Reads the counters of the machine.
    ///
    /// # Errors
    ///
    /// What the system said, or `InvalidData` for an answer without sense.
    fn system(&mut self) -> io::Result<SystemSample>;
}

impl TreeSample {
    /// CPU time since `earlier` in percent of `num_cores` CPUs together, 0.0 to 100.0.
    pub(crate) fn cpu_percent_since(&self, earlier: &Self, num_cores: usize) -> f32 {
        let elapsed = self.at.saturating_duration_since(earlier.at);
        let share = share(self.cpu_time.saturating_sub(earlier.cpu_time), elapsed);
        (share / num_cores.max(1) as f32).min(100.0)
    }
}

impl SystemSample {
    /// Usage of the machine, with CPU over the time since `earlier`.
    pub(crate) fn usage_since(&self, earlier: Option<&Self>) -> SystemResourceUsage {
        let cpu_usage = earlier.map_or(0.0, |earlier| {
            let elapsed = self.at.saturating_duration_since(earlier.at);
            share(self.cpu_time.saturating_sub(earlier.cpu_time), elapsed)
        });
        SystemResourceUsage {
            total_memory: self.total_memory,
            used_memory: self.total_memory.saturating_sub(self.available_memory),
            available_memory: self.available_memory,
            cpu_usage: cpu_usage.min(100.0 * self.num_cores as f32),
            num_cores: self.num_cores,
        }
    }
}

/// CPU time in percent of one CPU.
fn share(cpu_time: Duration, elapsed: Duration) -> f32 {
    if elapsed.is_zero() {
        return 0.0;
    }
    cpu_time.as_secs_f32() / elapsed.as_secs_f32() * 100.0
}

/// What a tree without a living process answers.
fn tree_has_ended() -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        "no process of the service is alive",
    )
}
