//! Commands that cannot be carried out: exit code, one line with the way out, and with JSON a document.

use gladsheim_tests::{TestDaemon, service};

use super::{error_of, leaves_nothing, neighbour, says};

/// A command fails with this exit code, reason and words, in plain text and in JSON alike.
#[track_caller]
fn fails(hall: &TestDaemon, command: &[&str], code: i32, reason: &str, words: &[&str]) {
    let plain = hall.cli(command.iter().copied()).expect_code(code);
    assert_eq!(plain.stdout, "", "{plain:#?}");
    says(&plain.stderr, words);
    let arguments = ["--format", "json"].iter().chain(command).copied();
    let json = hall.cli(arguments).expect_code(code);
    let error = error_of(&json);
    assert_eq!(error["reason"], reason, "{command:?}: {error}");
    assert!(error["message"].is_string(), "{command:?}: {error}");
    assert!(error.get("service_name").is_some(), "{command:?}: {error}");
}

#[test]
fn every_command_knows_an_unknown_service() {
    let hall = TestDaemon::start(&neighbour());
    for command in [
        &["start", "hel"][..],
        &["stop", "hel"],
        &["restart", "hel"],
        &["kill", "hel"],
        &["signal", "hel", "SIGHUP"],
        &["reset", "hel"],
        &["maintenance", "hel", "on"],
        &["status", "hel"],
        &["logs", "hel"],
        &["health", "hel"],
        &["check-health", "hel"],
        &["usage", "hel"],
        &["limits", "hel"],
        &["limits", "hel", "--memory", "1MiB"],
        &["endpoints", "hel"],
        &["wait", "hel", "--for", "running"],
    ] {
        fails(
            &hall,
            command,
            4,
            "not_found",
            &["hel", "`gladsheim status`"],
        );
        let error = error_of(&hall.cli(["--format", "json"].iter().chain(command).copied()));
        assert_eq!(error["service_name"], "hel", "{command:?}: {error}");
    }
    leaves_nothing(hall);
}

#[test]
fn a_name_that_no_service_can_have_is_just_unknown() {
    let hall = TestDaemon::start(&neighbour());
    let long = "x".repeat(300);
    for name in ["a/b", "../../etc/passwd", "..", "fre\u{1b}[2Jki", &long] {
        for command in ["start", "status", "logs", "limits"] {
            let refused = hall.cli([command, name]).expect_code(4);
            assert_eq!(refused.stderr.lines().count(), 1, "{refused:#?}");
            assert!(!refused.stderr.contains('\u{1b}'), "{refused:#?}");
        }
    }
    leaves_nothing(hall);
}

#[test]
fn each_failure_has_its_exit_code_and_its_document() {
    let thor = service("thor", "svc-obedient", &[]) + "depends_on = [\"freki\"]\n";
    let mut hall = TestDaemon::prepare(&(neighbour() + &thor));
    fails(
        &hall,
        &["status"],
        3,
        "no_daemon",
        &["no daemon at", "hall.sock", "`gladsheim up`"],
    );
    fails(&hall, &["start", "thor"], 3, "no_daemon", &["no daemon at"]);

    hall.spawn();
    hall.wait_for_state("thor", "running");
    for usage in [
        &["dance"][..],
        &["start"],
        // A variable of a script that is not set must not mean all of them.
        &["stop", ""],
        &["logs", ""],
        &["reset", ""],
        &["start", "thor", "--env", "no equals sign"],
        &["stop", "thor", "--timeout", "soon"],
        &["status", "--state", "happy"],
        &["wait", "thor", "--for", "ragnarok"],
        &["limits", "thor", "--memory", "much"],
    ] {
        fails(&hall, usage, 2, "usage", &["error: ", "--help"]);
    }
    fails(
        &hall,
        &["signal", "thor", "SIGNOTHING"],
        2,
        "invalid_argument",
        &["SIGNOTHING"],
    );
    fails(
        &hall,
        &["start", "thor"],
        1,
        "already_running",
        &["thor", "`gladsheim restart thor`"],
    );
    fails(
        &hall,
        &["stop", "freki"],
        6,
        "needed_by_others",
        &["freki", "thor", "--force"],
    );
    let wait = ["wait", "thor", "--for", "stopped", "--timeout", "10ms"];
    fails(
        &hall,
        &wait,
        5,
        "timeout",
        &["thor is not stopped after 10ms"],
    );

    hall.cli(["stop", "thor"]).expect_code(0);
    for command in ["stop", "kill"] {
        fails(
            &hall,
            &[command, "thor"],
            1,
            "not_running",
            &["thor", "`gladsheim start thor`"],
        );
    }
    leaves_nothing(hall);
}
