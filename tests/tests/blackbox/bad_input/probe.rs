//! HTTP checks against servers that misbehave.

use std::fs;

use gladsheim_tests::{TestDaemon, free_port, service};

use super::{leaves_nothing, neighbour, says};

/// By how much a check may enlarge the daemon, in KiB: nothing of what a server sends piles up.
const MEMORY_KIB: u64 = 20 * 1024;

/// The neighbour, and `thor`, whose server does as it is told; its checks begin once it listens.
fn start(control: &str, timeout: &str, failures: u32) -> (TestDaemon, String) {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/health");
    let arguments = ["--port", &port.to_string(), "--control", "control"];
    let thor = service("thor", "svc-http-health", &arguments)
        + &format!(
            "restart = {{ max_attempts = 1, backoff = \"1ms\" }}\n\
             startup = {{ tcp = \"127.0.0.1:{port}\", interval = \"20ms\", failure_threshold = 3000 }}\n\
             health = {{ http = \"{url}\", interval = \"20ms\", timeout = \"{timeout}\", failure_threshold = {failures} }}\n"
        );
    let mut hall = TestDaemon::prepare(&(neighbour() + &thor));
    fs::write(hall.path("control"), control).unwrap();
    hall.spawn();
    (hall, url)
}

/// The failure counts as one of the service: it is brought back once and then given up.
#[track_caller]
fn is_given_up(control: &str, timeout: &str, health: &str, words: &[&str]) {
    let (hall, url) = start(control, timeout, 2);
    let failed = hall.wait_for_state("thor", "failed");
    assert_eq!(failed["cause"], "probe", "{failed}");
    assert_eq!(failed["restart_count"], 1, "{failed}");
    assert_eq!(failed["process_id"], 0, "{failed}");
    let message = failed["error_message"].as_str().unwrap().to_lowercase();
    says(&message, &[&*url]);
    says(&message, words);

    let events = hall
        .cli(["--format", "json", "events"])
        .expect_code(0)
        .json_lines();
    let verdicts: Vec<_> = events
        .iter()
        .filter(|event| event["service_name"] == "thor" && event["kind"] == "health.changed")
        .map(|event| event["new_status"].as_str().unwrap())
        .filter(|status| !["unknown", "checking"].contains(status))
        .collect();
    assert_eq!(verdicts, [health, health], "one for each run: {events:#?}");
    leaves_nothing(hall);
}

#[test]
fn a_server_that_never_answers_is_a_timeout() {
    is_given_up("hang", "300ms", "timeout", &["no answer within 300ms"]);
}

#[test]
fn a_server_that_closes_at_once_is_unhealthy() {
    is_given_up("close", "20s", "unhealthy", &["connection"]);
}

#[test]
fn a_server_that_sends_a_gigabyte_of_header_is_unhealthy() {
    is_given_up("flood-head", "20s", "unhealthy", &["too large"]);
}

/// The most memory that the daemon ever had, in KiB.
#[track_caller]
fn peak(hall: &TestDaemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", hall.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap()
}

/// Checks often, each time anew, while the server sends a gigabyte.
#[track_caller]
fn stays_small(control: &str, code: i32, words: &[&str]) {
    let (hall, _) = start("ok", "20s", 1_000_000);
    hall.cli(["wait", "thor", "--for", "healthy"])
        .expect_code(0);
    let before = peak(&hall);
    fs::write(hall.path("control"), control).unwrap();
    for _ in 0..5 {
        let checked = hall.cli(["check-health", "thor"]);
        // The threshold is out of reach, so the verdict stays; the message is that of the last check.
        says(&checked.expect_code(code).stdout, words);
    }
    let growth = peak(&hall) - before;
    assert!(growth < MEMORY_KIB, "{growth} KiB");
    leaves_nothing(hall);
}

#[test]
fn a_gigabyte_of_body_is_not_read_to_its_end() {
    stays_small("flood", 0, &["HTTP 200"]);
}

#[test]
fn a_gigabyte_of_header_does_not_pile_up() {
    stays_small("flood-head", 0, &["too large"]);
}
