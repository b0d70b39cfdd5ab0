//! The enforcement port, and cgroup v2 behind it.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use gladsheim_types::ResourceLimits;
use nix::{fcntl::OFlag, unistd::SysconfVar};

use crate::{LimitPolicy, OomPolicy, ProcessTree};

/// Which of a service's limits the kernel holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Enforced {
    /// `max_memory_bytes`.
    pub memory: bool,
    /// `max_cpu_percent`.
    pub cpu: bool,
    /// The policy's `pids`.
    pub pids: bool,
}

/// Makes limits hold, where the host can.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
pub trait LimitEnforcer: Send + Sync + 'static {
    /// Puts limits on a running tree, or takes off those that are unlimited now. Returns which of
    /// them hold from now on; a limit that the host cannot enforce is no error.
    ///
    /// # Errors
    ///
    /// The host can enforce a limit and refused it.
    fn apply(
        &self,
        tree: &ProcessTree,
        limits: &ResourceLimits,
        policy: &LimitPolicy,
    ) -> io::Result<Enforced>;

    /// How many processes of the tree the kernel has killed for want of memory, since its cgroup was
    /// made; 0 where the host does not count, and where the cgroup is gone.
    ///
    /// # Errors
    ///
    /// The count exists and cannot be read.
    fn oom_kills(&self, tree: &ProcessTree) -> io::Result<u64>;
}

/// Enforces by the controllers of the service's own cgroup, as far as they are delegated to it.
///
/// | limit | file | |
/// | --- | --- | --- |
/// | `max_memory_bytes` | `memory.max` | reclaims, then the OOM killer |
/// | `memory_high_bytes` | `memory.high` | throttles, so only where the policy asks |
/// | `oom` | `memory.oom.group` | `stop`: the OOM killer takes the whole tree |
/// | `max_cpu_percent` | `cpu.max` | share of a 100 ms period |
/// | `pids` | `pids.max` | `fork` fails |
#[derive(Debug, Clone, Copy, Default)]
pub struct CgroupEnforcer;

const CPU_PERIOD_MICROS: u64 = 100_000;
/// The kernel refuses a smaller quota.
const CPU_QUOTA_MIN_MICROS: u64 = 1_000;

impl LimitEnforcer for CgroupEnforcer {
    fn apply(
        &self,
        tree: &ProcessTree,
        limits: &ResourceLimits,
        policy: &LimitPolicy,
    ) -> io::Result<Enforced> {
        let Some(cgroup) = &tree.cgroup else {
            return Ok(Enforced::default());
        };
        let oom_group = match policy.oom {
            OomPolicy::Stop => "1",
            OomPolicy::Continue => "0",
        };
        // Each file is looked for at each start: one look for all that a missing controller lacks.
        let memory = cgroup.join("memory.max").exists();
        if memory {
            write(cgroup, "memory.oom.group", oom_group)?;
            write(cgroup, "memory.high", &or_max(policy.memory_high_bytes))?;
        }
        Ok(Enforced {
            memory: memory && write(cgroup, "memory.max", &or_max(limits.max_memory_bytes))?,
            cpu: write(
                cgroup,
                "cpu.max",
                &cpu_max(limits.max_cpu_percent, online_cpus),
            )?,
            pids: write(cgroup, "pids.max", &or_max(policy.pids))?,
        })
    }

    fn oom_kills(&self, tree: &ProcessTree) -> io::Result<u64> {
        let Some(cgroup) = &tree.cgroup else {
            return Ok(0);
        };
        match fs::read_to_string(cgroup.join("memory.events")) {
            Ok(events) => Ok(oom_kill_count(&events)),
            // Without the memory controller the folder lacks the file, and nobody counts.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }
}

/// Writes one control file; false where the controller, and so the file, is not there.
fn write(cgroup: &Path, file: &str, text: &str) -> io::Result<bool> {
    // With O_NONBLOCK a lowered memory limit does not make the writer wait for the reclaim.
    let opened = OpenOptions::new()
        .write(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(cgroup.join(file));
    let written = match opened {
        Ok(mut opened) => opened.write_all(text.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => Err(error),
    };
    written.map(|()| true).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("{}/{file} = {text}: {error}", cgroup.display()),
        )
    })
}

fn or_max(limit: u64) -> String {
    if limit == 0 {
        "max".to_owned()
    } else {
        limit.to_string()
    }
}

fn cpu_max(percent: f32, cpus: impl FnOnce() -> u64) -> String {
    if percent == 0.0 {
        return format!("max {CPU_PERIOD_MICROS}");
    }
    let quota = f64::from(percent) / 100.0 * (cpus() * CPU_PERIOD_MICROS) as f64;
    format!(
        "{} {CPU_PERIOD_MICROS}",
        (quota.round() as u64).max(CPU_QUOTA_MIN_MICROS)
    )
}

fn online_cpus() -> u64 {
    nix::unistd::sysconf(SysconfVar::_NPROCESSORS_ONLN)
        .ok()
        .flatten()
        .and_then(|cpus| u64::try_from(cpus).ok())
        .unwrap_or(1)
}

fn oom_kill_count(events: &str) -> u64 {
    events
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with the control files of a cgroup that has these controllers.
    fn cgroup(files: &[&str]) -> (tempfile::TempDir, ProcessTree) {
        let folder = tempfile::tempdir().expect("is made");
        for file in files {
            fs::write(folder.path().join(file), "").expect("is written");
        }
        let tree = ProcessTree {
            pid: 1,
            cgroup: Some(folder.path().to_owned()),
        };
        (folder, tree)
    }

    fn limits() -> ResourceLimits {
        ResourceLimits {
            max_memory_bytes: 20 << 20,
            max_cpu_percent: 25.0,
            ..ResourceLimits::default()
        }
    }

    #[test]
    fn limits_are_written_and_taken_off_again() {
        let files = [
            "memory.max",
            "memory.high",
            "memory.oom.group",
            "cpu.max",
            "pids.max",
        ];
        let (folder, tree) = cgroup(&files);
        let read = |file| fs::read_to_string(folder.path().join(file)).expect("is read");
        let policy = LimitPolicy {
            pids: 7,
            oom: OomPolicy::Continue,
            ..LimitPolicy::default()
        };

        let enforced = CgroupEnforcer
            .apply(&tree, &limits(), &policy)
            .expect("is applied");
        assert_eq!(
            enforced,
            Enforced {
                memory: true,
                cpu: true,
                pids: true
            }
        );
        assert_eq!(read("memory.max"), "20971520");
        assert_eq!(read("memory.high"), "max", "nobody asked to be throttled");
        assert_eq!(read("memory.oom.group"), "0");
        assert_eq!(read("pids.max"), "7");

        let (folder, tree) = cgroup(&files);
        let read = |file| fs::read_to_string(folder.path().join(file)).expect("is read");
        let unlimited = ResourceLimits::default();
        CgroupEnforcer
            .apply(&tree, &unlimited, &LimitPolicy::default())
            .expect("is applied");
        assert_eq!(read("memory.max"), "max");
        assert_eq!(read("cpu.max"), "max 100000");
        assert_eq!(read("memory.oom.group"), "1");
        assert_eq!(read("pids.max"), "max");
    }

    #[test]
    fn missing_controllers_enforce_nothing() {
        let (_folder, tree) = cgroup(&["cgroup.procs"]);
        let policy = LimitPolicy::default();
        let enforced = CgroupEnforcer
            .apply(&tree, &limits(), &policy)
            .expect("is no error");
        assert_eq!(enforced, Enforced::default());
        assert_eq!(CgroupEnforcer.oom_kills(&tree).expect("is no error"), 0);

        let tree = ProcessTree {
            pid: 1,
            cgroup: None,
        };
        let enforced = CgroupEnforcer
            .apply(&tree, &limits(), &policy)
            .expect("is no error");
        assert_eq!(enforced, Enforced::default());
    }

    #[test]
    fn refused_limit_is_an_error_that_names_the_file() {
        let (folder, tree) = cgroup(&[]);
        fs::create_dir(folder.path().join("memory.max")).expect("is made");
        let error = CgroupEnforcer.apply(&tree, &limits(), &LimitPolicy::default());
        assert!(
            error
                .expect_err("is refused")
                .to_string()
                .contains("memory.max = 20971520")
        );
    }

    #[test]
    fn cpu_share_is_of_all_cpus_together() {
        assert_eq!(cpu_max(25.0, || 4), "100000 100000");
        assert_eq!(cpu_max(20.0, || 2), "40000 100000");
        assert_eq!(cpu_max(0.001, || 1), "1000 100000");
    }

    #[test]
    fn oom_kills_are_counted_apart_from_other_events() {
        let (folder, tree) = cgroup(&[]);
        let events = "low 0\nhigh 3\nmax 9\noom 2\noom_kill 5\noom_group_kill 1\n";
        fs::write(folder.path().join("memory.events"), events).expect("is written");
        assert_eq!(CgroupEnforcer.oom_kills(&tree).expect("is read"), 5);
        drop(folder);
        assert_eq!(CgroupEnforcer.oom_kills(&tree).expect("is no error"), 0);
    }
}
