//! The command line: what it prints, and its exit codes.

use gladsheim_tests::{TestDaemon, service, wait_until};
use serde_json::Value;

#[test]
fn without_a_daemon_the_exit_code_is_three() {
    let hall = TestDaemon::prepare(&service("thor", "svc-obedient", &[]));
    for command in [
        &["status"][..],
        &["start", "thor"],
        &["shutdown"],
        &["events"],
    ] {
        let alone = hall.cli(command.iter().copied()).expect_code(3);
        assert_eq!(alone.stdout, "", "{alone:#?}");
    }
}

#[test]
fn usage_errors_and_hall_file_errors_are_two() {
    let hall = TestDaemon::prepare("[services.thor]\npth = \"/bin/true\"");
    hall.cli(["dance"]).expect_code(2);
    let wrong = hall.cli(["check"]).expect_code(2);
    assert!(wrong.stderr.contains("gladsheim.toml:5:1:"), "{wrong:#?}");
    assert!(
        wrong.stderr.contains("path"),
        "the nearest key is named: {wrong:#?}"
    );
    hall.cli(["daemon"]).expect_code(2);
    assert!(!hall.path("state").exists(), "nothing was touched");
}

#[test]
fn status_lists_all_services_in_the_order_of_the_file() {
    let file = ["thor", "baldur", "freki"]
        .map(|name| service(name, "svc-obedient", &[]) + "autostart = false\n");
    let hall = TestDaemon::start(&file.concat());
    let list = hall
        .cli(["--format", "json", "status"])
        .expect_code(0)
        .json();
    let names: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["service_name"].clone())
        .collect();
    assert_eq!(names, ["thor", "baldur", "freki"]);
    for key in [
        "state",
        "process_id",
        "start_time_unix",
        "health",
        "memory_bytes",
        "cpu_percent",
        "restart_count",
        "cause",
        "error_message",
    ] {
        assert!(list[0].get(key).is_some(), "{key} is missing: {list}");
    }

    let text = hall.cli(["status"]).expect_code(0);
    assert!(
        text.stdout.contains("baldur") && !text.stdout.contains('\x1b'),
        "{text:#?}"
    );
    hall.cli(["status", "hel"]).expect_code(4);
}

#[test]
fn the_hall_is_ready_once_all_that_start_by_themselves_have_answered() {
    let broken = "[services.loki]\npath = \"/nowhere/loki\"\n";
    let hall = TestDaemon::start(&(service("thor", "svc-obedient", &[]) + broken));
    let events = wait_until("the hall to be ready", || {
        let events = hall.cli(["events", "--format", "json"]).expect_code(0);
        let events = events.json_lines();
        let ready = |event: &Value| event["kind"] == "hall.ready";
        events.iter().any(ready).then_some(events)
    });
    let place = |kind: &str| events.iter().position(|event| event["kind"] == kind);
    let ready = place("hall.ready");
    assert!(
        place("service.ready").is_some() && place("service.ready") < ready,
        "{events:#?}"
    );
    assert!(
        place("service.failed").is_some() && place("service.failed") < ready,
        "{events:#?}"
    );
}

#[test]
fn events_are_numbered_and_dated() {
    let hall = TestDaemon::start(&service("thor", "svc-obedient", &[]));
    hall.wait_for_state("thor", "running");
    hall.cli(["stop", "thor"]).expect_code(0);

    let events = hall
        .cli(["events", "--format", "json"])
        .expect_code(0)
        .json_lines();
    for pair in events.windows(2) {
        assert!(
            pair[0]["seq"].as_u64() < pair[1]["seq"].as_u64(),
            "{pair:#?}"
        );
    }
    let at = events[0]["at"].as_str().unwrap();
    assert!(
        at.len() == "2026-01-01T00:00:00.000Z".len() && at.ends_with('Z'),
        "{at}"
    );
    let kinds: Vec<_> = events
        .iter()
        .filter(|event| event["service_name"] == "thor")
        .map(|event| event["kind"].clone())
        .collect();
    for kind in [
        "service.starting",
        "service.started",
        "service.stopping",
        "service.exited",
        "service.stopped",
    ] {
        assert!(kinds.contains(&kind.into()), "{kind} is missing: {kinds:?}");
    }

    let last = events.last().unwrap()["seq"].to_string();
    let newer = hall
        .cli(["events", "--format", "json", "--since", &last])
        .expect_code(0);
    assert_eq!(newer.stdout, "");
}

#[test]
fn logs_show_both_outputs_of_a_service() {
    let hall = TestDaemon::start(&service(
        "bragi",
        "svc-chatty",
        &["--lines", "4", "--ready", "pid"],
    ));
    hall.pid_in("pid");
    let lines = gladsheim_tests::wait_until("all lines", || {
        let lines = hall
            .cli(["logs", "bragi", "--format", "json"])
            .expect_code(0)
            .json_lines();
        (lines.len() == 5).then_some(lines)
    });
    let of = |stream: &str| -> Vec<_> {
        lines
            .iter()
            .filter(|line| line["stream"] == stream)
            .map(|line| line["line"].clone())
            .collect()
    };
    assert_eq!(of("stdout"), ["line 1", "line 3", "ready"]);
    assert_eq!(of("stderr"), ["line 2", "line 4"]);

    let last = hall.cli(["logs", "bragi", "-n", "2"]).expect_code(0);
    assert_eq!(last.stdout.lines().count(), 2, "{last:#?}");
    hall.cli(["logs", "hel"]).expect_code(4);
}

#[test]
fn wait_returns_the_exit_code_of_the_service() {
    let loki =
        service("loki", "svc-crashing", &["--code", "17"]) + "restart = { policy = \"never\" }\n";
    let thor = service("thor", "svc-obedient", &[]);
    let hall = TestDaemon::start(&(loki + &thor));
    let waited = hall
        .cli(["wait", "loki", "--for", "exited"])
        .expect_code(17);
    assert_eq!(waited.stdout.trim(), "17", "{waited:#?}");

    hall.cli(["wait", "thor", "--for", "running"])
        .expect_code(0);
    hall.cli(["wait", "thor", "--for", "stopped", "--timeout", "100ms"])
        .expect_code(5);
    hall.cli(["wait", "hel", "--for", "running"]).expect_code(4);
}

#[test]
fn wait_returns_128_and_the_signal_where_one_ended_the_service() {
    let loki = service("loki", "svc-crashing", &["--signal", "SIGKILL"])
        + "restart = { policy = \"never\" }\n";
    let hall = TestDaemon::start(&loki);
    hall.cli(["wait", "loki", "--for", "exited"])
        .expect_code(128 + 9);
}

#[test]
fn several_names_are_all_tried_and_the_first_failure_counts() {
    let file =
        ["thor", "freki"].map(|name| service(name, "svc-obedient", &[]) + "autostart = false\n");
    let hall = TestDaemon::start(&file.concat());
    hall.cli(["start", "hel", "thor", "freki"]).expect_code(4);
    assert_eq!(hall.status("freki")["state"], "running");
    hall.cli(["stop", "--all"]).expect_code(0);
    assert_eq!(hall.status("thor")["state"], "stopped");
}
