//! The hall's values as messages of the wire, and back. No I/O, nothing that can fail.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use gladsheim_core::{
    BringUpProgress, Event, EventKind, ServiceEvent, ServiceStatus, StartOverrides, StopOptions,
    byggvir::{LimitViolation, ResourceLimits, ResourceUsage, SystemResourceUsage, ViolationType},
    roskva::{HealthCheckStrategy, ServiceHealth},
    skirnir::{Cause, ServiceStatistics},
    thjalfi::LogLine,
};
use gladsheim_proto::{reason, v1};

use super::error;

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
        generation: status.generation,
        health_message: status.health_message,
        metadata: status.metadata.into_iter().collect(),
        endpoints: status.endpoints,
    }
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

pub(super) fn usage(service_name: String, usage: ResourceUsage) -> v1::ResourceUsage {
    v1::ResourceUsage {
        service_name,
        memory_bytes: usage.memory_bytes,
        cpu_percent: usage.cpu_percent,
        measured_at_unix_ms: unix_ms(usage.measured_at),
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

pub(super) fn event(event: &Event) -> v1::Event {
    let mut message = v1::Event {
        seq: event.seq,
        at_unix_ms: unix_ms(event.at),
        kind: event.kind.name().to_owned(),
        service_name: event.kind.service_name().unwrap_or_default().to_owned(),
        ..v1::Event::default()
    };
    match &event.kind {
        EventKind::Service { event, .. } => service_event(event, &mut message),
        EventKind::BatteryLow { percent } | EventKind::BatteryOk { percent } => {
            message.battery_percent = Some(u32::from(*percent));
            message.message = format!("battery at {percent} %");
        }
        EventKind::HallGap { missed } => {
            message.missed = Some(*missed);
            message.message = format!("{missed} events are not held any more");
        }
        EventKind::HallReady | EventKind::HallReloaded | EventKind::HallShuttingDown => {}
        _ => {}
    }
    message
}

fn service_event(event: &ServiceEvent, message: &mut v1::Event) {
    let mut attribute = |cause: Cause| message.cause = Some(cause.as_str().to_owned());
    match event {
        ServiceEvent::Starting | ServiceEvent::Ready => {}
        ServiceEvent::Started { process_id } => {
            message.process_id = i32::try_from(*process_id).ok()
        }
        ServiceEvent::Stopping { cause } | ServiceEvent::Stopped { cause } => attribute(*cause),
        ServiceEvent::Exited {
            cause,
            exit_code,
            signal,
        } => {
            attribute(*cause);
            message.exit_code = *exit_code;
            message.signal = *signal;
            message.message = match (exit_code, signal) {
                (Some(code), _) => format!("exit code {code}"),
                (None, Some(signal)) => format!("ended by signal {signal}"),
                (None, None) => "exit status unknown".to_owned(),
            };
        }
        ServiceEvent::Crashed {
            cause,
            message: text,
        }
        | ServiceEvent::Failed {
            cause,
            message: text,
        } => {
            attribute(*cause);
            message.message.clone_from(text);
        }
        ServiceEvent::Restarting {
            cause,
            attempt,
            next_attempt_at,
        } => {
            attribute(*cause);
            message.attempt = Some(*attempt);
            message.next_attempt_at_unix_ms = next_attempt_at.map(unix_ms);
            if *attempt > 0 {
                message.message = format!("attempt {attempt}");
            }
        }
        ServiceEvent::HealthChanged(change) => {
            message.old_status = Some(change.old_status.as_str().to_owned());
            message.new_status = Some(change.new_status.as_str().to_owned());
            message.message = format!("{} -> {}", change.old_status, change.new_status);
        }
        ServiceEvent::LimitWarning(violation)
        | ServiceEvent::LimitExceeded(violation)
        | ServiceEvent::LimitCleared(violation) => limit_event(violation, message),
        ServiceEvent::AuthRefused { reason } => message.message.clone_from(reason),
        ServiceEvent::OutputDropped { lines } => {
            message.message = format!("{lines} lines of output were dropped");
        }
        _ => {}
    }
}

fn limit_event(violation: &LimitViolation, message: &mut v1::Event) {
    message.violation = Some(violation.violation_type.as_str().to_owned());
    message.memory_bytes = Some(violation.current_usage.memory_bytes);
    message.cpu_percent = Some(violation.current_usage.cpu_percent);
    let (usage, limits) = (&violation.current_usage, &violation.limits);
    message.message = match violation.violation_type {
        ViolationType::MemoryExceeded | ViolationType::MemoryWarning => {
            format!(
                "memory {:.1} MiB of {:.1} MiB",
                usage.memory_mb(),
                limits.max_memory_mb()
            )
        }
        ViolationType::CpuExceeded | ViolationType::CpuWarning => {
            format!(
                "CPU {:.1} % of {:.1} %",
                usage.cpu_percent, limits.max_cpu_percent
            )
        }
    };
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
