//! `plan`, `reload`, SIGHUP and a file that changes: only what changed is touched.

use gladsheim_tests::{TestDaemon, service, wait_until};
use nix::sys::signal::Signal;
use serde_json::Value;

fn obedient(name: &str, arguments: &[&str]) -> String {
    service(name, "svc-obedient", arguments)
}

#[track_caller]
fn json(hall: &TestDaemon, command: &str) -> Value {
    let output = hall.cli(["--format", "json", command]);
    output.expect_code(0).json()
}

/// The actions of a plan by service.
fn actions(plan: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let steps = plan["steps"].as_array().unwrap().iter();
    steps
        .map(|step| (text(&step["service_name"]), text(&step["action"])))
        .collect()
}

fn pairs(actions: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
    actions.iter().map(own).collect()
}

#[test]
fn one_change_of_many_touches_one_process_and_plan_says_so_before() {
    let names = ["a", "b", "c", "d"];
    let all = |changed: &str| {
        let one = |name: &&str| obedient(name, if *name == changed { &["-v"] } else { &[] });
        names.iter().map(one).collect::<String>()
    };
    let hall = TestDaemon::start(&all(""));
    let pids = || names.map(|name| hall.wait_for_state(name, "running")["process_id"].clone());
    let before = pids();
    hall.write_hall(&all("b"));

    let plan = json(&hall, "plan");
    assert_eq!(pids(), before, "a plan changes nothing");
    let reload = json(&hall, "reload");
    assert_eq!(plan, reload);
    let expected = [
        ("a", "none"),
        ("b", "restart"),
        ("c", "none"),
        ("d", "none"),
    ];
    assert_eq!(actions(&plan), pairs(&expected));
    assert_eq!(plan["steps"][1]["reasons"][0], "args: [] -> [\"-v\"]");
    let after = pids();
    for (index, name) in names.iter().enumerate() {
        assert_eq!(after[index] == before[index], *name != "b", "{name}");
    }
    assert_eq!(hall.status("b")["cause"], "reload");

    let again = hall.cli(["plan"]).expect_code(0);
    assert_eq!(again.stdout, "nothing to do, 4 untouched\n");
}

#[test]
fn a_field_takes_effect_at_once_at_the_next_start_or_by_a_restart() {
    let thor = |keys: &str| obedient("thor", &[]) + keys + "\n";
    for (keys, action) in [
        ("restart = { policy = \"always\" }", "apply"),
        ("limits = { memory = \"1GiB\" }", "apply"),
        ("metadata = { role = \"web\" }", "apply"),
        ("shutdown_timeout = \"3s\"", "apply"),
        ("stop_signal = \"SIGINT\"", "next_start"),
        ("startup_timeout = \"3s\"", "next_start"),
        ("env = { LOG = \"debug\" }", "restart"),
        ("nice = 1", "restart"),
    ] {
        let hall = TestDaemon::start(&thor(""));
        let before = hall.wait_for_state("thor", "running");
        hall.write_hall(&thor(keys));
        let plan = json(&hall, "reload");
        assert_eq!(actions(&plan), pairs(&[("thor", action)]), "{keys}");
        let after = hall.status("thor");
        assert_eq!(after["state"], "running", "{keys}");
        let same = after["process_id"] == before["process_id"];
        assert_eq!(same, action != "restart", "{keys}");
    }
}

#[test]
fn a_changed_policy_holds_from_the_next_end_on() {
    let loki = |policy: &str| {
        obedient("loki", &[])
            + &format!("restart = {{ policy = \"{policy}\", backoff = \"10ms\" }}\n")
    };
    let hall = TestDaemon::start(&loki("never"));
    let before = hall.wait_for_state("loki", "running");
    hall.write_hall(&loki("always"));
    hall.cli(["reload"]).expect_code(0);
    assert_eq!(hall.status("loki")["process_id"], before["process_id"]);
    hall.cli(["signal", "loki", "SIGKILL"]).expect_code(0);
    hall.wait_for_status("loki", "running again", |status| {
        status["state"] == "running" && status["process_id"] != before["process_id"]
    });
}

#[test]
fn changed_limits_and_metadata_are_told_at_once() {
    let thor = |keys: &str| obedient("thor", &[]) + keys;
    let hall = TestDaemon::start(&thor(""));
    hall.wait_for_state("thor", "running");
    hall.write_hall(&thor(
        "limits = { memory = \"1GiB\" }\nmetadata = { role = \"web\" }\nendpoints = [\"tcp:1\"]\n",
    ));
    hall.cli(["reload"]).expect_code(0);
    let limits = hall
        .cli(["--format", "json", "limits", "thor"])
        .expect_code(0);
    assert!(limits.stdout.contains("1073741824"), "{limits:#?}");
    let found = hall.cli(["status", "--where", "role=web"]).expect_code(0);
    assert!(found.stdout.contains("thor"), "{found:#?}");
    let endpoints = hall.cli(["endpoints"]).expect_code(0);
    assert!(endpoints.stdout.contains("tcp:1"), "{endpoints:#?}");
}

#[test]
fn a_renamed_service_is_removed_and_added() {
    let hall = TestDaemon::start(&obedient("thor", &[]));
    let before = hall.wait_for_state("thor", "running");
    hall.write_hall(&obedient("donar", &[]));
    let plan = json(&hall, "reload");
    assert_eq!(
        actions(&plan),
        pairs(&[("thor", "remove"), ("donar", "add")])
    );
    hall.cli(["status", "thor"]).expect_code(4);
    hall.cli(["start", "thor"]).expect_code(4);
    let donar = hall.status("donar");
    assert_eq!(donar["state"], "running", "{donar}");
    assert_ne!(donar["process_id"], before["process_id"]);
    assert_eq!(hall.processes().len(), 1, "{:?}", hall.processes());
}

#[test]
fn a_file_that_cannot_be_used_changes_nothing_and_is_described() {
    let hall = TestDaemon::start(&obedient("thor", &[]));
    let before = hall.wait_for_state("thor", "running");
    let cycle = obedient("a", &[]) + "depends_on = [\"b\"]\n" + &obedient("b", &[]);
    let bad_files = [
        ("[services.thor]\nparth = 1\n", "parth"),
        ("not toml", "gladsheim.toml:"),
        (&*(cycle + "depends_on = [\"a\"]\n"), "a -> b -> a"),
    ];
    for (number, (bad, told)) in (1..).zip(bad_files) {
        hall.write_hall(bad);
        let socket = hall.socket().display().to_string();
        for command in ["plan", "reload"] {
            // Read by the client, which looks for the socket there, and by the daemon.
            for arguments in [&[command][..], &[command, "--socket", &socket]] {
                let refused = hall.cli(arguments.iter().copied()).expect_code(2);
                assert!(refused.stderr.contains(told), "{refused:#?}");
                assert!(refused.stderr.contains("gladsheim.toml:"), "{refused:#?}");
            }
        }
        hall.signal(Signal::SIGHUP);
        wait_until("the daemon's word about it", || {
            // Of this signal: the next file is written only when this one was read.
            (hall.log().matches("not reloaded").count() == number).then_some(())
        });
    }
    hall.write_hall(&obedient("thor", &[]));
    let after = hall.status("thor");
    assert_eq!(after["process_id"], before["process_id"]);
    assert_eq!(json(&hall, "plan")["steps"][0]["action"], "none");
}

#[test]
fn an_ordering_without_a_need_may_go_both_ways_round_a_cycle_may_not() {
    // dinit's pseudo-cycle: b only hopes for a, and the file is accepted once nothing goes in a circle.
    let hall = TestDaemon::prepare(
        &(obedient("a", &[])
            + "depends_on = { b = { condition = \"started\", required = false } }\n"
            + &obedient("b", &[])),
    );
    hall.cli(["check"]).expect_code(0);
    hall.write_hall(&(obedient("a", &[]) + "depends_on = [\"a\"]\n"));
    let refused = hall.cli(["check"]).expect_code(2);
    assert!(refused.stderr.contains('a'), "{refused:#?}");
}

#[test]
fn what_was_stopped_by_hand_stays_stopped() {
    let hall = TestDaemon::start(&obedient("thor", &[]));
    hall.wait_for_state("thor", "running");
    hall.cli(["stop", "thor"]).expect_code(0);
    hall.write_hall(&obedient("thor", &["-v"]));
    let plan = json(&hall, "reload");
    assert_eq!(actions(&plan), pairs(&[("thor", "next_start")]));
    assert_eq!(hall.status("thor")["state"], "stopped");
}

#[test]
fn what_cannot_be_started_is_told_and_the_rest_is_done() {
    let hall = TestDaemon::start(&obedient("thor", &[]));
    hall.wait_for_state("thor", "running");
    hall.write_hall(
        &(obedient("thor", &[])
            + "[services.ghost]\npath = \"/nowhere\"\n"
            + &obedient("freki", &[])),
    );
    let failed = hall.cli(["reload"]).expect_code(1);
    assert!(failed.stderr.contains("/nowhere"), "{failed:#?}");
    assert_eq!(hall.status("ghost")["state"], "failed");
    assert_eq!(hall.status("freki")["state"], "running");
}

#[test]
fn sighup_reloads() {
    let hall = TestDaemon::start(&obedient("thor", &[]));
    let before = hall.wait_for_state("thor", "running");
    hall.write_hall(&(obedient("thor", &[]) + &obedient("freki", &[])));
    hall.signal(Signal::SIGHUP);
    wait_until("the new service", || {
        let services = hall.cli(["--format", "json", "status"]).json();
        let found = services.as_array().unwrap().iter();
        found
            .into_iter()
            .any(|one| one["service_name"] == "freki" && one["state"] == "running")
            .then_some(())
    });
    assert_eq!(hall.status("thor")["process_id"], before["process_id"]);
}

#[test]
fn sighup_on_a_file_without_services_stops_nothing_and_a_client_may_mean_it() {
    let hall = TestDaemon::start(&obedient("thor", &[]));
    let before = hall.wait_for_state("thor", "running");
    hall.write_hall("");
    hall.signal(Signal::SIGHUP);
    wait_until("a line about it", || {
        hall.log()
            .contains("names no service, and 1 run")
            .then_some(())
    });
    assert_eq!(hall.status("thor")["process_id"], before["process_id"]);
    let reload = json(&hall, "reload");
    assert_eq!(actions(&reload), pairs(&[("thor", "remove")]));
    hall.cli(["status", "thor"]).expect_code(4);
}

#[test]
fn a_changed_env_file_restarts_who_reads_it_and_a_changed_program_is_told() {
    let hall = TestDaemon::prepare("");
    let program = hall.path("thor");
    std::fs::copy(gladsheim_tests::bin("svc-obedient"), &program).unwrap();
    std::fs::write(hall.path("thor.env"), "LOG=info\n").unwrap();
    hall.write_hall("[services.thor]\npath = \"./thor\"\nenv_file = \"thor.env\"\n");
    let mut hall = hall;
    hall.spawn();
    let before = hall.wait_for_state("thor", "running");
    assert_eq!(actions(&json(&hall, "plan")), pairs(&[("thor", "none")]));

    std::fs::write(hall.path("thor.env"), "LOG=debug\n").unwrap();
    let plan = json(&hall, "plan");
    assert_eq!(actions(&plan), pairs(&[("thor", "restart")]), "{plan}");
    assert_eq!(json(&hall, "reload"), plan);
    let after = hall.wait_for_status("thor", "running anew", |status| {
        status["state"] == "running" && status["process_id"] != before["process_id"]
    });
    assert_eq!(actions(&json(&hall, "plan")), pairs(&[("thor", "none")]));

    // As a package manager does it: beside, then over it.
    std::fs::copy(gladsheim_tests::bin("svc-stubborn"), hall.path("new")).unwrap();
    std::fs::rename(hall.path("new"), &program).unwrap();
    let plan = json(&hall, "reload");
    assert_eq!(actions(&plan), pairs(&[("thor", "next_start")]), "{plan}");
    assert_eq!(hall.status("thor")["process_id"], after["process_id"]);
}

#[test]
fn a_hall_that_asks_for_it_follows_its_file() {
    let follows = "on_file_change = true\n";
    let hall = TestDaemon::start(&(follows.to_owned() + &obedient("thor", &[])));
    hall.wait_for_state("thor", "running");
    hall.write_hall(&(follows.to_owned() + &obedient("donar", &[])));
    wait_until("the new service", || {
        let services = hall.cli(["--format", "json", "status"]).json();
        let only = services[0]["service_name"] == "donar" && services[0]["state"] == "running";
        (only && services.as_array().unwrap().len() == 1).then_some(())
    });
}

#[test]
fn what_only_the_next_daemon_can_take_on_is_named() {
    let hall = TestDaemon::start(&obedient("thor", &[]));
    hall.wait_for_state("thor", "running");
    hall.write_hall(&("platform = \"asgard\"\n".to_owned() + &obedient("thor", &[])));
    let plan = json(&hall, "plan");
    assert_eq!(plan["daemon_keys"], serde_json::json!(["platform"]));
    let told = hall.cli(["reload"]).expect_code(0);
    assert!(told.stderr.contains("platform"), "{told:#?}");
}

#[test]
fn a_flood_of_reloads_is_answered_and_harms_nobody() {
    let hall = TestDaemon::start(&obedient("thor", &[]));
    let before = hall.wait_for_state("thor", "running");
    let mut clients: Vec<_> = (0..20)
        .map(|_| {
            hall.command()
                .arg("reload")
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for client in &mut clients {
        let ended = wait_until("an answer", || client.try_wait().unwrap());
        assert!(ended.success(), "{ended}");
    }
    assert_eq!(hall.status("thor")["process_id"], before["process_id"]);
}
