//! Limits: what sections say, and what holds in the end.

use gladsheim_core::byggvir::{
    LimitAction, LimitPolicy, OomPolicy, Platform, ResourceLimits, pressure::PressureLimits,
};

use super::reader::Field;

/// Memory below one page cannot be had.
const PAGE_SIZE: u64 = 4096;
/// The kernel has no more process ids.
const MOST_PIDS: u64 = 1 << 22;

/// What one section says; `None` where it is silent.
#[derive(Debug, Clone, Default)]
pub(super) struct Limits {
    memory: Option<u64>,
    cpu_percent: Option<f32>,
    memory_warning_percent: Option<f32>,
    cpu_warning_percent: Option<f32>,
    pids: Option<u64>,
    memory_high: Option<u64>,
    oom: Option<OomPolicy>,
    action: Option<LimitAction>,
    pressure: Pressure,
}

/// Above which pressure a warning is told; `None` where a section is silent.
#[derive(Debug, Clone, Default)]
pub(super) struct Pressure {
    cpu: Option<u8>,
    memory: Option<u8>,
    io: Option<u8>,
}

impl Pressure {
    /// Reads a section.
    pub(super) fn read(field: Field<'_>, name: &str) -> Self {
        let Some(mut table) = field.table(name) else {
            return Self::default();
        };
        let mut percent = |key| table.field(key).integer(0..=100).optional();
        Self {
            cpu: percent("cpu"),
            memory: percent("memory"),
            io: percent("io"),
        }
    }

    fn or(self, others: &Self) -> Self {
        Self {
            cpu: self.cpu.or(others.cpu),
            memory: self.memory.or(others.memory),
            io: self.io.or(others.io),
        }
    }

    /// What is stated, and no warning elsewhere.
    pub(super) fn resolve(self) -> PressureLimits {
        PressureLimits {
            cpu: self.cpu.unwrap_or_default(),
            memory: self.memory.unwrap_or_default(),
            io: self.io.unwrap_or_default(),
        }
    }
}

impl Limits {
    /// Reads a section on a machine with this many CPUs.
    pub(super) fn read(field: Field<'_>, name: &str, cpus: usize) -> Self {
        let Some(mut table) = field.table(name) else {
            return Self::default();
        };
        if table.present(&["cpu_percent", "cpus"]).len() > 1 {
            table.error(format!(
                "{name} has both `cpu_percent` and `cpus`; they are the same limit"
            ));
        }
        let machine = cpus as f64;
        let cpu_percent = table.field("cpu_percent").number(0.0..=100.0).optional();
        let cores = table
            .field("cpus")
            .number(0.0..=f64::MAX)
            .warn(|cores| {
                (*cores > machine)
                    .then(|| format!("this machine has {cpus}, so nothing is limited"))
            })
            .map(|cores| (cores / machine * 100.0).min(100.0))
            .optional();
        let mut percent = |key| {
            table
                .field(key)
                .number(0.0..=100.0)
                .map(|value| value as f32)
        };
        let limits = Self {
            cpu_percent: cpu_percent.or(cores).map(|value| value as f32),
            memory_warning_percent: percent("memory_warning_percent").optional(),
            cpu_warning_percent: percent("cpu_warning_percent").optional(),
            memory: table
                .field("memory")
                .size()
                .then(at_least_a_page)
                .optional(),
            pids: table.field("pids").integer(0..=MOST_PIDS).optional(),
            memory_high: table
                .field("memory_high")
                .size()
                .then(at_least_a_page)
                .optional(),
            oom: table
                .field("oom")
                .one_of(&[("stop", OomPolicy::Stop), ("continue", OomPolicy::Continue)])
                .optional(),
            action: table
                .field("action")
                .one_of(&[
                    ("warn", LimitAction::Warn),
                    ("restart", LimitAction::Restart),
                    ("stop", LimitAction::Stop),
                ])
                .optional(),
            pressure: Pressure::read(
                table.field("pressure"),
                &format!("{}.pressure]", name.trim_end_matches(']')),
            ),
        };
        if let (Some(memory @ 1..), Some(high)) = (limits.memory, limits.memory_high)
            && high > memory
        {
            table.error("`memory_high` is above `memory`, where it is never reached");
        }
        limits
    }

    /// These limits, and those of `others` where these are silent.
    pub(super) fn or(self, others: &Self) -> Self {
        Self {
            memory: self.memory.or(others.memory),
            cpu_percent: self.cpu_percent.or(others.cpu_percent),
            memory_warning_percent: self
                .memory_warning_percent
                .or(others.memory_warning_percent),
            cpu_warning_percent: self.cpu_warning_percent.or(others.cpu_warning_percent),
            pids: self.pids.or(others.pids),
            memory_high: self.memory_high.or(others.memory_high),
            oom: self.oom.or(others.oom),
            action: self.action.or(others.action),
            pressure: self.pressure.or(&others.pressure),
        }
    }

    /// What is stated, and no limit elsewhere.
    pub(super) fn stated(self) -> ResourceLimits {
        let silent = ResourceLimits::default();
        ResourceLimits {
            max_memory_bytes: self.memory.unwrap_or(silent.max_memory_bytes),
            max_cpu_percent: self.cpu_percent.unwrap_or(silent.max_cpu_percent),
            memory_warning_percent: self
                .memory_warning_percent
                .unwrap_or(silent.memory_warning_percent),
            cpu_warning_percent: self
                .cpu_warning_percent
                .unwrap_or(silent.cpu_warning_percent),
        }
    }

    /// What holds: what is stated, else the platform's, which only warn.
    pub(super) fn resolve(self, platform: Platform) -> (ResourceLimits, LimitPolicy) {
        let policy = LimitPolicy {
            action: self.action.unwrap_or_default(),
            pids: self.pids.unwrap_or_default(),
            memory_high_bytes: self.memory_high.unwrap_or_default(),
            oom: self.oom.unwrap_or_default(),
            memory_advisory: self.memory.is_none(),
            cpu_advisory: self.cpu_percent.is_none(),
            pressure: self.pressure.clone().resolve(),
        };
        (self.or(&Self::of_platform(platform)).stated(), policy)
    }

    fn of_platform(platform: Platform) -> Self {
        let limits = ResourceLimits::for_platform(platform);
        Self {
            memory: Some(limits.max_memory_bytes),
            cpu_percent: Some(limits.max_cpu_percent),
            memory_warning_percent: Some(limits.memory_warning_percent),
            cpu_warning_percent: Some(limits.cpu_warning_percent),
            ..Self::default()
        }
    }
}

fn at_least_a_page(bytes: u64) -> Result<u64, String> {
    match bytes {
        1..PAGE_SIZE => Err(format!(
            "{bytes} bytes are less than one page ({PAGE_SIZE}); 0 is unlimited"
        )),
        bytes => Ok(bytes),
    }
}
