//! Places that are taken: ports, sockets, folders.

use std::{
    fs,
    net::TcpListener,
    os::unix::net::{UnixListener, UnixStream},
};

use gladsheim_tests::{TestDaemon, service, wait_until};
use nix::sys::signal::Signal;

use super::{error_of, leaves_nothing, neighbour, says};

#[test]
fn a_service_whose_port_is_taken_is_given_up_and_can_be_started_once_it_is_free() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let thor = service("thor", "svc-listener", &["--port", &port, "--ready", "pid"])
        + "restart = { max_attempts = 2, backoff = \"1ms\" }\n";
    let hall = TestDaemon::start(&(neighbour() + &thor));

    let failed = hall.wait_for_state("thor", "failed");
    assert_eq!(failed["cause"], "exit", "{failed}");
    assert_eq!(failed["exit_code"], 1, "{failed}");
    assert_eq!(failed["restart_count"], 2, "{failed}");
    assert_eq!(failed["process_id"], 0, "{failed}");
    says(failed["error_message"].as_str().unwrap(), &["exit code 1"]);
    let complaint = format!("port {port}: Address already in use");
    wait_until("a complaint of each run", || {
        let logs = hall.cli(["logs", "thor"]).expect_code(0).stdout;
        (logs.matches(&complaint).count() == 3).then_some(())
    });
    let exited = hall.cli(["wait", "thor", "--for", "exited"]).expect_code(1);
    assert_eq!(exited.stdout, "1\n", "{exited:#?}");

    drop(taken);
    hall.cli(["start", "thor"]).expect_code(0);
    hall.pid_in("pid");
    assert_eq!(hall.status("thor")["state"], "running");
    leaves_nothing(hall);
}

/// No daemon starts, however it is asked for, and each says so in these words.
#[track_caller]
fn no_daemon_starts(hall: &TestDaemon, words: &[&str]) {
    daemon_refuses(hall, &["daemon"], words);
    // Those have a log in the state folder, which stays.
    assert!(
        !hall.path("state").exists(),
        "a refused start leaves no state"
    );
    daemon_refuses(hall, &["up"], words);
    daemon_refuses(hall, &["up", "--detach"], words);
    assert!(hall.processes().is_empty(), "{:?}", hall.processes());
}

#[track_caller]
fn daemon_refuses(hall: &TestDaemon, command: &[&str], words: &[&str]) {
    let arguments = ["--format", "json"].iter().chain(command).copied();
    let refused = hall.cli(arguments).expect_code(1);
    assert_eq!(refused.stdout, "", "{refused:#?}");
    let error = error_of(&refused);
    assert_eq!(error["reason"], "daemon_failed", "{error}");
    says(error["message"].as_str().unwrap(), words);
}

#[test]
fn a_file_at_the_place_of_the_socket_is_left_alone() {
    let hall = TestDaemon::prepare(&neighbour());
    fs::write(hall.socket(), "precious").unwrap();
    no_daemon_starts(
        &hall,
        &["hall.sock exists and is no socket", "remove it", "`socket`"],
    );
    assert_eq!(fs::read_to_string(hall.socket()).unwrap(), "precious");
}

#[test]
fn the_socket_of_a_stranger_is_left_alone() {
    let hall = TestDaemon::prepare(&neighbour());
    let stranger = UnixListener::bind(hall.socket()).unwrap();
    let words = ["hall.sock", "name another one with `socket`"];
    daemon_refuses(&hall, &["daemon"], &words);
    assert!(hall.processes().is_empty(), "{:?}", hall.processes());
    assert!(
        !hall.path("state").exists(),
        "a refused start leaves no state"
    );
    drop(UnixStream::connect(hall.socket()).unwrap());
    drop(stranger);
}

#[test]
fn a_state_folder_that_cannot_be_made_is_named_and_nothing_is_started() {
    let hall = TestDaemon::prepare("");
    // Nobody can make folders there, not even root.
    let file = format!(
        "state_dir = \"/proc/nowhere\"\nsocket = \"hall.sock\"\n{}",
        neighbour()
    );
    fs::write(hall.hall_file(), file).unwrap();
    no_daemon_starts(&hall, &["/proc/nowhere", "`state_dir`"]);
    assert!(!hall.socket().exists());
}

#[test]
fn a_second_daemon_harms_neither_the_first_one_nor_its_services() {
    let hall = TestDaemon::start(&neighbour());
    let before = hall.wait_for_state("freki", "running");
    let pid = format!("pid {}", hall.pid());
    daemon_refuses(
        &hall,
        &["daemon"],
        &[&*pid, "gladsheim shutdown", "`state_dir`"],
    );

    // Not even if it names a socket of its own.
    let elsewhere = hall.path("other.sock");
    let refused = hall
        .cli(["daemon", "--socket", elsewhere.to_str().unwrap()])
        .expect_code(1);
    says(&refused.stderr, &[&*pid]);
    assert!(!elsewhere.exists());
    assert_eq!(hall.status("freki")["process_id"], before["process_id"]);
    leaves_nothing(hall);
}

#[test]
fn after_a_killed_daemon_the_next_one_leaves_nothing_behind() {
    let mut hall = TestDaemon::start(&neighbour());
    hall.wait_for_state("freki", "running");
    hall.signal(Signal::SIGKILL);
    hall.wait();
    says(
        &hall.cli(["status"]).expect_code(3).stderr,
        &["no daemon", "gladsheim up"],
    );
    hall.spawn();
    hall.wait_for_state("freki", "running");
    leaves_nothing(hall);
}
