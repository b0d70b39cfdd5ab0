//! The limit of processes.

use gladsheim_tests::TestDaemon;

use crate::group::{Group, machine};

#[test]
fn a_fork_bomb_goes_no_further_than_its_limit() {
    if !machine() {
        return;
    }
    let hall = TestDaemon::start(
        "[services.hydra]\npath = \"/bin/sh\"\n\
         args = [\"-c\", \"bomb() { bomb | bomb & }; bomb; while :; do sleep 1000; done\"]\n\
         limits = { pids = 24 }\n",
    );
    hall.wait_for_state("hydra", "running");
    let group = Group::of(&hall, "hydra");
    group.wait_for_count("pids.events", "max ", 1);
    let processes: u64 = group.read("pids.current").parse().expect("is a number");
    assert!(processes <= 24, "{processes}");
    hall.cli(["stop", "hydra", "--timeout", "1s"])
        .expect_code(0);
    assert!(hall.processes().is_empty(), "{:?}", hall.processes());
}
