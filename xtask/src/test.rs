//! `cargo xtask test`: unit, crate, doc and black-box tests, with whatever runner there is.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::Context;

use crate::{
    command::{self, cargo, has_cargo},
    session, table,
    workspace::Workspace,
};

/// Where a test that this host cannot run leaves a line `SKIPPED: <test>: <reason>`.
const SKIP_REPORT: &str = "GLADSHEIM_SKIP_REPORT";

/// What to test; everything, unless something is named.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Only these packages
    #[arg(short, long = "package", value_name = "NAME")]
    packages: Vec<String>,
    /// With the features that are off by default, as CI does
    #[arg(long)]
    all_features: bool,
    /// Only the black-box tests, with sessions instead of cgroups, and as another user where we are root
    #[arg(long, conflicts_with_all = ["packages", "all_features", "runner_args"])]
    session: bool,
    /// Only tests whose names contain one of these
    filters: Vec<String>,
    /// For the test runner
    #[arg(last = true, value_name = "RUNNER ARGS")]
    runner_args: Vec<String>,
}

/// Runs the tests to their end, failures included, then says what ran and what was skipped.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.session {
        return session::run(&args.filters);
    }
    let workspace = Workspace::load()?;
    let report = SkipReport::new(&workspace.target_directory)?;
    let mut rows = Vec::new();
    let mut failures = Vec::new();
    for (tests, runner, mut command) in args.commands(&workspace, has_cargo("nextest")) {
        let start = Instant::now();
        let outcome = command::run(command.env(SKIP_REPORT, &report.path));
        let took = format!("{:.1} s", start.elapsed().as_secs_f64());
        let verdict = if outcome.is_ok() { "ok" } else { "FAILED" };
        rows.push([tests, runner, &took, verdict].map(String::from));
        failures.extend(outcome.err());
    }

    let heading = ["tests", "runner", "took", "outcome"];
    println!("\n{}", table::render(heading, &rows));
    let skipped = report.take()?;
    println!("skipped on this host: {}", skipped.len());
    for line in &skipped {
        println!("  {line}");
    }
    failures.into_iter().next().map_or(Ok(()), Err)
}

impl Args {
    /// The black-box tests once more, without cgroups.
    pub(crate) fn in_session() -> Self {
        Self {
            session: true,
            ..Self::default()
        }
    }

    /// All tests, those behind features included.
    pub(crate) fn everything() -> Self {
        Self {
            all_features: true,
            ..Self::default()
        }
    }

    /// The runners to call: what they run, what they are called, the command. Only cargo knows how
    /// to run doc tests; they come first, so that the report ends with the many.
    fn commands(
        &self,
        workspace: &Workspace,
        nextest: bool,
    ) -> Vec<(&'static str, &'static str, Command)> {
        let mut commands = Vec::new();
        if self.packages.is_empty() || self.packages.iter().any(|name| workspace.has_lib(name)) {
            let mut doc = cargo(["test", "--doc", "--no-fail-fast"]);
            doc.args(self.selection()).arg("--").args(&self.filters);
            commands.push(("doc", "cargo test", doc));
        }
        let (runner, mut others) = if nextest {
            let mut others = cargo(["nextest", "run", "--no-fail-fast"]);
            if std::env::var_os("CI").is_some() {
                others.arg("--profile=ci");
            }
            others.args(self.selection());
            ("cargo nextest", others)
        } else {
            let mut others = cargo(["test", "--tests", "--no-fail-fast"]);
            others.args(self.selection()).arg("--");
            ("cargo test", others)
        };
        others.args(&self.filters).args(&self.runner_args);
        commands.push(("unit, crate and black-box", runner, others));
        commands
    }

    fn selection(&self) -> Vec<String> {
        let mut words = match self.packages.as_slice() {
            [] => vec!["--workspace".to_owned()],
            packages => packages
                .iter()
                .map(|name| format!("--package={name}"))
                .collect(),
        };
        words.extend(self.all_features.then(|| "--all-features".to_owned()));
        words
    }
}

/// The file in which tests say that this host cannot run them: what they print, a runner hides.
struct SkipReport {
    path: PathBuf,
}

impl SkipReport {
    fn new(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(format!("skipped-tests.{}.txt", std::process::id()));
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, ""))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path })
    }

    /// The lines, each once and in order; the file is gone after it.
    fn take(self) -> io::Result<Vec<String>> {
        let text = fs::read_to_string(&self.path)?;
        fs::remove_file(&self.path)?;
        Ok(skips(&text))
    }
}

/// Without the prefix that the heading already says.
fn skips(text: &str) -> Vec<String> {
    let mut lines: Vec<_> = text
        .lines()
        .map(|line| {
            line.strip_prefix("SKIPPED: ")
                .unwrap_or(line)
                .trim()
                .to_owned()
        })
        .filter(|line| !line.is_empty())
        .collect();
    lines.sort();
    lines.dedup();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::{
        Package, Target,
        tests::{package, workspace},
    };

    fn lines(args: &Args, nextest: bool) -> Vec<String> {
        let lib = Target {
            kind: vec!["lib".into()],
            ..Target::default()
        };
        let thjalfi = Package {
            targets: vec![lib],
            ..package("thjalfi", &[])
        };
        let workspace = workspace(&[thjalfi, package("xtask", &[])]);
        let words = |command: &Command| {
            let words: Vec<_> = command
                .get_args()
                .map(|word| word.to_string_lossy())
                .collect();
            words.join(" ")
        };
        args.commands(&workspace, nextest)
            .iter()
            .map(|(_, _, command)| words(command))
            .collect()
    }

    #[test]
    fn everything_is_tested_unless_something_is_named() {
        let args = Args::default();
        assert_eq!(
            lines(&args, false),
            [
                "test --doc --no-fail-fast --workspace --",
                "test --tests --no-fail-fast --workspace --"
            ]
        );
    }

    #[test]
    fn packages_and_filters_reach_both_runners() {
        let args = Args {
            packages: vec!["thjalfi".into()],
            filters: vec!["stop".into()],
            ..Args::default()
        };
        let lines = lines(&args, true);
        assert_eq!(
            lines[0],
            "test --doc --no-fail-fast --package=thjalfi -- stop"
        );
        assert!(
            lines[1].starts_with("nextest run --no-fail-fast"),
            "{}",
            lines[1]
        );
        assert!(lines[1].ends_with("--package=thjalfi stop"), "{}", lines[1]);
    }

    #[test]
    fn a_package_without_a_library_has_no_doc_tests() {
        let args = Args {
            packages: vec!["xtask".into()],
            ..Args::default()
        };
        assert_eq!(
            lines(&args, false),
            ["test --tests --no-fail-fast --package=xtask --"]
        );
    }

    #[test]
    fn a_test_that_was_skipped_twice_is_listed_once() {
        let text = "SKIPPED: b: no nginx\nSKIPPED: a: no cgroup2\n\nSKIPPED: b: no nginx\n";
        assert_eq!(skips(text), ["a: no cgroup2", "b: no nginx"]);
    }
}
