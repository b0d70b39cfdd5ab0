//! A daemon without privileges in a part of the tree that it was given.

use std::{
    fs,
    io::Write as _,
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use gladsheim_tests::TestDaemon;

use crate::{
    group::{Group, machine},
    memory::hungry,
};

/// Thor, as the machine's `/etc/passwd` knows him.
const USER: u32 = 1000;

/// A group that belongs to a user, with all controllers, as `Delegate=yes` makes one.
struct Delegated(PathBuf);

impl Delegated {
    fn new() -> Self {
        let root = Path::new("/sys/fs/cgroup");
        fs::write(
            root.join("cgroup.subtree_control"),
            "+cpu +io +memory +pids",
        )
        .expect("the root may");
        let folder = root.join("thor");
        fs::create_dir(&folder).expect("is new");
        chown(&folder, Some(USER), Some(USER)).expect("root may");
        for file in ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control"] {
            chown(folder.join(file), Some(USER), Some(USER)).expect("root may");
        }
        Self(folder)
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        // The daemon's own group first. A test that failed may have left more; the machine ends anyway.
        let _ = fs::remove_dir(self.0.join("gladsheim.daemon"));
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_daemon_without_privileges_holds_limits_where_it_was_given_a_group() {
    if !machine() {
        return;
    }
    let delegated = Delegated::new();
    let mut hall = TestDaemon::prepare(&hungry("memory = \"20MiB\", cpu_percent = 20.0, pids = 9"));
    chown(hall.path(""), Some(USER), Some(USER)).expect("root may");
    // Waits until it is where it belongs, and then becomes the daemon.
    let daemon = hall.daemon_command();
    let log = fs::File::create(hall.path("daemon.log")).expect("is writable");
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "read -r go && exec \"$@\"", "sh"])
        .arg(daemon.get_program())
        .args(daemon.get_args())
        .envs(
            daemon
                .get_envs()
                .filter_map(|(key, value)| Some((key, value?))),
        )
        .uid(USER)
        .gid(USER)
        .stdin(Stdio::piped())
        .stdout(log.try_clone().expect("a descriptor is free"))
        .stderr(log);
    hall.spawn_by(|| {
        let mut child = command.spawn().expect("spawns");
        fs::write(delegated.0.join("cgroup.procs"), child.id().to_string()).expect("root may");
        let mut input = child.stdin.take().expect("is piped");
        writeln!(input, "go").expect("is read");
        child
    });

    hall.pid_in("pid");
    let status = hall.status("fenrir");
    assert_eq!(status["containment"], "cgroup", "{status}");
    assert_eq!(status["limits_enforced_by"], "kernel", "{status}");
    let group = Group::of(&hall, "fenrir");
    assert_eq!(group.read("memory.max"), "20971520");
    assert_eq!(group.read("cpu.max"), "40000 100000");
    assert_eq!(group.read("pids.max"), "9");
    hall.cli(["signal", "fenrir", "SIGUSR1"]).expect_code(0);
    let ended = hall.wait_for_status("fenrir", "ended", |status| !status["cause"].is_null());
    assert_eq!(ended["cause"], "oom", "{ended}");
}
