//! Configuration of the resource manager, and what is tracked and done about one service.

use std::{path::PathBuf, time::Duration};

use gladsheim_types::{Platform, ResourceLimits};

use crate::{ViolationType, pressure::PressureLimits};

/// Configuration of a [`ResourceManager`](crate::ResourceManager) (specification: Byggvir, Configuration).
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceManagerConfig {
    /// Time between two samples. Default: 1 s; zero turns sampling off.
    pub monitoring_interval: Duration,
    /// Kind of machine. Default: Midgard.
    pub platform: Platform,
    /// Limits of services that have none of their own. Default: none.
    pub default_limits: ResourceLimits,
    /// Whether low battery stops services (Alfheim only). Default: false.
    pub battery_aware: bool,
    /// Battery level below which they stop, in percent (Alfheim only). Default: 15; bounds: 0 to 100.
    pub stop_services_below_battery_percent: u8,
    /// Added: what measures. Default: for each service the best that the host has.
    pub backend: Backend,
    /// Added: pressure on the whole machine above which a warning is told. Default: never.
    pub pressure: PressureLimits,
}

/// What measures services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Backend {
    /// For each service the best that the host has: its cgroup, else `/proc`, else `sysinfo`.
    #[default]
    Auto,
    /// Cgroup v2 alone; a service whose cgroup has no memory controller is not measured.
    Cgroup,
    /// `/proc` alone.
    Procfs,
    /// The crate `sysinfo` alone.
    Sysinfo,
}

impl Default for ResourceManagerConfig {
    fn default() -> Self {
        Self {
            monitoring_interval: Duration::from_secs(1),
            platform: Platform::default(),
            default_limits: ResourceLimits::default(),
            battery_aware: false,
            stop_services_below_battery_percent: 15,
            backend: Backend::default(),
            pressure: PressureLimits::default(),
        }
    }
}

/// The process tree of one running service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessTree {
    /// Process id of the leader.
    pub pid: u32,
    /// Folder of the service's own cgroup, where it has one.
    pub cgroup: Option<PathBuf>,
}

/// What is done about limits beyond measuring, per service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LimitPolicy {
    /// What follows when a limit is exceeded where the kernel does not enforce it. Default: warn.
    pub action: LimitAction,
    /// Most processes in the tree; 0 is unlimited.
    pub pids: u64,
    /// Memory above which the kernel throttles, in bytes; 0 is never.
    pub memory_high_bytes: u64,
    /// What follows when the kernel kills a child of the service for want of memory.
    pub oom: OomPolicy,
    /// Whether `max_memory_bytes` is advice: crossing it only warns, whatever the action, and the
    /// kernel is not asked to hold it.
    pub memory_advisory: bool,
    /// The same for `max_cpu_percent`.
    pub cpu_advisory: bool,
    /// Pressure on the service's cgroup above which a warning is told. Default: never.
    pub pressure: PressureLimits,
}

impl LimitPolicy {
    /// Those of `limits` that are more than advice; the others are unlimited.
    pub(crate) fn binding(&self, limits: &ResourceLimits) -> ResourceLimits {
        let mut binding = limits.clone();
        if self.memory_advisory {
            binding.max_memory_bytes = 0;
        }
        if self.cpu_advisory {
            binding.max_cpu_percent = 0.0;
        }
        binding
    }

    /// What follows when `kind` is crossed upwards. Only an exceeded limit that is more than advice is
    /// acted upon.
    pub(crate) fn action_for(&self, kind: ViolationType) -> LimitAction {
        let advisory = match kind {
            ViolationType::MemoryExceeded => self.memory_advisory,
            ViolationType::CpuExceeded => self.cpu_advisory,
            ViolationType::MemoryWarning | ViolationType::CpuWarning => true,
        };
        if advisory {
            LimitAction::Warn
        } else {
            self.action
        }
    }
}

/// What follows when a limit is exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LimitAction {
    /// An event, nothing else.
    #[default]
    Warn,
    /// The service is restarted, under its restart policy.
    Restart,
    /// The service is stopped.
    Stop,
}

/// What follows when the kernel's out-of-memory killer ends a child, not the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OomPolicy {
    /// The whole service is ended.
    #[default]
    Stop,
    /// It goes on without that child.
    Continue,
}
