//! `cargo xtask bench`: figures beside the targets of the specification.
//!
//! A bench is a file in this folder and a row in [`BENCHES`]. What speaks to a daemon is the
//! program `gladsheim-bench` of the package `gladsheim-tests`: it prints one JSON object a line,
//! and a bench here asks it, reads them and lays them out.

mod crates;
mod figures;
mod latency;
mod registry;

use anyhow::{Context, bail};
use serde::de::DeserializeOwned;

use crate::{
    command::{self, cargo},
    table,
};

/// A named measurement.
struct Bench {
    name: &'static str,
    about: &'static str,
    run: fn() -> anyhow::Result<()>,
}

const BENCHES: &[Bench] = &[
    Bench {
        name: "latency",
        about: "what a caller of the API waits for, with 1, 100 and 1,000 services",
        run: latency::run,
    },
    Bench {
        name: "footprint",
        about: "memory, CPU and wake-ups of an idle daemon with 10, 100 and 1,000 services",
        run: || figures::run("footprint"),
    },
    Bench {
        name: "process",
        about: "bring-up and stop of processes, beside a bare loop in the same run",
        run: || figures::run("process"),
    },
    Bench {
        name: "comeback",
        about: "from the SIGKILL of a service to its new pid, beside a bare loop in the same run",
        run: || figures::run("comeback"),
    },
    Bench {
        name: "output",
        about: "output taken from services that write as fast as they can, beside svlogd and s6-log",
        run: || figures::run("output"),
    },
    Bench {
        name: "reload",
        about: "a hall file with one change: how long it takes, and how many processes it touches",
        run: || figures::run("reload"),
    },
    Bench {
        name: "resources",
        about: "cost and truth of byggvir's numbers, and how soon a limit is acted upon",
        run: crates::resources,
    },
    Bench {
        name: "resources-vm",
        about: "the same in a virtual machine, where cgroups have controllers; times are those of an emulated CPU",
        run: crate::vm_test::bench,
    },
    Bench {
        name: "health",
        about: "what checks of 1,000 services cost the daemon, and how soon it sees a death",
        run: figures::health,
    },
    Bench {
        name: "registry",
        about: "a look into skirnir with 10, 1,000 and 10,000 services: time, and instructions",
        run: registry::run,
    },
    Bench {
        name: "hall",
        about: "events a second through the bus, and memory of registry and core for each service",
        run: crates::hall,
    },
    Bench {
        name: "crates",
        about: "the crates' own `cargo bench` programs",
        run: crates::run,
    },
];

/// Which ones.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these; all of them by default
    names: Vec<String>,
    /// Say which there are, and measure nothing
    #[arg(long)]
    list: bool,
}

/// Runs the benches to their end, also after one has failed.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.list {
        let rows: Vec<_> = BENCHES
            .iter()
            .map(|bench| [bench.name, bench.about].map(String::from))
            .collect();
        print!("{}", table::render(["bench", "measures"], &rows));
        return Ok(());
    }
    let mut failed = Vec::new();
    for bench in chosen(&args.names)? {
        println!("\n{}: {}\n", bench.name, bench.about);
        if let Err(error) = (bench.run)() {
            eprintln!("error: {}: {error:#}", bench.name);
            failed.push(bench.name);
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Bench>> {
    if names.is_empty() {
        return Ok(BENCHES.iter().collect());
    }
    let find = |name: &String| {
        BENCHES
            .iter()
            .find(|bench| bench.name == name)
            .with_context(|| format!("no bench is called {name}; `bench --list` names them"))
    };
    names.iter().map(find).collect()
}

/// Lets `gladsheim-bench` measure, and reads its lines.
fn measure<T: DeserializeOwned>(bench: &str) -> anyhow::Result<Vec<T>> {
    // The service programs that it starts are bins of the same package.
    command::run(&mut cargo([
        "build",
        "--release",
        "--package=gladsheim-tests",
        "--bins",
    ]))?;
    let mut run = cargo([
        "run",
        "--release",
        "--quiet",
        "--package=gladsheim-tests",
        "--bin=gladsheim-bench",
        "--",
        bench,
    ]);
    // The halls lie in memory: a disk's file system would be measured otherwise. (ext4 takes 0.5 ms to make
    // a file while it remembers the thousands that the hall before has removed.)
    run.env("TMPDIR", "/dev/shm");
    let text = command::read(&mut run)?;
    parse(&text)
}

fn parse<T: DeserializeOwned>(text: &str) -> anyhow::Result<Vec<T>> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            serde_json::from_str(line).with_context(|| format!("not a line of figures: {line}"))
        })
        .collect()
}

/// `ok` within the target, `slow` within the maximum, `OVER` beyond.
fn verdict(measured: f64, target: f64, max: f64) -> &'static str {
    if measured <= target {
        "ok"
    } else if measured <= max {
        "slow"
    } else {
        "OVER"
    }
}

/// A figure with three significant digits or so.
fn figure(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bench_that_does_not_exist_is_an_error_that_says_where_to_look() {
        let names = ["latency".to_owned(), "latncy".to_owned()];
        let error = chosen(&names)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(
            error.contains("latncy") && error.contains("--list"),
            "{error}"
        );
    }

    #[test]
    fn without_names_all_benches_run() {
        assert_eq!(chosen(&[]).expect("all").len(), BENCHES.len());
    }

    #[test]
    fn a_line_that_is_no_figure_is_shown() {
        let error = parse::<latency::Line>("{\"bench\":1}")
            .expect_err("no figure")
            .to_string();
        assert!(error.contains("{\"bench\":1}"), "{error}");
    }

    #[test]
    fn the_verdict_compares_with_target_and_maximum() {
        let verdicts = [9.0, 10.0, 15.0, 21.0].map(|measured| verdict(measured, 10.0, 20.0));
        assert_eq!(verdicts, ["ok", "ok", "slow", "OVER"]);
    }

    #[test]
    fn small_figures_keep_their_decimals() {
        assert_eq!([0.123, 12.34, 1234.5].map(figure), ["0.12", "12.3", "1234"]);
    }
}
