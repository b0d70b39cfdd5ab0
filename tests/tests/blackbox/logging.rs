//! The daemon's own log: its forms, how much it tells, and what it never tells.

use std::{fs, os::unix::fs::MetadataExt as _};

use gladsheim_tests::{TestDaemon, service, wait_until};
use serde_json::Value;

/// Starts the daemon of a hall with these variables in its environment.
#[track_caller]
fn start_with(hall: &mut TestDaemon, variables: &[(&str, &str)]) {
    let mut command = hall.daemon_command();
    command.envs(variables.iter().copied());
    hall.spawn_by(|| command.spawn().unwrap());
}

#[track_caller]
fn wait_for_log(hall: &TestDaemon, text: &str) {
    wait_until(text, || hall.log().contains(text).then_some(()));
}

#[test]
fn lines_are_for_people_unless_somebody_says_otherwise() {
    let hall = TestDaemon::start("");
    wait_for_log(&hall, "the hall is open");
    let log = hall.log();
    assert!(log.contains(" INFO the hall is open"), "{log}");
    assert!(!log.contains('\x1b') && !log.contains("<6>"), "{log}");
}

#[test]
fn lines_are_json_by_choice() {
    let mut hall = TestDaemon::prepare(&service("thor", "svc-obedient", &[]));
    start_with(&mut hall, &[("GLADSHEIM_LOG_FORMAT", "json")]);
    wait_for_log(&hall, "service.ready");
    let lines: Vec<Value> = hall
        .log()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let ready = lines
        .iter()
        .find(|line| {
            line["message"]
                .as_str()
                .unwrap()
                .starts_with("service.ready")
        })
        .unwrap();
    assert_eq!(ready["service"], "thor", "{ready}");
    assert_eq!(ready["level"], "INFO", "{ready}");
    assert!(ready["timestamp"].is_string(), "{ready}");
}

#[test]
fn lines_for_the_journal_have_priorities_and_no_times() {
    let mut hall = TestDaemon::prepare(
        &(service("weak", "svc-crashing", &[]) + "restart = { policy = \"never\" }\n"),
    );
    let mut command = hall.daemon_command();
    let log = fs::metadata(hall.path("daemon.log")).unwrap();
    command.env("JOURNAL_STREAM", format!("{}:{}", log.dev(), log.ino()));
    hall.spawn_by(|| command.spawn().unwrap());
    wait_for_log(&hall, "service.crashed");
    let log = hall.log();
    assert!(log.starts_with("<6>"), "{log}");
    let crashed = log.lines().find(|line| line.contains("service.crashed"));
    assert!(crashed.unwrap().starts_with("<4>service.crashed"), "{log}");
    assert!(log.lines().all(|line| line.starts_with('<')), "{log}");
}

#[test]
fn a_variable_that_was_meant_for_another_process_changes_nothing() {
    let mut hall = TestDaemon::prepare("");
    start_with(&mut hall, &[("JOURNAL_STREAM", "1:1")]);
    wait_for_log(&hall, "the hall is open");
    assert!(!hall.log().contains("<6>"), "{}", hall.log());
}

#[test]
fn the_level_is_changed_while_the_daemon_runs() {
    let hall = TestDaemon::start("");
    assert_eq!(hall.cli(["log-level"]).expect_code(0).stdout, "info\n");
    hall.cli(["log-level", "off"]).expect_code(0);
    let before = hall.log();
    hall.cli(["reload"]).expect_code(0);
    hall.cli(["log-level", "info,gladsheim=debug"])
        .expect_code(0);
    let answer = hall.cli(["log-level", "--format", "json"]).expect_code(0);
    assert_eq!(answer.json()["level"], "info,gladsheim=debug");
    wait_for_log(&hall, "the log tells info,gladsheim=debug now");
    // The reload was told to nobody: the line after the silence comes right after the one before it.
    let log = hall.log();
    let since = log.strip_prefix(&before).unwrap();
    assert!(!since.contains("hall.reloaded"), "{log}");
}

#[test]
fn a_level_that_is_none_is_refused_with_the_way_out() {
    let hall = TestDaemon::start("");
    let refused = hall.cli(["log-level", "loud"]).expect_code(2);
    assert!(refused.stderr.contains("info,roskva=debug"), "{refused:#?}");
    let mut command = hall.command();
    command.arg("daemon").env("GLADSHEIM_LOG", "loud");
    let refused = command.output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("GLADSHEIM_LOG=loud"), "{said}");
}

#[test]
fn no_level_tells_secrets() {
    let mut hall = TestDaemon::prepare(
        &(service("thor", "svc-obedient", &["--name", "secret-argument"])
            + "env = { TOKEN = \"secret-variable\" }\nenv_file = \"env\"\n"),
    );
    fs::write(hall.path("env"), "PASSWORD=secret-file\n").unwrap();
    start_with(
        &mut hall,
        &[("GLADSHEIM_LOG", "trace,h2=trace,hyper=trace,tower=trace")],
    );
    wait_for_log(&hall, "service.ready");
    hall.cli(["stop", "thor"]).expect_code(0);
    let start = [
        "start",
        "thor",
        "--env",
        "TOKEN=secret-override",
        "--",
        "secret-word",
    ];
    hall.cli(start).expect_code(0);
    hall.cli(["restart", "thor"]).expect_code(0);
    hall.cli(["reload"]).expect_code(0);
    wait_for_log(&hall, "hall.reloaded");
    let log = hall.log();
    assert!(
        log.contains("DEBUG") && log.contains("TRACE"),
        "it told everything"
    );
    let leaks: Vec<_> = log.lines().filter(|line| line.contains("secret")).collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
}
