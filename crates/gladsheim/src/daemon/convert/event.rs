//! Events of the bus as messages of the wire, with a text for a person.

use gladsheim_core::{
    Event, EventKind, ServiceEvent,
    byggvir::{LimitViolation, pressure::PressureReading},
    skirnir::Cause,
};
use gladsheim_proto::v1;

use super::unix_ms;

pub(in crate::daemon) fn event(event: &Event) -> v1::Event {
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
        EventKind::PressureWarning(reading) | EventKind::PressureCleared(reading) => {
            pressure_event(reading, &mut message);
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
        ServiceEvent::Started { process_id } | ServiceEvent::Adopted { process_id } => {
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
            stage,
        } => {
            attribute(*cause);
            message.message.clone_from(text);
            message.stage = Some(stage.as_str().to_owned());
        }
        ServiceEvent::Failed {
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
        ServiceEvent::RestartPostponed { reason, until } => {
            attribute(Cause::Probe);
            message.next_attempt_at_unix_ms = Some(unix_ms(*until));
            message.message.clone_from(reason);
        }
        ServiceEvent::LimitWarning(violation)
        | ServiceEvent::LimitExceeded(violation)
        | ServiceEvent::LimitCleared(violation) => limit_event(violation, message),
        ServiceEvent::OomKilled { kills } => {
            message.oom_kills = Some(*kills);
            message.message = match kills {
                1 => "the kernel killed a process for want of memory".to_owned(),
                kills => format!("the kernel killed {kills} processes for want of memory"),
            };
        }
        ServiceEvent::PressureWarning(reading) | ServiceEvent::PressureCleared(reading) => {
            pressure_event(reading, message);
        }
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
    message.message = violation.to_string();
}

fn pressure_event(reading: &PressureReading, message: &mut v1::Event) {
    message.pressure = Some(reading.kind.as_str().to_owned());
    message.pressure_percent = Some(reading.percent);
    message.message = reading.to_string();
}

#[cfg(test)]
mod tests {
    use gladsheim_core::byggvir::{ViolationType, pressure::PressureKind};

    use super::*;

    #[test]
    fn an_exit_is_told_with_what_is_known_of_it() {
        for (exit_code, signal, text) in [
            (Some(3), None, "exit code 3"),
            (None, Some(9), "ended by signal 9"),
            (None, None, "exit status unknown"),
        ] {
            let exited = ServiceEvent::Exited {
                cause: Cause::Exit,
                exit_code,
                signal,
            };
            let mut message = v1::Event::default();
            service_event(&exited, &mut message);
            assert_eq!(message.message, text);
            assert_eq!((message.exit_code, message.signal), (exit_code, signal));
            assert_eq!(message.cause.as_deref(), Some("exit"));
        }
    }

    #[test]
    fn what_the_kernel_says_of_want_is_told_in_words_and_numbers() {
        let mut message = v1::Event::default();
        service_event(&ServiceEvent::OomKilled { kills: 1 }, &mut message);
        assert_eq!(message.oom_kills, Some(1));
        assert_eq!(
            message.message,
            "the kernel killed a process for want of memory"
        );
        let reading = PressureReading {
            service_name: None,
            kind: PressureKind::Memory,
            percent: 30.0,
            limit: 20,
        };
        let mut message = v1::Event::default();
        pressure_event(&reading, &mut message);
        assert_eq!(message.pressure.as_deref(), Some("memory"));
        assert_eq!(message.pressure_percent, Some(30.0));
        assert_eq!(
            message.message,
            "memory pressure 30.0 %, warning above 20 %"
        );
    }

    #[test]
    fn a_crossed_limit_is_told_in_its_own_unit() {
        let mut violation = LimitViolation {
            service_name: "fenrir".into(),
            violation_type: ViolationType::MemoryExceeded,
            current_usage: Default::default(),
            limits: Default::default(),
            timestamp: std::time::SystemTime::UNIX_EPOCH,
        };
        violation.current_usage.memory_bytes = 3 << 19;
        violation.limits.max_memory_bytes = 1 << 20;
        violation.limits.max_cpu_percent = 25.0;
        for (violation_type, text) in [
            (ViolationType::MemoryExceeded, "memory 1.5 MiB of 1.0 MiB"),
            (ViolationType::CpuWarning, "CPU 0.0 % of 25.0 %"),
        ] {
            violation.violation_type = violation_type;
            let mut message = v1::Event::default();
            limit_event(&violation, &mut message);
            assert_eq!(message.message, text);
        }
    }
}
