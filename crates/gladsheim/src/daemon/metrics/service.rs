//! What is told about each service.

use gladsheim_core::{
    EventCounts, Gladsheim, ServiceStatus,
    byggvir::{ResourceLimits, UsageDetail},
    roskva::{CheckStatistics, HealthStatus},
    skirnir::ServiceState,
};

use super::exposition::{Family, Kind, Page};

/// All that is known about one service at this moment.
struct Snapshot {
    status: ServiceStatus,
    limits: ResourceLimits,
    detail: UsageDetail,
    checks: Vec<CheckStatistics>,
    dropped_lines: u64,
}

/// A metric with one value for each service, or none where it is not known.
type Number = (Family, fn(&Snapshot) -> Option<f64>);

const fn family(name: &'static str, kind: Kind, unit: &'static str, help: &'static str) -> Family {
    Family {
        name,
        kind,
        unit,
        help,
    }
}

const NUMBERS: [Number; 17] = [
    (
        family(
            "gladsheim_service_ready",
            Kind::Gauge,
            "",
            "Whether the present run is ready.",
        ),
        |service| Some(f64::from(service.status.ready)),
    ),
    (
        family(
            "gladsheim_service_runs",
            Kind::Counter,
            "",
            "Runs since the service was first known to the state folder.",
        ),
        |service| Some(service.status.generation as f64),
    ),
    (
        family(
            "gladsheim_service_start_time_seconds",
            Kind::Gauge,
            "seconds",
            "When the last run began, in seconds since 1970.",
        ),
        |service| match service.status.start_time_unix {
            0 => None,
            seconds => Some(seconds as f64),
        },
    ),
    (
        family(
            "gladsheim_service_memory_bytes",
            Kind::Gauge,
            "bytes",
            "Memory of the whole process tree at the last sample.",
        ),
        |service| Some(service.status.memory_bytes? as f64),
    ),
    (
        family(
            "gladsheim_service_memory_limit_bytes",
            Kind::Gauge,
            "bytes",
            "Limit of memory, where there is one.",
        ),
        |service| match service.limits.max_memory_bytes {
            0 => None,
            bytes => Some(bytes as f64),
        },
    ),
    (
        family(
            "gladsheim_service_memory_peak_bytes",
            Kind::Gauge,
            "bytes",
            "The most memory that the present run ever held.",
        ),
        |service| Some(service.detail.peak_memory_bytes? as f64),
    ),
    (
        family(
            "gladsheim_service_oom_kills",
            Kind::Counter,
            "",
            "Processes of the present run that the kernel killed for want of memory.",
        ),
        |service| Some(service.detail.oom_kills? as f64),
    ),
    (
        family(
            "gladsheim_service_cpu_ratio",
            Kind::Gauge,
            "ratio",
            "Part of all CPUs together that was used at the last sample.",
        ),
        |service| Some(f64::from(service.status.cpu_percent?) / 100.0),
    ),
    (
        family(
            "gladsheim_service_cpu_limit_ratio",
            Kind::Gauge,
            "ratio",
            "Limit of CPU, as part of all CPUs together, where there is one.",
        ),
        |service| {
            let percent = service.limits.max_cpu_percent;
            (percent > 0.0).then(|| f64::from(percent) / 100.0)
        },
    ),
    (
        family(
            "gladsheim_service_cpu_seconds",
            Kind::Counter,
            "seconds",
            "CPU time of the present run.",
        ),
        |service| service.detail.cpu_seconds,
    ),
    (
        family(
            "gladsheim_service_processes",
            Kind::Gauge,
            "",
            "Living processes.",
        ),
        |service| Some(service.detail.processes? as f64),
    ),
    (
        family("gladsheim_service_threads", Kind::Gauge, "", "Threads."),
        |service| Some(service.detail.threads? as f64),
    ),
    (
        family(
            "gladsheim_service_open_files",
            Kind::Gauge,
            "",
            "Open descriptors.",
        ),
        |service| Some(service.detail.open_files? as f64),
    ),
    (
        family(
            "gladsheim_service_io_read_bytes",
            Kind::Counter,
            "bytes",
            "Read from block devices by the present run.",
        ),
        |service| Some(service.detail.read_bytes? as f64),
    ),
    (
        family(
            "gladsheim_service_io_written_bytes",
            Kind::Counter,
            "bytes",
            "Written to block devices by the present run.",
        ),
        |service| Some(service.detail.written_bytes? as f64),
    ),
    (
        family(
            "gladsheim_service_output_dropped_lines",
            Kind::Counter,
            "lines",
            "Lines of output that could not be written and were dropped.",
        ),
        |service| Some(service.dropped_lines as f64),
    ),
    (
        family(
            "gladsheim_service_next_attempt_time_seconds",
            Kind::Gauge,
            "seconds",
            "When the next attempt is due, in seconds since 1970, while it restarts.",
        ),
        |service| {
            let since = service.status.next_attempt_at?;
            let since = since.duration_since(std::time::SystemTime::UNIX_EPOCH);
            Some(since.ok()?.as_secs_f64())
        },
    ),
];

const STATE: Family = family(
    "gladsheim_service_state",
    Kind::StateSet,
    "",
    "Its state: one of them holds.",
);
const HEALTH: Family = family(
    "gladsheim_service_health",
    Kind::StateSet,
    "",
    "Its health: one of them holds.",
);
const RESTARTS: Family = family(
    "gladsheim_service_restarts",
    Kind::Counter,
    "",
    "Automatic restarts since the daemon began, by the cause of the end that each followed.",
);
const PRESSURE: Family = family(
    "gladsheim_service_pressure_ratio",
    Kind::Gauge,
    "ratio",
    "Part of the last 10 s in which some task of the service waited for the resource.",
);
const CHECKS: Family = family(
    "gladsheim_service_health_checks",
    Kind::Counter,
    "",
    "Checks that have ended, by kind and outcome.",
);
const DURATION: Family = family(
    "gladsheim_service_health_check_duration_seconds",
    Kind::Histogram,
    "seconds",
    "How long checks took.",
);

/// Writes all of it. Blocks while it reads about processes.
pub(super) fn write(page: &mut Page, gladsheim: &Gladsheim, counts: &EventCounts) {
    let services = snapshots(gladsheim, counts);
    let mut states = page.family(&STATE);
    for service in &services {
        let all = ServiceState::ALL.map(ServiceState::as_str);
        states.states(label(service), all, service.status.state.as_str());
    }
    let mut healths = page.family(&HEALTH);
    for service in &services {
        let all = HealthStatus::ALL.map(HealthStatus::as_str);
        healths.states(label(service), all, service.status.health.as_str());
    }
    let mut restarts = page.family(&RESTARTS);
    for service in &services {
        for (cause, count) in &service.status.restart_causes {
            let labels = [label(service), ("cause", cause.as_str())];
            restarts.add(&labels, f64::from(*count));
        }
    }
    for (family, value) in &NUMBERS {
        let mut samples = page.family(family);
        for service in &services {
            if let Some(value) = value(service) {
                samples.add(&[label(service)], value);
            }
        }
    }
    let mut pressures = page.family(&PRESSURE);
    for service in &services {
        let detail = &service.detail;
        for (resource, percent) in [
            ("cpu", detail.cpu_pressure),
            ("memory", detail.memory_pressure),
            ("io", detail.io_pressure),
        ] {
            if let Some(percent) = percent {
                let labels = [label(service), ("resource", resource)];
                pressures.add(&labels, f64::from(percent) / 100.0);
            }
        }
    }
    write_checks(page, &services);
}

fn write_checks(page: &mut Page, services: &[Snapshot]) {
    let checks = || {
        services
            .iter()
            .flat_map(|service| service.checks.iter().map(move |check| (service, check)))
    };
    let mut ended = page.family(&CHECKS);
    for (service, check) in checks() {
        for (outcome, count) in [
            ("healthy", check.healthy),
            ("unhealthy", check.unhealthy),
            ("timeout", check.timed_out),
        ] {
            let labels = [label(service), ("check", check.check), ("outcome", outcome)];
            ended.add(&labels, count as f64);
        }
    }
    let mut durations = page.family(&DURATION);
    for (service, check) in checks() {
        durations.classes(
            &[label(service), ("check", check.check)],
            CheckStatistics::BOUNDS.map(|bound| bound.as_secs_f64()),
            &check.latency,
            check.total.as_secs_f64(),
        );
    }
}

fn label(service: &Snapshot) -> (&'static str, &str) {
    ("service", &service.status.service_name)
}

fn snapshots(gladsheim: &Gladsheim, counts: &EventCounts) -> Vec<Snapshot> {
    let statuses = gladsheim.list_services();
    let names: Vec<_> = statuses.iter().map(|s| s.service_name.clone()).collect();
    let details = gladsheim.get_usage_details(&names);
    let snapshot = |(status, detail): (ServiceStatus, Option<UsageDetail>)| {
        let name = &status.service_name;
        Snapshot {
            // Neither is told of one that was removed in this moment.
            limits: gladsheim.get_resource_limits(name).unwrap_or_default(),
            detail: detail.unwrap_or_default(),
            checks: gladsheim.get_check_statistics(name),
            dropped_lines: counts.dropped_lines.get(name).copied().unwrap_or_default(),
            status,
        }
    };
    statuses.into_iter().zip(details).map(snapshot).collect()
}
