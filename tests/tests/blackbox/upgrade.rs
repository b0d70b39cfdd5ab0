//! The daemon executes its program anew: same process, same services, nothing missed.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use gladsheim_tests::{TestDaemon, bin, service, wait_until};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Both ways to hold a process tree together, as the first lines of a hall file.
const CONTAINMENTS: [&str; 2] = ["", "containment = \"session\"\n"];

fn upgrade(hall: &TestDaemon) -> Value {
    hall.cli(["--format", "json", "upgrade"])
        .expect_code(0)
        .json()
}

fn pids(hall: &TestDaemon) -> Vec<Value> {
    let rows = hall.cli(["--format", "json", "status"]).expect_code(0);
    let mut rows = rows.json();
    let rows = rows.as_array_mut().unwrap();
    rows.iter_mut()
        .map(|row| row["process_id"].take())
        .collect()
}

fn lines_of(hall: &TestDaemon, name: &str) -> Vec<u64> {
    let number = |line: Value| line["line"].as_str()?.strip_prefix("line ")?.parse().ok();
    let lines = hall.cli(["--format", "json", "logs", name, "-n", "1000000"]);
    lines.json_lines().into_iter().filter_map(number).collect()
}

/// Starts the daemon from a program in the hall's own folder, which can be replaced.
fn spawn_from(hall: &mut TestDaemon, program: &Path) {
    let as_usual = hall.daemon_command();
    let mut command = Command::new(program);
    command.args(as_usual.get_args());
    for (name, value) in as_usual.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let log = || {
        let mut log = fs::File::options();
        log.create(true).append(true);
        log.open(hall.path("daemon.log")).unwrap()
    };
    command.stdin(Stdio::null()).stdout(log()).stderr(log());
    hall.spawn_by(|| command.spawn().unwrap());
}

/// Puts another file in the place of a program, as package managers do.
fn replace(program: &Path, source: &Path) {
    let new = program.with_extension("new");
    fs::copy(source, &new).unwrap();
    fs::rename(new, program).unwrap();
}

fn inode_of_program(pid: u32) -> u64 {
    fs::metadata(format!("/proc/{pid}/exe")).unwrap().ino()
}

#[test]
fn everything_goes_on_in_the_same_processes_over_several_upgrades() {
    for containment in CONTAINMENTS {
        let mut services = containment.to_owned();
        for number in 0..20 {
            services += &service(&format!("s{number}"), "svc-obedient", &[]);
        }
        services += &service("chatty", "svc-chatty", &["--every", "1"]);
        services += &service("loki", "svc-crashing", &["--on-user1"]);
        services += "restart = { backoff = \"10ms\" }\n";
        let mut hall = TestDaemon::start(&services);
        hall.wait_for_state("loki", "running");
        hall.cli(["signal", "loki", "SIGUSR1"]).expect_code(0);
        hall.wait_for_status("loki", "back", |status| {
            status["state"] == "running" && status["restart_count"] == 1
        });
        hall.cli(["stop", "s19"]).expect_code(0);
        let before = pids(&hall);
        let keeper = wait_until("the keeper", || hall.keeper()).pid;

        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            // Nobody is ever refused: whoever connects meanwhile waits.
            let asking = scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    hall.cli(["stats"]).expect_code(0);
                }
            });
            let upgrades: Vec<_> = (0..3).map(|_| (upgrade(&hall), pids(&hall))).collect();
            done.store(true, Ordering::SeqCst);
            asking.join().unwrap();
            for (upgraded, pids) in upgrades {
                assert_eq!(upgraded["process_id"], hall.pid());
                assert_eq!(pids, before);
            }
        });

        assert_eq!(hall.status("s19")["state"], "stopped");
        assert_eq!(hall.status("loki")["restart_count"], 1);
        assert_eq!(hall.keeper().unwrap().pid, keeper);
        // What starts now starts as before.
        let limit = |name: &str| {
            let pid = hall.status(name)["process_id"].as_u64().unwrap();
            let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
            let line = limits
                .lines()
                .find(|line| line.starts_with("Max open files"));
            line.unwrap().to_owned()
        };
        hall.cli(["start", "s19"]).expect_code(0);
        assert_eq!(limit("s19"), limit("s1"));
        // The exit status of a child, and what follows from it.
        hall.cli(["signal", "loki", "SIGUSR1"]).expect_code(0);
        let loki = hall.wait_for_status("loki", "back", |status| {
            status["state"] == "running" && status["restart_count"] == 2
        });
        assert_eq!(loki["exit_code"], 1);
        hall.cli(["stop", "chatty"]).expect_code(0);
        let mut lines = lines_of(&hall, "chatty");
        lines.sort_unstable();
        let expected: Vec<u64> = (1..=lines.len() as u64).collect();
        assert_eq!(lines, expected);

        hall.cli(["shutdown"]).expect_code(0);
        assert!(hall.wait().success());
        assert_eq!(hall.processes().len(), 0);
        assert!(hall.keeper().is_none());
    }
}

#[test]
fn an_exit_in_the_middle_of_an_upgrade_is_told_with_its_true_status() {
    for containment in CONTAINMENTS {
        let mut services = containment.to_owned();
        for number in 0..10 {
            let code = (10 + number).to_string();
            services += &service(
                &format!("s{number}"),
                "svc-crashing",
                &["--on-user1", "--code", &code],
            );
            services += "restart = { policy = \"never\" }\n";
        }
        let hall = TestDaemon::start(&services);
        for number in 0..10 {
            hall.wait_for_state(&format!("s{number}"), "running");
        }
        let processes = hall.processes();
        thread::scope(|scope| {
            scope.spawn(|| {
                for process in processes {
                    process.signal(Signal::SIGUSR1);
                    // Each ends at another point of it.
                    thread::sleep(Duration::from_millis(20));
                }
            });
            upgrade(&hall);
        });
        for number in 0..10 {
            let status = hall.wait_for_state(&format!("s{number}"), "crashed");
            let told = (&status["cause"], &status["exit_code"]);
            assert_eq!(told, (&"exit".into(), &(10 + number).into()), "{status}");
        }
    }
}

#[test]
fn a_program_that_was_replaced_takes_over() {
    let mut hall = TestDaemon::prepare(&service("thor", "svc-obedient", &[]));
    let program = hall.path("gladsheim");
    fs::copy(bin("gladsheim-under-test"), &program).unwrap();
    spawn_from(&mut hall, &program);
    hall.wait_for_state("thor", "running");
    let before = (pids(&hall), inode_of_program(hall.pid()));

    replace(&program, &bin("gladsheim-under-test"));
    upgrade(&hall);

    assert_eq!(pids(&hall), before.0);
    assert_eq!(
        inode_of_program(hall.pid()),
        fs::metadata(&program).unwrap().ino()
    );
    assert_ne!(inode_of_program(hall.pid()), before.1);
    // The state folder was never free.
    let other = hall.daemon_command().output().unwrap();
    assert_eq!(other.status.code(), Some(1));
}

#[test]
fn a_program_or_a_hall_file_that_would_not_do_leaves_the_daemon_as_it_is() {
    let mut hall = TestDaemon::prepare(&service("thor", "svc-obedient", &[]));
    let program = hall.path("gladsheim");
    fs::copy(bin("gladsheim-under-test"), &program).unwrap();
    spawn_from(&mut hall, &program);
    hall.wait_for_state("thor", "running");
    let processes = |hall: &TestDaemon| -> Vec<u32> {
        let all = hall.processes().into_iter();
        all.map(|process| process.pid).collect()
    };
    let before = (processes(&hall), inode_of_program(hall.pid()));
    let refused = |code, hint: &str| {
        let refused = hall.cli(["upgrade"]).expect_code(code);
        assert!(refused.stderr.contains(hint), "{refused:?}");
        assert_eq!(processes(&hall), before.0);
        assert_eq!(inode_of_program(hall.pid()), before.1);
    };

    replace(&program, &bin("svc-obedient"));
    let script = hall.path("script");
    fs::write(&script, "#!/bin/sh\necho something else\n").unwrap();
    fs::set_permissions(&script, fs::metadata(&program).unwrap().permissions()).unwrap();
    replace(&program, &script);
    refused(1, "is no gladsheim");
    fs::remove_file(&program).unwrap();
    refused(1, "cannot be executed");
    fs::write(&program, "no program").unwrap();
    refused(1, "cannot be executed");

    replace(&program, &bin("gladsheim-under-test"));
    fs::write(hall.hall_file(), "[services.thor]\npath = 7\n").unwrap();
    refused(2, "gladsheim.toml:2:");
    fs::write(
        hall.hall_file(),
        "state_dir = \"elsewhere\"\nsocket = \"hall.sock\"\n",
    )
    .unwrap();
    refused(1, "`state_dir` has changed");
    hall.cli(["stop", "thor"]).expect_code(0);
    hall.cli(["start", "thor"]).expect_code(0);
}

#[test]
fn a_stream_is_told_why_it_ends_and_events_go_on_counting() {
    let hall = TestDaemon::start(&service("thor", "svc-obedient", &[]));
    hall.wait_for_state("thor", "running");
    // With what it has said first: from then on it follows.
    let follow = |arguments: &[&str]| {
        let mut command = hall.command();
        command.args(["--format", "json"]).args(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        (child, lines, first)
    };
    let (events, seen, last) = follow(&["events", "-f"]);
    let (logs, _lines, _) = follow(&["logs", "thor", "-f"]);

    upgrade(&hall);

    for (child, what) in [(events, "events"), (logs, "logs")] {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("upgraded"), "{what}: {said}");
        assert_eq!(output.status.code(), Some(3), "{what}");
    }
    let number = |line: &str| -> u64 {
        let event: Value = serde_json::from_str(line).unwrap();
        event["seq"].as_u64().unwrap()
    };
    let last = seen.map_while(Result::ok).last().unwrap_or(last);
    let after = hall.cli([
        "--format",
        "json",
        "events",
        "--since",
        &number(&last).to_string(),
    ]);
    let after = after.expect_code(0).json_lines();
    assert_eq!(after[0]["kind"], "service.adopted", "{after:?}");
    assert_eq!(after[0]["seq"], number(&last) + 1);
}

#[test]
fn the_daemon_of_an_up_in_a_terminal_is_not_upgraded() {
    let mut hall = TestDaemon::prepare(&service("thor", "svc-obedient", &[]));
    let mut command = hall.command();
    command.arg("up").stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    hall.spawn_by(|| command.spawn().unwrap());
    let refused = hall.cli(["upgrade"]).expect_code(1);
    assert!(refused.stderr.contains("up --detach"), "{refused:?}");
}
