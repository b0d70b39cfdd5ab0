//! What a reload does, or would do.

use gladsheim_proto::v1::{ReloadResponse, ReloadStep};
use serde::Serialize;

use super::{Align, Cell, Output, Style, Table};

/// The JSON of a plan.
#[derive(Debug, Serialize)]
pub(crate) struct PlanDocument<'a> {
    steps: Vec<StepDocument<'a>>,
    /// Changed keys that take effect when the daemon is started again.
    daemon_keys: &'a [String],
}

#[derive(Debug, Serialize)]
struct StepDocument<'a> {
    service_name: &'a str,
    action: &'a str,
    reasons: &'a [String],
    error: Option<&'a str>,
}

/// All steps, those without an action too.
pub(crate) fn document(response: &ReloadResponse) -> PlanDocument<'_> {
    PlanDocument {
        steps: response.steps.iter().map(StepDocument::of).collect(),
        daemon_keys: &response.daemon_keys,
    }
}

impl<'a> StepDocument<'a> {
    fn of(step: &'a ReloadStep) -> Self {
        Self {
            service_name: &step.service_name,
            action: &step.action,
            reasons: &step.reasons,
            error: Some(&*step.error).filter(|error| !error.is_empty()),
        }
    }
}

/// A row for each service that is touched, and how many are not.
pub(crate) fn table(steps: &[ReloadStep], output: Output) -> String {
    let touched: Vec<_> = steps.iter().filter(|step| step.action != "none").collect();
    let rest = steps.len() - touched.len();
    let untouched = format!("{rest} untouched");
    if touched.is_empty() {
        return format!("nothing to do, {untouched}");
    }
    let mut table = Table::new([
        ("SERVICE", Align::Left),
        ("ACTION", Align::Left),
        ("WHY", Align::Left),
    ]);
    for step in touched {
        let style = match &*step.action {
            "restart" | "remove" => Style::Busy,
            "add" => Style::Good,
            _ => Style::Plain,
        };
        let why = match (&*step.action, step.reasons.is_empty()) {
            ("add", true) => "new in the hall file".to_owned(),
            ("remove", true) => "no longer in the hall file".to_owned(),
            _ => step.reasons.join("; "),
        };
        table.row([
            Cell::from(&*step.service_name),
            Cell::styled(style, step.action.replace('_', " ")),
            Cell::from(why),
        ]);
    }
    format!("{}\n{untouched}", table.render(output))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_has_a_row_for_what_is_touched_and_counts_the_rest() {
        let step = |name: &str, action: &str, reasons: &[&str]| ReloadStep {
            service_name: name.to_owned(),
            action: action.to_owned(),
            reasons: reasons.iter().map(ToString::to_string).collect(),
            ..ReloadStep::default()
        };
        let output = Output::plain();
        let steps = [
            step("loki", "remove", &[]),
            step("thor", "next_start", &["nice: 1 -> 2", "user: none -> x"]),
            step("freki", "none", &[]),
        ];
        assert_eq!(
            table(&steps, output),
            "SERVICE  ACTION      WHY\n\
             loki     remove      no longer in the hall file\n\
             thor     next start  nice: 1 -> 2; user: none -> x\n\
             1 untouched"
        );
        assert_eq!(table(&steps[2..], output), "nothing to do, 1 untouched");
    }
}
