//! Services that tell that they are alive, until they hang.

use gladsheim_tests::{TestDaemon, service};

fn watched() -> String {
    service(
        "heimdall",
        "svc-watchdog",
        &["--control", "control", "--notify"],
    ) + "ready = \"notify\"\nwatchdog = \"2s\"\nrestart = { backoff = \"10ms\" }\n"
}

fn control(hall: &TestDaemon, word: &str) {
    std::fs::write(hall.path("control"), word).unwrap();
}

/// systemd TEST-59: a missed watchdog is the cause, and the restart policy decides.
#[track_caller]
fn is_restarted(hall: &TestDaemon, word: &str, reason: &str) {
    let before = hall.wait_for_state("heimdall", "running");
    control(hall, word);
    let ended = hall.wait_for_status("heimdall", "ended", |status| status["cause"] == "watchdog");
    assert_eq!(ended["error_message"], reason, "{ended}");
    control(hall, "ok");
    hall.wait_for_status("heimdall", "back", |status| {
        status["state"] == "running" && status["process_id"] != before["process_id"]
    });
}

#[test]
fn a_service_that_hangs_is_restarted_with_cause_watchdog() {
    let hall = TestDaemon::start(&watched());
    is_restarted(&hall, "hang", "watchdog: no WATCHDOG=1 for 2s");
}

#[test]
fn a_service_may_ask_for_its_watchdog() {
    let hall = TestDaemon::start(&watched());
    is_restarted(&hall, "trigger", "watchdog: WATCHDOG=trigger");
}

#[test]
fn a_service_that_keeps_telling_runs_on_and_in_maintenance_need_not_tell() {
    // The other one's watchdog is the clock.
    let clock = watched()
        .replace("heimdall", "clock")
        .replace("\"control\"", "\"hang\"");
    let hall = TestDaemon::prepare(&(watched() + &clock));
    std::fs::write(hall.path("hang"), "hang").unwrap();
    let mut hall = hall;
    hall.spawn();
    let restarts = |count: u64| {
        hall.wait_for_status("clock", "restarted", |status| {
            status["restart_count"].as_u64() >= Some(count)
        });
        hall.status("heimdall")
    };
    let told = restarts(1);
    assert_eq!(
        (&told["state"], &told["restart_count"]),
        (&"running".into(), &0.into()),
        "{told}"
    );
    hall.cli(["maintenance", "heimdall", "on"]).expect_code(0);
    control(&hall, "hang");
    let silent = restarts(3);
    assert_eq!(silent["process_id"], told["process_id"], "{silent}");
}
