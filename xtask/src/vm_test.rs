//! `cargo xtask vm-test`: the tests that need a kernel with all cgroup v2 controllers, in a virtual
//! machine of their own.
//!
//! Debian's cloud kernel, an initramfs of busybox and the very test binaries that `cargo xtask test`
//! runs, with the shared libraries that they need: linking them statically would mean to build
//! everything twice. The machine starts one binary after the other, says how it went on its serial
//! line, and turns itself off.

mod archive;
mod image;
mod machine;

use std::{collections::BTreeSet, path::PathBuf, time::Instant};

use anyhow::{Context, bail};
use serde::Deserialize;

use self::machine::Machine;
use crate::{
    command::{self, cargo},
    workspace::Workspace,
};

/// What the last line of a machine that came to its end begins with; the exit code follows.
const VERDICT: &str = "VERDICT: ";

/// What runs in the machine: package, test target, filters.
const SUITES: &[(&str, &str, &[&str])] = &[
    ("gladsheim-tests", "vm", &[]),
    ("byggvir", "real", &["conformance"]),
    ("thjalfi", "processes", &["containment"]),
];

/// How to build what runs there.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// With the features that are off by default, as `cargo xtask test --all-features` builds it
    #[arg(long)]
    all_features: bool,
}

impl Args {
    /// As all of it is tested.
    pub(crate) fn everything() -> Self {
        Self { all_features: true }
    }
}

/// Builds, boots, and fails if a test has failed or the machine did not come to its end. Where there
/// is no virtual machine to be had, says why, and is content.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(report) = boot("vm-test", || build(args))? {
        println!("\n{}", summary(&report)?);
    }
    Ok(())
}

/// Lets byggvir's bench measure in the machine, where cgroups have controllers.
pub(crate) fn bench() -> anyhow::Result<()> {
    let built = || {
        let mut build = cargo(["bench", "--no-run", "--message-format=json"]);
        let messages = command::read(build.args(["--package=byggvir", "--bench=sampling"]))?;
        let executable = messages
            .lines()
            .filter_map(|line| serde_json::from_str::<Message>(line).ok()?.executable)
            .next_back()
            .context("cargo built no bench")?;
        Ok(Binaries {
            runs: vec![(executable, "--bench".to_owned())],
            ..Binaries::default()
        })
    };
    match boot("bench", built)?.as_deref().map(verdict) {
        None | Some(Some("0")) => Ok(()),
        Some(verdict) => bail!("it ended with {verdict:?}"),
    }
}

/// Runs what `build` gives, and returns what the machine said; nothing, said so, where there is none.
fn boot(
    what: &str,
    build: impl FnOnce() -> anyhow::Result<Binaries>,
) -> anyhow::Result<Option<String>> {
    let workspace = Workspace::load()?;
    let folder = workspace.target_directory.join("vm");
    let machine = match Machine::find(&folder) {
        Ok(machine) => machine,
        Err(reason) => {
            println!("SKIPPED: {what}: {reason:#}");
            return Ok(None);
        }
    };
    let image = image::write(&folder, &machine.busybox, &build()?)?;
    let begin = Instant::now();
    let report = machine.boot(&image)?;
    eprintln!("the machine ran for {:.0} s", begin.elapsed().as_secs_f32());
    Ok(Some(report))
}

/// The exit code of a machine that came to its end.
fn verdict(report: &str) -> Option<&str> {
    let mut lines = report.lines();
    lines.find_map(|line| line.trim().strip_prefix(VERDICT))
}

/// The programs that cargo has built.
#[derive(Debug, Default)]
struct Binaries {
    /// What is run, with its arguments, in this order.
    runs: Vec<(PathBuf, String)>,
    /// What they start.
    programs: BTreeSet<PathBuf>,
}

fn build(args: &Args) -> anyhow::Result<Binaries> {
    let mut build = cargo(["test", "--no-run", "--tests", "--message-format=json"]);
    if args.all_features {
        build.args(["--workspace", "--all-features"]);
    } else {
        build.args(
            SUITES
                .iter()
                .map(|(package, ..)| format!("--package={package}")),
        );
    }
    Binaries::among(&command::read(&mut build)?)
}

/// A line of what cargo says, as far as it concerns us.
#[derive(Debug, Deserialize)]
struct Message {
    executable: Option<PathBuf>,
    target: Option<MessageTarget>,
    package_id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct MessageTarget {
    name: String,
    kind: Vec<String>,
}

impl Binaries {
    fn among(messages: &str) -> anyhow::Result<Self> {
        let mut binaries = Self::default();
        let mut built = Vec::new();
        for line in messages.lines() {
            let message: Message = serde_json::from_str(line)
                .with_context(|| format!("cargo said something else: {line}"))?;
            let (Some(executable), Some(target)) = (message.executable, message.target) else {
                continue;
            };
            let package = message.package_id.unwrap_or_default();
            match target.kind.first().map(String::as_str) {
                Some("test") => built.push((package, target.name, executable)),
                // The unit tests of a binary have a hash in their names, and nobody starts them.
                Some("bin")
                    if executable
                        .file_name()
                        .is_some_and(|name| *name == *target.name) =>
                {
                    binaries.programs.insert(executable);
                }
                Some(_) | None => {}
            }
        }
        for (package, name, filters) in SUITES {
            let is_it = |(id, test, _): &&(String, String, PathBuf)| {
                test == name
                    && (id.contains(&format!("/{package}#"))
                        || id.contains(&format!("#{package}@")))
            };
            let (.., executable) = built
                .iter()
                .find(is_it)
                .with_context(|| format!("cargo built no test {name} of {package}"))?;
            let arguments = format!("--test-threads=2 {}", filters.join(" "));
            binaries.runs.push((executable.clone(), arguments));
        }
        Ok(binaries)
    }
}

/// What the report says in one line; an error unless every test has passed.
fn summary(report: &str) -> anyhow::Result<String> {
    let mut sums = [("passed", 0), ("failed", 0)];
    for line in report
        .lines()
        .filter(|line| line.starts_with("test result: "))
    {
        for (word, sum) in &mut sums {
            *sum += count(line, word);
        }
    }
    let [(_, passed), (_, failed)] = sums;
    let verdict = verdict(report);
    let text = format!("in the virtual machine: {passed} passed, {failed} failed");
    match verdict {
        Some("0") if failed == 0 && passed > 0 => Ok(text),
        Some(code) => bail!("{text}, exit code {code}"),
        None => bail!("{text}, and then it did not come to its end"),
    }
}

/// The number before `word` in a line of libtest's.
fn count(line: &str, word: &str) -> u32 {
    let mut parts = line.split([' ', ';']).filter(|part| !part.is_empty());
    let mut before = "";
    parts
        .find_map(|part| {
            let number = (part == word).then(|| before.parse().ok());
            before = part;
            number
        })
        .flatten()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &str = "test result: ok. 7 passed; 0 failed; 0 ignored; 0 measured\n\
                      test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured\n";

    #[test]
    fn only_a_report_that_comes_to_its_end_is_a_success() {
        let good = summary(&format!("{OK}{VERDICT}0\r\n")).expect("is good");
        assert_eq!(good, "in the virtual machine: 12 passed, 0 failed");
        for bad in [
            OK.to_owned(),
            format!("{OK}{VERDICT}1\n"),
            format!("test result: FAILED. 7 passed; 1 failed\n{VERDICT}0\n"),
            format!("{VERDICT}0\n"),
        ] {
            summary(&bad).expect_err(&bad);
        }
    }

    #[test]
    fn tests_and_the_programs_that_they_start_are_found_among_what_cargo_says() {
        let artifact = |package: &str, kind: &str, name: &str, file: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"path+file:///w/{package}","target":{{"name":"{name}","kind":["{kind}"]}},"executable":"/t/{file}"}}"#
            )
        };
        let messages = [
            artifact("tests#gladsheim-tests@0.1.0", "test", "vm", "vm-1"),
            artifact(
                "tests#gladsheim-tests@0.1.0",
                "bin",
                "svc-hungry",
                "svc-hungry",
            ),
            artifact("crates/byggvir#0.1.0", "test", "real", "real-2"),
            artifact("crates/thjalfi#0.1.0", "test", "processes", "processes-3"),
            artifact("crates/gladsheim#0.1.0", "bin", "gladsheim", "gladsheim-4"),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
        ];
        let binaries = Binaries::among(&messages.join("\n")).expect("all are there");
        let tests: Vec<_> = binaries.runs.iter().map(|(path, _)| path.clone()).collect();
        assert_eq!(
            tests,
            ["/t/vm-1", "/t/real-2", "/t/processes-3"].map(PathBuf::from)
        );
        assert_eq!(binaries.programs, [PathBuf::from("/t/svc-hungry")].into());
        Binaries::among(&messages[..2].join("\n")).expect_err("two are missing");
    }
}
