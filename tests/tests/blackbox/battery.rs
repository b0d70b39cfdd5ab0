//! A battery that runs low, and is charged again.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use gladsheim_tests::{TestDaemon, service, wait_until};
use serde_json::Value;

/// A hall on a machine whose battery is at `percent` and discharging.
fn on_battery(services: &str, percent: u8) -> TestDaemon {
    on_battery_sampled("20ms", services, percent)
}

fn on_battery_sampled(interval: &str, services: &str, percent: u8) -> TestDaemon {
    let mut hall = TestDaemon::prepare(&format!(
        "platform = \"alfheim\"\n\
         resources = {{ monitoring_interval = \"{interval}\", battery_aware = true }}\n{services}"
    ));
    fs::create_dir_all(hall.path("power/BAT0")).unwrap();
    fs::write(hall.path("power/BAT0/type"), "Battery\n").unwrap();
    set(&hall, percent, "Discharging");
    let mut daemon = hall.daemon_command();
    daemon.env("GLADSHEIM_POWER_SUPPLY", hall.path("power"));
    hall.spawn_by(|| daemon.spawn().unwrap());
    hall
}

fn set(hall: &TestDaemon, percent: u8, status: &str) {
    let battery = hall.path("power/BAT0");
    fs::write(battery.join("status"), status).unwrap();
    fs::write(battery.join("capacity"), percent.to_string()).unwrap();
}

/// `app` needs `db`; `alarm` is essential, and needs `clock`.
fn services() -> String {
    let helper = |name: &str| service(name, "svc-obedient", &[]);
    helper("db")
        + &helper("app")
        + "depends_on = [\"db\"]\n"
        + &helper("clock")
        + &helper("alarm")
        + "essential = true\ndepends_on = [\"clock\"]\n"
}

#[test]
fn what_is_not_essential_stops_on_a_low_battery_and_comes_back() {
    let hall = on_battery(&services(), 80);
    for name in ["db", "app", "alarm", "clock"] {
        hall.wait_for_state(name, "running");
    }
    let alarm = hall.status("alarm");

    set(&hall, 5, "Discharging");
    for name in ["db", "app"] {
        let stopped = hall.wait_for_state(name, "stopped");
        assert_eq!(stopped["cause"], "battery", "{stopped}");
    }
    let kinds = || {
        let events = hall.cli(["events", "--format", "json"]).expect_code(0);
        let told = |event: serde_json::Value| {
            let name = event["service_name"].as_str().unwrap_or_default();
            format!("{} {name}", event["kind"].as_str().unwrap_or_default())
        };
        events
            .json_lines()
            .into_iter()
            .map(told)
            .collect::<Vec<_>>()
    };
    let all = kinds();
    let place = |kind: &str| all.iter().position(|other| other == kind);
    assert!(place("battery.low ").is_some(), "{all:?}");
    // In reverse order of dependency.
    assert!(
        place("service.stopped app") < place("service.stopping db"),
        "{all:?}"
    );

    set(&hall, 6, "Charging");
    for name in ["db", "app"] {
        hall.wait_for_state(name, "running");
    }
    assert!(kinds().contains(&"battery.ok ".to_owned()));
    // Essential, and needed by what is.
    let after = hall.status("alarm");
    assert_eq!(after["process_id"], alarm["process_id"], "{after}");
    assert_eq!(hall.status("clock")["cause"], serde_json::Value::Null);
}

#[test]
fn a_hall_that_opens_on_a_low_battery_starts_the_rest_later() {
    let hall = on_battery(&services(), 5);
    hall.wait_for_state("alarm", "running");
    // Whether it was held back or stopped again, it ends like this.
    wait_until("the others to wait", || {
        let others = ["db", "app"].map(|name| hall.status(name));
        others
            .iter()
            .all(|status| status["state"] == "stopped")
            .then_some(())
    });
    // A person knows better.
    hall.cli(["start", "db"]).expect_code(0);
    assert_eq!(hall.status("db")["state"], "running");
    set(&hall, 90, "Discharging");
    hall.wait_for_state("app", "running");
}

fn time(document: &Value, key: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339(document[key].as_str()?).ok()
}

#[test]
fn checks_that_pass_are_rarer_on_battery_and_a_start_waits_no_longer() {
    let checked = |name: &str, kind: &str| {
        service(name, "svc-obedient", &[])
            + &format!("{kind} = {{ exec = [\"/bin/true\"], interval = \"1s\" }}\n")
    };
    let hall = on_battery(
        &(checked("thor", "health") + &checked("loki", "readiness") + "ready = \"health\"\n"),
        80,
    );
    // Its readiness check comes as soon as ever.
    hall.wait_for_state("loki", "running");
    let pause = || {
        let health = hall.cli(["health", "thor", "--format", "json"]);
        let health = health.expect_code(0).json();
        let (last, next) = (time(&health, "last_check")?, time(&health, "next_check")?);
        next.duration_since(last).ok()
    };
    // No check that comes by its interval lies that far ahead.
    wait_until("checks to be far apart", || {
        pause().filter(|pause| *pause > Duration::from_millis(3500))
    });
    set(&hall, 80, "Charging");
    wait_until("checks to come at their interval", || {
        pause().filter(|pause| *pause < Duration::from_millis(1200))
    });
}

#[test]
fn samples_are_rarer_on_battery() {
    let hall = on_battery_sampled("250ms", &service("thor", "svc-obedient", &[]), 80);
    let mut taken = Vec::new();
    wait_until("six samples", || {
        let usage = hall.cli(["usage", "thor", "--format", "json"]);
        let usage = usage.expect_code(0).json();
        let at = time(&usage["services"][0], "measured_at")?;
        if taken.last() != Some(&at) {
            taken.push(at);
        }
        (taken.len() == 6).then_some(())
    });
    // The first ones may have been taken because they were asked for.
    for pair in taken[2..].windows(2) {
        let gap = pair[1].duration_since(pair[0]).unwrap();
        assert!(gap > Duration::from_millis(950), "{gap:?}");
    }
}

#[test]
fn a_hall_that_samples_nothing_minds_its_battery_all_the_same() {
    let hall = on_battery_sampled("0s", &services(), 5);
    hall.wait_for_state("alarm", "running");
    wait_until("the event", || {
        let events = hall.cli(["events", "--format", "json"]).expect_code(0);
        let is_low = |event: &Value| event["kind"] == "battery.low";
        events.json_lines().into_iter().find(is_low)
    });
    for name in ["db", "app"] {
        hall.wait_for_state(name, "stopped");
    }
}
