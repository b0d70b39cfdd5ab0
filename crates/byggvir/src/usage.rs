//! Usage of the whole machine.

/// Resources of the machine (specification: Byggvir, `SystemResourceUsage`).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SystemResourceUsage {
    /// All memory in bytes.
    pub total_memory: u64,
    /// Used memory in bytes.
    pub used_memory: u64,
    /// Memory that can be had without swapping, in bytes.
    pub available_memory: u64,
    /// CPU over the last interval in percent of one CPU: 0.0 to 100.0 times `num_cores`.
    pub cpu_usage: f32,
    /// Number of CPUs.
    pub num_cores: usize,
}
