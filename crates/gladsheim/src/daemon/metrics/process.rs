//! What is told about the daemon's own process, under the names that all exporters use.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use nix::sys::{
    resource::{Resource, UsageWho, getrlimit, getrusage},
    time::TimeValLike as _,
};

use super::exposition::{Family, Kind, Page};

/// A metric with one value, or none where this host does not tell.
type Number = (&'static str, Kind, &'static str, &'static str, Option<f64>);

/// Writes all of it; `began` is when the daemon began.
pub(super) fn write(page: &mut Page, began: SystemTime) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = |key: &str| Some(number(&status, key)? * 1024.0);
    let began = began.duration_since(SystemTime::UNIX_EPOCH);
    let numbers: [Number; 7] = [
        (
            "process_cpu_seconds",
            Kind::Counter,
            "seconds",
            "CPU time of the daemon itself.",
            cpu_time().map(|time| time.as_secs_f64()),
        ),
        (
            "process_start_time_seconds",
            Kind::Gauge,
            "seconds",
            "When the daemon began, in seconds since 1970.",
            began.ok().map(|since| since.as_secs_f64()),
        ),
        (
            "process_resident_memory_bytes",
            Kind::Gauge,
            "bytes",
            "Resident memory of the daemon itself.",
            kib("VmRSS:"),
        ),
        (
            "process_virtual_memory_bytes",
            Kind::Gauge,
            "bytes",
            "Virtual memory of the daemon itself.",
            kib("VmSize:"),
        ),
        (
            "process_threads",
            Kind::Gauge,
            "",
            "Threads of the daemon itself.",
            number(&status, "Threads:"),
        ),
        (
            "process_open_fds",
            Kind::Gauge,
            "",
            "Open descriptors of the daemon itself.",
            // Less the one that looks.
            fs::read_dir("/proc/self/fd")
                .ok()
                .map(|entries| entries.count().saturating_sub(1) as f64),
        ),
        (
            "process_max_fds",
            Kind::Gauge,
            "",
            "How many descriptors the daemon may have open.",
            getrlimit(Resource::RLIMIT_NOFILE)
                .ok()
                .map(|(soft, _)| soft as f64),
        ),
    ];
    for (name, kind, unit, help, value) in numbers {
        let mut samples = page.family(&Family {
            name,
            kind,
            unit,
            help,
        });
        if let Some(value) = value {
            samples.add(&[], value);
        }
    }
}

fn cpu_time() -> Option<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Some(Duration::from_micros(u64::try_from(micros).ok()?))
}

/// The number behind `key` at the start of a line.
fn number(text: &str, key: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}
