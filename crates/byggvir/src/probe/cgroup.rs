//! Trees with a cgroup of their own that has the memory controller: the kernel has done the sums.

use std::{
    collections::{HashMap, hash_map},
    fs::File,
    io,
    path::Path,
    time::{Duration, Instant},
};

use nix::errno::Errno;

use super::{
    SystemProbe, SystemSample, TrackedTree, TreeSample,
    stat::{keyed, number, words},
    system::{Machine, read},
    tree_has_ended,
};
use crate::ProcessTree;

/// What a descriptor into a removed cgroup answers.
pub(super) const GONE: i32 = Errno::ENODEV as i32;

/// Measures by cgroup v2, three reads a tree whatever its size.
///
/// Memory is `memory.current` less `inactive_file`, the working set; it holds page tables, kernel
/// memory and active page cache too. CPU is `usage_usec` of `cpu.stat`.
#[derive(Debug, Default)]
pub struct CgroupProbe {
    runs: HashMap<u64, CgroupFiles>,
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
        Self::default()
    }

    /// Whether a tree can be measured: it has a cgroup with the memory controller.
    pub fn covers(tree: &ProcessTree) -> bool {
        tree.cgroup
            .as_ref()
            .is_some_and(|folder| folder.join("memory.current").exists())
    }
}

impl CgroupFiles {
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
            let folder = tree.cgroup.as_deref().ok_or(io::ErrorKind::Unsupported)?;
            let files = match self.runs.entry(*run) {
                hash_map::Entry::Occupied(entry) => entry.into_mut(),
                hash_map::Entry::Vacant(entry) => entry.insert(CgroupFiles::open(folder)?),
            };
            files
                .sample(&mut self.buffer)
                .map_err(|error| match error.raw_os_error() {
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
