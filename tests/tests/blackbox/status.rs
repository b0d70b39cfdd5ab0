//! What `status` says to people: on a pipe, and on a terminal.

use gladsheim_tests::{Terminal, TestDaemon, in_shell, service, wait_until};
use serde_json::Value;

#[test]
fn a_crashing_service_says_when_it_is_tried_again_how_often_and_why() {
    let crashing = service("loki", "svc-crashing", &["--code", "7"])
        + "restart = { backoff = \"1h\", backoff_max = \"1h\", window = \"2h\", max_attempts = 5 }\n";
    let hall = TestDaemon::start(&crashing);
    let status = hall.wait_for_state("loki", "restarting");
    assert_eq!(
        (
            &status["attempts"],
            &status["max_attempts"],
            &status["attempts_window_ms"]
        ),
        (&1.into(), &5.into(), &7_200_000.into())
    );
    let text = hall.cli(["status"]).expect_code(0).stdout;
    assert!(text.contains("restarting in "), "{text}");
    assert!(
        text.contains(", 1 of 5 attempts in 2 h, exit code 7"),
        "{text}"
    );
}

#[test]
fn one_service_is_told_with_its_tree_its_history_and_its_last_lines() {
    let daemon_folder = TestDaemon::prepare("");
    let grandchild = daemon_folder.path("grandchild");
    let forking = service(
        "thor",
        "svc-forking",
        &["--grandchild", grandchild.to_str().unwrap()],
    );
    let freki = service("freki", "svc-obedient", &[]);
    let needs = "depends_on = { freki = { condition = \"ready\", required = false } }\n";
    let hall = TestDaemon::start(&(freki + &forking + needs));
    hall.wait_for_state("thor", "running");
    let pid = daemon_folder.pid_in("grandchild");

    // The orphan is found by its mark or its cgroup.
    let status = hall.status("thor");
    let processes = status["processes"].as_array().unwrap();
    let find = |wanted: &Value| processes.iter().find(|one| one["process_id"] == *wanted);
    let leader = find(&status["process_id"]).unwrap();
    let orphan = find(&pid.into()).unwrap();
    assert!(leader["memory_bytes"].as_u64() > Some(0), "{leader}");
    assert!(
        orphan["command"]
            .as_str()
            .unwrap()
            .contains("svc-forking grandchild"),
        "{orphan}"
    );
    let states = status["history"].as_array().unwrap().iter();
    let states: Vec<_> = states
        .map(|change| change["new_state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["starting", "running"], "{status}");
    assert_eq!(
        status["depends_on"],
        serde_json::json!([{"service_name": "freki", "condition": "ready", "required": false}])
    );

    let page = hall.cli(["status", "thor"]).expect_code(0).stdout;
    for text in [
        "● thor  running",
        "freki (ready, optional)",
        "\nPROCESSES\n",
        &pid.to_string(),
        "\nHISTORY\n",
        "starting",
        "\nOUTPUT\n",
    ] {
        assert!(page.contains(text), "no {text:?} in\n{page}");
    }
    let page = wait_until("its first line", || {
        let page = hall.cli(["status", "thor"]).expect_code(0).stdout;
        page.ends_with("\nready\n").then_some(page)
    });
    assert!(!page.contains('\x1b'), "a pipe sees no colours: {page}");
}

#[test]
fn on_a_terminal_states_are_coloured_and_no_row_is_broken() {
    let broken = "[services.a-service-with-a-long-name]\npath = \"/nowhere/雷神/雷神/雷神/雷神\"\n";
    let hall = TestDaemon::start(&(service("thor", "svc-obedient", &[]) + broken));
    hall.wait_for_state("thor", "running");
    hall.wait_for_state("a-service-with-a-long-name", "failed");
    for columns in [40, 60, 80, 160] {
        let script = "\"$@\"; echo done; exec sleep 1000";
        let shell = in_shell(script, hall.command().arg("status"));
        let Some(terminal) = Terminal::run(&shell, (columns, 20)) else {
            return;
        };
        let screen = terminal.wait_for_text(&["done"]);
        let thor = screen.lines().find(|line| line.starts_with("thor "));
        assert!(
            thor.is_some_and(|row| row.contains("running")),
            "{columns}:\n{screen}"
        );
        // Each row begins a line, and what is said below it is indented.
        let begins = screen.lines().take_while(|line| *line != "done");
        for line in begins {
            let is_row = ["SERVICE", "thor", "a-service", "  "]
                .iter()
                .any(|it| line.starts_with(it));
            assert!(is_row, "{columns}: {line:?} in\n{screen}");
        }
        let all: String = screen.split_whitespace().collect();
        assert!(
            all.contains("/nowhere/雷神/雷神/雷神/雷神"),
            "{columns}:\n{screen}"
        );
        assert!(
            terminal.colored().contains("\x1b[32m"),
            "{columns}: running is green"
        );
    }
}
