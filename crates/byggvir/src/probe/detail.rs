//! What is read about a service only when somebody asks: too dear for every round.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
};

use super::{member::cgroup_members, stat::parse_stat, system::ticks_per_second, tree_has_ended};
use crate::{
    ProcessTree,
    pressure::{PressureKind, read_pressure},
};

/// More about a running service than its usage; `None` where this host does not tell.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct UsageDetail {
    /// Living processes of its tree.
    pub processes: Option<u64>,
    /// Their threads.
    pub threads: Option<u64>,
    /// Descriptors that they hold open, those that are shared counted for each.
    pub open_files: Option<u64>,
    /// CPU time since the run began, in seconds, that of reaped children included; without a cgroup of
    /// living processes only.
    pub cpu_seconds: Option<f64>,
    /// Bytes read from block devices since the run began; by living processes only, without the cgroup's
    /// I/O controller.
    pub read_bytes: Option<u64>,
    /// Bytes written to block devices, likewise.
    pub written_bytes: Option<u64>,
    /// The most memory that it ever held, in bytes: of the tree, or without the cgroup's memory controller
    /// the sum of what each living process once held.
    pub peak_memory_bytes: Option<u64>,
    /// Processes that the kernel has killed for want of memory in this run.
    pub oom_kills: Option<u64>,
    /// Share of the last 10 s in which some task of the service waited for a CPU, in percent.
    pub cpu_pressure: Option<f32>,
    /// The same for memory.
    pub memory_pressure: Option<f32>,
    /// The same for I/O.
    pub io_pressure: Option<f32>,
}

/// Reads all of it for each tree, by the cgroup where there is one. The processes of the machine are listed at
/// most once, whatever the number of trees.
///
/// # Errors
///
/// For each tree: `NotFound` without a living process.
pub(crate) fn read_details<'a>(
    trees: impl IntoIterator<Item = &'a ProcessTree>,
) -> Vec<io::Result<UsageDetail>> {
    let mut all = None;
    let read = |tree: &ProcessTree| {
        let members = match &tree.cgroup {
            Some(folder) => cgroup_members(folder),
            None => match &all {
                Some(all) => descendants(all, tree.pid),
                None => descendants(all.insert(list_processes()?), tree.pid),
            },
        };
        read_detail(tree, members)
    };
    trees.into_iter().map(read).collect()
}

fn read_detail(tree: &ProcessTree, members: Vec<u32>) -> io::Result<UsageDetail> {
    if members.is_empty() {
        return Err(tree_has_ended());
    }
    let cgroup = tree.cgroup.as_deref();
    let pressure = |kind| {
        let pressure = read_pressure(kind, Some(cgroup?)).ok()?;
        Some(pressure.some.avg10)
    };
    let (read_bytes, written_bytes) = cgroup
        .and_then(group_io)
        .or_else(|| {
            sum_of(&members, "io", "read_bytes:").zip(sum_of(&members, "io", "write_bytes:"))
        })
        .unzip();
    Ok(UsageDetail {
        processes: Some(members.len() as u64),
        cpu_seconds: cgroup.and_then(group_cpu).or_else(|| own_cpu(&members)),
        threads: sum_of(&members, "status", "Threads:"),
        open_files: open_files(&members),
        read_bytes,
        written_bytes,
        peak_memory_bytes: cgroup
            .and_then(|folder| text(&folder.join("memory.peak"))?.trim().parse().ok())
            .or_else(|| Some(sum_of(&members, "status", "VmHWM:")? * 1024)),
        oom_kills: cgroup
            .and_then(|folder| value(&text(&folder.join("memory.events"))?, "oom_kill ")),
        cpu_pressure: pressure(PressureKind::Cpu),
        memory_pressure: pressure(PressureKind::Memory),
        io_pressure: pressure(PressureKind::Io),
    })
}

/// Whether a process exists and is no zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    let text = fs::read(process(pid).join("stat"));
    text.is_ok_and(|text| parse_stat(&text).is_some_and(|stat| !stat.is_zombie()))
}

/// Who is whose child, and who is in whose session; without zombies.
#[derive(Default)]
struct Processes {
    children: HashMap<u32, Vec<u32>>,
    sessions: HashMap<u32, Vec<u32>>,
}

fn list_processes() -> io::Result<Processes> {
    let mut all = Processes::default();
    for entry in fs::read_dir("/proc")?.flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let Some(pid) = pid else { continue };
        // One that has ended since it was listed belongs to nobody.
        let Some(stat) = fs::read(process(pid).join("stat"))
            .ok()
            .and_then(|text| parse_stat(&text))
        else {
            continue;
        };
        if stat.is_zombie() {
            continue;
        }
        all.children.entry(stat.parent).or_default().push(pid);
        all.sessions.entry(stat.session).or_default().push(pid);
    }
    Ok(all)
}

/// The leader, all that descend from it, and all of its session.
fn descendants(all: &Processes, leader: u32) -> Vec<u32> {
    let of = |map: &HashMap<u32, Vec<u32>>, pid| map.get(&pid).cloned().unwrap_or_default();
    let mut open = of(&all.sessions, leader);
    open.push(leader);
    let mut found = HashSet::new();
    while let Some(pid) = open.pop() {
        if found.insert(pid) {
            open.extend(of(&all.children, pid));
        }
    }
    found.retain(|pid| process(*pid).exists());
    found.into_iter().collect()
}

fn process(pid: u32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// The number after `key` at the start of a line.
fn value(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

/// The sum over all members that can be read; `None` if none of them can.
fn sum_of(members: &[u32], file: &str, key: &str) -> Option<u64> {
    let one = |pid: &u32| value(&text(&process(*pid).join(file))?, key);
    sum(members.iter().filter_map(one))
}

fn open_files(members: &[u32]) -> Option<u64> {
    let one = |pid: &u32| Some(fs::read_dir(process(*pid).join("fd")).ok()?.count() as u64);
    sum(members.iter().filter_map(one))
}

fn sum(numbers: impl Iterator<Item = u64>) -> Option<u64> {
    numbers.reduce(u64::saturating_add)
}

/// CPU time that the cgroup tells, with or without the CPU controller.
fn group_cpu(folder: &Path) -> Option<f64> {
    let micros = value(&text(&folder.join("cpu.stat"))?, "usage_usec ")?;
    Some(micros as f64 / 1e6)
}

/// CPU time of the members and of the children that they have reaped.
fn own_cpu(members: &[u32]) -> Option<f64> {
    let one = |pid: &u32| {
        let stat = parse_stat(&fs::read(process(*pid).join("stat")).ok()?)?;
        Some(stat.own_ticks.saturating_add(stat.reaped_ticks))
    };
    let ticks = sum(members.iter().filter_map(one))?;
    Some(ticks as f64 / ticks_per_second() as f64)
}

/// Bytes read and written, of all devices together; nothing without the I/O controller.
fn group_io(folder: &Path) -> Option<(u64, u64)> {
    let text = text(&folder.join("io.stat"))?;
    let total = |key: &str| {
        let numbers = text
            .split_ascii_whitespace()
            .filter_map(|word| word.strip_prefix(key)?.parse().ok());
        sum(numbers).unwrap_or(0)
    };
    Some((total("rbytes="), total("wbytes=")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(tree: &ProcessTree) -> io::Result<UsageDetail> {
        read_details([tree]).remove(0)
    }

    #[test]
    fn own_process_is_told_in_detail() {
        let tree = ProcessTree {
            pid: std::process::id(),
            cgroup: None,
        };
        let before = only(&tree).expect("lives");
        // A few more than before, however many the other tests have open.
        assert!(before.processes >= Some(1), "{before:?}");
        assert!(before.threads >= Some(1), "{before:?}");
        assert!(before.open_files >= Some(3), "{before:?}");
        assert!(before.peak_memory_bytes > Some(1 << 20), "{before:?}");
        assert!(before.cpu_seconds.is_some(), "{before:?}");
        assert_eq!(before.oom_kills, None);
    }

    #[test]
    fn tree_that_has_ended_has_no_details() {
        let ended = ProcessTree {
            pid: u32::MAX,
            cgroup: None,
        };
        let error = only(&ended).expect_err("nobody is there");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn counters_of_a_group_go_before_those_of_its_processes() {
        let folder = tempfile::tempdir().expect("is made");
        let pid = std::process::id();
        for (file, text) in [
            ("cgroup.procs", pid.to_string().as_str()),
            ("memory.peak", "5000000\n"),
            ("cpu.stat", "usage_usec 2500000\nuser_usec 1\n"),
            ("memory.events", "oom 9\noom_kill 2\n"),
            (
                "io.stat",
                "8:0 rbytes=10 wbytes=20 rios=1\n8:16 rbytes=1 wbytes=2\n",
            ),
            (
                "cpu.pressure",
                "some avg10=1.50 avg60=0.25 avg300=0.00 total=2\n",
            ),
        ] {
            fs::write(folder.path().join(file), text).expect("is written");
        }
        let tree = ProcessTree {
            pid,
            cgroup: Some(folder.path().to_owned()),
        };
        let detail = only(&tree).expect("lives");
        assert_eq!(detail.processes, Some(1));
        assert_eq!(
            (detail.read_bytes, detail.written_bytes),
            (Some(11), Some(22))
        );
        assert_eq!(detail.peak_memory_bytes, Some(5_000_000));
        assert_eq!(detail.oom_kills, Some(2));
        assert_eq!(detail.cpu_seconds, Some(2.5));
        assert_eq!(detail.cpu_pressure, Some(1.5));
        assert_eq!(detail.io_pressure, None);
    }
}
