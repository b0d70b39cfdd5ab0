//! What a look into the registry costs: time, alone and beside a writer, and instructions where valgrind is installed.

use std::{path::PathBuf, process::Command};

use anyhow::Context;

use crate::{
    command::{self, cargo},
    table,
};

/// Skirnir's own bench, and then its calls one by one under callgrind.
pub(super) fn run() -> anyhow::Result<()> {
    let bench = ["bench", "--package=skirnir", "--bench=lookup"];
    command::run(&mut cargo(bench))?;
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!(
            "SKIPPED: instructions of get_service and list_services: valgrind is not installed"
        );
        return Ok(());
    }
    let mut build = cargo(bench);
    build.args(["--no-run", "--message-format=json"]);
    let program = executable(&command::read(&mut build)?).context("cargo names no program")?;
    let mut rows = Vec::new();
    for services in [10, 1_000, 10_000] {
        let mut row = vec![services.to_string()];
        for what in ["get_service", "list_services"] {
            // Whatever is around the calls is in both.
            let [few, many] = [10, 20].map(|calls| instructions(&program, what, services, calls));
            row.push(((many? - few?) / 10).to_string());
        }
        rows.push(<[String; 3]>::try_from(row).unwrap_or_default());
    }
    let header = [
        "services",
        "get_service, instructions",
        "list_services, instructions",
    ];
    println!("\n{}", table::render(header, &rows));
    Ok(())
}

fn executable(messages: &str) -> Option<PathBuf> {
    let program = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    };
    messages.lines().filter_map(program).next_back()
}

fn instructions(program: &PathBuf, what: &str, services: u32, calls: u32) -> anyhow::Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["calls", what, &services.to_string(), &calls.to_string()])
        .output()?;
    collected(&String::from_utf8_lossy(&output.stderr)).context("callgrind has counted nothing")
}

/// From the line `==1== Collected : 123`.
fn collected(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.contains("Collected :"))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callgrinds_sum_is_found() {
        let text = "==7== Events    : Ir\n==7== Collected : 1234\n==7== \n";
        assert_eq!(collected(text), Some(1234));
        assert_eq!(collected("nothing"), None);
    }

    #[test]
    fn cargos_last_program_is_the_one() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\n\
                        {\"executable\":\"/t/lookup\"}\n{\"reason\":\"build-finished\"}\n";
        assert_eq!(executable(messages), Some("/t/lookup".into()));
    }
}
