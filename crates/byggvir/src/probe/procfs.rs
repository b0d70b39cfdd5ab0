//! Trees found and measured in `/proc`, whatever the host offers beyond.
//!
//! A round reads one small file per process through a descriptor that stays open: a descriptor into
//! `/proc/PID` belongs to that very process, so a number that passes to another process cannot be
//! mistaken. Who belongs to a tree is asked only when the machine has forked since the last round
//! (one read of `/proc/loadavg`), by one walk for all trees together, in which only numbers that the
//! last walk did not see are looked at. At a slower pace everything is looked at again.
//!
//! A process belongs to a tree if it is in the session that the leader leads, or is the child of a
//! member, or is listed by the tree's cgroup; and it stays a member until it is reaped.

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    SystemProbe, SystemSample, TrackedTree, TreeSample, cgroup,
    member::{self, Member, Past, Proc, cgroup_members},
    stat::{Stat, keyed, words},
    system::{Machine, read, ticks_per_second, ticks_to_time},
    tree_has_ended,
};
use crate::ProcessTree;

/// Time after which everything is looked at again, if the machine has forked in between.
const THOROUGH_PACE: Duration = Duration::from_secs(10);
/// The same when a new tree may have come with children that were seen already as strangers.
const NEW_TREE_PACE: Duration = Duration::from_secs(1);

/// Measures by `/proc`.
///
/// Memory is the anonymous memory of each process, plus the largest share of shared memory (`RssShmem`)
/// that any one of them has: pages of files do not count, and pages shared by siblings count once.
/// CPU is exact where the tree has a cgroup (its `cpu.stat` needs no controller), else in ticks.
#[derive(Debug)]
pub struct ProcfsProbe {
    proc: Proc,
    machine: Machine,
    ticks_per_second: u64,
    groups: HashMap<u64, Group>,
    /// Numbers that the last walk saw, sorted.
    seen: Vec<u32>,
    /// The number given to a process last, at the last walk.
    last_pid: Option<Vec<u8>>,
    last_thorough: Option<Instant>,
    new_trees: bool,
    forked: bool,
}

/// The members of one tree.
#[derive(Debug)]
struct Group {
    tree: Arc<ProcessTree>,
    members: Vec<Member>,
    cpu_stat: Option<File>,
    /// CPU time so far, where `cpu_stat` does not tell.
    ticks: u64,
}

impl ProcfsProbe {
    /// Opens nothing yet.
    pub fn new() -> Self {
        Self::over(Proc::new("/proc".into()))
    }

    fn over(proc: Proc) -> Self {
        Self {
            proc,
            machine: Machine::default(),
            ticks_per_second: ticks_per_second(),
            groups: HashMap::new(),
            seen: Vec::new(),
            last_pid: None,
            last_thorough: None,
            new_trees: false,
            forked: false,
        }
    }

    /// Begins to measure a tree, if it is new.
    fn take_in(&mut self, tracked: &TrackedTree) -> io::Result<()> {
        if self.groups.contains_key(&tracked.run) {
            return Ok(());
        }
        let tree = Arc::clone(&tracked.tree);
        let cgroup = tree.cgroup.as_ref();
        let cpu_stat = cgroup.and_then(|folder| File::open(folder.join("cpu.stat")).ok());
        let members = match Member::new(&mut self.proc, tree.pid, cpu_stat.is_some(), Past::Counts)
        {
            Ok(leader) => vec![leader],
            // Its cgroup may still list others.
            Err(error) if member::is_gone(&error) => Vec::new(),
            Err(error) => return Err(error),
        };
        let group = Group {
            tree,
            members,
            cpu_stat,
            ticks: 0,
        };
        self.groups.insert(tracked.run, group);
        self.new_trees = true;
        Ok(())
    }

    /// Finds new members. Returns whether everything was looked at.
    fn discover(&mut self) -> io::Result<bool> {
        let loadavg = fs::read(self.proc.root.join("loadavg")).unwrap_or_default();
        let last_pid = words(&loadavg).last().map(<[u8]>::to_vec);
        // Where it does not tell, there may be a new one in every round.
        let forked = last_pid.is_none() || last_pid != self.last_pid;
        self.last_pid = last_pid;
        self.forked |= forked;
        let pace = if self.new_trees {
            NEW_TREE_PACE
        } else {
            THOROUGH_PACE
        };
        let thorough = (self.forked || self.new_trees)
            && self.last_thorough.is_none_or(|last| last.elapsed() >= pace);
        if thorough {
            self.last_thorough = Some(Instant::now());
            (self.forked, self.new_trees) = (false, false);
        }
        if forked || thorough {
            self.walk(thorough)?;
        }
        Ok(thorough)
    }

    fn walk(&mut self, thorough: bool) -> io::Result<()> {
        let mut owners = HashMap::new();
        for (&run, group) in &self.groups {
            owners.extend(group.members.iter().map(|member| (member.pid, run)));
        }
        if thorough {
            for (&run, group) in &mut self.groups {
                let listed = group.tree.cgroup.as_deref().map(cgroup_members);
                for pid in listed.unwrap_or_default() {
                    owners.entry(pid).or_insert_with(|| {
                        group.add(&mut self.proc, pid, Past::IsOver);
                        run
                    });
                }
            }
        }
        let mut pids = Vec::with_capacity(self.seen.len());
        for entry in fs::read_dir(&self.proc.root)? {
            pids.extend(
                entry?
                    .file_name()
                    .to_str()
                    .and_then(|name| name.parse::<u32>().ok()),
            );
        }
        pids.sort_unstable();
        let mut strangers = Vec::new();
        for &pid in &pids {
            let seen = self.seen.binary_search(&pid).is_ok();
            if (seen && !thorough) || owners.contains_key(&pid) {
                continue;
            }
            // One that is gone already is nobody's.
            if let Ok(stat) = self.proc.stat(pid) {
                let past = if seen { Past::IsOver } else { Past::Counts };
                strangers.push((pid, stat, past));
            }
        }
        self.seen = pids;
        self.claim(strangers, owners);
        Ok(())
    }

    /// Gives strangers to the trees of their session or parent, until nothing changes any more: a
    /// child may be listed before its parent.
    fn claim(&mut self, mut strangers: Vec<(u32, Stat, Past)>, mut owners: HashMap<u32, u64>) {
        let living = self
            .groups
            .iter()
            .filter(|(_, group)| !group.members.is_empty());
        let sessions: HashMap<u32, u64> =
            living.map(|(&run, group)| (group.tree.pid, run)).collect();
        loop {
            let before = strangers.len();
            strangers.retain(|(pid, stat, past)| {
                let owner = owners
                    .get(&stat.parent)
                    .or_else(|| sessions.get(&stat.session));
                let Some(&run) = owner else { return true };
                if let Some(group) = self.groups.get_mut(&run) {
                    group.add(&mut self.proc, *pid, *past);
                }
                owners.insert(*pid, run);
                false
            });
            if strangers.len() == before {
                return;
            }
        }
    }
}

impl Default for ProcfsProbe {
    fn default() -> Self {
        Self::new()
    }
}

impl Group {
    fn add(&mut self, proc: &mut Proc, pid: u32, past: Past) {
        // One that is gone already is not missed: whoever reaped it has its times.
        if let Ok(member) = Member::new(proc, pid, self.cpu_stat.is_some(), past) {
            self.members.push(member);
        }
    }

    fn sample(
        &mut self,
        proc: &mut Proc,
        ticks_per_second: u64,
        thoroughly: bool,
    ) -> io::Result<TreeSample> {
        let mut alive = false;
        let mut private_bytes = 0u64;
        let mut shared_memory_bytes = 0;
        let mut reaped_ticks = 0;
        let mut departed_ticks = 0;
        let mut failure = None;
        self.members
            .retain_mut(|member| match member.measure(proc, thoroughly) {
                Ok(reading) => {
                    alive |= reading.alive;
                    private_bytes = private_bytes.saturating_add(reading.private_bytes);
                    shared_memory_bytes = reading.shared_memory_bytes.max(shared_memory_bytes);
                    self.ticks += reading.own_ticks;
                    reaped_ticks += reading.reaped_ticks;
                    true
                }
                Err(error) if member::is_gone(&error) => {
                    departed_ticks += member.own_ticks + member.reaped_ticks;
                    false
                }
                Err(error) => {
                    failure = Some(error);
                    true
                }
            });
        // A parent that reaps a member inherits its times, which have been counted already. If
        // somebody else reaped it, nothing was inherited, and nothing is taken off.
        self.ticks += u64::saturating_sub(reaped_ticks, departed_ticks);
        if let Some(error) = failure {
            return Err(error);
        }
        if !alive {
            return Err(tree_has_ended());
        }
        let cpu_time = match &self.cpu_stat {
            Some(file) => match read(file, &mut proc.buffer) {
                Ok(text) => Duration::from_micros(keyed(text, "usage_usec").unwrap_or(0)),
                Err(error) if error.raw_os_error() == Some(cgroup::GONE) => {
                    return Err(tree_has_ended());
                }
                Err(error) => return Err(error),
            },
            None => ticks_to_time(self.ticks, ticks_per_second),
        };
        Ok(TreeSample {
            memory_bytes: private_bytes.saturating_add(shared_memory_bytes),
            cpu_time,
            at: Instant::now(),
            backend: "procfs",
        })
    }
}

impl SystemProbe for ProcfsProbe {
    fn sample(&mut self, trees: &[TrackedTree]) -> Vec<io::Result<TreeSample>> {
        let taken_in: Vec<io::Result<()>> =
            trees.iter().map(|tracked| self.take_in(tracked)).collect();
        let thoroughly = self.discover().unwrap_or_else(|error| {
            // The members that are known can still be measured.
            tracing::warn!(%error, "cannot walk /proc");
            false
        });
        let sample = |(tracked, taken_in): (&TrackedTree, io::Result<()>)| {
            taken_in?;
            let group = self
                .groups
                .get_mut(&tracked.run)
                .ok_or_else(tree_has_ended)?;
            group.sample(&mut self.proc, self.ticks_per_second, thoroughly)
        };
        trees.iter().zip(taken_in).map(sample).collect()
    }

    fn forget(&mut self, run: u64) {
        self.groups.remove(&run);
    }

    fn system(&mut self) -> io::Result<SystemSample> {
        self.machine.sample(&mut self.proc.buffer)
    }
}

#[cfg(test)]
#[path = "procfs_test.rs"]
mod tests;
