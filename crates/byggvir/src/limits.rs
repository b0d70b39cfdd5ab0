//! Limits as pure policy: which are valid, which are crossed, and when a crossing is told.
//!
//! [`judge`] looks at one sample. `Watch` looks at a run of samples and tells edges: an alarm goes up
//! once and comes down once, whatever usage does in between.
//!
//! ```text
//!          above the threshold, often enough in a row
//!   quiet ───────────────────────────────────────────> raised
//!         <───────────────────────────────────────────
//!          well below it (RELEASE), CALM times in a row
//! ```

use gladsheim_types::{ResourceLimits, ResourceUsage};

use crate::{Enforced, ResourceManagerError, ViolationType};

/// An alarm comes down only below this part of its threshold.
const RELEASE: f64 = 0.95;
/// Consecutive samples well below the threshold until an alarm comes down.
const CALM: u8 = 3;
/// Consecutive samples above the limit until it counts as exceeded: never a single spike.
const CONFIRM: u8 = 2;

/// What can be crossed, the gravest first: exceeded before warning, memory before CPU.
const BY_GRAVITY: [ViolationType; 4] = [
    ViolationType::MemoryExceeded,
    ViolationType::CpuExceeded,
    ViolationType::MemoryWarning,
    ViolationType::CpuWarning,
];

/// Checks that limits make sense.
///
/// # Errors
///
/// [`ResourceManagerError::InvalidLimits`] names the value and what is allowed.
pub fn validate(limits: &ResourceLimits) -> Result<(), ResourceManagerError> {
    let page = page_size();
    if limits.max_memory_bytes > 0 && limits.max_memory_bytes < page {
        return Err(ResourceManagerError::InvalidLimits(format!(
            "max_memory_bytes is {}, below the page size of {page}; 0 is unlimited",
            limits.max_memory_bytes
        )));
    }
    for (name, percent) in [
        ("max_cpu_percent", limits.max_cpu_percent),
        ("memory_warning_percent", limits.memory_warning_percent),
        ("cpu_warning_percent", limits.cpu_warning_percent),
    ] {
        // NaN and the infinities lie outside of every range.
        if !(0.0..=100.0).contains(&percent) {
            return Err(ResourceManagerError::InvalidLimits(format!(
                "{name} is {percent}, allowed is 0.0 to 100.0"
            )));
        }
    }
    Ok(())
}

/// The gravest thing that `usage` crosses: exceeded before warning, memory before CPU.
pub fn judge(usage: &ResourceUsage, limits: &ResourceLimits) -> Option<ViolationType> {
    BY_GRAVITY.into_iter().find(|&kind| {
        threshold(kind, limits).is_some_and(|threshold| value(kind, usage) > threshold)
    })
}

fn page_size() -> u64 {
    nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)
        .ok()
        .flatten()
        .and_then(|size| u64::try_from(size).ok())
        .unwrap_or(4096)
}

/// Above what `kind` is crossed; `None` where there is no limit.
fn threshold(kind: ViolationType, limits: &ResourceLimits) -> Option<f64> {
    let memory = limits.max_memory_bytes as f64;
    let cpu = f64::from(limits.max_cpu_percent);
    let (limit, percent) = match kind {
        ViolationType::MemoryExceeded => (memory, 100.0),
        ViolationType::MemoryWarning => (memory, limits.memory_warning_percent),
        ViolationType::CpuExceeded => (cpu, 100.0),
        ViolationType::CpuWarning => (cpu, limits.cpu_warning_percent),
    };
    (limit > 0.0).then(|| limit * f64::from(percent) / 100.0)
}

fn value(kind: ViolationType, usage: &ResourceUsage) -> f64 {
    match kind {
        ViolationType::MemoryExceeded | ViolationType::MemoryWarning => usage.memory_bytes as f64,
        ViolationType::CpuExceeded | ViolationType::CpuWarning => f64::from(usage.cpu_percent),
    }
}

/// An alarm that went up or came down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) kind: ViolationType,
    pub(crate) direction: Direction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Up,
    Down,
}

/// The alarms of one run of a service.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watch {
    alarms: [Alarm; BY_GRAVITY.len()],
}

/// One alarm: what it is about, its owner knows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Alarm {
    raised: bool,
    /// Consecutive samples that speak for a change.
    streak: u8,
}

impl Watch {
    /// Takes in one sample. What the kernel enforces cannot be exceeded by more than a measuring
    /// error, so it only warns.
    pub(crate) fn step(
        &mut self,
        usage: &ResourceUsage,
        limits: &ResourceLimits,
        enforced: Enforced,
    ) -> Vec<Edge> {
        let step = |(kind, alarm): (ViolationType, &mut Alarm)| {
            let (held_by_kernel, needed) = match kind {
                ViolationType::MemoryExceeded => (enforced.memory, CONFIRM),
                ViolationType::CpuExceeded => (enforced.cpu, CONFIRM),
                ViolationType::MemoryWarning | ViolationType::CpuWarning => (false, 1),
            };
            let threshold = threshold(kind, limits).filter(|_| !held_by_kernel);
            let direction = alarm.step(value(kind, usage), threshold, needed)?;
            Some(Edge { kind, direction })
        };
        BY_GRAVITY
            .into_iter()
            .zip(&mut self.alarms)
            .filter_map(step)
            .collect()
    }

    /// Takes every raised alarm down, because what it was about has ended.
    pub(crate) fn clear(&mut self) -> Vec<Edge> {
        let alarms = std::mem::take(&mut self.alarms);
        BY_GRAVITY
            .into_iter()
            .zip(alarms)
            .filter(|(_, alarm)| alarm.raised)
            .map(|(kind, _)| Edge {
                kind,
                direction: Direction::Down,
            })
            .collect()
    }
}

impl Alarm {
    pub(crate) fn is_raised(self) -> bool {
        self.raised
    }

    /// Takes in one sample; `needed` in a row raise it.
    pub(crate) fn step(
        &mut self,
        value: f64,
        threshold: Option<f64>,
        needed: u8,
    ) -> Option<Direction> {
        let (speaks_for_change, needed, direction) = if self.raised {
            let calm = threshold.is_none_or(|threshold| value <= threshold * RELEASE);
            (calm, CALM, Direction::Down)
        } else {
            let above = threshold.is_some_and(|threshold| value > threshold);
            (above, needed, Direction::Up)
        };
        self.streak = if speaks_for_change {
            self.streak + 1
        } else {
            0
        };
        if self.streak < needed {
            return None;
        }
        *self = Self {
            raised: !self.raised,
            streak: 0,
        };
        Some(direction)
    }
}

#[cfg(test)]
#[path = "limits_test.rs"]
mod tests;
