//! The portable backend, for hosts without `/proc`.

use std::{
    collections::HashMap,
    io,
    time::{Duration, Instant},
};

use sysinfo::{Pid, Process, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System};

use super::{SystemProbe, SystemSample, TrackedTree, TreeSample, tree_has_ended};

/// Measures by the crate `sysinfo`, which looks at every process of the machine in every round.
///
/// Memory is the resident memory of each process, so shared pages count for each; CPU is that of the
/// processes that are seen. A tree is the session that its leader leads, and the children of members.
#[derive(Debug, Default)]
pub struct SysinfoProbe {
    system: Option<System>,
    groups: HashMap<u64, Group>,
    machine: Option<SystemSample>,
}

#[derive(Debug, Default)]
struct Group {
    /// CPU milliseconds of each member when last seen.
    members: HashMap<Pid, u64>,
    millis: u64,
}

impl SysinfoProbe {
    /// Looks at nothing yet.
    pub fn new() -> Self {
        Self::default()
    }
}

/// The system, opened when it is first wanted.
fn opened(system: &mut Option<System>) -> io::Result<&mut System> {
    match system {
        Some(system) => Ok(system),
        none => Ok(none.insert(System::new().map_err(io::Error::other)?)),
    }
}

/// Which tree each process belongs to.
fn owners(
    system: &System,
    trees: &[TrackedTree],
    groups: &HashMap<u64, Group>,
) -> HashMap<Pid, u64> {
    let mut owners = HashMap::new();
    let mut sessions = HashMap::new();
    for TrackedTree { run, tree } in trees {
        let leader = Pid::from_u32(tree.pid);
        owners.insert(leader, *run);
        sessions.insert(leader, *run);
        let known = groups
            .get(run)
            .into_iter()
            .flat_map(|group| group.members.keys());
        owners.extend(known.map(|pid| (*pid, *run)));
    }
    loop {
        let before = owners.len();
        for (pid, process) in system.processes() {
            if owners.contains_key(pid) {
                continue;
            }
            let by_parent = process.parent().and_then(|parent| owners.get(&parent));
            let by_session = || {
                process
                    .session_id()
                    .and_then(|session| sessions.get(&session))
            };
            if let Some(&run) = by_parent.or_else(by_session) {
                owners.insert(*pid, run);
            }
        }
        if owners.len() == before {
            return owners;
        }
    }
}

impl Group {
    fn sample(&mut self, members: &[&Process]) -> io::Result<TreeSample> {
        let mut memory_bytes = 0u64;
        let mut alive = false;
        let mut seen = HashMap::new();
        for process in members {
            alive |= !matches!(
                process.status(),
                ProcessStatus::Zombie | ProcessStatus::Dead
            );
            memory_bytes = memory_bytes.saturating_add(process.memory());
            let millis = process.accumulated_cpu_time();
            let before = self.members.get(&process.pid()).copied().unwrap_or(0);
            self.millis += millis.saturating_sub(before);
            seen.insert(process.pid(), millis);
        }
        self.members = seen;
        if !alive {
            return Err(tree_has_ended());
        }
        Ok(TreeSample {
            memory_bytes,
            cpu_time: Duration::from_millis(self.millis),
            at: Instant::now(),
            backend: "sysinfo",
        })
    }
}

impl SystemProbe for SysinfoProbe {
    fn sample(&mut self, trees: &[TrackedTree]) -> Vec<io::Result<TreeSample>> {
        let system = match opened(&mut self.system) {
            Ok(system) => system,
            Err(error) => {
                let failed = |_| Err(io::Error::new(error.kind(), error.to_string()));
                return trees.iter().map(failed).collect();
            }
        };
        let refresh = ProcessRefreshKind::nothing()
            .with_memory()
            .with_cpu()
            .without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, refresh);
        let mut members: HashMap<u64, Vec<&Process>> = HashMap::new();
        for (pid, run) in owners(system, trees, &self.groups) {
            members.entry(run).or_default().extend(system.process(pid));
        }
        let sample = |TrackedTree { run, .. }: &TrackedTree| {
            let members = members.get(run).map_or(&[][..], Vec::as_slice);
            self.groups.entry(*run).or_default().sample(members)
        };
        trees.iter().map(sample).collect()
    }

    fn forget(&mut self, run: u64) {
        self.groups.remove(&run);
    }

    fn system(&mut self) -> io::Result<SystemSample> {
        let system = opened(&mut self.system)?;
        system.refresh_memory();
        system.refresh_cpu_usage();
        let at = Instant::now();
        let num_cores = system.cpus().len();
        // It tells a rate; the counter is made of it.
        let share = f64::from(system.global_cpu_usage()) / 100.0 * num_cores as f64;
        let cpu_time = self.machine.map_or(Duration::ZERO, |last| {
            let spent = Duration::try_from_secs_f64((at - last.at).as_secs_f64() * share);
            last.cpu_time + spent.unwrap_or_default()
        });
        let sample = SystemSample {
            total_memory: system.total_memory(),
            available_memory: system.available_memory(),
            cpu_time,
            num_cores,
            at,
        };
        self.machine = Some(sample);
        Ok(sample)
    }
}
