//! A service's cgroup, read beside the daemon.

use std::{env, fs, path::PathBuf};

use gladsheim_tests::{TestDaemon, skip, wait_until};
use serde_json::Value;

/// Whether this is the machine for these tests; says so if it is not.
pub(crate) fn machine() -> bool {
    let own = env::var_os("GLADSHEIM_VM").is_some();
    if !own {
        skip("needs a machine of its own: cargo xtask vm-test");
    }
    own
}

/// The first event of this kind; waits for it.
#[track_caller]
pub(crate) fn wait_for_event(hall: &TestDaemon, kind: &str) -> Value {
    wait_until(kind, || {
        let events = hall.cli(["events", "--format", "json"]).expect_code(0);
        let is_it = |event: &Value| event["kind"] == kind;
        events.json_lines().into_iter().find(is_it)
    })
}

/// The cgroup of a running service.
#[derive(Debug)]
pub(crate) struct Group(PathBuf);

impl Group {
    #[track_caller]
    pub(crate) fn of(hall: &TestDaemon, service: &str) -> Self {
        let status = hall.status(service);
        let pid = status["process_id"].as_u64().unwrap_or_default();
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup"))
            .unwrap_or_else(|error| panic!("{error}: {status}"));
        let own = groups.trim().trim_start_matches("0::/");
        Self(PathBuf::from("/sys/fs/cgroup").join(own))
    }

    /// What a control file says.
    #[track_caller]
    pub(crate) fn read(&self, file: &str) -> String {
        let path = self.0.join(file);
        let text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        text.trim().to_owned()
    }

    /// A number in a file of keys and numbers.
    #[track_caller]
    pub(crate) fn count(&self, file: &str, key: &str) -> u64 {
        let text = self.read(file);
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("{file} has no {key}: {text}"))
    }

    /// Waits until that number has come at least to `least`, and returns it.
    #[track_caller]
    pub(crate) fn wait_for_count(&self, file: &str, key: &str, least: u64) -> u64 {
        wait_until(&format!("{key} of {file} to reach {least}"), || {
            Some(self.count(file, key)).filter(|count| *count >= least)
        })
    }
}
