//! `cargo xtask ci`: everything that has to pass before a change goes in.

use std::time::Instant;

use anyhow::bail;

use crate::{codegen, lint, release_check, table, test, tidy};

type Step = (&'static str, fn() -> anyhow::Result<()>);

/// What runs, the quickest verdicts first. The tests come last, so that the report ends with
/// their result.
const STEPS: &[Step] = &[
    ("tidy", tidy::run),
    ("lint", lint::run),
    ("codegen --check", || {
        codegen::run(&codegen::Args { check: true })
    }),
    ("release-check", || {
        release_check::run(&release_check::Args::default())
    }),
    ("test --all-features", || {
        test::run(&test::Args::everything())
    }),
];

/// Runs all steps, also after one has failed, and sums up.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut rows = vec![["step", "took", "outcome"].map(String::from).to_vec()];
    let mut failed = Vec::new();
    for (name, step) in STEPS {
        eprintln!("\n=== {name} ===");
        let start = Instant::now();
        let outcome = step();
        let took = format!("{:.1} s", start.elapsed().as_secs_f64());
        let verdict = match &outcome {
            Ok(()) => "ok".to_owned(),
            Err(error) => {
                eprintln!("error: {name}: {error:#}");
                failed.push(*name);
                format!(
                    "FAILED: {}",
                    error.to_string().lines().next().unwrap_or_default()
                )
            }
        };
        rows.push(vec![(*name).to_owned(), took, verdict]);
    }
    println!("\n{}", table::render(&rows));
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}
