//! The backend of this host, chosen tree by tree.

use std::{collections::HashMap, io, path::Path};

use super::{
    CgroupProbe, ProcfsProbe, SysinfoProbe, SystemProbe, SystemSample, TrackedTree, TreeSample,
};
use crate::Backend;

/// Measures each tree by the best backend that the host has for it: cgroup v2 where the tree has a
/// cgroup with the memory controller, else `/proc`, else `sysinfo`. Or by the one that was chosen.
///
/// Looks at the host when it is first asked for a sample.
#[derive(Debug, Default)]
pub struct HostProbe {
    backend: Backend,
    cgroup: CgroupProbe,
    /// Whether `cgroup` covers a run.
    covered: HashMap<u64, bool>,
    by_process: Option<Box<dyn SystemProbe>>,
}

impl HostProbe {
    /// The best of them. Looks at nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The one that was chosen. Looks at nothing yet.
    pub fn with(backend: Backend) -> Self {
        Self {
            backend,
            ..Self::default()
        }
    }

    /// The backend for what has no cgroup to be measured by, and for the machine.
    fn by_process(&mut self) -> &mut Box<dyn SystemProbe> {
        let backend = self.backend;
        self.by_process.get_or_insert_with(|| {
            let procfs = match backend {
                Backend::Auto | Backend::Cgroup => Path::new("/proc/self/stat").exists(),
                Backend::Procfs => true,
                Backend::Sysinfo => false,
            };
            if procfs {
                Box::new(ProcfsProbe::new())
            } else {
                Box::new(SysinfoProbe::new())
            }
        })
    }
}

impl SystemProbe for HostProbe {
    fn sample(&mut self, trees: &[TrackedTree]) -> Vec<io::Result<TreeSample>> {
        let mut covers = |tracked: &TrackedTree| match self.backend {
            Backend::Auto => {
                let covered = self.covered.entry(tracked.run);
                *covered.or_insert_with(|| CgroupProbe::covers(&tracked.tree))
            }
            Backend::Cgroup => true,
            Backend::Procfs | Backend::Sysinfo => false,
        };
        let covered: Vec<bool> = trees.iter().map(&mut covers).collect();
        let of = |by_cgroup| -> Vec<TrackedTree> {
            let chosen = trees
                .iter()
                .zip(&covered)
                .filter(|&(_, &covered)| covered == by_cgroup);
            chosen.map(|(tree, _)| tree.clone()).collect()
        };
        let mut by_cgroup = self.cgroup.sample(&of(true)).into_iter();
        let mut by_process = self.by_process().sample(&of(false)).into_iter();
        let merged = covered.iter().map(|&covered| {
            let samples = if covered {
                &mut by_cgroup
            } else {
                &mut by_process
            };
            samples
                .next()
                .unwrap_or_else(|| Err(io::Error::other("the backend gave no answer")))
        });
        merged.collect()
    }

    fn forget(&mut self, run: u64) {
        self.covered.remove(&run);
        self.cgroup.forget(run);
        self.by_process().forget(run);
    }

    fn system(&mut self) -> io::Result<SystemSample> {
        self.by_process().system()
    }
}
