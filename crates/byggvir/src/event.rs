//! Facts that the resource manager tells.

use std::{fmt, time::SystemTime};

use gladsheim_types::{ResourceLimits, ResourceUsage};

use crate::pressure::PressureReading;

/// A limit or a warning threshold was crossed (specification: Byggvir, `LimitViolation`).
#[derive(Debug, Clone, PartialEq)]
pub struct LimitViolation {
    /// Name of the service.
    pub service_name: String,
    /// What was crossed.
    pub violation_type: ViolationType,
    /// Usage when it was crossed.
    pub current_usage: ResourceUsage,
    /// The limits in force.
    pub limits: ResourceLimits,
    /// When it was seen.
    pub timestamp: SystemTime,
}

impl fmt::Display for LimitViolation {
    /// What is used of what is allowed, for a person: `memory 69.4 MiB of 64.0 MiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (usage, limits) = (&self.current_usage, &self.limits);
        match self.violation_type {
            ViolationType::MemoryExceeded | ViolationType::MemoryWarning => {
                let (used, allowed) = (usage.memory_mb(), limits.max_memory_mb());
                write!(f, "memory {used:.1} MiB of {allowed:.1} MiB")
            }
            ViolationType::CpuExceeded | ViolationType::CpuWarning => {
                let (used, allowed) = (usage.cpu_percent, limits.max_cpu_percent);
                write!(f, "CPU {used:.1} % of {allowed:.1} %")
            }
        }
    }
}

/// What was crossed (specification: Byggvir, `ViolationType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ViolationType {
    /// Memory is above its limit.
    MemoryExceeded,
    /// CPU is above its limit.
    CpuExceeded,
    /// Memory is above its warning threshold.
    MemoryWarning,
    /// CPU is above its warning threshold.
    CpuWarning,
}

impl ViolationType {
    /// Whether the limit itself is exceeded, not only the warning threshold.
    pub fn is_exceeded(self) -> bool {
        match self {
            Self::MemoryExceeded | Self::CpuExceeded => true,
            Self::MemoryWarning | Self::CpuWarning => false,
        }
    }

    /// The name used in JSON and text, for example `memory_exceeded`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MemoryExceeded => "memory_exceeded",
            Self::CpuExceeded => "cpu_exceeded",
            Self::MemoryWarning => "memory_warning",
            Self::CpuWarning => "cpu_warning",
        }
    }
}

/// A fact about resources, in the past tense. A stream for observers: a slow one sees a gap.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ResourceEvent {
    /// A round of samples is done; the usages are those of `get_resource_usage`.
    Sampled {
        /// Name and usage of every tracked service, in no particular order.
        usages: Vec<(String, ResourceUsage)>,
    },
    /// A warning threshold was crossed upwards.
    LimitWarning(LimitViolation),
    /// A limit was crossed upwards, on more than one sample.
    LimitExceeded(LimitViolation),
    /// Usage is well below again what was crossed.
    LimitCleared(LimitViolation),
    /// The kernel has killed processes of a service for want of memory, and the service runs on. Told of a
    /// run that goes on a round later; what ends with its leader has the end's cause.
    OomKilled {
        /// Name of the service.
        service_name: String,
        /// How many since the last such event.
        kills: u64,
    },
    /// Pressure on a service or on the machine went above its limit.
    PressureWarning(PressureReading),
    /// It is well below it again, or what it was about has ended.
    PressureCleared(PressureReading),
    /// The battery is below the threshold and discharging.
    BatteryLow {
        /// Level in percent.
        percent: u8,
    },
    /// The battery is charging, or well above the threshold again.
    BatteryOk {
        /// Level in percent.
        percent: u8,
    },
}
