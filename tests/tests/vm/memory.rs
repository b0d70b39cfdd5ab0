//! Memory limits that the kernel holds.

use gladsheim_tests::{TestDaemon, service, wait_until};

use crate::group::{Group, machine, wait_for_event};

const NEVER: &str = "restart = { policy = \"never\" }\n";

/// Takes 200 MiB once it is told to.
pub(crate) fn hungry(limits: &str) -> String {
    let arguments = ["--mib", "200", "--on-user1", "--ready", "pid"];
    service("fenrir", "svc-hungry", &arguments) + NEVER + &format!("limits = {{ {limits} }}\n")
}

#[test]
fn a_service_beyond_its_limit_ends_with_cause_oom() {
    if !machine() {
        return;
    }
    let hall = TestDaemon::start(&hungry("memory = \"20MiB\""));
    hall.pid_in("pid");
    let before = hall.status("fenrir");
    assert_eq!(before["limits_enforced_by"], "kernel", "{before}");
    assert_eq!(before["containment"], "cgroup", "{before}");
    assert_eq!(Group::of(&hall, "fenrir").read("memory.max"), "20971520");

    hall.cli(["signal", "fenrir", "SIGUSR1"]).expect_code(0);
    let ended = hall.wait_for_status("fenrir", "ended", |status| !status["cause"].is_null());
    assert_eq!(ended["cause"], "oom", "{ended}");
    assert_eq!(ended["signal"], 9, "{ended}");
    assert_eq!(ended["process_id"], 0, "{ended}");
}

#[test]
fn a_killed_child_takes_the_whole_service_along_unless_that_is_declined() {
    if !machine() {
        return;
    }
    // The leader is a shell that minds nothing; its child is what eats.
    let family = |oom: &str| {
        let eat = gladsheim_tests::bin("svc-hungry");
        let script = format!(
            "echo $$ > leader; read -r go < food; {} --mib 200; echo $? > child; while :; do sleep 1000; done",
            eat.display()
        );
        let mut hall = TestDaemon::prepare(&format!(
            "resources = {{ monitoring_interval = \"200ms\" }}\n\
             [services.fenrir]\npath = \"/bin/sh\"\nargs = [\"-c\", '''{script}''']\n{NEVER}\
             limits = {{ memory = \"20MiB\", oom = \"{oom}\" }}\n"
        ));
        let made = std::process::Command::new("mkfifo")
            .arg(hall.path("food"))
            .status();
        assert!(made.is_ok_and(|status| status.success()));
        hall.spawn();
        hall.pid_in("leader");
        hall
    };
    let feed = |hall: &TestDaemon| std::fs::write(hall.path("food"), "go\n").expect("is read");

    let hall = family("continue");
    let leader = hall.status("fenrir")["process_id"].clone();
    feed(&hall);
    assert_eq!(hall.pid_in("child"), 128 + 9);
    let group = Group::of(&hall, "fenrir");
    assert_eq!(group.count("memory.events", "oom_kill "), 1);
    let usage = hall
        .cli(["usage", "fenrir", "--format", "json"])
        .expect_code(0)
        .json();
    assert_eq!(usage["services"][0]["oom_kills"], 1, "{usage}");
    let status = hall.status("fenrir");
    assert_eq!(status["state"], "running", "{status}");
    assert_eq!(status["process_id"], leader, "{status}");
    let event = wait_for_event(&hall, "limit.oom_killed");
    assert_eq!(event["service_name"], "fenrir", "{event}");
    assert_eq!(event["oom_kills"], 1, "{event}");
    // What then ends the leader is its own cause.
    hall.cli(["stop", "fenrir"]).expect_code(0);
    assert_eq!(hall.status("fenrir")["cause"], "user");

    let hall = family("stop");
    feed(&hall);
    let ended = hall.wait_for_status("fenrir", "ended", |status| !status["cause"].is_null());
    assert_eq!(ended["cause"], "oom", "{ended}");
    assert!(hall.processes().is_empty(), "{:?}", hall.processes());
    // Nobody survived it, so the end is all that is told.
    let events = hall.cli(["events", "--format", "json"]).expect_code(0);
    let killed = |event: &serde_json::Value| event["kind"] == "limit.oom_killed";
    assert!(!events.json_lines().iter().any(killed));
}

#[test]
fn limits_of_a_running_service_change_at_once() {
    if !machine() {
        return;
    }
    let hall = TestDaemon::start(&hungry("memory = \"512MiB\", cpu_percent = 50.0"));
    let pid = hall.pid_in("pid");
    let group = Group::of(&hall, "fenrir");
    assert_eq!(group.read("memory.max"), (512u64 << 20).to_string());
    // 50 % of two CPUs.
    assert_eq!(group.read("cpu.max"), "100000 100000");

    hall.cli(["limits", "fenrir", "--cpu", "0", "--memory", "0"])
        .expect_code(0);
    assert_eq!(group.read("memory.max"), "max");
    assert_eq!(group.read("cpu.max"), "max 100000");
    hall.cli(["limits", "fenrir", "--memory", "20MiB", "--cpu", "20"])
        .expect_code(0);
    assert_eq!(group.read("memory.max"), "20971520");
    assert_eq!(group.read("cpu.max"), "40000 100000");

    assert_eq!(hall.status("fenrir")["process_id"], pid);
    hall.cli(["signal", "fenrir", "SIGUSR1"]).expect_code(0);
    let ended = hall.wait_for_status("fenrir", "ended", |status| !status["cause"].is_null());
    assert_eq!(ended["cause"], "oom", "{ended}");
}

#[test]
fn memory_is_throttled_only_where_that_is_asked_for() {
    if !machine() {
        return;
    }
    let hall = TestDaemon::start(&hungry("memory = \"512MiB\""));
    hall.pid_in("pid");
    assert_eq!(Group::of(&hall, "fenrir").read("memory.high"), "max");

    let hall = TestDaemon::start(&hungry(
        "memory = \"512MiB\", memory_high = \"16MiB\", pressure = { memory = 5 }",
    ));
    hall.pid_in("pid");
    let group = Group::of(&hall, "fenrir");
    assert_eq!(group.read("memory.high"), "16777216");
    hall.cli(["signal", "fenrir", "SIGUSR1"]).expect_code(0);
    group.wait_for_count("memory.events", "high ", 1);
    // It waits for memory now, and so much that somebody is told.
    let event = wait_for_event(&hall, "pressure.warning");
    assert_eq!(event["service_name"], "fenrir", "{event}");
    assert_eq!(event["pressure"], "memory", "{event}");
    assert_eq!(group.count("memory.events", "oom_kill "), 0);
    assert_eq!(hall.status("fenrir")["state"], "running");
    hall.cli(["kill", "fenrir"]).expect_code(0);
}

#[test]
fn limits_of_the_platform_are_not_the_kernels() {
    if !machine() {
        return;
    }
    // Midgard has limits for memory and CPU; the file states one of them.
    let hall = TestDaemon::start(&hungry("cpu_percent = 20.0, action = \"stop\""));
    hall.pid_in("pid");
    let group = Group::of(&hall, "fenrir");
    assert_eq!(group.read("memory.max"), "max");
    assert_eq!(group.read("cpu.max"), "40000 100000");
    assert_eq!(hall.status("fenrir")["limits_enforced_by"], "kernel");
}

#[test]
fn memory_of_a_service_is_what_its_group_holds() {
    if !machine() {
        return;
    }
    let interval = "resources = { monitoring_interval = \"50ms\" }\n";
    let arguments = ["--mib", "64", "--ready", "pid"];
    let hall =
        TestDaemon::start(&(interval.to_owned() + &service("fenrir", "svc-hungry", &arguments)));
    hall.pid_in("pid");
    let group = Group::of(&hall, "fenrir");
    wait_until("the sample to agree with the kernel", || {
        let told = hall.status("fenrir")["memory_bytes"].as_f64()?;
        let current: f64 = group.read("memory.current").parse().ok()?;
        let held = current - group.count("memory.stat", "inactive_file ") as f64;
        ((told / held - 1.0).abs() < 0.02).then_some(())
    });
}
