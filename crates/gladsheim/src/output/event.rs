//! Events of the bus: objects for programs, lines for people.

use std::time::Duration;

use gladsheim_proto::v1::Event;
use serde::Serialize;

use super::{Output, Style, rfc3339, span};

/// The JSON of one event; what does not belong to its kind is left out.
#[derive(Debug, Serialize)]
pub(crate) struct EventDocument<'a> {
    seq: u64,
    at: String,
    kind: &'a str,
    /// Null for events of the whole hall.
    service_name: Option<&'a str>,
    message: &'a str,
    #[serde(flatten)]
    details: Details<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
struct Details<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process_id: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_status: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_status: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    violation: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_percent: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    battery_percent: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pressure: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pressure_percent: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oom_kills: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<&'a str>,
}

impl<'a> From<&'a Event> for EventDocument<'a> {
    fn from(event: &'a Event) -> Self {
        Self {
            seq: event.seq,
            at: rfc3339(event.at_unix_ms),
            kind: &event.kind,
            service_name: Some(&*event.service_name).filter(|name| !name.is_empty()),
            message: &event.message,
            details: Details {
                cause: event.cause.as_deref(),
                process_id: event.process_id,
                exit_code: event.exit_code,
                signal: event.signal,
                attempt: event.attempt,
                next_attempt_at: event.next_attempt_at_unix_ms.map(rfc3339),
                old_status: event.old_status.as_deref(),
                new_status: event.new_status.as_deref(),
                violation: event.violation.as_deref(),
                memory_bytes: event.memory_bytes,
                cpu_percent: event.cpu_percent,
                battery_percent: event.battery_percent,
                pressure: event.pressure.as_deref(),
                pressure_percent: event.pressure_percent,
                oom_kills: event.oom_kills,
                missed: event.missed,
                stage: event.stage.as_deref(),
            },
        }
    }
}

/// One line: when, which service, what, and what more there is to say.
pub(crate) fn line(event: &Event, output: Output) -> String {
    let at = output.paint(Style::Dim, &rfc3339(event.at_unix_ms));
    let kind = output.paint(style(event), &format!("{:<20}", event.kind));
    let name = match &*event.service_name {
        "" => "-",
        name => name,
    };
    format!("{at}  {kind}  {name:<12}  {}", details(event))
        .trim_end()
        .to_owned()
}

/// What happened to whom, for `up`; none where another event says the same.
pub(crate) fn sentence(event: &Event) -> Option<String> {
    let who = match &*event.service_name {
        "" => "hall",
        name => name,
    };
    let verb = match event.kind.split_once('.')? {
        ("service", "exited") => return None,
        ("service", "restarting") => match event.next_attempt_at_unix_ms {
            Some(at) => {
                let wait = u64::try_from(at.saturating_sub(event.at_unix_ms)).unwrap_or(0);
                format!("restarting in {}", span(Duration::from_millis(wait)))
            }
            None => "restarting".to_owned(),
        },
        ("service" | "hall", verb) => verb.replace('_', " "),
        // A service that does not run has no health, and nobody expects it to.
        ("health", _) => {
            let verdict = event.new_status.as_deref()?;
            return (verdict != "unknown").then(|| format!("{who}: {verdict}"));
        }
        (subject, verb) => format!("{subject} {}", verb.replace('_', " ")),
    };
    Some(match details(event) {
        details if details.is_empty() => format!("{who}: {verb}"),
        details => format!("{who}: {verb} ({details})"),
    })
}

/// What an event says beyond its kind.
fn details(event: &Event) -> String {
    if !event.message.is_empty() {
        return event.message.clone();
    }
    let health = event.old_status.as_ref().zip(event.new_status.as_ref());
    let parts = [
        event.process_id.map(|pid| format!("pid {pid}")),
        event.exit_code.map(|code| format!("exit code {code}")),
        event.signal.map(|signal| format!("signal {signal}")),
        health.map(|(old, new)| format!("{old} to {new}")),
        event.violation.clone(),
        event
            .missed
            .map(|missed| format!("{missed} events are not held any more")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The style of what happened.
pub(crate) fn style(event: &Event) -> Style {
    match &*event.kind {
        "service.ready" | "limit.cleared" | "pressure.cleared" | "battery.ok" | "hall.ready" => {
            Style::Good
        }
        "service.crashed" | "service.failed" | "limit.exceeded" | "limit.oom_killed"
        | "auth.refused" => Style::Bad,
        "service.restarting" | "limit.warning" | "pressure.warning" | "battery.low"
        | "hall.gap" => Style::Busy,
        "health.changed" => Style::of_health(event.new_status.as_deref().unwrap_or_default()),
        _ => Style::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_says_who_what_and_why() {
        let mut event = Event {
            kind: "service.crashed".into(),
            service_name: "loki".into(),
            exit_code: Some(1),
            ..Event::default()
        };
        assert_eq!(
            sentence(&event).as_deref(),
            Some("loki: crashed (exit code 1)")
        );
        event.kind = "service.restarting".into();
        event.next_attempt_at_unix_ms = Some(1500);
        assert_eq!(
            sentence(&event).as_deref(),
            Some("loki: restarting in 1.5 s (exit code 1)")
        );
        event.kind = "service.exited".into();
        assert_eq!(sentence(&event), None);
        let hall = Event {
            kind: "hall.shutting_down".into(),
            ..Event::default()
        };
        assert_eq!(sentence(&hall).as_deref(), Some("hall: shutting down"));
    }

    #[test]
    fn an_event_has_its_four_fields_and_those_of_its_kind() {
        let event = Event {
            seq: 7,
            at_unix_ms: 1,
            kind: "service.exited".into(),
            service_name: "loki".into(),
            cause: Some("exit".into()),
            exit_code: Some(1),
            ..Event::default()
        };
        let document = serde_json::to_value(EventDocument::from(&event)).expect("serialises");
        assert_eq!(
            document,
            serde_json::json!({
                "seq": 7, "at": "1970-01-01T00:00:00.001Z", "kind": "service.exited",
                "service_name": "loki", "message": "", "cause": "exit", "exit_code": 1,
            })
        );
        let hall = Event {
            kind: "hall.ready".into(),
            ..Event::default()
        };
        let document = serde_json::to_value(EventDocument::from(&hall)).expect("serialises");
        assert_eq!(document["service_name"], serde_json::Value::Null);
    }
}
