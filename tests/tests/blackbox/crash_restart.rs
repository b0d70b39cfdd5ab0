//! Services end by themselves: what is done about it, how often, and what is said.

use gladsheim_tests::{TestDaemon, service};

const QUICKLY: &str = "backoff = \"10ms\", backoff_max = \"20ms\"";

/// A service that ends by itself, with a restart policy.
fn crashing(arguments: &[&str], restart: &str) -> String {
    let arguments = [&["--starts", "starts"], arguments].concat();
    service("loki", "svc-crashing", &arguments) + &format!("restart = {{ {QUICKLY}, {restart} }}\n")
}

fn starts(hall: &TestDaemon) -> usize {
    std::fs::read_to_string(hall.path("starts"))
        .unwrap_or_default()
        .lines()
        .count()
}

#[test]
fn a_crashed_service_is_brought_back() {
    let hall = TestDaemon::start(&crashing(
        &["--on-user1", "--code", "7", "--ready", "pid"],
        "max_attempts = 3",
    ));
    hall.pid_in("pid");
    let before = hall.wait_for_state("loki", "running");
    hall.cli(["signal", "loki", "SIGUSR1"]).expect_code(0);

    let back = hall.wait_for_status("loki", "back", |status| {
        status["state"] == "running" && status["restart_count"] == 1
    });
    assert_ne!(back["process_id"], before["process_id"]);
    assert_eq!(back["cause"], "exit", "{back}");
    assert_eq!(back["exit_code"], 7, "{back}");
}

#[test]
fn a_service_that_is_killed_from_outside_is_brought_back() {
    let hall = TestDaemon::start(&crashing(
        &["--on-user1", "--ready", "pid"],
        "max_attempts = 3",
    ));
    hall.pid_in("pid");
    hall.cli(["signal", "loki", "SIGKILL"]).expect_code(0);
    let back = hall.wait_for_status("loki", "back", |status| {
        status["state"] == "running" && status["restart_count"] == 1
    });
    assert_eq!(back["signal"], 9, "{back}");
    assert!(back["exit_code"].is_null(), "{back}");
}

#[test]
fn a_service_that_goes_on_crashing_is_given_up_after_its_attempts() {
    let hall = TestDaemon::start(&crashing(&["--code", "3"], "max_attempts = 3"));
    let failed = hall.wait_for_state("loki", "failed");
    assert_eq!(failed["restart_count"], 3, "{failed}");
    assert_eq!(failed["exit_code"], 3, "{failed}");
    assert_eq!(failed["process_id"], 0, "{failed}");
    assert_eq!(
        starts(&hall),
        4,
        "three restarts; the fourth failure is the last"
    );

    hall.cli(["reset", "loki"]).expect_code(0);
    let reset = hall.status("loki");
    assert_eq!(reset["state"], "stopped", "{reset}");
    assert_eq!(reset["restart_count"], 3, "it never falls: {reset}");
}

#[test]
fn a_service_that_settles_down_stays() {
    let hall = TestDaemon::start(&crashing(&["--runs", "2"], "max_attempts = 0"));
    let settled = hall.wait_for_status("loki", "in its third run", |status| {
        status["state"] == "running" && status["restart_count"] == 2
    });
    assert_eq!(starts(&hall), 3);
    assert_eq!(settled["cause"], "exit", "{settled}");
}

#[test]
fn a_success_is_not_restarted_unless_the_policy_says_always() {
    let once = TestDaemon::start(&crashing(&["--code", "0"], "max_attempts = 0"));
    let stopped = once.wait_for_status("loki", "done", |status| status["cause"] == "exit");
    assert_eq!(stopped["state"], "stopped", "{stopped}");
    assert_eq!(starts(&once), 1);

    let again = TestDaemon::start(&crashing(
        &["--code", "0"],
        "policy = \"always\", max_attempts = 2",
    ));
    again.wait_for_state("loki", "failed");
    assert_eq!(starts(&again), 3);
}

#[test]
fn other_exit_codes_can_be_a_success() {
    let hall = TestDaemon::start(&crashing(&["--code", "42"], "success_exit_codes = [0, 42]"));
    let stopped = hall.wait_for_status("loki", "done", |status| status["exit_code"] == 42);
    assert_eq!(stopped["state"], "stopped", "{stopped}");
}

#[test]
fn a_crash_stays_one_where_the_policy_is_never() {
    let hall = TestDaemon::start(&crashing(&["--code", "5"], "policy = \"never\""));
    let crashed = hall.wait_for_state("loki", "crashed");
    assert_eq!(crashed["exit_code"], 5, "{crashed}");
    assert_eq!(starts(&hall), 1);

    // A start clears all that.
    hall.cli(["start", "loki", "--", "--on-user1"])
        .expect_code(0);
    assert_eq!(hall.status("loki")["state"], "running");
}

#[test]
fn a_stop_during_the_back_off_cancels_it() {
    let loki = service("loki", "svc-crashing", &["--starts", "starts"])
        + "restart = { backoff = \"1h\", backoff_max = \"1h\" }\n";
    let hall = TestDaemon::start(&loki);
    let waiting = hall.wait_for_state("loki", "restarting");
    assert!(!waiting["next_attempt_at"].is_null(), "{waiting}");

    hall.cli(["stop", "loki"]).expect_code(0);
    let stopped = hall.status("loki");
    assert_eq!(stopped["state"], "stopped", "{stopped}");
    assert_eq!(starts(&hall), 1);
}

#[test]
fn a_start_during_the_back_off_starts_now() {
    let loki = service(
        "loki",
        "svc-crashing",
        &["--starts", "starts", "--runs", "1"],
    ) + "restart = { backoff = \"1h\", backoff_max = \"1h\" }\n";
    let hall = TestDaemon::start(&loki);
    hall.wait_for_state("loki", "restarting");
    hall.cli(["start", "loki"]).expect_code(0);
    assert_eq!(hall.status("loki")["state"], "running");
}

#[test]
fn every_run_is_told_once_when_it_begins_and_once_when_it_ends() {
    let hall = TestDaemon::start(&crashing(&[], "max_attempts = 2"));
    hall.wait_for_state("loki", "failed");
    let events = hall
        .cli(["--format", "json", "events"])
        .expect_code(0)
        .json_lines();
    let count = |kind: &str| events.iter().filter(|event| event["kind"] == kind).count();
    assert_eq!(count("service.started"), 3, "{events:#?}");
    assert_eq!(count("service.exited"), 3, "{events:#?}");
    assert_eq!(count("service.crashed"), 3, "{events:#?}");
    assert_eq!(count("service.restarting"), 2, "{events:#?}");
    assert_eq!(count("service.failed"), 1, "{events:#?}");
}

/// The stable one is ready only when it has run for as long as that takes.
#[test]
fn a_crash_says_how_far_the_run_had_come() {
    for (options, arguments, stage, words) in [
        (
            "",
            &["--code", "3"][..],
            "startup",
            "exit code 3 during start-up",
        ),
        (
            "ready = \"delay:100ms\"\n",
            &["--code", "3", "--on-user1"],
            "stable",
            "exit code 3 after stable running",
        ),
    ] {
        let hall = TestDaemon::start(
            &(crashing(arguments, "policy = \"never\", reset_after = \"100ms\"") + options),
        );
        if stage == "stable" {
            hall.wait_for_state("loki", "running");
            hall.cli(["signal", "loki", "SIGUSR1"]).expect_code(0);
        }
        let crashed = hall.wait_for_state("loki", "crashed");
        assert_eq!(crashed["error_message"], words, "{crashed}");
        let events = hall
            .cli(["--format", "json", "events"])
            .expect_code(0)
            .json_lines();
        let crash = events
            .iter()
            .find(|event| event["kind"] == "service.crashed");
        assert_eq!(crash.unwrap()["stage"], stage, "{events:#?}");
        let table = hall.cli(["status"]).expect_code(0);
        assert!(table.stdout.contains(words), "{}", table.stdout);
    }
}
