//! Pressure: of the machine, as a folder tells it, and of a service, as the kernel does.

use std::{fs, path::Path};

use gladsheim_tests::{TestDaemon, service, skip, wait_until};
use serde_json::Value;

/// A hall that reads the machine's pressure in its folder `pressure`.
fn under_pressure(services: &str) -> TestDaemon {
    let mut hall = TestDaemon::prepare(services);
    fs::create_dir(hall.path("pressure")).unwrap();
    let mut daemon = hall.daemon_command();
    daemon.env("GLADSHEIM_PRESSURE", hall.path("pressure"));
    hall.spawn_by(|| daemon.spawn().unwrap());
    hall
}

fn press(hall: &TestDaemon, percent: u8) {
    let line = |word| format!("{word} avg10={percent}.00 avg60=0.00 avg300=0.00 total=0\n");
    let file = hall.path("pressure/memory");
    // Whoever reads meanwhile sees either text whole.
    let new = hall.path("pressure/new");
    fs::write(&new, line("some") + &line("full")).unwrap();
    fs::rename(new, file).unwrap();
}

fn wait_for_event(hall: &TestDaemon, kind: &str) -> Value {
    wait_until(kind, || {
        let events = hall.cli(["events", "--format", "json"]).expect_code(0);
        let is_it = |event: &Value| event["kind"] == kind;
        events.json_lines().into_iter().find(is_it)
    })
}

#[test]
fn pressure_on_the_machine_is_told_up_and_down() {
    // A machine without the file has no pressure, and that is no error.
    let hall = under_pressure(
        "resources = { monitoring_interval = \"50ms\", pressure = { memory = 20, cpu = 20 } }\n",
    );
    press(&hall, 50);
    let event = wait_for_event(&hall, "pressure.warning");
    assert_eq!(event["service_name"], Value::Null, "{event}");
    assert_eq!(event["pressure"], "memory", "{event}");
    assert_eq!(event["pressure_percent"], 50.0, "{event}");
    press(&hall, 1);
    let event = wait_for_event(&hall, "pressure.cleared");
    assert_eq!(event["pressure_percent"], 1.0, "{event}");
    assert!(hall.log().contains("memory pressure 50.0 %"));
}

#[test]
fn the_load_guard_reads_the_same_pressure() {
    let services = service("thor", "svc-obedient", &[])
        + "health = { exec = [\"/bin/false\"], interval = \"100ms\", failure_threshold = 1, start_period = \"1s\" }\n";
    let hall = under_pressure(&services);
    press(&hall, 90);
    let event = wait_for_event(&hall, "health.restart_postponed");
    let message = event["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("memory") && message.contains("90"),
        "{event}"
    );
    assert_eq!(hall.status("thor")["restart_count"], 0);
}

#[test]
fn pressure_on_a_service_is_told_by_its_name() {
    // More busy loops than CPUs wait for one.
    let cpus = std::thread::available_parallelism().unwrap().get();
    let loops = "while :; do :; done & ".repeat(cpus + 1);
    let hall = TestDaemon::start(&format!(
        "[services.sleipnir]\npath = \"/bin/sh\"\nargs = [\"-c\", \"{loops} wait\"]\n\
         limits = {{ pressure = {{ cpu = 1 }} }}\n\
         [services.thor]\npath = \"/bin/sleep\"\nargs = [\"1000\"]\n\
         limits = {{ pressure = {{ cpu = 100 }} }}\n"
    ));
    hall.wait_for_state("sleipnir", "running");
    let pid = hall.status("sleipnir")["process_id"].clone();
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"));
    let tells = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .iter()
        .any(|mount| {
            let group = Path::new(mount).join(own.unwrap_or_default());
            group.join("cpu.pressure").exists()
        });
    if hall.status("sleipnir")["containment"] != "cgroup" || !tells {
        skip("no cgroup of the service tells its pressure");
        return;
    }
    let event = wait_for_event(&hall, "pressure.warning");
    assert_eq!(event["service_name"], "sleipnir", "{event}");
    assert_eq!(event["pressure"], "cpu", "{event}");
    let usage = hall.cli(["usage", "sleipnir", "--format", "json"]);
    let usage = usage.expect_code(0).json();
    let told = &usage["services"][0]["cpu_pressure"];
    assert!(told.as_f64() > Some(0.0), "{usage}");

    hall.cli(["kill", "sleipnir"]).expect_code(0);
    let event = wait_for_event(&hall, "pressure.cleared");
    assert_eq!(event["service_name"], "sleipnir", "{event}");
}
