//! Services are started, stopped, restarted and killed, with all that belongs to them.

use gladsheim_tests::{TestDaemon, service, wait_until};

/// One service that waits for somebody to start it.
fn by_hand(name: &str, program: &str, arguments: &[&str]) -> String {
    service(name, program, arguments) + "autostart = false\n"
}

#[test]
fn a_service_runs_with_the_hall_and_stops_when_asked() {
    let hall = TestDaemon::start(&service("thor", "svc-obedient", &["--ready", "thor.pid"]));
    let pid = hall.pid_in("thor.pid");
    let running = hall.wait_for_state("thor", "running");
    assert_eq!(running["process_id"], pid, "{running}");
    assert!(
        running["start_time_unix"].as_u64() > Some(1_600_000_000),
        "{running}"
    );
    assert!(running["cause"].is_null(), "{running}");

    hall.cli(["stop", "thor"]).expect_code(0);
    let stopped = hall.status("thor");
    assert_eq!(stopped["state"], "stopped", "{stopped}");
    assert_eq!(stopped["process_id"], 0, "{stopped}");
    assert_eq!(stopped["cause"], "user", "{stopped}");
    assert_eq!(stopped["exit_code"], 0, "{stopped}");
    assert_eq!(
        stopped["start_time_unix"], running["start_time_unix"],
        "{stopped}"
    );
    assert!(hall.processes().is_empty(), "{:?}", hall.processes());
}

#[test]
fn a_service_without_autostart_waits_until_somebody_starts_it() {
    let hall = TestDaemon::start(&by_hand("thor", "svc-obedient", &[]));
    let waiting = hall.status("thor");
    assert_eq!(waiting["state"], "stopped", "{waiting}");
    assert_eq!(waiting["start_time_unix"], 0, "{waiting}");
    assert!(waiting["memory_bytes"].is_null(), "{waiting}");

    hall.cli(["start", "thor"]).expect_code(0);
    assert_eq!(hall.status("thor")["state"], "running");
}

#[test]
fn what_makes_no_sense_is_refused_with_its_exit_code() {
    let hall = TestDaemon::start(&by_hand("thor", "svc-obedient", &[]));
    let idle = hall.cli(["stop", "thor"]).expect_code(1);
    assert_eq!(idle.stderr.lines().count(), 1, "{idle:#?}");
    hall.cli(["kill", "thor"]).expect_code(1);

    hall.cli(["start", "thor"]).expect_code(0);
    hall.cli(["start", "thor"]).expect_code(1);
    for command in ["start", "stop", "restart", "kill"] {
        hall.cli([command, "baldur"]).expect_code(4);
    }
}

#[test]
fn a_stubborn_service_is_killed_at_the_deadline() {
    let hall = TestDaemon::start(&service("utgard", "svc-stubborn", &["--ready", "pid"]));
    hall.pid_in("pid");
    hall.cli(["stop", "utgard", "--timeout", "200ms"])
        .expect_code(0);
    let stopped = hall.status("utgard");
    assert_eq!(stopped["state"], "stopped", "{stopped}");
    assert_eq!(stopped["cause"], "user", "{stopped}");
    assert_eq!(stopped["signal"], 9, "{stopped}");
}

#[test]
fn kill_ends_a_stubborn_service_at_once_and_nothing_brings_it_back() {
    let hall = TestDaemon::start(
        &(service("utgard", "svc-stubborn", &["--ready", "pid"]) + "shutdown_timeout = \"1h\"\n"),
    );
    hall.pid_in("pid");
    hall.cli(["kill", "utgard"]).expect_code(0);
    let killed = hall.status("utgard");
    assert_eq!(killed["state"], "stopped", "{killed}");
    assert_eq!(killed["cause"], "user", "{killed}");
    assert_eq!(killed["restart_count"], 0, "{killed}");
}

#[test]
fn restart_gives_a_new_process_and_starts_a_stopped_service() {
    let hall = TestDaemon::start(&service("thor", "svc-obedient", &[]));
    let before = hall.wait_for_state("thor", "running");
    hall.cli(["restart", "thor"]).expect_code(0);
    let after = hall.status("thor");
    assert_eq!(after["state"], "running", "{after}");
    assert_ne!(after["process_id"], before["process_id"]);
    assert_eq!(
        after["restart_count"], 0,
        "only automatic ones count: {after}"
    );

    hall.cli(["stop", "thor"]).expect_code(0);
    hall.cli(["restart", "thor"]).expect_code(0);
    assert_eq!(hall.status("thor")["state"], "running");
}

#[test]
fn a_dependency_starts_first_and_is_not_taken_away() {
    let freki = by_hand("freki", "svc-obedient", &[]);
    let thor = by_hand("thor", "svc-obedient", &[]) + "depends_on = [\"freki\"]\n";
    let hall = TestDaemon::start(&(thor + &freki));
    hall.cli(["start", "thor"]).expect_code(0);
    assert_eq!(hall.status("freki")["state"], "running");

    let refused = hall.cli(["stop", "freki"]).expect_code(6);
    assert!(refused.stderr.contains("thor"), "{refused:#?}");
    assert_eq!(hall.status("freki")["state"], "running");

    hall.cli(["stop", "freki", "--force"]).expect_code(0);
    assert_eq!(hall.status("freki")["state"], "stopped");
    assert_eq!(hall.status("thor")["state"], "stopped");
}

#[test]
fn start_returns_when_the_service_says_that_it_is_ready() {
    let thor = by_hand("thor", "svc-obedient", &[]) + "ready = \"log:^ready$\"\n";
    let hall = TestDaemon::start(&thor);
    hall.cli(["start", "thor"]).expect_code(0);
    let started = hall.status("thor");
    assert_eq!(started["state"], "running", "{started}");
    assert_eq!(started["ready"], true, "{started}");
}

#[test]
fn start_returns_when_the_service_has_notified_its_supervisor() {
    let thor = by_hand("thor", "svc-obedient", &["--notify"]) + "ready = \"notify\"\n";
    let hall = TestDaemon::start(&thor);
    hall.cli(["start", "thor"]).expect_code(0);
    assert_eq!(hall.status("thor")["ready"], true);
}

#[test]
fn a_service_that_is_never_ready_is_ended_at_its_startup_timeout() {
    let thor = by_hand("thor", "svc-obedient", &[])
        + "ready = \"log:^never$\"\nstartup_timeout = \"300ms\"\nrestart = { policy = \"never\" }\n";
    let hall = TestDaemon::start(&thor);
    hall.cli(["start", "thor"]).expect_code(1);
    let failed = hall.status("thor");
    assert_eq!(failed["cause"], "startup_timeout", "{failed}");
    assert!(hall.processes().is_empty(), "{:?}", hall.processes());
}

#[test]
fn what_a_service_has_left_behind_ends_with_it() {
    let hall = TestDaemon::start(&service(
        "angrboda",
        "svc-forking",
        &["--ready", "pid", "--grandchild", "grandchild.pid"],
    ));
    hall.pid_in("pid");
    let grandchild = hall.pid_in("grandchild.pid");
    assert!(
        hall.processes()
            .iter()
            .any(|process| process.pid == grandchild)
    );

    hall.cli(["stop", "angrboda", "--timeout", "200ms"])
        .expect_code(0);
    assert!(hall.processes().is_empty(), "{:?}", hall.processes());
}

#[test]
fn what_a_dead_leader_has_left_behind_ends_before_the_next_run() {
    let angrboda = service(
        "angrboda",
        "svc-forking",
        &["--ready", "pid", "--grandchild", "grandchild.pid"],
    );
    let hall = TestDaemon::start(&(angrboda + "restart = { backoff = \"10ms\" }\n"));
    let leader = hall.pid_in("pid");
    let grandchild = hall.pid_in("grandchild.pid");
    // The next run's grandchild has to appear anew.
    std::fs::remove_file(hall.path("grandchild.pid")).unwrap();

    hall.cli(["signal", "angrboda", "SIGKILL"]).expect_code(0);
    let next = wait_until("the next run", || {
        Some(hall.pid_in("pid")).filter(|pid| *pid != leader)
    });
    assert!(
        hall.processes()
            .iter()
            .all(|process| process.pid != grandchild)
    );
    let running = hall.wait_for_state("angrboda", "running");
    assert_eq!(running["process_id"], next, "{running}");
}

#[test]
fn arguments_and_environment_of_one_start_go_over_the_hall_file() {
    let hall = TestDaemon::start(&by_hand("thor", "svc-obedient", &["--ready", "one"]));
    hall.cli([
        "start",
        "thor",
        "--env",
        "HAMMER=mjolnir",
        "--",
        "--ready",
        "other",
    ])
    .expect_code(0);
    let pid = hall.pid_in("other");
    let environment = std::fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    assert!(
        environment
            .split('\0')
            .any(|variable| variable == "HAMMER=mjolnir"),
        "{environment}"
    );
    assert!(!hall.path("one").exists());
}

#[test]
fn programs_are_read_ahead_on_request() {
    let hall = TestDaemon::start(&by_hand("thor", "svc-obedient", &[]));
    hall.cli(["load"]).expect_code(0);
    hall.cli(["load", "thor"]).expect_code(0);
    let unknown = hall.cli(["load", "loki"]);
    assert_ne!(unknown.code, Some(0), "{unknown:?}");
    assert!(unknown.stderr.contains("loki"), "{unknown:?}");
    assert_eq!(hall.status("thor")["state"], "stopped");
}
