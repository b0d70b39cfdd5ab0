//! Memory limits: what is measured, and what follows when too much is used.

use gladsheim_tests::{TestDaemon, service};

const MIB: u64 = 1 << 20;

fn hungry(action: &str) -> String {
    service(
        "fenrir",
        "svc-hungry",
        &["--mib", "96", "--on-user1", "--ready", "pid"],
    ) + &format!(
        "restart = {{ backoff = \"10ms\" }}\nlimits = {{ memory = \"48MiB\", action = \"{action}\" }}\n"
    )
}

/// A daemon that looks often; its service has a small memory yet.
fn start(action: &str) -> TestDaemon {
    let hall = TestDaemon::start(&format!(
        "resources = {{ monitoring_interval = \"50ms\" }}\n{}",
        hungry(action)
    ));
    hall.pid_in("pid");
    hall
}

#[test]
fn memory_of_a_known_size_is_measured() {
    let hall = TestDaemon::start(
        &(String::from("resources = { monitoring_interval = \"50ms\" }\n")
            + &service("fenrir", "svc-hungry", &["--mib", "64", "--ready", "pid"])),
    );
    hall.pid_in("pid");
    let fed = hall.wait_for_status("fenrir", "fed", |status| {
        status["memory_bytes"].as_u64() >= Some(64 * MIB)
    });
    assert!(fed["memory_bytes"].as_u64() < Some(80 * MIB), "{fed}");
    let table = hall.cli(["usage", "fenrir"]).expect_code(0).stdout;
    assert!(table.contains("THREADS"), "{table}");
    let usage = hall
        .cli(["usage", "fenrir", "--format", "json"])
        .expect_code(0)
        .json();
    let usage = &usage["services"][0];
    assert_eq!(usage["processes"], 1, "{usage}");
    assert!(usage["threads"].as_u64() >= Some(1), "{usage}");
    assert!(usage["open_files"].as_u64() >= Some(3), "{usage}");
    assert!(
        usage["peak_memory_bytes"].as_u64() >= Some(64 * MIB),
        "{usage}"
    );
}

#[test]
fn a_service_beyond_its_limit_is_restarted() {
    let hall = start("restart");
    hall.cli(["signal", "fenrir", "SIGUSR1"]).expect_code(0);
    let back = hall.wait_for_status("fenrir", "back", |status| {
        status["state"] == "running" && status["restart_count"] == 1
    });
    // Where the kernel enforces the limit, its out-of-memory killer is quicker than we are.
    assert!(back["cause"] == "limit" || back["cause"] == "oom", "{back}");
}

#[test]
fn a_service_beyond_its_limit_is_stopped_where_that_is_asked_for() {
    let hall = start("stop");
    if hall.status("fenrir")["limits_enforced_by"] == "kernel" {
        gladsheim_tests::skip(
            "the kernel enforces memory limits here: its out-of-memory killer comes first",
        );
        return;
    }
    hall.cli(["signal", "fenrir", "SIGUSR1"]).expect_code(0);
    let stopped = hall.wait_for_state("fenrir", "stopped");
    assert_eq!(stopped["cause"], "limit", "{stopped}");
    assert!(hall.processes().is_empty(), "{:?}", hall.processes());
}

#[test]
fn a_warning_leaves_the_service_alone() {
    let hall = start("warn");
    if hall.status("fenrir")["limits_enforced_by"] == "kernel" {
        gladsheim_tests::skip(
            "the kernel enforces memory limits here: its out-of-memory killer comes first",
        );
        return;
    }
    let before = hall.status("fenrir");
    hall.cli(["signal", "fenrir", "SIGUSR1"]).expect_code(0);
    let event = gladsheim_tests::wait_until("the event", || {
        let events = hall
            .cli(["events", "--format", "json"])
            .expect_code(0)
            .json_lines();
        events
            .into_iter()
            .find(|event| event["kind"] == "limit.exceeded")
    });
    assert_eq!(event["service_name"], "fenrir", "{event}");
    assert_eq!(hall.status("fenrir")["process_id"], before["process_id"]);
}

#[test]
fn what_measures_can_be_chosen_and_shows_in_the_status() {
    for backend in ["procfs", "sysinfo", "auto"] {
        let hall = TestDaemon::start(&format!(
            "resources = {{ monitoring_interval = \"50ms\", backend = \"{backend}\" }}\n{}",
            service("fenrir", "svc-hungry", &["--mib", "64", "--ready", "pid"])
        ));
        hall.pid_in("pid");
        let status = hall.wait_for_status("fenrir", "measured", |status| {
            status["memory_bytes"].as_u64() >= Some(64 * MIB)
        });
        let measured_by = status["measured_by"].as_str().unwrap();
        match backend {
            "auto" => assert!(["cgroup", "procfs"].contains(&measured_by), "{status}"),
            chosen => assert_eq!(measured_by, chosen, "{status}"),
        }
        hall.cli(["stop", "fenrir"]).expect_code(0);
        assert_eq!(hall.status("fenrir")["measured_by"], "none");
    }
}
