//! Who delayed a stop or a shutdown.

use std::time::Duration;

use gladsheim_proto::v1::SlowStop;
use serde::Serialize;

/// The JSON of a shutdown.
#[derive(Debug, Serialize)]
pub(crate) struct ShutdownDocument<'a> {
    slow_stops: Vec<SlowStopDocument<'a>>,
}

/// The JSON of a service that had to be killed, or took longer than a second.
#[derive(Debug, Serialize)]
pub(crate) struct SlowStopDocument<'a> {
    service_name: &'a str,
    took_ms: u64,
    waited_ms: u64,
    killed: bool,
}

impl<'a> From<&'a SlowStop> for SlowStopDocument<'a> {
    fn from(stop: &'a SlowStop) -> Self {
        Self {
            service_name: &stop.service_name,
            took_ms: stop.took_ms,
            waited_ms: stop.waited_ms,
            killed: stop.killed,
        }
    }
}

/// All of a shutdown, the slowest first.
pub(crate) fn document(stops: &[SlowStop]) -> ShutdownDocument<'_> {
    ShutdownDocument {
        slow_stops: stops.iter().map(SlowStopDocument::from).collect(),
    }
}

/// Who held it up, and how it ended.
pub(crate) fn sentence(stop: &SlowStop) -> String {
    let how = if stop.killed { "was killed" } else { "stopped" };
    let took = Duration::from_millis(stop.took_ms);
    let waited = match Duration::from_millis(stop.waited_ms) {
        waited if waited.as_secs() == 0 => String::new(),
        waited => format!(", having waited {waited:?} for its dependents"),
    };
    format!("{} {how} after {took:?}{waited}", stop.service_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_only_waited_is_told_apart() {
        let stop = |took_ms, waited_ms| SlowStop {
            service_name: "utgard".to_owned(),
            took_ms,
            waited_ms,
            killed: true,
        };
        assert_eq!(sentence(&stop(300, 2)), "utgard was killed after 300ms");
        assert_eq!(
            sentence(&stop(1, 5_000)),
            "utgard was killed after 1ms, having waited 5s for its dependents"
        );
    }
}
