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
    system::{Machine, most_descriptors, read},
    tree_has_ended,
};
use crate::ProcessTree;

/// What a descriptor into a removed cgroup answers.
pub(super) const GONE: i32 = Errno::ENODEV as i32;

/// Measures by cgroup v2, three reads a tree whatever its size.
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
}

#[derive(Debug)]
struct CgroupFiles {
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

impl CgroupFiles {
    const COUNT: usize = 3;

    fn open(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            memory: File::open(folder.join("memory.current"))?,
            memory_stat: File::open(folder.join("memory.stat"))?,
            cpu: File::open(folder.join("cpu.stat"))?,
        })
    }

    fn sample(&self, buffer: &mut Vec<u8>) -> io::Result<TreeSample> {
        let invalid = || io::Error::from(io::ErrorKind::InvalidData);
        let current = words(read(&self.memory, buffer)?)
            .next()
            .and_then(number)
            .ok_or_else(invalid)?;
        let droppable = keyed(read(&self.memory_stat, buffer)?, "inactive_file").unwrap_or(0);
        let cpu_micros = keyed(read(&self.cpu, buffer)?, "usage_usec").ok_or_else(invalid)?;
        Ok(TreeSample {
            memory_bytes: current.saturating_sub(droppable),
            cpu_time: Duration::from_micros(cpu_micros),
            at: Instant::now(),
            backend: "cgroup",
        })
    }
}

impl SystemProbe for CgroupProbe {
    fn sample(&mut self, trees: &[TrackedTree]) -> Vec<io::Result<TreeSample>> {
        let sample = |TrackedTree { run, tree }: &TrackedTree| {
            let folder = tree.cgroup.as_deref().ok_or_else(no_controller)?;
            let sample = match self.runs.get(run) {
                Some(files) => files.sample(&mut self.buffer),
                None => {
                    let files = CgroupFiles::open(folder).map_err(|error| {
                        if folder.exists() && !CgroupProbe::covers(tree) {
                            no_controller()
                        } else {
                            error
                        }
                    })?;
                    let sample = files.sample(&mut self.buffer);
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
