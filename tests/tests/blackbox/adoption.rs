//! The daemon is killed, and the next one goes on: same processes, same state, nothing forgotten.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

use gladsheim_tests::{TestDaemon, service, wait_until};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Both ways to hold a process tree together, as the first lines of a hall file.
const CONTAINMENTS: [&str; 2] = ["", "containment = \"session\"\n"];

fn kill_daemon(hall: &mut TestDaemon) {
    hall.signal(Signal::SIGKILL);
    hall.wait();
}

fn list(hall: &TestDaemon) -> BTreeMap<String, Value> {
    let rows = hall.cli(["--format", "json", "status"]).expect_code(0);
    let rows = rows.json();
    let named = |row: &Value| Some((row["service_name"].as_str()?.to_owned(), row.clone()));
    rows.as_array()
        .into_iter()
        .flatten()
        .filter_map(named)
        .collect()
}

/// What has to be the same before and after.
fn facts(row: &Value) -> Value {
    let keep = [
        "state",
        "process_id",
        "start_time_unix",
        "restart_count",
        "ready",
        "cause",
        "exit_code",
        "signal",
        "containment",
    ];
    keep.iter().map(|key| row[*key].clone()).collect()
}

fn lines_of(hall: &TestDaemon, name: &str) -> Vec<u64> {
    let number = |line: Value| line["line"].as_str()?.strip_prefix("line ")?.parse().ok();
    let lines = hall.cli(["--format", "json", "logs", name, "-n", "1000000"]);
    lines.json_lines().into_iter().filter_map(number).collect()
}

/// No hole and none twice, each stream in order.
fn assert_complete(lines: &[u64]) {
    let mut sorted = lines.to_vec();
    sorted.sort_unstable();
    let expected: Vec<u64> = (1..=lines.len() as u64).collect();
    assert_eq!(sorted, expected);
}

#[test]
fn hundred_services_of_a_killed_daemon_are_adopted() {
    for containment in CONTAINMENTS {
        let mut services = containment.to_owned();
        for number in 0..97 {
            services += &service(&format!("s{number}"), "svc-obedient", &[]);
        }
        services += &service(
            "loki",
            "svc-crashing",
            &["--on-user1", "--starts", "starts"],
        );
        services += "restart = { backoff = \"10ms\" }\n";
        services += &service("fenrir", "svc-crashing", &["--on-user1", "--code", "7"]);
        services += "restart = { policy = \"never\" }\n";
        services += &service("chatty", "svc-chatty", &["--every", "5"]);
        let mut hall = TestDaemon::start(&services);
        wait_until("all to run", || {
            let rows = list(&hall);
            rows.values()
                .all(|row| row["state"] == "running")
                .then_some(())
        });
        hall.cli(["signal", "loki", "SIGUSR1"]).expect_code(0);
        hall.wait_for_status("loki", "back", |status| {
            status["state"] == "running" && status["restart_count"] == 1
        });
        let before = list(&hall);
        assert_eq!(before.len(), 100);

        for _ in 0..3 {
            kill_daemon(&mut hall);
            hall.spawn();
            let after = list(&hall);
            for (name, row) in &before {
                assert_eq!(facts(&after[name]), facts(row), "{name}");
            }
        }
        assert_eq!(hall.processes().len(), 100);

        // Still stoppable; a later exit is told as it is, and the policy applies.
        hall.cli(["stop", "s1", "s2"]).expect_code(0);
        assert_eq!(hall.processes().len(), 98);
        hall.cli(["signal", "fenrir", "SIGUSR1"]).expect_code(0);
        let crashed = hall.wait_for_state("fenrir", "crashed");
        assert_eq!(
            (&crashed["exit_code"], &crashed["cause"]),
            (&7.into(), &"exit".into())
        );
        hall.cli(["signal", "loki", "SIGUSR1"]).expect_code(0);
        let back = hall.wait_for_status("loki", "back", |status| {
            status["state"] == "running" && status["restart_count"] == 2
        });
        assert_eq!(back["exit_code"], 1);

        // Its output goes on: no line is lost, none comes twice.
        let seen = lines_of(&hall, "chatty").len();
        wait_until("more lines", || {
            (lines_of(&hall, "chatty").len() > seen + 20).then_some(())
        });
        hall.cli(["stop", "chatty"]).expect_code(0);
        assert_complete(&lines_of(&hall, "chatty"));

        hall.cli(["shutdown"]).expect_code(0);
        hall.wait();
        assert_eq!(hall.processes().len(), 0);
    }
}

#[test]
fn no_line_is_lost_and_none_comes_twice_over_many_killed_daemons() {
    const CHATTY: [&str; 4] = ["a", "b", "c", "d"];
    let services: String = CHATTY
        .iter()
        .map(|name| service(name, "svc-chatty", &["--every", "1"]))
        .collect();
    let mut hall = TestDaemon::start(&services);
    for _ in 0..15 {
        let seen = lines_of(&hall, "d").len();
        wait_until("more lines", || {
            (lines_of(&hall, "d").len() > seen + 20).then_some(())
        });
        kill_daemon(&mut hall);
        hall.spawn();
    }
    hall.cli(["stop", "--all"]).expect_code(0);
    for name in CHATTY {
        assert_complete(&lines_of(&hall, name));
    }
}

#[test]
fn what_ended_while_no_daemon_lived_is_told_and_the_policy_applies() {
    for containment in CONTAINMENTS {
        let mut services = containment.to_owned();
        for (name, policy) in [("thor", "on-failure"), ("loki", "never")] {
            services += &service(name, "svc-obedient", &["--ready", name]);
            services += &format!("restart = {{ policy = \"{policy}\", backoff = \"10ms\" }}\n");
        }
        let mut hall = TestDaemon::start(&services);
        let pids = ["thor", "loki"].map(|name| {
            hall.wait_for_state(name, "running");
            hall.pid_in(name)
        });

        kill_daemon(&mut hall);
        for process in hall.processes() {
            process.kill();
        }
        wait_until("their ends", || hall.processes().is_empty().then_some(()));
        hall.spawn();

        let thor = hall.wait_for_state("thor", "running");
        assert_ne!(thor["process_id"], pids[0]);
        assert_eq!(thor["restart_count"], 1);
        let loki = hall.wait_for_state("loki", "crashed");
        assert_eq!(loki["process_id"], 0);
        let told = (&loki["cause"], &loki["signal"]);
        assert_eq!(told, (&"signal".into(), &9.into()), "{loki}");
        assert_eq!(hall.processes().len(), 1);
    }
}

#[test]
fn stopped_by_hand_outlives_a_killed_daemon_and_not_a_shutdown() {
    let mut services = service("thor", "svc-obedient", &[]);
    services += &service("manual", "svc-obedient", &[]);
    services += "autostart = false\n";
    services += &service("job", "svc-obedient", &["--ready", "job"]);
    services += &service("never", "svc-obedient", &[]);
    services += "autostart = false\n";
    let mut hall = TestDaemon::start(&services);
    hall.wait_for_state("thor", "running");
    hall.cli(["stop", "thor"]).expect_code(0);
    hall.cli(["start", "manual"]).expect_code(0);
    // A job that is done needs not be done again.
    hall.pid_in("job");
    hall.cli(["signal", "job", "SIGTERM"]).expect_code(0);
    hall.wait_for_state("job", "stopped");
    let before = list(&hall);

    kill_daemon(&mut hall);
    hall.spawn();
    let after = list(&hall);
    for (name, row) in &before {
        assert_eq!(facts(&after[name]), facts(row), "{name}");
    }
    hall.cli(["start", "thor"]).expect_code(0);
    hall.cli(["stop", "thor"]).expect_code(0);

    hall.cli(["shutdown"]).expect_code(0);
    hall.wait();
    hall.spawn();
    hall.wait_for_state("thor", "running");
    hall.wait_for_state("job", "running");
    for name in ["manual", "never"] {
        assert_eq!(hall.status(name)["state"], "stopped", "{name}");
    }
}

#[test]
fn a_restart_that_is_due_and_the_attempts_outlive_a_killed_daemon() {
    let mut services = service("loki", "svc-crashing", &["--on-user1", "--ready", "pid"]);
    services += "restart = { max_attempts = 2, backoff = \"10ms\", reset_after = \"1h\" }\n";
    let mut hall = TestDaemon::start(&services);
    for restarts in 0..2 {
        hall.wait_for_status("loki", "running", |status| {
            status["state"] == "running" && status["restart_count"] == restarts
        });
        kill_daemon(&mut hall);
        hall.spawn();
        assert_eq!(hall.status("loki")["restart_count"], restarts);
        hall.pid_in("pid");
        fs::remove_file(hall.path("pid")).expect("is there");
        hall.cli(["signal", "loki", "SIGUSR1"]).expect_code(0);
    }
    hall.pid_in("pid");
    hall.wait_for_status("loki", "running again", |status| {
        status["state"] == "running" && status["restart_count"] == 2
    });
    hall.cli(["signal", "loki", "SIGUSR1"]).expect_code(0);
    hall.wait_for_state("loki", "failed");

    kill_daemon(&mut hall);
    hall.spawn();
    let failed = hall.status("loki");
    assert_eq!(failed["state"], "failed");
    assert_eq!(failed["restart_count"], 2);
}

#[test]
fn a_service_that_was_removed_meanwhile_is_stopped() {
    let kept = service("thor", "svc-obedient", &[]);
    let removed = service(
        "loki",
        "svc-obedient",
        &["--ends", "ends", "--name", "loki"],
    );
    let mut hall = TestDaemon::start(&(kept.clone() + &removed));
    hall.wait_for_state("thor", "running");
    hall.wait_for_state("loki", "running");
    kill_daemon(&mut hall);
    hall.write_hall(&kept);
    hall.spawn();
    wait_until("loki's end", || (hall.processes().len() == 1).then_some(()));
    let ends = fs::read_to_string(hall.path("ends")).expect("it was asked");
    assert_eq!(ends, "loki\n");
}

/// As the journal has it.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

/// Until whatever starts from now on has another start time: the kernel tells those in ticks of 10 ms,
/// and by nothing else could a process be told from one that began in the same tick.
fn wait_until_older_than_a_tick(pid: u32) {
    wait_until("the clock to tick", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The 22nd field, counted from the name in brackets, which is the second.
        let started: f64 = stat
            .rsplit_once(')')?
            .1
            .split_whitespace()
            .nth(19)?
            .parse()
            .ok()?;
        let uptime = fs::read_to_string("/proc/uptime").ok()?;
        let seconds: f64 = uptime.split_whitespace().next()?.parse().ok()?;
        (seconds * 100.0 > started + 1.5).then_some(())
    });
}

#[test]
fn a_stranger_that_the_journal_names_is_left_alone() {
    for containment in CONTAINMENTS {
        let mut stranger = Command::new("sleep").arg("1000").spawn().expect("starts");
        wait_until_older_than_a_tick(stranger.id());
        let services = containment.to_owned() + &service("thor", "svc-obedient", &[]);
        let mut hall = TestDaemon::start(&services);
        let pid = hall.wait_for_state("thor", "running")["process_id"].clone();
        kill_daemon(&mut hall);
        let path = hall.path("state/journal");
        let journal = fs::read_to_string(&path).expect("there is one");
        let mut edited = String::new();
        for line in journal.lines() {
            edited += &match line.get(9..).filter(|json| json.starts_with('{')) {
                Some(json) => {
                    let json = json.replace(
                        &format!("\"pid\":{pid},"),
                        &format!("\"pid\":{},", stranger.id()),
                    );
                    format!("{:08x} {json}\n", crc32(json.as_bytes()))
                }
                None => format!("{line}\n"),
            };
        }
        assert_ne!(edited, journal);
        fs::write(&path, edited).expect("is written");

        hall.spawn();

        let thor = hall.wait_for_status("thor", "started anew", |status| {
            status["state"] == "running" && status["restart_count"] == 1
        });
        assert_ne!(thor["process_id"], stranger.id());
        // The one that the journal no longer named was nobody's, and is gone.
        assert_ne!(thor["process_id"], pid);
        assert_eq!(hall.processes().len(), 1);
        hall.cli(["stop", "thor"]).expect_code(0);
        assert!(stranger.try_wait().expect("is ours").is_none());
        stranger.kill().expect("is ours");
        stranger.wait().expect("is ours");
    }
}

#[test]
fn a_journal_that_makes_no_sense_ends_in_a_message_and_a_working_daemon() {
    let mut hall = TestDaemon::start(&service("thor", "svc-obedient", &[]));
    for (journal, message) in [
        ("gladsheim-journal 99\n", "newer version"),
        ("\0\u{1}\u{2} rubbish", "no journal"),
        (
            "gladsheim-journal 1\n00000000 {}\n",
            "not written to its end",
        ),
    ] {
        hall.wait_for_state("thor", "running");
        kill_daemon(&mut hall);
        fs::write(hall.path("state/journal"), journal).expect("is written");
        hall.spawn();
        hall.wait_for_state("thor", "running");
        assert!(hall.log().contains(message), "{}", hall.log());
        assert_eq!(hall.processes().len(), 1);
    }
}

#[test]
fn a_state_folder_that_cannot_be_written_is_refused() {
    let hall = TestDaemon::prepare(&service("thor", "svc-obedient", &[]));
    fs::create_dir_all(hall.path("state/journal")).expect("is made");
    let status = hall.daemon_command().status().expect("runs");
    assert_eq!(status.code(), Some(1));
    assert!(hall.log().contains("journal"), "{}", hall.log());
}

#[test]
fn killed_in_the_middle_of_anything_the_daemon_leaves_no_duplicate_and_no_orphan() {
    const SERVICES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
    for containment in CONTAINMENTS {
        let mut services = containment.to_owned();
        for name in SERVICES {
            services += &service(name, "svc-obedient", &[]);
        }
        let mut hall = TestDaemon::start(&services);
        for round in 0..20_u32 {
            let storm: Vec<_> = SERVICES
                .iter()
                .zip(0..)
                .map(|(name, number)| {
                    let verb = ["start", "stop", "restart", "kill"][(round + number) as usize % 4];
                    let mut command = hall.command();
                    command.args([verb, name]);
                    // What they say does not matter: the daemon ends below them.
                    command.stdout(std::process::Stdio::null());
                    command.stderr(std::process::Stdio::null());
                    command.spawn().expect("spawns")
                })
                .collect();
            // Each round is cut off at another point.
            std::thread::sleep(std::time::Duration::from_millis(u64::from(round) * 3));
            kill_daemon(&mut hall);
            for mut client in storm {
                client.wait().expect("ends");
            }
            hall.spawn();
            wait_until("the hall to be at rest", || {
                let rows = list(&hall);
                let rest = |row: &Value| row["state"] == "running" || row["state"] == "stopped";
                rows.values().all(rest).then_some(())
            });
            let known: BTreeSet<u64> = list(&hall)
                .values()
                .filter_map(|row| row["process_id"].as_u64().filter(|pid| *pid > 0))
                .collect();
            let living: BTreeSet<u64> = hall
                .processes()
                .iter()
                .map(|process| process.pid.into())
                .collect();
            assert_eq!(known, living, "round {round} {containment}");
        }
        hall.cli(["shutdown"]).expect_code(0);
        hall.wait();
        assert_eq!(hall.processes().len(), 0);
    }
}
