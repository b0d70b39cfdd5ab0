//! Resources: usage, limits, and counts per state.

use gladsheim_proto::v1::{ResourceLimits, ResourceUsage, Statistics, SystemUsage};
use serde::Serialize;

use super::{Align, Output, Table, bytes, rfc3339};

/// The JSON of `usage`.
#[derive(Debug, Serialize)]
pub(crate) struct UsageDocument<'a> {
    system: SystemDocument,
    services: Vec<ServiceUsage<'a>>,
}

#[derive(Debug, Serialize)]
struct SystemDocument {
    total_memory: u64,
    used_memory: u64,
    available_memory: u64,
    cpu_usage: f32,
    num_cores: u32,
}

#[derive(Debug, Serialize)]
struct ServiceUsage<'a> {
    service_name: &'a str,
    memory_bytes: u64,
    cpu_percent: f32,
    measured_at: String,
    processes: Option<u64>,
    threads: Option<u64>,
    open_files: Option<u64>,
    read_bytes: Option<u64>,
    written_bytes: Option<u64>,
    peak_memory_bytes: Option<u64>,
    oom_kills: Option<u64>,
    cpu_pressure: Option<f32>,
    memory_pressure: Option<f32>,
    io_pressure: Option<f32>,
}

impl<'a> UsageDocument<'a> {
    /// Of the machine and of some services.
    pub(crate) fn new(system: &SystemUsage, services: &'a [ResourceUsage]) -> Self {
        let service = |usage: &'a ResourceUsage| ServiceUsage {
            service_name: &usage.service_name,
            memory_bytes: usage.memory_bytes,
            cpu_percent: usage.cpu_percent,
            measured_at: rfc3339(usage.measured_at_unix_ms),
            processes: usage.processes,
            threads: usage.threads,
            open_files: usage.open_files,
            read_bytes: usage.read_bytes,
            written_bytes: usage.written_bytes,
            peak_memory_bytes: usage.peak_memory_bytes,
            oom_kills: usage.oom_kills,
            cpu_pressure: usage.cpu_pressure,
            memory_pressure: usage.memory_pressure,
            io_pressure: usage.io_pressure,
        };
        Self {
            system: SystemDocument {
                total_memory: system.total_memory,
                used_memory: system.used_memory,
                available_memory: system.available_memory,
                cpu_usage: system.cpu_usage,
                num_cores: system.num_cores,
            },
            services: services.iter().map(service).collect(),
        }
    }
}

/// A row a service, and the machine below.
pub(crate) fn usage(system: &SystemUsage, services: &[ResourceUsage], output: Output) -> String {
    let mut table = Table::new([
        ("SERVICE", Align::Left),
        ("MEMORY", Align::Right),
        ("PEAK", Align::Right),
        ("CPU", Align::Right),
        ("PROCESSES", Align::Right),
        ("THREADS", Align::Right),
        ("FILES", Align::Right),
        ("READ", Align::Right),
        ("WRITTEN", Align::Right),
    ]);
    let unknown = || "-".to_owned();
    let size = |value: Option<u64>| value.map_or_else(unknown, bytes);
    let count = |value: Option<u64>| value.map_or_else(unknown, |value| value.to_string());
    for usage in services {
        table.row([
            usage.service_name.as_str().into(),
            bytes(usage.memory_bytes).into(),
            size(usage.peak_memory_bytes).into(),
            format!("{:.1} %", usage.cpu_percent).into(),
            count(usage.processes).into(),
            count(usage.threads).into(),
            count(usage.open_files).into(),
            size(usage.read_bytes).into(),
            size(usage.written_bytes).into(),
        ]);
    }
    let (used, total) = (bytes(system.used_memory), bytes(system.total_memory));
    let (cpu, cores) = (system.cpu_usage, system.num_cores);
    format!(
        "{}\nmachine: {used} of {total} used, {cpu:.1} % of {cores} CPUs",
        table.render(output)
    )
}

/// The JSON of `limits`; 0 is unlimited.
#[derive(Debug, Serialize)]
pub(crate) struct LimitsDocument<'a> {
    service_name: &'a str,
    max_memory_bytes: u64,
    max_cpu_percent: f32,
    memory_warning_percent: f32,
    cpu_warning_percent: f32,
}

impl<'a> LimitsDocument<'a> {
    /// Of one service.
    pub(crate) fn new(service_name: &'a str, limits: &ResourceLimits) -> Self {
        Self {
            service_name,
            max_memory_bytes: limits.max_memory_bytes,
            max_cpu_percent: limits.max_cpu_percent,
            memory_warning_percent: limits.memory_warning_percent,
            cpu_warning_percent: limits.cpu_warning_percent,
        }
    }
}

/// One line about a service's limits.
pub(crate) fn limits(name: &str, limits: &ResourceLimits) -> String {
    let memory = match limits.max_memory_bytes {
        0 => "unlimited".to_owned(),
        max => format!(
            "{} (warning at {} %)",
            bytes(max),
            limits.memory_warning_percent
        ),
    };
    let cpu = if limits.max_cpu_percent == 0.0 {
        "unlimited".to_owned()
    } else {
        format!(
            "{} % (warning at {} %)",
            limits.max_cpu_percent, limits.cpu_warning_percent
        )
    };
    format!("{name}: memory {memory}, CPU {cpu}")
}

/// Names and values of the counts, in the order in which they are shown.
fn counts(stats: &Statistics) -> [(&'static str, u64); 9] {
    [
        ("total_count", stats.total_count),
        ("running_count", stats.running_count),
        ("stopped_count", stats.stopped_count),
        ("crashed_count", stats.crashed_count),
        ("starting_count", stats.starting_count),
        ("stopping_count", stats.stopping_count),
        ("failed_count", stats.failed_count),
        ("restarting_count", stats.restarting_count),
        ("unknown_count", stats.unknown_count),
    ]
}

/// The JSON of `stats`.
pub(crate) fn statistics_document(
    stats: &Statistics,
) -> serde_json::Map<String, serde_json::Value> {
    counts(stats)
        .into_iter()
        .map(|(name, count)| (name.to_owned(), count.into()))
        .collect()
}

/// A row a count.
pub(crate) fn statistics(stats: &Statistics, output: Output) -> String {
    let mut table = Table::new([("STATE", Align::Left), ("SERVICES", Align::Right)]);
    for (name, count) in counts(stats) {
        table.row([
            name.trim_end_matches("_count").into(),
            count.to_string().into(),
        ]);
    }
    table.render(output)
}
