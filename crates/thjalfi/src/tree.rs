//! Who belongs to a run at this moment: for people who look, never for deciding whom to signal.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::Path,
};

use crate::{
    procfs::{self, Stat},
    session::MARK,
};

/// Longer command lines are cut.
const MOST_COMMAND_CHARS: usize = 1000;

/// One living process of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProcessInfo {
    /// Process id.
    pub pid: u32,
    /// Process id of its parent, which may be outside of the tree: orphans have another.
    pub parent: u32,
    /// Its command line, arguments separated by spaces; its name in brackets where it has none.
    pub command: String,
    /// Its resident memory in bytes, pages of files left out.
    pub memory_bytes: u64,
}

/// What tells the processes of a run from all others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Membership<'a> {
    pub(crate) leader: u32,
    pub(crate) cgroup: Option<&'a Path>,
    pub(crate) mark: Option<&'a str>,
}

impl Membership<'_> {
    /// The living processes, sorted by pid; those that end meanwhile are left out.
    pub(crate) fn processes(self) -> io::Result<Vec<ProcessInfo>> {
        let mut pids = match self.cgroup {
            Some(folder) => listed(folder),
            None => self.found()?,
        };
        pids.sort_unstable();
        pids.dedup();
        Ok(pids.into_iter().filter_map(info).collect())
    }

    /// Whether a process is in the cgroup; without one, whether it or what it descends from is the leader, in its
    /// session or group, or carries the mark.
    pub(crate) fn has(self, pid: u32) -> bool {
        if let Some(folder) = self.cgroup {
            return listed(folder).contains(&pid);
        }
        let own = std::process::id();
        let mut next = pid;
        while next > 1 && next != own {
            let Some(stat) = procfs::stat(next) else {
                return false;
            };
            let is_marked = || {
                self.mark.is_some() && procfs::environment_value(next, MARK).as_deref() == self.mark
            };
            if [next, stat.session, stat.group].contains(&self.leader) || is_marked() {
                return true;
            }
            next = stat.parent;
        }
        false
    }

    /// The leader, its session and group, who carries the mark, and all that descend from these.
    fn found(self) -> io::Result<Vec<u32>> {
        let all: Vec<(u32, Stat)> = procfs::processes()?
            .into_iter()
            .filter_map(|pid| Some((pid, procfs::stat(pid)?)))
            .collect();
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        for (pid, stat) in &all {
            children.entry(stat.parent).or_default().push(*pid);
        }
        let not_before = procfs::stat(self.leader).map_or(0, |stat| stat.start);
        let is_root = |(pid, stat): &(u32, Stat)| {
            let leader = self.leader;
            *pid == leader || stat.session == leader || stat.group == leader
        };
        let mut members = HashSet::new();
        add_with_descendants(
            all.iter().filter(|one| is_root(one)),
            &children,
            &mut members,
        );
        // Reading environments is dear: only of orphans that are young enough.
        let orphans: Vec<_> = all
            .iter()
            .filter(|(pid, stat)| !members.contains(pid) && stat.start >= not_before)
            .filter(|(pid, _)| {
                self.mark.is_some() && procfs::environment_value(*pid, MARK).as_deref() == self.mark
            })
            .collect();
        add_with_descendants(orphans.into_iter(), &children, &mut members);
        Ok(members.into_iter().collect())
    }
}

fn add_with_descendants<'a>(
    roots: impl Iterator<Item = &'a (u32, Stat)>,
    children: &HashMap<u32, Vec<u32>>,
    members: &mut HashSet<u32>,
) {
    let mut pending: Vec<u32> = roots.map(|(pid, _)| *pid).collect();
    while let Some(pid) = pending.pop() {
        if members.insert(pid) {
            pending.extend(children.get(&pid).into_iter().flatten());
        }
    }
}

/// The processes of a cgroup and of those below it, which a service may have made. One that has just been
/// removed lists nobody.
fn listed(folder: &Path) -> Vec<u32> {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    let mut pids: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            pids.extend(listed(&entry.path()));
        }
    }
    pids
}

/// `None` for one that has ended, reaped or not.
fn info(pid: u32) -> Option<ProcessInfo> {
    let stat = procfs::stat(pid).filter(|stat| !stat.zombie)?;
    let status = fs::read(format!("/proc/{pid}/status")).ok()?;
    let status = String::from_utf8_lossy(&status);
    let value = |key| status.lines().find_map(|line| line.strip_prefix(key));
    let kib = |key| -> u64 {
        let words = value(key).map(|text| text.trim().trim_end_matches(" kB"));
        words.and_then(|text| text.parse().ok()).unwrap_or(0)
    };
    let name = || format!("[{}]", value("Name:").unwrap_or_default().trim());
    Some(ProcessInfo {
        pid,
        parent: stat.parent,
        command: command_line(pid).unwrap_or_else(name),
        memory_bytes: (kib("RssAnon:") + kib("RssShmem:")) * 1024,
    })
}

fn command_line(pid: u32) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
    let text: String = text.trim_end().chars().take(MOST_COMMAND_CHARS).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_tree_has_the_grandchildren_and_the_marked_orphans_too() {
        // A leader with a child, and an orphan that left the group and the session but not the mark.
        let script = "setsid sleep 1000 & sleep 1000 & read line";
        let mut leader = Command::new("sh")
            .args(["-c", script])
            .env(MARK, "mark-of-this-test")
            .stdin(Stdio::piped())
            .spawn()
            .expect("starts");
        let membership = Membership {
            leader: leader.id(),
            cgroup: None,
            mark: Some("mark-of-this-test"),
        };
        let commands = |membership: Membership<'_>| -> Vec<String> {
            let all = membership.processes().expect("is readable");
            all.into_iter().map(|process| process.command).collect()
        };
        // Until both have become what they are to be.
        let sleeps = |commands: &[String]| {
            let sleeps = commands.iter().filter(|command| *command == "sleep 1000");
            sleeps.count()
        };
        while sleeps(&commands(membership)) < 2 {
            std::thread::yield_now();
        }
        let all = membership.processes().expect("is readable");
        assert_eq!(all[0].pid, leader.id(), "{all:?}");
        assert!(all[0].memory_bytes > 0, "{all:?}");
        assert_eq!(all[1].parent, leader.id(), "{all:?}");

        drop(leader.stdin.take());
        leader.wait().expect("ends");
        // Without their leader they are found by the mark alone.
        let left = membership.processes().expect("is readable");
        assert_eq!(sleeps(&commands(membership)), 2, "{left:?}");
        for process in left {
            let pid = nix::unistd::Pid::from_raw(process.pid.cast_signed());
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("is ours");
        }
    }

    #[test]
    fn a_cgroup_lists_those_below_it_too() {
        let folder = tempfile::tempdir().expect("is made");
        let below = folder.path().join("below");
        fs::create_dir(&below).expect("is made");
        let own = std::process::id();
        fs::write(folder.path().join("cgroup.procs"), "").expect("is written");
        fs::write(below.join("cgroup.procs"), format!("{own}\n")).expect("is written");
        let membership = Membership {
            leader: 1,
            cgroup: Some(folder.path()),
            mark: None,
        };
        let all = membership.processes().expect("is readable");
        assert_eq!(all.len(), 1, "{all:?}");
        assert_eq!(all[0].pid, own);
    }
}
