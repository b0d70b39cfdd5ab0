//! Trees with a cgroup of their own that has the memory controller: the kernel has done the sums.

use std::{
    collections::HashMap,
    fs::File,
    io,
    path::Path,
    time::{Duration, Instant},
};

use nix::errno::Errno;

use super::{
    SystemProbe, SystemSample, TrackedTree, TreeSample,
    stat::{keyed, number, words},
    system::{Machine, is_due, most_descriptors, read},
    tree_has_ended,
};
use crate::ProcessTree;

/// Time after which a tree is read although nobody in it has worked.
pub(super) const REFRESH_PACE: Duration = Duration::from_secs(10);
/// What a descriptor into a removed cgroup answers.
pub(super) const GONE: i32 = Errno::ENODEV as i32;

/// Measures by cgroup v2, at most three reads a tree whatever its size, and one where nobody in it has worked
/// since the last round: it holds what it held then. Each 10 s everything is read.
///
/// Memory is `memory.current` less `inactive_file`, the working set; it holds page tables, kernel
/// memory and active page cache too. CPU is `usage_usec` of `cpu.stat`.
#[derive(Debug)]
pub struct CgroupProbe {
    runs: HashMap<u64, CgroupFiles>,
    /// Most descriptors in `runs`; what is beyond is opened for each reading.
    max_open: usize,
    machine: Machine,
    buffer: Vec<u8>,
    last_refresh: Option<Instant>,
}

#[derive(Debug)]
struct CgroupFiles {
    known: Option<Known>,
    memory: File,
    memory_stat: File,
    cpu: File,
}

impl CgroupProbe {
    /// Opens nothing yet.
    pub fn new() -> Self {
        Self {
            runs: HashMap::new(),
            max_open: most_descriptors(),
            machine: Machine::default(),
            buffer: Vec::new(),
            last_refresh: None,
        }
    }

    /// Whether a tree can be measured: it has a cgroup with the memory controller.
    pub fn covers(tree: &ProcessTree) -> bool {
        tree.cgroup
            .as_ref()
            .is_some_and(|folder| folder.join("memory.current").exists())
    }
}

fn no_controller() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "the service has no cgroup with the memory controller",
    )
}

impl Default for CgroupProbe {
    fn default() -> Self {
        Self::new()
    }
}

/// What the last reading said.
#[derive(Debug, Clone, Copy)]
struct Known {
    cpu_micros: u64,
    memory_bytes: u64,
    /// `memory.current` when `droppable` was read.
    current: u64,
    droppable: u64,
}

impl CgroupFiles {
    const COUNT: usize = 3;

    fn open(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            known: None,
            memory: File::open(folder.join("memory.current"))?,
            memory_stat: File::open(folder.join("memory.stat"))?,
            cpu: File::open(folder.join("cpu.stat"))?,
        })
    }

    fn sample(&mut self, buffer: &mut Vec<u8>, thoroughly: bool) -> io::Result<TreeSample> {
        let invalid = || io::Error::from(io::ErrorKind::InvalidData);
        let before = self.known.take().filter(|_| !thoroughly);
        // Before the memory: what happens meanwhile shows next time.
        let cpu_micros = keyed(read(&self.cpu, buffer)?, "usage_usec").ok_or_else(invalid)?;
        let known = match before {
            Some(known) if known.cpu_micros == cpu_micros => known,
            Some(_) | None => {
                let now = words(read(&self.memory, buffer)?)
                    .next()
                    .and_then(number)
                    .ok_or_else(invalid)?;
                let (current, droppable) = match before {
                    // `memory.stat` costs ten times the others: not for a change within the measuring error.
                    Some(known) if now.abs_diff(known.current) <= known.current / 128 => {
                        (known.current, known.droppable)
                    }
                    Some(_) | None => {
                        let stat = read(&self.memory_stat, buffer)?;
                        (now, keyed(stat, "inactive_file").unwrap_or(0))
                    }
                };
                Known {
                    cpu_micros,
                    memory_bytes: now.saturating_sub(droppable),
                    current,
                    droppable,
                }
            }
        };
        self.known = Some(known);
        Ok(TreeSample {
            memory_bytes: known.memory_bytes,
            cpu_time: Duration::from_micros(cpu_micros),
            at: Instant::now(),
            backend: "cgroup",
        })
    }
}

impl SystemProbe for CgroupProbe {
    fn sample(&mut self, trees: &[TrackedTree]) -> Vec<io::Result<TreeSample>> {
        let thoroughly = is_due(&mut self.last_refresh, REFRESH_PACE);
        let sample = |TrackedTree { run, tree }: &TrackedTree| {
            let folder = tree.cgroup.as_deref().ok_or_else(no_controller)?;
            let sample = match self.runs.get_mut(run) {
                Some(files) => files.sample(&mut self.buffer, thoroughly),
                None => {
                    let mut files = CgroupFiles::open(folder).map_err(|error| {
                        if folder.exists() && !CgroupProbe::covers(tree) {
                            no_controller()
                        } else {
                            error
                        }
                    })?;
                    let sample = files.sample(&mut self.buffer, thoroughly);
                    if (self.runs.len() + 1) * CgroupFiles::COUNT <= self.max_open {
                        self.runs.insert(*run, files);
                    }
                    sample
                }
            };
            sample.map_err(|error| match error.raw_os_error() {
                Some(GONE) => tree_has_ended(),
                _ => error,
            })
        };
        trees.iter().map(sample).collect()
    }

    fn forget(&mut self, run: u64) {
        self.runs.remove(&run);
    }

    fn system(&mut self) -> io::Result<SystemSample> {
        self.machine.sample(&mut self.buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use super::*;

    /// A folder with the files of a cgroup, which the kernel of this host may not offer.
    fn cgroup() -> (tempfile::TempDir, TrackedTree) {
        let folder = tempfile::tempdir().expect("is made");
        for (file, text) in [
            ("memory.current", "5000000\n"),
            (
                "memory.stat",
                "anon 1\ninactive_file 1000000\nactive_file 7\n",
            ),
            ("cpu.stat", "usage_usec 1500000\nuser_usec 1\n"),
        ] {
            fs::write(folder.path().join(file), text).expect("is written");
        }
        let cgroup = Some(folder.path().to_owned());
        let tracked = TrackedTree {
            run: 1,
            tree: Arc::new(ProcessTree { pid: 1, cgroup }),
        };
        (folder, tracked)
    }

    #[test]
    fn working_set_and_cpu_time_are_read() {
        let (folder, tracked) = cgroup();
        assert!(CgroupProbe::covers(&tracked.tree));
        let mut probe = CgroupProbe::new();
        // Once with the descriptors kept, once opened anew.
        for max_open in [3, 2] {
            probe.max_open = max_open;
            let sample = probe
                .sample(std::slice::from_ref(&tracked))
                .pop()
                .expect("one answer");
            let sample = sample.expect("is measured");
            assert_eq!(sample.memory_bytes, 4_000_000);
            assert_eq!(sample.cpu_time, Duration::from_millis(1500));
            assert_eq!(probe.runs.len(), usize::from(max_open == 3));
            probe.forget(1);
        }
        drop(folder);
        let gone = probe.sample(&[tracked]).pop().expect("one answer");
        assert_eq!(gone.expect_err("is gone").kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn who_does_not_work_is_not_read_again_and_a_small_change_reads_no_more_than_it_must() {
        let (folder, tracked) = cgroup();
        let mut probe = CgroupProbe::new();
        let write = |file: &str, text: &str| {
            fs::write(folder.path().join(file), text).expect("is written");
        };
        let mut memory = || {
            let sample = probe
                .sample(std::slice::from_ref(&tracked))
                .pop()
                .expect("one answer");
            sample.expect("is measured").memory_bytes
        };
        assert_eq!(memory(), 4_000_000);
        write("memory.current", "9000000\n");
        assert_eq!(memory(), 4_000_000, "nobody has worked");
        write("cpu.stat", "usage_usec 1500001\n");
        write("memory.stat", "inactive_file 2000000\n");
        assert_eq!(memory(), 7_000_000);
        write("cpu.stat", "usage_usec 1500002\n");
        write("memory.current", "9000100\n");
        write("memory.stat", "inactive_file 1900000\n");
        assert_eq!(memory(), 7_000_100);
        probe.last_refresh = None;
        let refreshed = probe.sample(&[tracked]).pop().expect("one answer");
        assert_eq!(refreshed.expect("is measured").memory_bytes, 7_100_100);
    }

    #[test]
    fn folder_without_memory_controller_is_left_to_others() {
        let folder = tempfile::tempdir().expect("is made");
        let cgroup = Some(folder.path().to_owned());
        let tree = ProcessTree { pid: 1, cgroup };
        assert!(!CgroupProbe::covers(&tree));
        let tree = Arc::new(tree);
        let asked = CgroupProbe::new().sample(&[TrackedTree { run: 1, tree }]);
        let error = asked.into_iter().next().expect("one answer");
        let kind = error.expect_err("is not measured").kind();
        assert_eq!(kind, io::ErrorKind::Unsupported);
        assert!(!CgroupProbe::covers(&ProcessTree {
            pid: 1,
            cgroup: None
        }));
    }
}
