//! gRPC in another language than ours: services that tell of themselves by `grpc.health.v1`, and a generic client.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use gladsheim_tests::{TestDaemon, free_port, run, service, skip};

/// A Python that has `grpcio` and `grpcio-health-checking`: the one that `.ci/run` makes below the target
/// folder, or the machine's own. Otherwise a note that the test was skipped.
fn python() -> Option<PathBuf> {
    let test = env::current_exe().unwrap();
    let ours = test
        .ancestors()
        .map(|folder| folder.join("python/bin/python"));
    let found = ours.chain([PathBuf::from("python3")]).find(|python| {
        let has = Command::new(python)
            .args([
                "-c",
                "import grpc_health.v1.health, grpc_reflection.v1alpha.reflection",
            ])
            .stderr(Stdio::null())
            .status();
        has.is_ok_and(|status| status.success())
    });
    if found.is_none() {
        skip("no Python with grpcio and grpcio-health-checking (.ci/run installs them)");
    }
    found
}

/// A hall with a server, whose health the file `control` decides. It is checked only from the time when it
/// answers: that is what the start-up check is for.
fn freki(python: &Path, options: &str, health: &str) -> TestDaemon {
    let port = free_port();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/helpers/svc_grpc_health.py");
    TestDaemon::start(&format!(
        r#"
        [services.freki]
        path = "{python}"
        args = ["{script}", "--port", "{port}", "--control", "control"{options}]
        ready = "health"
        startup_timeout = "60s"
        restart = {{ backoff = "10ms", max_attempts = 0 }}
        startup = {{ tcp = "127.0.0.1:{port}", interval = "50ms", failure_threshold = 10000 }}
        health = {{ grpc = "127.0.0.1:{port}", service = "freki.v1.Freki", failure_threshold = 1, {health} }}
        "#,
        python = python.display(),
    ))
}

#[track_caller]
fn stops_serving_and_is_restarted(hall: &TestDaemon) {
    let before = hall.wait_for_status("freki", "healthy", |status| status["health"] == "healthy");
    fs::write(hall.path("control"), "fail").unwrap();
    let ended = hall.wait_for_status("freki", "ended", |status| status["cause"] == "probe");
    let reason = ended["error_message"].as_str().unwrap_or_default();
    assert!(reason.contains("NOT_SERVING"), "{ended}");
    fs::write(hall.path("control"), "ok").unwrap();
    hall.wait_for_status("freki", "healthy again", |status| {
        status["health"] == "healthy" && status["process_id"] != before["process_id"]
    });
}

#[test]
fn a_watched_server_that_stops_serving_is_restarted_long_before_the_next_check() {
    let Some(python) = python() else { return };
    let hall = freki(&python, "", "interval = \"1h\", timeout = \"20s\"");
    stops_serving_and_is_restarted(&hall);
}

#[test]
fn a_server_without_watch_is_checked_and_restarted() {
    let Some(python) = python() else { return };
    let hall = freki(
        &python,
        ", \"--check-only\"",
        "interval = \"100ms\", timeout = \"20s\"",
    );
    stops_serving_and_is_restarted(&hall);
}

/// A server that hangs keeps its connections, and its stream says nothing.
#[test]
fn a_watched_server_that_hangs_is_found_out() {
    let Some(python) = python() else { return };
    let hall = freki(&python, "", "interval = \"200ms\", timeout = \"2s\"");
    let before = hall.wait_for_status("freki", "healthy", |status| status["health"] == "healthy");
    hall.cli(["signal", "freki", "SIGSTOP"]).expect_code(0);
    hall.wait_for_status("freki", "restarted", |status| {
        status["cause"] == "probe"
            && status["health"] == "healthy"
            && status["process_id"] != before["process_id"]
    });
}

/// It has no generated code of ours: what it calls it has learnt by reflection.
#[test]
fn a_generic_client_in_another_language_drives_a_service() {
    let Some(python) = python() else { return };
    let hall = TestDaemon::start(&(service("thor", "svc-obedient", &[]) + "autostart = false\n"));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/helpers/generic_client.py");
    let mut client = Command::new(python);
    run(client.arg(script).arg(hall.socket())).expect_code(0);
}
