//! The specification's latency table.

use serde::Deserialize;

use super::{figure, measure, verdict};
use crate::table;

/// One operation, measured with so many services.
#[derive(Debug, Deserialize)]
pub(super) struct Line {
    operation: String,
    services: u32,
    target_ms: f64,
    max_ms: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// Measures and prints; the slowest of a hundred calls is what is compared.
pub(super) fn run() -> anyhow::Result<()> {
    print!("{}", lay_out(&measure("latency")?));
    Ok(())
}

fn lay_out(lines: &[Line]) -> String {
    let heading = [
        "operation",
        "services",
        "target ms",
        "max ms",
        "p50 ms",
        "p99 ms",
        "",
    ];
    let rows = lines.iter().map(|line| {
        [
            line.operation.clone(),
            line.services.to_string(),
            format!("< {}", line.target_ms),
            line.max_ms.to_string(),
            figure(line.p50_ms),
            figure(line.p99_ms),
            verdict(line.p99_ms, line.target_ms, line.max_ms).to_owned(),
        ]
    });
    table::render(heading, &rows.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_figures_becomes_a_row_with_its_verdict() {
        let line = r#"{"bench":"latency","operation":"start_service","services":100,
            "target_ms":500,"max_ms":1000,"p50_ms":2.5,"p99_ms":612.0}"#;
        let line = serde_json::from_str(line).expect("is a line");
        let text = lay_out(&[line]);
        let row: Vec<_> = text
            .lines()
            .nth(2)
            .expect("a row")
            .split_whitespace()
            .collect();
        assert_eq!(
            row,
            [
                "start_service",
                "100",
                "<",
                "500",
                "1000",
                "2.50",
                "612",
                "slow"
            ]
        );
    }
}
