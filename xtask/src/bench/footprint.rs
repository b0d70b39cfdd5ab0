//! What the daemon costs while nothing happens: memory, CPU, wake-ups.

use serde::Deserialize;

use super::{figure, measure, verdict};
use crate::table;

/// One figure, measured with so many services. What the specification gives no bound has none.
#[derive(Debug, Deserialize)]
struct Line {
    services: u32,
    figure: String,
    unit: String,
    value: f64,
    target: Option<f64>,
    max: Option<f64>,
}

/// Measures and prints.
pub(super) fn run() -> anyhow::Result<()> {
    print!("{}", lay_out(&measure("footprint")?));
    Ok(())
}

fn lay_out(lines: &[Line]) -> String {
    let bound = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| v.to_string());
    let rows = lines.iter().map(|line| {
        let bounds = line.target.zip(line.max);
        [
            line.figure.clone(),
            line.services.to_string(),
            bound(line.target),
            bound(line.max),
            figure(line.value),
            line.unit.clone(),
            bounds
                .map_or("", |(target, max)| verdict(line.value, target, max))
                .to_owned(),
        ]
    });
    let heading = [
        "figure", "services", "target", "max", "measured", "unit", "",
    ];
    table::render(heading, &rows.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(line: &str) -> Vec<String> {
        let text = lay_out(&[serde_json::from_str(line).expect("is a line")]);
        text.lines()
            .nth(2)
            .expect("a row")
            .split_whitespace()
            .map(String::from)
            .collect()
    }

    #[test]
    fn a_figure_stands_beside_its_bounds() {
        let line = r#"{"bench":"footprint","services":10,"figure":"pss","unit":"MiB","value":5.25,
            "target":50,"max":100}"#;
        assert_eq!(row(line), ["pss", "10", "50", "100", "5.25", "MiB", "ok"]);
    }

    #[test]
    fn a_figure_without_bounds_has_no_verdict() {
        let line = r#"{"services":10,"figure":"wake-ups","unit":"1/s","value":3}"#;
        assert_eq!(row(line), ["wake-ups", "10", "-", "-", "3.00", "1/s"]);
    }
}
