//! The daemon as PID 1 of a container.

use std::{
    fs,
    process::{Command, Stdio},
};

use gladsheim_tests::{TestDaemon, service, skip, wait_until};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Makes a namespace of processes whose first one is the program that follows.
const CONTAINER: [&str; 3] = ["--pid", "--fork", "--mount-proc"];

fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter();
    tasks
        .flatten()
        .flatten()
        .flat_map(|task| {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            let numbers = children.split_whitespace().map(|pid| pid.parse().unwrap());
            numbers.collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn as_the_first_process_it_reaps_strangers_and_stops_all_when_asked() {
    let mut probe = Command::new("unshare");
    let probe = probe.args(CONTAINER).arg("true").stderr(Stdio::null());
    if !probe.status().is_ok_and(|status| status.success()) {
        return skip("no permission for a namespace of processes");
    }
    let hall = TestDaemon::prepare(&service("thor", "svc-obedient", &["--ends", "ends"]));
    let daemon = hall.daemon_command();
    let mut container = Command::new("unshare");
    container
        .args(CONTAINER)
        .arg(daemon.get_program())
        .args(daemon.get_args())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    for (name, value) in daemon.get_envs() {
        match value {
            Some(value) => container.env(name, value),
            None => container.env_remove(name),
        };
    }
    let mut container = container.spawn().unwrap();
    wait_until("the daemon's socket", || {
        hall.socket().exists().then_some(())
    });
    hall.wait_for_state("thor", "running");
    let [first] = children(container.id())[..] else {
        panic!("{:?}", children(container.id()));
    };
    let services = wait_until("the service and the keeper", || {
        Some(children(first)).filter(|children| children.len() == 2)
    });

    // An orphan that no service has made, and that ends.
    let told = hall.path("told");
    let script = format!("(setsid sh -c 'echo >{}; exit 7' &)", told.display());
    let entered = Command::new("nsenter")
        .args(["--pid", "--mount", "--target", &first.to_string()])
        .args(["sh", "-c", &script])
        .status();
    assert!(entered.unwrap().success());
    wait_until("the orphan", || told.exists().then_some(()));
    wait_until("the orphan to be reaped", || {
        (children(first) == services).then_some(())
    });

    kill(Pid::from_raw(first.cast_signed()), Signal::SIGTERM).unwrap();
    let status = wait_until("the container's end", || container.try_wait().unwrap());
    assert_eq!(status.code(), Some(0), "{status}");
    assert!(hall.path("ends").exists(), "the service was asked to end");
    assert!(hall.processes().is_empty(), "{:?}", hall.processes());
}
