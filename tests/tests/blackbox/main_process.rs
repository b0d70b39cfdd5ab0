//! Services that start the real server, name it by `MAINPID`, and end.

use gladsheim_tests::{TestDaemon, service};
use nix::sys::signal::Signal;
use serde_json::Value;

const CONTAINMENTS: [&str; 2] = ["", "containment = \"session\"\n"];

fn delegating(containment: &str) -> String {
    containment.to_owned()
        + &service("thor", "svc-delegating", &["--ready", "server"])
        + "ready = \"notify\"\nrestart = { backoff = \"10ms\" }\n"
}

/// The service runs, and the server that it has named is its process.
#[track_caller]
fn served(hall: &TestDaemon) -> Value {
    hall.wait_for_status("thor", "to be led by its server", |status| {
        let server = std::fs::read_to_string(hall.path("server")).unwrap_or_default();
        status["state"] == "running" && status["process_id"].as_u64() == server.parse().ok()
    })
}

#[test]
fn a_named_main_process_is_the_service_and_its_end_is_restarted() {
    for containment in CONTAINMENTS {
        let hall = TestDaemon::start(&delegating(containment));
        let first = served(&hall);
        assert_eq!(first["restart_count"], 0, "{first}");
        assert_eq!(first["generation"], 1, "{first}");
        hall.cli(["signal", "thor", "SIGTERM"]).expect_code(0);
        let second = hall.wait_for_status("thor", "back", |status| status["restart_count"] == 1);
        assert_eq!(second["exit_code"], 7, "{second}");
        let second = served(&hall);
        assert_ne!(first["process_id"], second["process_id"]);
        assert_eq!(hall.processes().len(), 1);
        hall.cli(["stop", "thor"]).expect_code(0);
        let stopped = hall.wait_for_state("thor", "stopped");
        assert_eq!(stopped["exit_code"], 7, "{stopped}");
        assert!(hall.processes().is_empty());
    }
}

#[test]
fn a_named_main_process_is_adopted_by_the_next_daemon() {
    for containment in CONTAINMENTS {
        let mut hall = TestDaemon::start(&delegating(containment));
        let before = served(&hall);
        hall.signal(Signal::SIGKILL);
        hall.wait();
        hall.spawn();
        let after = served(&hall);
        for key in ["process_id", "start_time_unix", "restart_count"] {
            assert_eq!(after[key], before[key], "{key}");
        }
        hall.cli(["stop", "thor"]).expect_code(0);
        let stopped = hall.wait_for_state("thor", "stopped");
        assert_eq!(stopped["exit_code"], 7, "{stopped}");
        assert!(hall.processes().is_empty());
    }
}
