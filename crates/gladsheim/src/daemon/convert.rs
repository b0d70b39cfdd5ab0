//! The hall's values as messages of the wire, and back. No I/O, nothing that can fail.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use gladsheim_core::{
    BringUpProgress, ServiceStatus, StartOverrides, StopOptions,
    byggvir::{ResourceLimits, ResourceUsage, SystemResourceUsage, UsageDetail},
    roskva::{HealthCheckStrategy, ServiceHealth},
    skirnir::ServiceStatistics,
    thjalfi::LogLine,
};
use gladsheim_proto::{reason, v1};

pub(super) use self::{
    description::description,
    event::event,
    reload::{plan, slow_stop, slow_stops},
};
use super::error;

mod description;
mod event;
mod reload;

pub(super) fn unix_ms(time: SystemTime) -> i64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        })
}

pub(super) fn status(status: ServiceStatus) -> v1::ServiceStatus {
    v1::ServiceStatus {
        service_name: status.service_name,
        state: status.state.as_str().to_owned(),
        process_id: status.process_id,
        start_time_unix: status.start_time_unix,
        health: status.health.as_str().to_owned(),
        memory_bytes: status.memory_bytes,
        cpu_percent: status.cpu_percent,
        restart_count: status.restart_count,
        cause: status.cause.map(|cause| cause.as_str().to_owned()),
        error_message: status.error_message,
        reason: status.reason,
        ready: status.ready,
        exit_code: status.exit_code,
        signal: status.signal,
        next_attempt_at_unix_ms: status.next_attempt_at.map(unix_ms),
        containment: status.containment,
        limits_enforced_by: status.limits_enforced_by,
        measured_by: status.measured_by,
        generation: status.generation,
        health_message: status.health_message,
        metadata: status.metadata.into_iter().collect(),
        endpoints: status.endpoints,
        attempts: status.attempts,
        max_attempts: status.max_attempts,
        attempts_window_ms: millis(status.attempts_window),
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn health(health: ServiceHealth) -> v1::ServiceHealth {
    v1::ServiceHealth {
        service_name: health.service_name,
        status: health.status.as_str().to_owned(),
        message: health.message,
        last_check_unix_ms: unix_ms(health.last_check),
        next_check_unix_ms: unix_ms(health.next_check),
        consecutive_failures: health.consecutive_failures,
        check_strategy: strategy(&health.check_strategy).to_owned(),
    }
}

fn strategy(strategy: &HealthCheckStrategy) -> &'static str {
    match strategy {
        HealthCheckStrategy::Http { .. } => "http",
        HealthCheckStrategy::Grpc { .. } => "grpc",
        HealthCheckStrategy::Process => "process",
        HealthCheckStrategy::Tcp { .. } => "tcp",
        HealthCheckStrategy::Exec { .. } => "exec",
        _ => "unknown",
    }
}

pub(super) fn usage(
    service_name: String,
    usage: ResourceUsage,
    detail: UsageDetail,
) -> v1::ResourceUsage {
    v1::ResourceUsage {
        service_name,
        memory_bytes: usage.memory_bytes,
        cpu_percent: usage.cpu_percent,
        measured_at_unix_ms: unix_ms(usage.measured_at),
        processes: detail.processes,
        threads: detail.threads,
        open_files: detail.open_files,
        read_bytes: detail.read_bytes,
        written_bytes: detail.written_bytes,
        peak_memory_bytes: detail.peak_memory_bytes,
        oom_kills: detail.oom_kills,
        cpu_pressure: detail.cpu_pressure,
        memory_pressure: detail.memory_pressure,
        io_pressure: detail.io_pressure,
    }
}

pub(super) fn system_usage(usage: SystemResourceUsage) -> v1::SystemUsage {
    v1::SystemUsage {
        total_memory: usage.total_memory,
        used_memory: usage.used_memory,
        available_memory: usage.available_memory,
        cpu_usage: usage.cpu_usage,
        num_cores: u32::try_from(usage.num_cores).unwrap_or(u32::MAX),
    }
}

pub(super) fn limits(limits: ResourceLimits) -> v1::ResourceLimits {
    v1::ResourceLimits {
        max_memory_bytes: limits.max_memory_bytes,
        max_cpu_percent: limits.max_cpu_percent,
        memory_warning_percent: limits.memory_warning_percent,
        cpu_warning_percent: limits.cpu_warning_percent,
    }
}

/// `limits`, with what the request sets.
pub(super) fn changed_limits(
    limits: ResourceLimits,
    request: &v1::SetResourceLimitsRequest,
) -> ResourceLimits {
    ResourceLimits {
        max_memory_bytes: request.max_memory_bytes.unwrap_or(limits.max_memory_bytes),
        max_cpu_percent: request.max_cpu_percent.unwrap_or(limits.max_cpu_percent),
        memory_warning_percent: request
            .memory_warning_percent
            .unwrap_or(limits.memory_warning_percent),
        cpu_warning_percent: request
            .cpu_warning_percent
            .unwrap_or(limits.cpu_warning_percent),
    }
}

pub(super) fn statistics(counts: ServiceStatistics) -> v1::Statistics {
    let wide = |count: usize| count as u64;
    v1::Statistics {
        total_count: wide(counts.total_count),
        running_count: wide(counts.running_count),
        stopped_count: wide(counts.stopped_count),
        crashed_count: wide(counts.crashed_count),
        starting_count: wide(counts.starting_count),
        stopping_count: wide(counts.stopping_count),
        failed_count: wide(counts.failed_count),
        restarting_count: wide(counts.restarting_count),
        unknown_count: wide(counts.unknown_count),
    }
}

pub(super) fn log_line(line: LogLine) -> v1::LogLine {
    v1::LogLine {
        service_name: line.service_name,
        at_unix_ms: unix_ms(line.at),
        stream: line.stream.as_str().to_owned(),
        line: line.line,
    }
}

pub(super) fn progress(progress: BringUpProgress) -> v1::BringUpProgress {
    match progress.result {
        Ok(up) => v1::BringUpProgress {
            status: Some(status(up)),
            ..v1::BringUpProgress::default()
        },
        Err(failure) => {
            let failure = error::status(failure);
            v1::BringUpProgress {
                status: Some(v1::ServiceStatus {
                    service_name: progress.service_name,
                    ..v1::ServiceStatus::default()
                }),
                error: failure.message().to_owned(),
                error_reason: reason::of(&failure).unwrap_or_default().to_owned(),
            }
        }
    }
}

pub(super) fn overrides(request: v1::StartServiceRequest) -> StartOverrides {
    let replace = request.replace_args || !request.args.is_empty();
    StartOverrides {
        env_vars: HashMap::from_iter(request.env_vars),
        working_dir: request.working_dir.map(Into::into),
        args: replace.then_some(request.args),
        resource_limits: request.resource_limits.map(|limits| ResourceLimits {
            max_memory_bytes: limits.max_memory_bytes,
            max_cpu_percent: limits.max_cpu_percent,
            memory_warning_percent: limits.memory_warning_percent,
            cpu_warning_percent: limits.cpu_warning_percent,
        }),
        startup_timeout: request.startup_timeout_ms.map(Duration::from_millis),
    }
}

pub(super) fn stop_options(request: &v1::StopServiceRequest) -> StopOptions {
    StopOptions {
        timeout: request.timeout_ms.map(Duration::from_millis),
        force: request.force,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_replaced_only_where_the_request_says_so() {
        let mut request = v1::StartServiceRequest::default();
        assert_eq!(overrides(request.clone()).args, None);
        request.replace_args = true;
        assert_eq!(overrides(request.clone()).args, Some(vec![]));
        request.replace_args = false;
        request.args = vec!["-v".into()];
        assert_eq!(overrides(request).args, Some(vec!["-v".into()]));
    }

    #[test]
    fn limits_that_are_not_set_stay_as_they_are() {
        let before = ResourceLimits {
            max_memory_bytes: 1 << 20,
            max_cpu_percent: 50.0,
            ..ResourceLimits::default()
        };
        let request = v1::SetResourceLimitsRequest {
            max_cpu_percent: Some(0.0),
            ..v1::SetResourceLimitsRequest::default()
        };
        let after = changed_limits(before.clone(), &request);
        assert_eq!(
            after,
            ResourceLimits {
                max_cpu_percent: 0.0,
                ..before
            }
        );
    }

    #[test]
    fn a_failed_bring_up_names_the_service_and_the_reason() {
        let message = progress(BringUpProgress {
            service_name: "thor".into(),
            result: Err(gladsheim_core::GladsheimError::NotRunning("freki".into())),
        });
        assert_eq!(message.status.unwrap().service_name, "thor");
        assert_eq!(message.error_reason, reason::NOT_RUNNING);
    }
}
