//! The daemon ends: by a command, by signals, in a hurry; and leaves nothing behind.

use std::{io::Write as _, os::unix::net::UnixStream};

use gladsheim_tests::{TestDaemon, service, wait_until};
use nix::sys::signal::Signal;

/// Two services, the second of which needs the first, that write down when they end.
fn pair() -> String {
    let freki = service(
        "freki",
        "svc-obedient",
        &["--ends", "ends", "--name", "freki"],
    );
    let thor = service(
        "thor",
        "svc-obedient",
        &["--ends", "ends", "--name", "thor", "--ready", "pid"],
    );
    freki + &thor + "depends_on = [\"freki\"]\n"
}

#[track_caller]
fn assert_nothing_is_left(hall: &TestDaemon) {
    assert!(hall.processes().is_empty(), "{:?}", hall.processes());
    assert!(!hall.socket().exists());
}

#[test]
fn shutdown_stops_dependents_first_and_then_the_daemon() {
    let mut hall = TestDaemon::start(&pair());
    hall.pid_in("pid");
    hall.cli(["shutdown"]).expect_code(0);
    assert!(hall.wait().success());
    assert_eq!(
        std::fs::read_to_string(hall.path("ends")).unwrap(),
        "thor\nfreki\n"
    );
    assert_nothing_is_left(&hall);
}

#[test]
fn sigterm_and_sigint_shut_down_gracefully() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut hall = TestDaemon::start(&pair());
        hall.pid_in("pid");
        hall.signal(signal);
        assert!(hall.wait().success(), "{signal}");
        assert_eq!(
            std::fs::read_to_string(hall.path("ends")).unwrap(),
            "thor\nfreki\n"
        );
        assert_nothing_is_left(&hall);
    }
}

#[test]
fn a_second_signal_kills_what_is_left() {
    let stubborn =
        service("utgard", "svc-stubborn", &["--ready", "pid"]) + "shutdown_timeout = \"1h\"\n";
    let mut hall = TestDaemon::start(&stubborn);
    hall.pid_in("pid");
    hall.signal(Signal::SIGTERM);
    hall.wait_for_state("utgard", "stopping");
    hall.signal(Signal::SIGTERM);
    assert!(hall.wait().success());
    assert_nothing_is_left(&hall);
}

#[test]
fn the_deadline_of_the_shutdown_kills_what_is_left_and_names_who_delayed_it() {
    let stubborn =
        service("utgard", "svc-stubborn", &["--ready", "pid"]) + "shutdown_timeout = \"1h\"\n";
    let waiting = service("freki", "svc-obedient", &[]);
    let file = stubborn + "depends_on = [\"freki\"]\n" + &waiting;
    let mut hall = TestDaemon::prepare(&file);
    // A key of the hall must stand before its services.
    let text = std::fs::read_to_string(hall.hall_file()).unwrap();
    std::fs::write(
        hall.hall_file(),
        format!("shutdown_deadline = \"300ms\"\n{text}"),
    )
    .unwrap();
    hall.spawn();
    hall.pid_in("pid");
    let report = hall.cli(["--format", "json", "shutdown"]).expect_code(0);
    assert!(hall.wait().success());
    assert_nothing_is_left(&hall);
    let slow = &report.json()["slow_stops"];
    let utgard = slow
        .as_array()
        .unwrap()
        .iter()
        .find(|stop| stop["service_name"] == "utgard");
    let utgard = utgard.unwrap_or_else(|| panic!("{slow}"));
    assert_eq!(utgard["killed"], true, "{slow}");
    assert!(utgard["took_ms"].as_u64().unwrap() >= 300, "{slow}");
}

#[test]
fn a_stop_says_who_had_to_be_killed() {
    let stubborn =
        service("utgard", "svc-stubborn", &["--ready", "pid"]) + "shutdown_timeout = \"100ms\"\n";
    let hall = TestDaemon::start(&stubborn);
    hall.pid_in("pid");
    let stopped = hall.cli(["stop", "--all"]).expect_code(0);
    assert!(
        stopped.stdout.contains("utgard was killed after"),
        "{stopped:#?}"
    );
}

#[test]
fn a_back_off_does_not_hold_up_the_shutdown() {
    let loki = service("loki", "svc-crashing", &[])
        + "restart = { backoff = \"1h\", backoff_max = \"1h\" }\n";
    let mut hall = TestDaemon::start(&loki);
    hall.wait_for_state("loki", "restarting");
    hall.cli(["shutdown"]).expect_code(0);
    assert!(hall.wait().success());
    assert_nothing_is_left(&hall);
}

#[test]
fn a_slow_start_does_not_hold_up_the_shutdown() {
    let slow = service("thor", "svc-obedient", &["--ready", "pid"])
        + "ready = \"log:^never$\"\nstartup_timeout = \"1h\"\n";
    let mut hall = TestDaemon::start(&slow);
    hall.pid_in("pid");
    hall.signal(Signal::SIGTERM);
    assert!(hall.wait().success());
    assert_nothing_is_left(&hall);
}

#[test]
fn clients_that_say_nothing_do_not_hold_up_the_shutdown() {
    let mut hall = TestDaemon::start(&pair());
    let _silent = UnixStream::connect(hall.socket()).unwrap();
    let mut stalled = UnixStream::connect(hall.socket()).unwrap();
    // The beginning of HTTP/2, and then nothing.
    stalled
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .unwrap();
    hall.cli(["shutdown"]).expect_code(0);
    assert!(hall.wait().success());
    assert_nothing_is_left(&hall);
}

#[test]
fn sighup_ends_nothing() {
    let hall = TestDaemon::start(&pair());
    let before = hall.wait_for_state("thor", "running");
    hall.signal(Signal::SIGHUP);
    wait_until("a line about it", || {
        hall.log().contains("SIGHUP").then_some(())
    });
    assert_eq!(hall.status("thor")["process_id"], before["process_id"]);
}

#[test]
fn the_next_daemon_may_start_as_soon_as_the_command_has_returned() {
    let mut hall = TestDaemon::start(&pair());
    hall.cli(["shutdown"]).expect_code(0);
    assert!(hall.wait().success());
    hall.spawn();
    hall.wait_for_state("thor", "running");
}

#[test]
fn a_client_that_follows_events_sees_the_end() {
    let mut hall = TestDaemon::start(&pair());
    hall.pid_in("pid");
    let file = std::fs::File::create(hall.path("events.json")).unwrap();
    let mut follower = hall
        .command()
        .args(["events", "-f", "--format", "json"])
        .stdout(file)
        .spawn()
        .unwrap();
    let events = || std::fs::read_to_string(hall.path("events.json")).unwrap();
    wait_until("the follower to be there", || {
        events().contains("service.started").then_some(())
    });
    hall.cli(["shutdown"]).expect_code(0);
    let ended = wait_until("the follower's end", || follower.try_wait().unwrap());
    assert!(ended.success(), "{ended}");
    assert!(events().contains("hall.shutting_down"), "{}", events());
    assert!(events().contains("service.stopped"), "{}", events());
    assert!(hall.wait().success());
}
