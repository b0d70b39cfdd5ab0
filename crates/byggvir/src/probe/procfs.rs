//! Trees found and measured in `/proc`, whatever the host offers beyond.
//!
//! A round reads one small file per process that has worked since the last one, through a descriptor that
//! stays open: a descriptor into `/proc/PID` belongs to that very process, so a number that passes to another
//! process cannot be mistaken. Whether it has worked, its clock tells, or for a tree with a cgroup that
//! group's `cpu.stat`; what has not worked holds what it held. Who belongs to a tree is asked only when the
//! machine has forked since the last round (one read of `/proc/loadavg`), for all trees together, of the
//! numbers given out since. At a slower pace everything is looked at again.
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
    number::{Newcomers, Numbers},
    stat::{Stat, keyed},
    system::{Machine, is_due, read, ticks_per_second, ticks_to_time},
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
    /// Numbers of the processes that were looked at already, sorted.
    seen: Vec<u32>,
    numbers: Numbers,
    last_thorough: Option<Instant>,
    /// When memory was last read although nobody had worked.
    last_refresh: Option<Instant>,
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
    /// CPU time by `cpu_stat` and memory of all members, at the last reading.
    known: Option<(Duration, u64)>,
    /// CPU time by `cpu_stat` when the members were last listed.
    listed: Option<Duration>,
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
            numbers: Numbers::default(),
            last_thorough: None,
            last_refresh: None,
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
            known: None,
            listed: None,
        };
        self.groups.insert(tracked.run, group);
        self.new_trees = true;
        Ok(())
    }

    /// Finds new members.
    fn discover(&mut self) -> io::Result<()> {
        let loadavg = fs::read(self.proc.root.join("loadavg")).unwrap_or_default();
        let newcomers = self.numbers.since(&loadavg);
        self.forked |= newcomers != Newcomers::None;
        let pace = if self.new_trees {
            NEW_TREE_PACE
        } else {
            THOROUGH_PACE
        };
        if (self.forked || self.new_trees) && is_due(&mut self.last_thorough, pace) {
            (self.forked, self.new_trees) = (false, false);
            return self.walk(true);
        }
        match newcomers {
            Newcomers::None => Ok(()),
            Newcomers::Few(numbers) => {
                self.look_at(&numbers);
                Ok(())
            }
            Newcomers::Many => self.walk(false),
        }
    }

    /// The tree of each process that belongs to one.
    fn owners(&self) -> HashMap<u32, u64> {
        let members = |(&run, group): (&u64, &Group)| {
            let of = move |member: &Member| (member.pid, run);
            group.members.iter().map(of).collect::<Vec<_>>()
        };
        self.groups.iter().flat_map(members).collect()
    }

    /// Looks at numbers that were given out a moment ago.
    fn look_at(&mut self, numbers: &[u32]) {
        let owners = self.owners();
        let mut strangers = Vec::new();
        for &pid in numbers {
            if owners.contains_key(&pid) {
                continue;
            }
            // One that is gone already is nobody's.
            let Ok(stat) = self.proc.stat(pid) else {
                continue;
            };
            if self.proc.is_process(pid) {
                strangers.push((pid, stat, Past::Counts));
                if let Err(place) = self.seen.binary_search(&pid) {
                    self.seen.insert(place, pid);
                }
            }
        }
        self.claim(strangers, owners);
    }

    fn walk(&mut self, thorough: bool) -> io::Result<()> {
        let mut owners = self.owners();
        if thorough {
            for (&run, group) in &mut self.groups {
                for pid in group.list() {
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
        while !strangers.is_empty() {
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
    /// The members that its cgroup lists, if anybody in it has worked since it was last asked: whoever comes
    /// and never works is not worth a search.
    fn list(&mut self) -> Vec<u32> {
        let worked = self.known.map(|(cpu_time, _)| cpu_time);
        match &self.tree.cgroup {
            Some(folder) if worked.is_none() || worked != self.listed => {
                self.listed = worked;
                cgroup_members(folder)
            }
            Some(_) | None => Vec::new(),
        }
    }

    fn add(&mut self, proc: &mut Proc, pid: u32, past: Past) {
        // One that is gone already is not missed: whoever reaped it has its times.
        if let Ok(member) = Member::new(proc, pid, self.cpu_stat.is_some(), past) {
            self.members.push(member);
            self.known = None;
        }
    }

    fn sample(
        &mut self,
        proc: &mut Proc,
        ticks_per_second: u64,
        thoroughly: bool,
    ) -> io::Result<TreeSample> {
        // Before the members: what happens meanwhile shows next time.
        let by_group = match &self.cpu_stat {
            Some(file) => Some(group_time(file, &mut proc.buffer)?),
            None => None,
        };
        let sample = |memory_bytes, cpu_time| TreeSample {
            memory_bytes,
            cpu_time,
            at: Instant::now(),
            backend: "procfs",
        };
        if let (Some((then, memory_bytes)), Some(now)) = (self.known, by_group)
            && then == now
            && !thoroughly
        {
            return Ok(sample(memory_bytes, now));
        }
        self.known = None;
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
        let memory_bytes = private_bytes.saturating_add(shared_memory_bytes);
        self.known = by_group.map(|cpu_time| (cpu_time, memory_bytes));
        let by_members = || ticks_to_time(self.ticks, ticks_per_second);
        Ok(sample(memory_bytes, by_group.unwrap_or_else(by_members)))
    }
}

/// CPU time of a cgroup, by its `cpu.stat`.
fn group_time(file: &File, buffer: &mut Vec<u8>) -> io::Result<Duration> {
    match read(file, buffer) {
        Ok(text) => Ok(Duration::from_micros(
            keyed(text, "usage_usec").unwrap_or(0),
        )),
        Err(error) if error.raw_os_error() == Some(cgroup::GONE) => Err(tree_has_ended()),
        Err(error) => Err(error),
    }
}

impl SystemProbe for ProcfsProbe {
    fn sample(&mut self, trees: &[TrackedTree]) -> Vec<io::Result<TreeSample>> {
        let taken_in: Vec<io::Result<()>> =
            trees.iter().map(|tracked| self.take_in(tracked)).collect();
        if let Err(error) = self.discover() {
            // The members that are known can still be measured.
            tracing::warn!(%error, "cannot walk /proc");
        }
        let thoroughly = is_due(&mut self.last_refresh, cgroup::REFRESH_PACE);
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
