//! Liveness, readiness and start-up checks, and when they rest: the kubelet's and others' published cases.

use std::fs;

use gladsheim_tests::{TestDaemon, free_port, service, wait_until};

/// A command check that leaves a line in `log`, and passes if `passes` exists; both in the hall's folder, which the
/// harness makes the daemon's home, and thereby the service's.
fn exec(log: &str, passes: &str) -> String {
    format!(r#"exec = ["sh", "-c", "date +%s%3N >> $HOME/{log}; test -e $HOME/{passes}"]"#)
}

const OFTEN: &str = "interval = \"50ms\", timeout = \"10s\", failure_threshold = 2";
const QUICK_RESTART: &str = "restart = { backoff = \"10ms\", max_attempts = 0 }\n";

fn lines(hall: &TestDaemon, log: &str) -> usize {
    let text = fs::read_to_string(hall.path(log)).unwrap_or_default();
    text.lines().count()
}

/// Waits until the check has left so many more lines.
#[track_caller]
fn wait_for_checks(hall: &TestDaemon, log: &str, more: usize) {
    let before = lines(hall, log);
    wait_until(&format!("{more} checks in {log}"), || {
        (lines(hall, log) >= before + more).then_some(())
    });
}

fn create(hall: &TestDaemon, name: &str) {
    fs::write(hall.path(name), "").unwrap();
}

fn running_since_the_start(hall: &TestDaemon, name: &str) {
    let status = hall.status(name);
    assert_eq!(status["state"], "running", "{status}");
    assert_eq!(status["restart_count"], 0, "{status}");
}

/// kubelet e2e: liveness does nothing until the start-up check has passed; then it bites.
#[test]
fn a_failing_liveness_check_waits_for_the_startup_check() {
    let hall = TestDaemon::start(
        &(service("thor", "svc-obedient", &[])
            + QUICK_RESTART
            + &format!(
                "startup = {{ {}, interval = \"50ms\", timeout = \"10s\", failure_threshold = 10000 }}\nhealth = {{ {}, {OFTEN} }}\n",
                exec("startup", "started"),
                exec("liveness", "never"),
            )),
    );
    wait_for_checks(&hall, "startup", 10);
    running_since_the_start(&hall, "thor");
    assert_eq!(lines(&hall, "liveness"), 0, "the gate is closed");
    create(&hall, "started");
    hall.wait_for_status("thor", "restarted", |status| {
        status["restart_count"].as_u64() >= Some(1) && status["cause"] == "probe"
    });
}

/// kubelet e2e: failing start-up restarts even when liveness would pass.
#[test]
fn a_failing_startup_check_restarts() {
    let hall = TestDaemon::start(
        &(service("thor", "svc-obedient", &[])
            + QUICK_RESTART
            + &format!(
                "startup = {{ {}, {OFTEN} }}\nhealth = {{ process = true }}\n",
                exec("startup", "never")
            )),
    );
    let status = hall.wait_for_status("thor", "restarted", |status| {
        status["restart_count"].as_u64() >= Some(2)
    });
    assert_eq!(status["cause"], "probe", "{status}");
}

/// kubelet e2e: readiness failure alone never restarts.
#[test]
fn failing_readiness_is_told_and_never_restarts() {
    let hall = TestDaemon::start(
        &(service("thor", "svc-obedient", &[])
            + &format!("readiness = {{ {}, {OFTEN} }}\n", exec("readiness", "open"))),
    );
    wait_for_checks(&hall, "readiness", 10);
    running_since_the_start(&hall, "thor");
    let closed = hall.status("thor");
    assert_eq!(closed["ready"], false, "{closed}");
    assert_eq!(closed["health"], "healthy", "{closed}");
    create(&hall, "open");
    hall.wait_for_status("thor", "ready", |status| status["ready"] == true);
    fs::remove_file(hall.path("open")).unwrap();
    hall.wait_for_status("thor", "not ready", |status| status["ready"] == false);
    running_since_the_start(&hall, "thor");
}

/// kubelet `TestOnHoldOnLivenessCheckFailure`: after a liveness failure no check until the new process.
#[test]
fn no_check_runs_between_a_failed_one_and_the_new_process() {
    let hall = TestDaemon::start(
        &(service("thor", "svc-stubborn", &[])
            + QUICK_RESTART
            + "shutdown_timeout = \"500ms\"\n"
            + &format!("health = {{ {}, {OFTEN} }}\n", exec("liveness", "never"))),
    );
    hall.wait_for_status("thor", "restarted", |status| {
        status["restart_count"].as_u64() >= Some(2)
    });
    let events = hall
        .cli(["events", "--format", "json"])
        .expect_code(0)
        .json_lines();
    let at = |kind: &str, attempt: Option<u64>| -> Vec<i64> {
        let of_kind = events
            .iter()
            .filter(|event| event["kind"] == kind && event["attempt"].as_u64() == attempt);
        let at = |event: &serde_json::Value| unix_ms(event["at"].as_str().unwrap());
        of_kind.map(at).collect()
    };
    let (ended, started) = (
        at("service.restarting", Some(0)),
        at("service.started", None),
    );
    let checks: Vec<i64> = fs::read_to_string(hall.path("liveness"))
        .unwrap()
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    for (from, to) in ended.iter().zip(&started[1..]) {
        assert!(to - from >= 400, "it resisted: {from} {to}");
        let between = checks.iter().filter(|check| *check > from && *check < to);
        assert_eq!(between.count(), 0, "{from} {to} {checks:?}");
    }
}

/// kubelet e2e: a probe's own grace overrides that of the service, which is an hour.
#[test]
fn a_check_has_its_own_time_for_the_stop() {
    let hall = TestDaemon::start(
        &(service("thor", "svc-stubborn", &[])
            + QUICK_RESTART
            + "shutdown_timeout = \"1h\"\n"
            + &format!(
                "health = {{ {}, {OFTEN}, shutdown_timeout = \"100ms\" }}\n",
                exec("liveness", "never")
            )),
    );
    let status = hall.wait_for_status("thor", "restarted", |status| {
        status["restart_count"].as_u64() >= Some(1)
    });
    assert_eq!(status["cause"], "probe", "{status}");
    assert_eq!(status["signal"], 9, "it resisted: {status}");
    hall.cli(["kill", "thor"]).expect_code(0);
}

/// Milliseconds since 1970 of an RFC 3339 time.
fn unix_ms(at: &str) -> i64 {
    let output = std::process::Command::new("date")
        .args(["+%s%3N", "--date", at])
        .output()
        .unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}

/// In maintenance a service keeps running, unchecked. Another one's checks are the clock.
#[test]
fn maintenance_keeps_a_service_running_without_checks() {
    let clock = service("clock", "svc-obedient", &[])
        + &format!("readiness = {{ {}, {OFTEN} }}\n", exec("clock", "never"));
    let hall = TestDaemon::prepare(
        &(service("thor", "svc-obedient", &[])
            + QUICK_RESTART
            + &format!("health = {{ {}, {OFTEN} }}\n", exec("liveness", "well"))
            + &clock),
    );
    create(&hall, "well");
    let mut hall = hall;
    hall.spawn();
    hall.wait_for_status("thor", "healthy", |status| status["health"] == "healthy");
    hall.cli(["maintenance", "thor", "on"]).expect_code(0);
    fs::remove_file(hall.path("well")).unwrap();
    wait_for_checks(&hall, "clock", 5);
    let before = lines(&hall, "liveness"); // one may have been under way
    wait_for_checks(&hall, "clock", 10);
    assert_eq!(lines(&hall, "liveness"), before, "checks rest");
    running_since_the_start(&hall, "thor");
    hall.cli(["maintenance", "thor", "off"]).expect_code(0);
    hall.wait_for_status("thor", "restarted", |status| status["cause"] == "probe");
}

/// kubelet e2e: a command that outlives its timeout has failed, and its whole tree is gone, zombies included.
#[test]
fn a_command_check_leaves_no_process_behind() {
    for command in [
        "sleep 1000 & sleep 1000 & wait",
        "sleep 1000 & exit 1",
        "setsid sleep 1000 & setsid sleep 1000 & wait",
        "setsid setsid sleep 1000 & exit 1",
    ] {
        let hall = TestDaemon::start(
            &(service("thor", "svc-obedient", &[])
                + "restart = { policy = \"never\" }\n"
                + &format!(
                    "health = {{ exec = [\"sh\", \"-c\", \"{command}\"], interval = \"50ms\", timeout = \"500ms\", failure_threshold = 2 }}\n"
                )),
        );
        hall.wait_for_status("thor", "ended", |status| status["cause"] == "probe");
        wait_until("the check's processes to be gone", || {
            hall.processes().is_empty().then_some(())
        });
        wait_until("no zombie to be left", || {
            (zombies(hall.pid()) == 0).then_some(())
        });
    }
}

/// As the kubelet's runs in the container of what it checks.
#[test]
fn a_command_check_has_the_environment_and_the_folder_of_its_service() {
    let check = r#"exec = ["sh", "-c", "test -e here; echo $? $ROLE $FROM_FILE; exit 1"]"#;
    let hall = TestDaemon::prepare(
        &(service("thor", "svc-obedient", &[])
            + "env = { ROLE = \"web\" }\nenv_file = \"thor.env\"\nworking_dir = \"inside\"\n"
            + &format!("health = {{ {check}, interval = \"1h\", failure_threshold = 2 }}\n")),
    );
    fs::write(hall.path("thor.env"), "FROM_FILE=yes\n").unwrap();
    fs::create_dir(hall.path("inside")).unwrap();
    create(&hall, "inside/here");
    let mut hall = hall;
    hall.spawn();
    let checked = hall.wait_for_status("thor", "checked", |status| {
        !status["health_message"].is_null()
    });
    assert_eq!(
        checked["health_message"], "sh: exit status: 1: 0 web yes",
        "{checked}"
    );
}

fn zombies(parent: u32) -> usize {
    let stats = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let stat = fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
        let fields = stat.rsplit_once(") ")?.1.to_owned();
        let mut fields = fields.split(' ');
        Some((fields.next()? == "Z", fields.next()?.parse::<u32>().ok()?))
    });
    stats
        .filter(|(is_zombie, of)| *is_zombie && *of == parent)
        .count()
}

/// kubelet e2e: a TCP check stays green while HTTP answers with an error.
#[test]
fn a_tcp_check_does_not_mind_what_http_says() {
    let port = free_port().to_string();
    let hall = TestDaemon::prepare(
        &(service(
            "thor",
            "svc-http-health",
            &["--port", &port, "--control", "control"],
        ) + &format!("ready = \"health\"\nhealth = {{ tcp = \"127.0.0.1:{port}\", {OFTEN} }}\n")
            + &format!("readiness = {{ http = \"http://127.0.0.1:{port}/\", {OFTEN} }}\n")),
    );
    fs::write(hall.path("control"), "fail").unwrap();
    let mut hall = hall;
    hall.spawn();
    hall.wait_for_status("thor", "healthy", |status| {
        status["health"] == "healthy" && status["state"] == "running"
    });
    hall.cli(["check-health", "thor"]).expect_code(0);
    let status = hall.status("thor");
    assert_eq!(status["ready"], false, "HTTP fails: {status}");
    running_since_the_start(&hall, "thor");
}
