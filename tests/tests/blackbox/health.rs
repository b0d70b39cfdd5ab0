//! Health checks over the wire, and what a failed one leads to.

use gladsheim_tests::{TestDaemon, free_port, service};

/// A web service whose health the file `control` decides.
fn web(arguments: &[&str]) -> (String, u16) {
    let port = free_port();
    let port_text = port.to_string();
    let arguments = [&["--port", &port_text, "--control", "control"], arguments].concat();
    let service = service("thor", "svc-http-health", &arguments)
        + "ready = \"health\"\nrestart = { backoff = \"10ms\" }\n"
        + &format!(
            "[services.thor.health]\nhttp = \"http://127.0.0.1:{port}/health\"\ninterval = \"50ms\"\ntimeout = \"2s\"\n"
        );
    (service, port)
}

fn control(hall: &TestDaemon, word: &str) {
    std::fs::write(hall.path("control"), word).unwrap();
}

#[test]
fn a_service_that_answers_is_healthy() {
    let hall = TestDaemon::start(&web(&[]).0);
    hall.cli(["wait", "thor", "--for", "healthy"])
        .expect_code(0);
    let healthy = hall.status("thor");
    assert_eq!(healthy["health"], "healthy", "{healthy}");
    assert_eq!(healthy["ready"], true, "{healthy}");
    hall.cli(["health", "thor"]).expect_code(0);
    hall.cli(["check-health", "thor"]).expect_code(0);
}

#[test]
fn a_service_that_answers_with_an_error_is_restarted() {
    let hall = TestDaemon::start(&web(&[]).0);
    let before = hall.wait_for_status("thor", "healthy", |status| status["health"] == "healthy");
    control(&hall, "fail");
    hall.wait_for_status("thor", "restarted", |status| status["cause"] == "probe");
    control(&hall, "ok");
    let after = hall.wait_for_status("thor", "healthy again", |status| {
        status["health"] == "healthy" && status["process_id"] != before["process_id"]
    });
    assert!(after["restart_count"].as_u64() >= Some(1), "{after}");

    let events = hall
        .cli(["events", "--format", "json"])
        .expect_code(0)
        .json_lines();
    assert!(
        events
            .iter()
            .any(|event| event["kind"] == "health.changed" && event["new_status"] == "unhealthy"),
        "{events:#?}"
    );
}

#[test]
fn a_service_without_a_check_is_healthy_while_it_lives() {
    let hall = TestDaemon::start(&service("thor", "svc-obedient", &[]));
    hall.wait_for_status("thor", "healthy", |status| status["health"] == "healthy");
    hall.cli(["stop", "thor"]).expect_code(0);
    assert_eq!(hall.status("thor")["health"], "unknown");
    hall.cli(["health", "thor"]).expect_code(0);
    hall.cli(["check-health", "thor"]).expect_code(1);
}

#[test]
fn a_dependent_starts_only_once_its_dependency_is_healthy() {
    let (thor, _) = web(&[]);
    let magni = service("magni", "svc-obedient", &[]) + "depends_on = { thor = \"healthy\" }\n";
    let hall = TestDaemon::prepare(&(magni + &thor));
    control(&hall, "fail");
    let mut hall = hall;
    hall.spawn();
    hall.wait_for_state("thor", "starting");
    assert_eq!(hall.status("magni")["process_id"], 0);
    control(&hall, "ok");
    hall.wait_for_state("magni", "running");
    assert_eq!(hall.status("thor")["health"], "healthy");
}
