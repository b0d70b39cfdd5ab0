//! What processes use, as the kernel counts it.

use std::{fs, path::Path};

use anyhow::Context as _;
use nix::{
    time::{clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};

use crate::hall::Hall;

/// The supervisor's own processes: the daemon, and any other that runs its binary.
#[derive(Debug)]
pub(crate) struct Supervisor(Vec<u32>);

/// Counts that only grow.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counters {
    /// Seconds of CPU.
    pub(crate) cpu: f64,
    /// Times that a thread was put on a CPU after it had slept.
    pub(crate) wake_ups: f64,
    /// Times that a thread was taken off its CPU.
    pub(crate) preemptions: f64,
}

/// Sizes at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sizes {
    /// MiB; pages that several processes share count in parts.
    pub(crate) pss: f64,
    /// MiB; the same, without pages of files.
    pub(crate) pss_anonymous: f64,
    /// MiB; shared pages count in full.
    pub(crate) rss: f64,
    pub(crate) processes: usize,
    pub(crate) threads: usize,
    pub(crate) descriptors: usize,
}

impl Supervisor {
    pub(crate) fn of(hall: &Hall) -> anyhow::Result<Self> {
        let daemon = hall.daemon_pid();
        let binary = |pid| fs::read_link(format!("/proc/{pid}/exe"));
        let own = binary(daemon)?;
        let mut pids = hall.processes();
        pids.retain(|pid| binary(*pid).is_ok_and(|path| path == own));
        pids.push(daemon);
        pids.extend(hall.keeper_pid());
        Ok(Self(pids))
    }

    pub(crate) fn counters(&self) -> anyhow::Result<Counters> {
        let mut sum = Counters::default();
        for pid in &self.0 {
            // To the nanosecond, and with the threads that have ended.
            let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(*pid)?))?;
            let time = clock_gettime(clock)?;
            sum.cpu += time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9;
            for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
                let status = fs::read_to_string(thread?.path().join("status"))?;
                sum.wake_ups += field(&status, "voluntary_ctxt_switches:")?;
                sum.preemptions += field(&status, "nonvoluntary_ctxt_switches:")?;
            }
        }
        Ok(sum)
    }

    pub(crate) fn sizes(&self) -> anyhow::Result<Sizes> {
        let mut sum = Sizes {
            processes: self.0.len(),
            ..Sizes::default()
        };
        for pid in &self.0 {
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
            sum.pss += field(&rollup, "Pss:")? / 1024.0;
            sum.pss_anonymous += field(&rollup, "Pss_Anon:")? / 1024.0;
            sum.rss += field(&rollup, "Rss:")? / 1024.0;
            sum.threads += entries(format!("/proc/{pid}/task"))?;
            sum.descriptors += entries(format!("/proc/{pid}/fd"))?;
        }
        Ok(sum)
    }
}

/// The number after a name at the beginning of a line.
fn field(text: &str, name: &str) -> anyhow::Result<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .with_context(|| format!("no {name} in {text}"))
}

fn entries(folder: impl AsRef<Path>) -> anyhow::Result<usize> {
    Ok(fs::read_dir(folder)?.count())
}
