//! Benches whose lines are single figures: what the daemon costs, how fast processes come and go.

use serde::Deserialize;

use super::{figure, measure, verdict};
use crate::{
    command::{self, cargo},
    table,
};

/// One figure, measured with so many services.
#[derive(Debug, Deserialize)]
struct Line {
    services: u32,
    figure: String,
    unit: String,
    value: f64,
    /// What the specification allows, where it says something.
    target: Option<f64>,
    max: Option<f64>,
    /// What we want to reach, where there is a goal.
    goal: Option<f64>,
}

/// Measures and prints.
pub(super) fn run(bench: &str) -> anyhow::Result<()> {
    print!("{}", lay_out(&measure(bench)?));
    Ok(())
}

/// Measures and prints; the crate's own figures beside the daemon's.
pub(super) fn health() -> anyhow::Result<()> {
    run("health")?;
    command::run(&mut cargo(["bench", "-p", "roskva", "--bench", "checks"]))
}

fn lay_out(lines: &[Line]) -> String {
    let bound = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| v.to_string());
    let rows = lines.iter().map(|line| {
        [
            line.figure.clone(),
            line.services.to_string(),
            bound(line.target),
            bound(line.max),
            bound(line.goal),
            figure(line.value),
            line.unit.clone(),
            judgement(line),
        ]
    });
    let heading = [
        "figure", "services", "target", "max", "goal", "measured", "unit", "",
    ];
    table::render(heading, &rows.collect::<Vec<_>>())
}

/// Beside the specification's bounds and our goal.
fn judgement(line: &Line) -> String {
    let bounds = line.target.zip(line.max);
    let verdict = bounds.map(|(target, max)| verdict(line.value, target, max));
    let goal = line.goal.map(|goal| {
        if line.value <= goal {
            "goal met"
        } else {
            "goal missed"
        }
    });
    let both: Vec<_> = verdict.into_iter().chain(goal).collect();
    both.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(line: &str) -> String {
        let text = lay_out(&[serde_json::from_str(line).expect("is a line")]);
        let cells = text.lines().nth(2).expect("a row").split_whitespace();
        cells.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_figure_stands_beside_its_bounds_and_its_goal() {
        let line = r#"{"bench":"footprint","services":10,"figure":"pss","unit":"MiB","value":5.25,
            "target":50,"max":100,"goal":3}"#;
        assert_eq!(row(line), "pss 10 50 100 3 5.25 MiB ok, goal missed");
        assert_eq!(
            row(&line.replace("5.25", "2.5")),
            "pss 10 50 100 3 2.50 MiB ok, goal met"
        );
    }

    #[test]
    fn a_figure_without_bounds_has_no_verdict() {
        let line = r#"{"services":10,"figure":"wake-ups","unit":"1/s","value":3}"#;
        assert_eq!(row(line), "wake-ups 10 - - - 3.00 1/s");
    }
}
