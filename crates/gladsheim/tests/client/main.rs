//! The command line against a daemon that is only played: spelling, answers, JSON and exit codes.
//!
//! The real binary runs, and the daemon of [`fake`] answers it over a real socket.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod fake;
mod up;

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::fake::FakeDaemon;

/// Runs `gladsheim --socket … ARGS` to its end.
fn gladsheim(daemon: &FakeDaemon, args: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gladsheim"));
    command.env_clear().arg("--socket").arg(daemon.socket());
    command
        .args(args.split_whitespace())
        .output()
        .expect("runs")
}

#[track_caller]
fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("is text")
}

#[track_caller]
fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("is text")
}

#[track_caller]
fn document(output: &Output) -> Value {
    let text = stdout(output);
    assert_eq!(
        text.lines().count(),
        1,
        "one document on one line: {text:?}"
    );
    serde_json::from_str(text).expect("is JSON")
}

#[test]
fn each_failure_has_the_exit_code_of_the_contract() {
    let daemon = FakeDaemon::start();
    for (args, code) in [
        ("status", 0),
        ("stop loki", 0),
        ("start broken", 1),
        ("start thor", 1),
        ("stop broken", 1),
        ("wait broken --for running", 1),
        ("signal thor NONSENSE", 2),
        ("status --nonsense", 2),
        ("start", 2),
        ("limits thor --memory plenty", 2),
        ("status nobody", 4),
        ("wait stuck --for ready --timeout 10ms", 5),
        ("stop freki", 6),
        ("start forbidden", 6),
    ] {
        let output = gladsheim(&daemon, args);
        assert_eq!(output.status.code(), Some(code), "{args}: {output:?}");
        assert_eq!(stderr(&output).is_empty(), code == 0, "{args}: {output:?}");
    }
}

#[test]
fn nobody_at_the_socket_is_exit_code_3_with_a_way_out() {
    let daemon = FakeDaemon::start();
    let socket = daemon.socket().with_file_name("nobody.sock");
    let mut command = Command::new(env!("CARGO_BIN_EXE_gladsheim"));
    let output = command
        .env("GLADSHEIM_SOCKET", &socket)
        .arg("status")
        .output()
        .expect("runs");
    assert_eq!(output.status.code(), Some(3));
    let message = stderr(&output);
    assert!(
        message.contains("nobody.sock") && message.contains("gladsheim up"),
        "{message}"
    );
    assert_eq!(message.lines().count(), 1);
}

#[test]
fn a_refusal_is_one_line_and_with_json_a_document() {
    let daemon = FakeDaemon::start();
    let output = gladsheim(&daemon, "stop freki --format json");
    let mut lines = stderr(&output).lines();
    assert_eq!(lines.next(), Some("gladsheim: freki is needed by thor"));
    let error: Value = serde_json::from_str(lines.next().expect("a document")).expect("is JSON");
    let expected = json!({"error": {
        "reason": "needed_by_others", "message": "freki is needed by thor", "service_name": "freki",
    }});
    assert_eq!((error, lines.next()), (expected, None));
    assert_eq!(document(&output), json!([]));
}

#[test]
fn all_named_services_are_tried_and_the_first_failure_counts() {
    let daemon = FakeDaemon::start();
    let output = gladsheim(&daemon, "start nobody thor stopped");
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(stdout(&output), "stopped: running (pid 7)\n");
    assert_eq!(stderr(&output).lines().count(), 2, "{output:?}");
}

#[test]
fn a_service_that_only_another_one_of_the_same_stop_needs_is_stopped_after_it() {
    let daemon = FakeDaemon::start();
    let output = gladsheim(&daemon, "stop freki thor");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(stdout(&output), "thor: stopped\nfreki: stopped\n");
}

#[test]
fn stop_all_stops_what_runs_and_nothing_else() {
    let daemon = FakeDaemon::start();
    let output = gladsheim(&daemon, "stop --all --format json");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let stopped = document(&output);
    let names: Vec<_> = stopped.as_array().expect("is an array").iter().collect();
    assert_eq!(names.len(), 3, "{stopped}");
    assert!(
        names.iter().all(|status| status["state"] == "stopped"),
        "{stopped}"
    );
}

#[test]
fn start_hands_over_environment_folder_and_arguments() {
    let daemon = FakeDaemon::start();
    let args = "start stopped --env A=b=c --working-dir /srv -- --port 1 -v";
    assert_eq!(gladsheim(&daemon, args).status.code(), Some(0));
    let request = daemon.last_start().expect("was asked");
    assert_eq!(request.env_vars.get("A").map(String::as_str), Some("b=c"));
    assert_eq!(request.working_dir.as_deref(), Some("/srv"));
    assert_eq!(request.args, ["--port", "1", "-v"]);
    assert!(request.replace_args);
}

#[test]
fn status_is_an_array_in_the_order_of_the_hall_also_for_one() {
    let daemon = FakeDaemon::start();
    let all = document(&gladsheim(&daemon, "status --format json"));
    assert_eq!(all[0]["service_name"], "freki");
    assert_eq!(all[0]["memory_bytes"], 1024);
    assert_eq!(all[3]["memory_bytes"], Value::Null);
    let one = document(&gladsheim(&daemon, "--format=json status thor"));
    assert_eq!(one.as_array().map(Vec::len), Some(1));
    let none = document(&gladsheim(
        &daemon,
        "status thor --state failed --format json",
    ));
    assert_eq!(none, json!([]));
    let web = document(&gladsheim(&daemon, "status --where role=web --format json"));
    assert_eq!(
        (
            web[0]["service_name"].as_str(),
            web.as_array().map(Vec::len)
        ),
        (Some("thor"), Some(1))
    );
    let table = gladsheim(&daemon, "status");
    assert!(stdout(&table).starts_with("SERVICE"), "{table:?}");
    assert!(
        !stdout(&table).contains('\x1b'),
        "no colours on a pipe: {table:?}"
    );
}

#[test]
fn wait_exited_prints_and_returns_the_code_of_the_service() {
    let daemon = FakeDaemon::start();
    let output = gladsheim(&daemon, "wait loki --for exited");
    assert_eq!((output.status.code(), stdout(&output)), (Some(7), "7\n"));
    let output = gladsheim(&daemon, "wait killed --for exited --format json");
    assert_eq!(output.status.code(), Some(137));
    let expected = json!({"service_name": "killed", "exit_code": null, "signal": 9});
    assert_eq!(document(&output), expected);
    let output = gladsheim(&daemon, "wait thor --for exited");
    assert_eq!((output.status.code(), stdout(&output)), (Some(1), ""));
    assert!(stderr(&output).contains("unknown"), "{output:?}");
}

#[test]
fn lines_of_one_service_carry_no_prefix_and_those_of_several_do() {
    let daemon = FakeDaemon::start();
    assert_eq!(stdout(&gladsheim(&daemon, "logs thor")), "hail from thor\n");
    let both = gladsheim(&daemon, "logs thor freki");
    assert_eq!(
        stdout(&both),
        "freki | hail from freki\nthor | hail from thor\n"
    );
    let expected = json!({
        "service_name": "thor", "at": "1970-01-01T00:00:00.002Z", "stream": "stdout",
        "line": "hail from thor",
    });
    assert_eq!(
        document(&gladsheim(&daemon, "logs thor --format json")),
        expected
    );
    assert_eq!(gladsheim(&daemon, "logs nobody").status.code(), Some(4));
}

#[test]
fn events_are_an_object_a_line() {
    let daemon = FakeDaemon::start();
    let output = gladsheim(&daemon, "events --since 1 --format json");
    let events: Vec<Value> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).expect("is JSON"))
        .collect();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["seq"], 2);
    assert_eq!(events[0]["kind"], "service.crashed");
    assert_eq!(events[1]["service_name"], Value::Null);
}

#[test]
fn a_reader_that_has_had_enough_is_no_failure() {
    let daemon = FakeDaemon::start();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gladsheim"));
    command
        .arg("--socket")
        .arg(daemon.socket())
        .args(["logs", "chatty"]);
    command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut child = command.spawn().expect("starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ends");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(stderr(&output), "");
}

#[test]
fn check_health_fails_unless_it_is_healthy_and_health_does_not() {
    let daemon = FakeDaemon::start();
    assert_eq!(
        gladsheim(&daemon, "check-health thor").status.code(),
        Some(0)
    );
    assert_eq!(
        gladsheim(&daemon, "check-health loki").status.code(),
        Some(1)
    );
    let output = gladsheim(&daemon, "health loki --format json");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(document(&output)["status"], "unhealthy");
}

#[test]
fn the_daemon_of_another_hall_is_refused() {
    let daemon = FakeDaemon::start();
    let hall = daemon.socket().with_file_name("gladsheim.toml");
    std::fs::write(&hall, "socket = \"daemon.sock\"\nstate_dir = \"state\"\n").expect("is written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_gladsheim"));
    command.env_clear().arg("--hall").arg(&hall).arg("status");
    let output = command.output().expect("runs");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(
        stderr(&output).contains("/another/gladsheim.toml"),
        "{output:?}"
    );
}

#[test]
fn no_hall_file_and_no_socket_is_a_usage_error_with_a_way_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_gladsheim"));
    command
        .env_clear()
        .env("HOME", folder.path())
        .current_dir(folder.path())
        .arg("status");
    let output = command.output().expect("runs");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(stderr(&output).contains("--hall"), "{output:?}");
}

#[test]
fn check_names_the_place_of_an_error_and_says_ok_otherwise() {
    let folder = tempfile::tempdir().expect("a folder");
    let hall = folder.path().join("gladsheim.toml");
    let check = |text: &str| {
        std::fs::write(&hall, text).expect("is written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_gladsheim"));
        command
            .arg("check")
            .arg("--hall")
            .arg(&hall)
            .output()
            .expect("runs")
    };
    let good = check("[services.thor]\npath = \"/bin/true\"\n");
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    assert!(stdout(&good).contains("ok, 1 service"), "{good:?}");
    let bad = check("[services.thor]\npth = \"/bin/true\"\n");
    assert_eq!(bad.status.code(), Some(2), "{bad:?}");
    assert!(stderr(&bad).contains("gladsheim.toml:2:1: "), "{bad:?}");
}

#[test]
fn shutdown_asks_and_returns() {
    let daemon = FakeDaemon::start();
    assert_eq!(gladsheim(&daemon, "shutdown").status.code(), Some(0));
    assert!(daemon.was_shut_down());
}
