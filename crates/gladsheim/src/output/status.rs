//! The status of services: objects for programs, rows for people.

use std::{collections::BTreeMap, time::Duration};

use gladsheim_proto::v1::{ServiceStatus, SlowStop};
use serde::Serialize;

use super::{
    Align, Cell, Output, Style, Table, bytes, explain, rfc3339, span, stop::SlowStopDocument,
};

/// The JSON of one service. What is not known is null, never left out.
#[derive(Debug, Serialize)]
pub(crate) struct StatusDocument<'a> {
    service_name: &'a str,
    state: &'a str,
    process_id: i32,
    start_time_unix: i64,
    health: &'a str,
    health_message: Option<&'a str>,
    memory_bytes: Option<u64>,
    cpu_percent: Option<f32>,
    restart_count: u32,
    cause: Option<&'a str>,
    error_message: Option<&'a str>,
    reason: Option<&'a str>,
    ready: bool,
    exit_code: Option<i32>,
    signal: Option<i32>,
    next_attempt_at: Option<String>,
    containment: Option<&'a str>,
    limits_enforced_by: Option<&'a str>,
    measured_by: Option<&'a str>,
    generation: u64,
    attempts: u32,
    max_attempts: u32,
    attempts_window_ms: u64,
    metadata: BTreeMap<&'a str, &'a str>,
    endpoints: &'a [String],
    /// Only in the answer to a stop that was slow.
    #[serde(skip_serializing_if = "Option::is_none")]
    slow_stop: Option<SlowStopDocument<'a>>,
}

impl<'a> From<&'a ServiceStatus> for StatusDocument<'a> {
    fn from(status: &'a ServiceStatus) -> Self {
        let set = |text: &'a str| Some(text).filter(|text| !text.is_empty());
        let metadata = status
            .metadata
            .iter()
            .map(|(key, value)| (&**key, &**value));
        Self {
            service_name: &status.service_name,
            state: &status.state,
            process_id: status.process_id,
            start_time_unix: status.start_time_unix,
            health: &status.health,
            health_message: set(&status.health_message),
            memory_bytes: status.memory_bytes,
            cpu_percent: status.cpu_percent,
            restart_count: status.restart_count,
            cause: status.cause.as_deref(),
            error_message: status.error_message.as_deref(),
            reason: status.reason.as_deref(),
            ready: status.ready,
            exit_code: status.exit_code,
            signal: status.signal,
            next_attempt_at: status.next_attempt_at_unix_ms.map(rfc3339),
            containment: set(&status.containment),
            limits_enforced_by: set(&status.limits_enforced_by),
            measured_by: set(&status.measured_by),
            generation: status.generation,
            attempts: status.attempts,
            max_attempts: status.max_attempts,
            attempts_window_ms: status.attempts_window_ms,
            metadata: metadata.collect(),
            endpoints: &status.endpoints,
            slow_stop: None,
        }
    }
}

/// The JSON of several services: always an array.
pub(crate) fn documents(services: &[ServiceStatus]) -> Vec<StatusDocument<'_>> {
    services.iter().map(StatusDocument::from).collect()
}

/// The JSON of services that a command has changed, with those that were slow to stop.
pub(crate) fn outcomes<'a>(
    services: &'a [ServiceStatus],
    slow_stops: &'a [SlowStop],
) -> Vec<StatusDocument<'a>> {
    let of = |status: &'a ServiceStatus| {
        let slow = slow_stops
            .iter()
            .find(|stop| stop.service_name == status.service_name);
        StatusDocument {
            slow_stop: slow.map(SlowStopDocument::from),
            ..StatusDocument::from(status)
        }
    };
    services.iter().map(of).collect()
}

/// A row a service.
pub(crate) fn table(services: &[ServiceStatus], now_unix_ms: i64, output: Output) -> String {
    let mut table = Table::new([
        ("SERVICE", Align::Left),
        ("STATE", Align::Left),
        ("HEALTH", Align::Left),
        ("PID", Align::Right),
        ("UP", Align::Right),
        ("MEMORY", Align::Right),
        ("CPU", Align::Right),
        ("RESTARTS", Align::Right),
        ("WHY", Align::Left),
    ])
    .dispensable(&[7, 3, 4, 6, 5, 2]);
    for status in services {
        let running = status.process_id != 0;
        let since_ms = now_unix_ms.saturating_sub(status.start_time_unix.saturating_mul(1000));
        let up = Duration::from_millis(u64::try_from(since_ms).unwrap_or(0));
        table.row([
            status.service_name.as_str().into(),
            Cell::styled(Style::of_state(&status.state), &*status.state),
            Cell::styled(Style::of_health(&status.health), &*status.health),
            Cell::or_dash(running.then(|| status.process_id.to_string())),
            // The start is known to the second.
            Cell::or_dash(running.then(|| span(Duration::from_secs(up.as_secs()).max(SECOND)))),
            Cell::or_dash(status.memory_bytes.map(bytes)),
            Cell::or_dash(status.cpu_percent.map(|percent| format!("{percent:.1} %"))),
            status.restart_count.to_string().into(),
            explain(status, now_unix_ms).into(),
        ]);
    }
    table.render(output)
}

const SECOND: Duration = Duration::from_secs(1);

/// One line about a service that a command has just changed.
pub(crate) fn sentence(status: &ServiceStatus, output: Output) -> String {
    let state = output.paint(Style::of_state(&status.state), &status.state);
    match status.process_id {
        0 => format!("{}: {state}", status.service_name),
        pid => format!("{}: {state} (pid {pid})", status.service_name),
    }
}

/// The JSON of a service's addresses.
#[derive(Debug, Serialize)]
pub(crate) struct EndpointsDocument<'a> {
    service_name: &'a str,
    state: &'a str,
    health: &'a str,
    ready: bool,
    endpoints: &'a [String],
    metadata: BTreeMap<&'a str, &'a str>,
}

/// Addresses of the services that have some.
pub(crate) fn endpoint_documents(services: &[ServiceStatus]) -> Vec<EndpointsDocument<'_>> {
    let listening = services
        .iter()
        .filter(|status| !status.endpoints.is_empty());
    let document = |status| {
        let StatusDocument {
            service_name,
            state,
            health,
            ready,
            endpoints,
            metadata,
            ..
        } = StatusDocument::from(status);
        EndpointsDocument {
            service_name,
            state,
            health,
            ready,
            endpoints,
            metadata,
        }
    };
    listening.map(document).collect()
}

/// A row an address.
pub(crate) fn endpoint_table(services: &[ServiceStatus], output: Output) -> String {
    let mut table = Table::new([
        ("SERVICE", Align::Left),
        ("ENDPOINT", Align::Left),
        ("STATE", Align::Left),
        ("HEALTH", Align::Left),
    ]);
    for status in services {
        for endpoint in &status.endpoints {
            table.row([
                status.service_name.as_str().into(),
                endpoint.as_str().into(),
                Cell::styled(Style::of_state(&status.state), &*status.state),
                Cell::styled(Style::of_health(&status.health), &*status.health),
            ]);
        }
    }
    table.render(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_never_ran_has_nulls_and_zeros_but_all_fields() {
        let status = ServiceStatus {
            service_name: "thor".into(),
            state: "stopped".into(),
            health: "unknown".into(),
            ..ServiceStatus::default()
        };
        let document = serde_json::to_value(StatusDocument::from(&status)).expect("serialises");
        assert_eq!(
            document,
            serde_json::json!({
                "service_name": "thor", "state": "stopped", "process_id": 0, "start_time_unix": 0,
                "health": "unknown", "health_message": null, "memory_bytes": null,
                "cpu_percent": null, "restart_count": 0, "cause": null, "error_message": null,
                "reason": null, "ready": false, "exit_code": null, "signal": null,
                "next_attempt_at": null, "containment": null, "limits_enforced_by": null, "measured_by": null,
                "generation": 0, "attempts": 0, "max_attempts": 0, "attempts_window_ms": 0,
                "metadata": {}, "endpoints": [],
            })
        );
    }

    #[test]
    fn times_in_json_are_rfc_3339() {
        let status = ServiceStatus {
            next_attempt_at_unix_ms: Some(5),
            ..Default::default()
        };
        let document = serde_json::to_value(StatusDocument::from(&status)).expect("serialises");
        assert_eq!(document["next_attempt_at"], "1970-01-01T00:00:00.005Z");
    }

    /// A hall in which everything happens at once.
    fn hall() -> Vec<ServiceStatus> {
        let service = |name: &str, state: &str, health: &str| ServiceStatus {
            service_name: name.into(),
            state: state.into(),
            health: health.into(),
            ..ServiceStatus::default()
        };
        vec![
            ServiceStatus {
                process_id: 4242,
                start_time_unix: 1000,
                memory_bytes: Some(12_897_484),
                cpu_percent: Some(1.5),
                ..service("thor", "running", "healthy")
            },
            ServiceStatus {
                restart_count: 2,
                cause: Some("exit".into()),
                exit_code: Some(1),
                attempts: 2,
                max_attempts: 3,
                attempts_window_ms: 600_000,
                next_attempt_at_unix_ms: Some(1_185_500),
                ..service("loki", "restarting", "unknown")
            },
            ServiceStatus {
                reason: Some("exec: 雷神:\x1b[31m no such file".into()),
                ..service("fenrir", "failed", "unknown")
            },
        ]
    }

    #[test]
    fn a_pipe_gets_whole_rows_with_the_reason_in_words() {
        assert_eq!(
            table(&hall(), 1_183_000, Output::plain()),
            "\
SERVICE  STATE       HEALTH    PID       UP    MEMORY    CPU  RESTARTS  WHY
thor     running     healthy  4242  3 m 3 s  12.3 MiB  1.5 %         0
loki     restarting  unknown     -        -         -      -         2  restarting in 3 s, 2 of 3 attempts in 10 min, exit code 1
fenrir   failed      unknown     -        -         -      -         0  exec: 雷神:\u{fffd}[31m no such file"
        );
    }

    #[test]
    fn a_narrow_terminal_gets_the_reason_below_and_fewer_columns() {
        let narrow = |columns| Output {
            width: Some(columns),
            ..Output::plain()
        };
        assert_eq!(
            table(&hall(), 1_183_000, narrow(80)),
            "\
SERVICE  STATE       HEALTH    PID       UP    MEMORY    CPU  RESTARTS
thor     running     healthy  4242  3 m 3 s  12.3 MiB  1.5 %         0
loki     restarting  unknown     -        -         -      -         2
  restarting in 3 s, 2 of 3 attempts in 10 min, exit code 1
fenrir   failed      unknown     -        -         -      -         0
  exec: 雷神:\u{fffd}[31m no such file"
        );
        assert_eq!(
            table(&hall(), 1_183_000, narrow(40)),
            "\
SERVICE  STATE       HEALTH     MEMORY
thor     running     healthy  12.3 MiB
loki     restarting  unknown         -
  restarting in 3 s, 2 of 3 attempts in
  10 min, exit code 1
fenrir   failed      unknown         -
  exec: 雷神:\u{fffd}[31m no such file"
        );
    }
}
