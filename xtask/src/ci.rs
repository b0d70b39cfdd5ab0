//! `cargo xtask ci`: everything that has to pass before a change goes in.

use std::time::Instant;

use anyhow::bail;

use crate::{codegen, dist, lint, release_check, table, test, tidy, vm_test};

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
    ("dist --quick", || dist::run(&dist::Args::quick())),
    ("test --all-features", || {
        test::run(&test::Args::everything())
    }),
    ("test --session", || test::run(&test::Args::in_session())),
    ("vm-test --all-features", || {
        vm_test::run(&vm_test::Args::everything())
    }),
];

/// Runs all steps, also after one has failed, and sums up.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let mut failures = Vec::new();
    for (name, step) in STEPS {
        eprintln!("\n=== {name} ===");
        let start = Instant::now();
        let outcome = step();
        let took = format!("{:.1} s", start.elapsed().as_secs_f64());
        let verdict = if outcome.is_ok() { "ok" } else { "FAILED" };
        rows.push([*name, &took, verdict].map(String::from));
        if let Err(error) = outcome {
            let failure = format!("{name}: {error:#}");
            eprintln!("error: {failure}");
            failures.push(failure);
        }
    }
    println!("\n{}", table::render(["step", "took", "outcome"], &rows));
    if !failures.is_empty() {
        bail!(
            "{} of {} steps failed\n{}",
            failures.len(),
            STEPS.len(),
            failures.join("\n")
        );
    }
    Ok(())
}
