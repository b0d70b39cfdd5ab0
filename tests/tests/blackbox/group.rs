//! Restart groups and dependencies between real services.

use gladsheim_tests::{TestDaemon, service, wait_until};

/// Three services of a group that write down their starts and ends.
fn group(strategy: &str) -> String {
    let member = |name: &str| {
        service(
            name,
            "svc-obedient",
            &[
                "--ready",
                &format!("{name}.pid"),
                "--ends",
                "ends",
                "--name",
                name,
            ],
        ) + "restart_group = \"web\"\nrestart = { backoff = \"10ms\", jitter = 0.0 }\n"
    };
    let members: String = ["one", "two", "three"].map(member).concat();
    members + &format!("[groups.web]\nstrategy = \"{strategy}\"\n")
}

#[test]
fn siblings_go_down_in_reverse_and_come_back_as_the_strategy_says() {
    for (strategy, ends, back) in [
        ("one_for_one", "", &["two"][..]),
        ("rest_for_one", "three\n", &["two", "three"]),
        ("one_for_all", "three\none\n", &["one", "two", "three"]),
    ] {
        let hall = TestDaemon::start(&group(strategy));
        let all = ["one", "two", "three"];
        let pid = |name: &str| hall.wait_for_state(name, "running")["process_id"].clone();
        let before = all.map(|name| (hall.pid_in(&format!("{name}.pid")), pid(name)).1);
        hall.cli(["signal", "two", "SIGKILL"]).expect_code(0);
        for (index, name) in all.iter().enumerate() {
            let concerned = back.contains(name);
            let after = hall.wait_for_status(name, "up as it should be", |status| {
                status["state"] == "running" && (status["process_id"] != before[index]) == concerned
            });
            assert_eq!(after["restart_count"], u64::from(concerned), "{after}");
        }
        let ended = std::fs::read_to_string(hall.path("ends")).unwrap_or_default();
        assert_eq!(ended, ends, "{strategy}");
    }
}

#[test]
fn a_group_is_given_up_with_the_one_that_never_holds() {
    let hall = TestDaemon::start(
        &(service("one", "svc-obedient", &["--ready", "one.pid"])
            + "restart_group = \"web\"\n"
            + &service("two", "svc-crashing", &[])
            + "restart_group = \"web\"\nrestart = { backoff = \"10ms\", max_attempts = 2 }\n"
            + "[groups.web]\nstrategy = \"one_for_all\"\n"),
    );
    hall.wait_for_state("two", "failed");
    let one = hall.wait_for_state("one", "stopped");
    assert_eq!(one["cause"], "dependency", "{one}");
    wait_until("nothing to be left", || {
        hall.processes().is_empty().then_some(())
    });
}

#[test]
fn a_failed_hard_dependency_leaves_its_dependents_stopped_and_says_why() {
    let hall = TestDaemon::start(
        &("[services.ghost]\npath = \"/nowhere\"\n".to_owned()
            + &service("hard", "svc-obedient", &[])
            + "depends_on = [\"ghost\"]\n"
            + &service("soft", "svc-obedient", &[])
            + "depends_on = { ghost = { condition = \"started\", required = false } }\n"),
    );
    hall.wait_for_state("ghost", "failed");
    hall.wait_for_state("soft", "running");
    let hard = hall.wait_for_status("hard", "given up", |status| status["cause"] == "dependency");
    assert_eq!(hard["state"], "stopped", "{hard}");
    assert!(hard["reason"].as_str().unwrap().contains("ghost"), "{hard}");
}

#[test]
fn a_service_that_waits_for_its_dependency_can_be_stopped_and_restarted() {
    let slow = service("slow", "svc-obedient", &["--ready", "slow.pid"])
        + "ready = \"log:^never$\"\nstartup_timeout = \"1h\"\n";
    let parked = service("parked", "svc-obedient", &["--starts", "starts"])
        + "depends_on = { slow = \"ready\" }\n";
    let hall = TestDaemon::start(&(slow + &parked));
    hall.pid_in("slow.pid");
    hall.wait_for_status("parked", "waiting", |status| {
        let reason = status["reason"].as_str();
        reason.is_some_and(|reason| reason.contains("waiting for slow"))
    });
    hall.cli(["stop", "parked"]).expect_code(0);
    assert_eq!(hall.status("parked")["state"], "stopped");
    // The dependency holds from now on: exactly one instance runs.
    hall.write_hall(
        &(service("slow", "svc-obedient", &["--ready", "slow.pid"])
            + &service("parked", "svc-obedient", &["--starts", "starts"])
            + "depends_on = { slow = \"ready\" }\n"),
    );
    hall.cli(["reload"]).expect_code(0);
    hall.cli(["kill", "slow"]).expect_code(0);
    hall.cli(["restart", "parked"]).expect_code(0);
    let starts = std::fs::read_to_string(hall.path("starts")).unwrap();
    assert_eq!(starts.lines().count(), 1, "{starts}");
}

#[test]
fn services_end_in_the_reverse_of_their_order_and_the_slow_ones_are_named() {
    let member = |name: &str, needs: &str| {
        service(
            name,
            "svc-obedient",
            &[
                "--ends",
                "ends",
                "--name",
                name,
                "--ready",
                &format!("{name}.pid"),
            ],
        ) + needs
    };
    let mut hall = TestDaemon::start(
        &(member("c", "depends_on = [\"b\"]\n")
            + &member("b", "depends_on = [\"a\"]\n")
            + &member("a", "")
            + &service("utgard", "svc-stubborn", &["--ready", "utgard.pid"])
            + "shutdown_timeout = \"300ms\"\n"),
    );
    for name in ["a", "b", "c", "utgard"] {
        hall.pid_in(&format!("{name}.pid"));
    }
    let told = hall.cli(["shutdown"]).expect_code(0);
    assert!(told.stdout.contains("utgard was killed after"), "{told:#?}");
    assert!(hall.wait().success());
    assert_eq!(
        std::fs::read_to_string(hall.path("ends")).unwrap(),
        "c\nb\na\n"
    );
}
