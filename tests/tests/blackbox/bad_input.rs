//! Bad input from outside: each has its outcome and a message with the way out, harms nobody else, and
//! leaves nothing behind.

mod command;
mod hall_file;
mod obstacle;
mod probe;
mod program;

use std::{fs, path::PathBuf};

use gladsheim_tests::{Output, TestDaemon, service};
use serde_json::Value;

/// A service with which nothing is wrong: it has to go on whatever happens beside it.
fn neighbour() -> String {
    service("freki", "svc-obedient", &[])
}

/// Checks that the neighbour runs, shuts the hall down, and looks for what is left.
#[track_caller]
fn leaves_nothing(mut hall: TestDaemon) {
    let freki = hall.wait_for_state("freki", "running");
    let group = hall_group(&freki);
    hall.cli(["shutdown"]).expect_code(0);
    assert!(hall.wait().success(), "{}", hall.log());
    assert!(hall.processes().is_empty(), "{:?}", hall.processes());
    assert!(!hall.socket().exists());
    if let Some(group) = group {
        assert!(!group.exists(), "{} is left", group.display());
    }
}

/// The cgroup of the hall to which a running service belongs, where there are cgroups.
#[track_caller]
fn hall_group(status: &Value) -> Option<PathBuf> {
    if status["containment"] != "cgroup" {
        return None;
    }
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", status["process_id"])).unwrap();
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mount = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (mount, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then_some(mount)
    })?;
    let group = PathBuf::from(mount).join(group);
    assert!(group.exists(), "{}", group.display());
    Some(group.parent()?.to_owned())
}

/// The fields of the error document, which stands last on standard error.
#[track_caller]
fn error_of(output: &Output) -> Value {
    let last = output.stderr.lines().last().unwrap_or_default();
    let mut document: Value =
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {output:#?}"));
    document["error"].take()
}

/// Checks that a text says all of this.
#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is missing: {text}");
    }
}
