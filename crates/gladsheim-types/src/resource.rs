//! Resources of a service: what it uses and what it may use.

use std::time::SystemTime;

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

/// Resources that a service's whole process tree uses (specification: Byggvir, `ResourceUsage`).
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceUsage {
    /// Resident memory of the whole tree without clean page cache, in bytes.
    pub memory_bytes: u64,
    /// CPU time over the last interval in percent of all CPUs of the machine together, 0.0 to 100.0.
    pub cpu_percent: f32,
    /// When it was measured.
    pub measured_at: SystemTime,
}

impl ResourceUsage {
    /// Memory in MiB.
    pub fn memory_mb(&self) -> f32 {
        self.memory_bytes as f32 / 1024.0 / 1024.0
    }

    /// Memory in GiB.
    pub fn memory_gb(&self) -> f32 {
        self.memory_bytes as f32 / 1024.0 / 1024.0 / 1024.0
    }
}

impl Default for ResourceUsage {
    fn default() -> Self {
        Self {
            memory_bytes: 0,
            cpu_percent: 0.0,
            measured_at: SystemTime::UNIX_EPOCH,
        }
    }
}

/// What a service may use (specification: Byggvir, `ResourceLimits`).
///
/// The default is no limit, with warnings at 80 %.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceLimits {
    /// Most memory in bytes; 0 is unlimited. Bounds: 0, or at least the page size.
    pub max_memory_bytes: u64,
    /// Most CPU in percent of all CPUs of the machine together; 0.0 is unlimited. Bounds: 0.0 to 100.0.
    pub max_cpu_percent: f32,
    /// A warning is due above this part of `max_memory_bytes`, in percent. Bounds: 0.0 to 100.0.
    pub memory_warning_percent: f32,
    /// A warning is due above this part of `max_cpu_percent`, in percent. Bounds: 0.0 to 100.0.
    pub cpu_warning_percent: f32,
}

impl Default for ResourceLimits {
    fn default() -> Self {
        Self {
            max_memory_bytes: 0,
            max_cpu_percent: 0.0,
            memory_warning_percent: 80.0,
            cpu_warning_percent: 80.0,
        }
    }
}

impl ResourceLimits {
    /// Default limits for a kind of machine.
    ///
    /// | platform | memory | CPU | warnings | why |
    /// | --- | --- | --- | --- | --- |
    /// | Midgard | 1 GiB | 50 % | 80 % | a desktop's person comes first: half of the machine stays free |
    /// | Alfheim | 128 MiB | 25 % | 75 % | phones kill whole apps at a few hundred MiB, and CPU is battery |
    /// | Asgard | 2 GiB | 75 % | 85 % | services are what a home server is for; a quarter is left for the rest |
    /// | Ragnarok | 256 MiB | 50 % | 80 % | a terminal session shares a machine that it does not own |
    pub fn for_platform(platform: Platform) -> Self {
        let (max_memory_bytes, max_cpu_percent, warning) = match platform {
            Platform::Midgard => (GIB, 50.0, 80.0),
            Platform::Alfheim => (128 * MIB, 25.0, 75.0),
            Platform::Asgard => (2 * GIB, 75.0, 85.0),
            Platform::Ragnarok => (256 * MIB, 50.0, 80.0),
        };
        Self {
            max_memory_bytes,
            max_cpu_percent,
            memory_warning_percent: warning,
            cpu_warning_percent: warning,
        }
    }

    /// Most memory in MiB; 0.0 is unlimited.
    pub fn max_memory_mb(&self) -> f32 {
        self.max_memory_bytes as f32 / MIB as f32
    }

    /// Sets the most memory in MiB.
    ///
    /// Cannot fail: NaN and negative values become 0 (unlimited), too large ones saturate.
    pub fn set_max_memory_mb(&mut self, mb: f32) {
        // A float-to-integer cast saturates, and maps NaN and negative values to 0.
        self.max_memory_bytes = (f64::from(mb) * MIB as f64) as u64;
    }
}

/// Kind of machine (specification: Byggvir, `Platform`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Platform {
    /// Desktop.
    #[default]
    Midgard,
    /// Mobile device: battery aware.
    Alfheim,
    /// Home server.
    Asgard,
    /// Terminal.
    Ragnarok,
}

impl Platform {
    /// All platforms, in the order in which they are declared.
    pub const ALL: [Self; 4] = [Self::Midgard, Self::Alfheim, Self::Asgard, Self::Ragnarok];

    /// The name used in the hall file, for example `asgard`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Midgard => "midgard",
            Self::Alfheim => "alfheim",
            Self::Asgard => "asgard",
            Self::Ragnarok => "ragnarok",
        }
    }

    /// The inverse of [`Platform::as_str`]; `None` for any other text.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|platform| platform.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_in_binary_units() {
        let usage = ResourceUsage {
            memory_bytes: 1536 * MIB,
            ..ResourceUsage::default()
        };
        assert_eq!(usage.memory_mb(), 1536.0);
        assert_eq!(usage.memory_gb(), 1.5);
    }

    #[test]
    fn setting_memory_in_mb_never_fails() {
        let mut limits = ResourceLimits::default();
        for (mb, bytes) in [
            (64.0, 64 * MIB),
            (0.5, MIB / 2),
            (0.0, 0),
            (-1.0, 0),
            (f32::NAN, 0),
            (f32::NEG_INFINITY, 0),
            (f32::INFINITY, u64::MAX),
            (f32::MAX, u64::MAX),
        ] {
            limits.set_max_memory_mb(mb);
            assert_eq!(limits.max_memory_bytes, bytes, "{mb} MiB");
        }
    }

    #[test]
    fn every_platform_limits_memory_and_cpu() {
        for platform in Platform::ALL {
            let limits = ResourceLimits::for_platform(platform);
            assert!(
                limits.max_memory_bytes > 0 && limits.max_cpu_percent > 0.0,
                "{platform:?}"
            );
            assert!(limits.max_cpu_percent <= 100.0, "{platform:?}");
            assert_eq!(Platform::from_name(platform.as_str()), Some(platform));
        }
    }
}
