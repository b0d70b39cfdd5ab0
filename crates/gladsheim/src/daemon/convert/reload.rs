//! Plans and reports of stops as messages.

use std::time::Duration;

use gladsheim_core::{Gladsheim, Plan, PlanStep, StopReport};
use gladsheim_proto::{reason, v1};

use super::error;

/// A stop that takes longer is told of.
const SLOW: Duration = Duration::from_secs(1);

pub(in crate::daemon) fn plan(plan: Plan, daemon_keys: Vec<String>) -> v1::ReloadResponse {
    v1::ReloadResponse {
        steps: plan.steps.into_iter().map(step).collect(),
        daemon_keys,
    }
}

fn step(step: PlanStep) -> v1::ReloadStep {
    let failure = step.error.map(error::status);
    let failure_reason = failure.as_ref().and_then(reason::of);
    v1::ReloadStep {
        service_name: step.service_name,
        action: step.action.as_str().to_owned(),
        reasons: step.fields.iter().map(ToString::to_string).collect(),
        error_reason: failure_reason.unwrap_or_default().to_owned(),
        error: failure.map_or_else(String::new, |failure| failure.message().to_owned()),
    }
}

/// The stops of the shutdown that somebody may want to know of.
pub(in crate::daemon) fn slow_stops(hall: &Gladsheim) -> Vec<v1::SlowStop> {
    hall.stop_reports()
        .into_iter()
        .filter_map(slow_stop)
        .collect()
}

/// `None` if it was soon done, in good order.
pub(in crate::daemon) fn slow_stop(stop: StopReport) -> Option<v1::SlowStop> {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    (stop.killed || stop.took > SLOW).then(|| v1::SlowStop {
        service_name: stop.service_name,
        took_ms: millis(stop.took),
        killed: stop.killed,
        waited_ms: millis(stop.waited),
    })
}
