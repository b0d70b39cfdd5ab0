//! CPU limits that the kernel holds.

use std::time::Instant;

use gladsheim_tests::TestDaemon;

use crate::group::{Group, machine, wait_for_event};

/// As many busy loops as the machine has CPUs.
fn busy(limits: &str) -> String {
    format!(
        "resources = {{ monitoring_interval = \"500ms\" }}\n[services.sleipnir]\npath = \"/bin/sh\"\n\
         args = [\"-c\", \"while :; do :; done & while :; do :; done\"]\nlimits = {{ {limits} }}\n"
    )
}

#[test]
fn a_fifth_of_the_machine_holds_within_a_tenth_of_it() {
    if !machine() {
        return;
    }
    let hall = TestDaemon::start(&busy("cpu_percent = 20.0, pressure = { cpu = 10 }"));
    let cpus = std::thread::available_parallelism()
        .expect("is known")
        .get() as f64;
    hall.wait_for_state("sleipnir", "running");
    let group = Group::of(&hall, "sleipnir");
    assert_eq!(hall.status("sleipnir")["limits_enforced_by"], "kernel");

    // From the start of one period of the kernel to the start of another.
    let usage = |least| group.wait_for_count("cpu.stat", "usage_usec ", least);
    let throttled = |more| {
        let periods = group.count("cpu.stat", "nr_throttled ");
        group.wait_for_count("cpu.stat", "nr_throttled ", periods + more)
    };
    throttled(1);
    let (start, before) = (Instant::now(), usage(0));
    throttled(30);
    let spent = (usage(0) - before) as f64 / 1e6;
    let share = spent / (start.elapsed().as_secs_f64() * cpus);
    assert!((0.18..=0.22).contains(&share), "{share} of the machine");

    let told = hall.wait_for_status("sleipnir", "measured", |status| {
        status["cpu_percent"].as_f64() > Some(15.0)
    });
    assert!(told["cpu_percent"].as_f64() < Some(25.0), "{told}");
    assert_eq!(told["measured_by"], "cgroup", "{told}");
    // Whoever is throttled waits for a CPU.
    let event = wait_for_event(&hall, "pressure.warning");
    assert_eq!(event["service_name"], "sleipnir", "{event}");
    assert_eq!(event["pressure"], "cpu", "{event}");
}
