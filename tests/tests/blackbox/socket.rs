//! The socket, the state folder, and the daemon's own supervisor.

use std::os::unix::{fs::PermissionsExt as _, net::UnixDatagram};

use gladsheim_tests::TestDaemon;
use nix::sys::signal::Signal;

#[test]
fn the_socket_is_for_the_daemons_user_only() {
    let hall = TestDaemon::start("");
    let mode = |name: &str| hall.path(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("hall.sock"), 0o600);
    assert_eq!(mode("state"), 0o700);
}

#[test]
fn a_second_daemon_refuses_and_names_the_first_ones_pid() {
    let hall = TestDaemon::start("");
    let refused = hall.cli(["daemon"]).expect_code(1);
    assert!(
        refused.stderr.contains(&format!("pid {}", hall.pid())),
        "{refused:#?}"
    );
    hall.cli(["status"]).expect_code(0);
}

#[test]
fn the_socket_of_a_killed_daemon_is_replaced() {
    let mut hall = TestDaemon::start("");
    hall.signal(Signal::SIGKILL);
    hall.wait();
    assert!(hall.socket().exists());
    hall.cli(["status"]).expect_code(3);
    hall.spawn();
    hall.cli(["status"]).expect_code(0);
}

#[test]
fn a_socket_where_another_daemon_answers_is_left_alone() {
    let first = TestDaemon::start("");
    let second = TestDaemon::prepare("");
    let taken = format!(
        "state_dir = \"state\"\nsocket = \"{}\"\n",
        first.socket().display()
    );
    std::fs::write(second.hall_file(), taken).unwrap();
    let refused = second.cli(["daemon"]).expect_code(1);
    assert!(refused.stderr.contains("hall.sock"), "{refused:#?}");
    first.cli(["status"]).expect_code(0);
}

#[test]
fn an_unusable_state_folder_is_named() {
    let hall = TestDaemon::prepare("");
    std::fs::write(hall.path("state"), "a file").unwrap();
    let refused = hall.cli(["daemon"]).expect_code(1);
    assert!(
        refused
            .stderr
            .contains(hall.path("state").to_str().unwrap()),
        "{refused:#?}"
    );
    assert!(!hall.socket().exists());
}

#[test]
fn the_daemons_own_supervisor_is_told_when_it_is_ready_and_when_it_stops() {
    let hall = TestDaemon::prepare("");
    let supervisor = UnixDatagram::bind(hall.path("notify")).unwrap();
    supervisor
        .set_read_timeout(Some(std::time::Duration::from_secs(60)))
        .unwrap();
    let mut daemon = hall
        .daemon_command()
        .env("NOTIFY_SOCKET", hall.path("notify"))
        .spawn()
        .unwrap();
    // Other messages (more patience, a status line) may come between.
    let hear = |wanted: &str| loop {
        let mut message = [0; 256];
        let length = supervisor
            .recv(&mut message)
            .unwrap_or_else(|error| panic!("{wanted}: {error}"));
        if &message[..length] == wanted.as_bytes() {
            break;
        }
    };
    hear("READY=1");
    hall.cli(["shutdown"]).expect_code(0);
    hear("STOPPING=1");
    assert!(daemon.wait().unwrap().success());
}
