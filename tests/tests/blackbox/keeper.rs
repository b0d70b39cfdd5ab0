//! What the keeper process keeps while no daemon lives, and when it comes and goes.

use std::{
    collections::BTreeSet,
    io::Read as _,
    net::{Ipv4Addr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use gladsheim_tests::{Process, TestDaemon, free_port, service, wait_until};
use nix::sys::signal::Signal;

/// Both ways to hold a process tree together, as the first lines of a hall file.
const CONTAINMENTS: [&str; 2] = ["", "containment = \"session\"\n"];
/// Descriptors of a keeper that holds nothing: input and outputs, its socket, its daemon.
const OWN: usize = 5;
/// Of each run: its pidfd and two pipes.
const OF_A_RUN: usize = 3;

fn kill_daemon(hall: &mut TestDaemon) {
    hall.signal(Signal::SIGKILL);
    hall.wait();
}

/// The keeper, once it holds so many runs.
fn keeper_of(hall: &TestDaemon, runs: usize) -> Process {
    wait_until("the keeper to hold them all", || {
        let keeper = hall.keeper()?;
        (keeper.descriptors() >= OWN + OF_A_RUN * runs).then_some(keeper)
    })
}

#[track_caller]
fn service_process(hall: &TestDaemon, name: &str) -> Process {
    let all = hall.processes().into_iter();
    let mut all = all.filter(|process| process.command.contains(name));
    all.next().unwrap()
}

fn output_of(hall: &TestDaemon, name: &str) -> Vec<String> {
    let lines = hall.cli(["--format", "json", "logs", name, "-n", "1000000"]);
    let lines = lines.json_lines().into_iter();
    lines
        .map(|line| line["line"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn what_a_service_wrote_and_how_it_ended_while_no_daemon_lived_is_known() {
    for containment in CONTAINMENTS {
        let mut services = containment.to_owned();
        let ends = [
            ("loki", &["--code", "7"][..]),
            ("fenrir", &["--signal", "SIGKILL"]),
            ("clean", &["--code", "0"]),
        ];
        for (name, how) in ends {
            let arguments = [&["--on-user1", "--lines", "500", "--name", name], how].concat();
            services += &service(name, "svc-crashing", &arguments);
            services += "restart = { policy = \"never\" }\n";
        }
        services += &service(
            "thor",
            "svc-crashing",
            &[
                "--on-user1",
                "--starts",
                "starts",
                "--name",
                "thor",
                "--lines",
                "500",
            ],
        );
        services += "restart = { backoff = \"10ms\" }\n";
        let mut hall = TestDaemon::start(&services);
        for name in ["loki", "fenrir", "clean", "thor"] {
            hall.wait_for_state(name, "running");
        }
        keeper_of(&hall, 4);

        kill_daemon(&mut hall);
        for process in hall.processes() {
            process.signal(Signal::SIGUSR1);
        }
        wait_until("their ends", || hall.processes().is_empty().then_some(()));
        hall.spawn();

        let mut expected = vec!["ready".to_owned()];
        expected.extend((1..=500).map(|line| format!("line {line}")));
        expected.push("crashing".to_owned());
        for (name, state, cause, exit_code, signal) in [
            ("loki", "crashed", "exit", Some(7), None),
            ("fenrir", "crashed", "signal", None, Some(9)),
            ("clean", "stopped", "exit", Some(0), None),
        ] {
            let status = hall.wait_for_state(name, state);
            let told = (&status["cause"], &status["exit_code"], &status["signal"]);
            assert_eq!(
                told,
                (&cause.into(), &exit_code.into(), &signal.into()),
                "{status}"
            );
            assert_eq!(output_of(&hall, name), expected, "{name}");
        }
        hall.wait_for_status("thor", "back", |status| {
            status["state"] == "running" && status["restart_count"] == 1 && status["exit_code"] == 1
        });
        expected.push("ready".to_owned());
        wait_until("its last line", || {
            (output_of(&hall, "thor") == expected).then_some(())
        });
        hall.cli(["shutdown"]).expect_code(0);
        hall.wait();
        assert!(hall.keeper().is_none());
    }
}

#[test]
fn a_client_of_a_socket_is_not_refused_while_daemon_and_service_are_both_gone() {
    for containment in CONTAINMENTS {
        let port = free_port();
        let mut hall = TestDaemon::start(&format!(
            "{containment}{}sockets = [\"tcp:127.0.0.1:{port}\"]\nrestart = {{ backoff = \"10ms\" }}\n",
            service("thor", "svc-activated", &["--ready", "thor.pid"])
        ));
        hall.pid_in("thor.pid");
        keeper_of(&hall, 1);
        let done = AtomicBool::new(false);
        let answers = thread::scope(|scope| {
            let client = scope.spawn(|| {
                let mut answers = BTreeSet::new();
                while !done.load(Ordering::SeqCst) {
                    let connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
                    let mut connection = connection.expect("is not refused");
                    let mut answer = String::new();
                    // The service may be killed in the middle of an answer.
                    if connection.read_to_string(&mut answer).is_ok() {
                        answers.insert(answer);
                    }
                }
                answers
            });
            for _ in 0..3 {
                let before = hall.status("thor")["process_id"].clone();
                kill_daemon(&mut hall);
                let thor = service_process(&hall, "svc-activated");
                thor.kill();
                wait_until("its end", || thor.has_ended().then_some(()));
                hall.spawn();
                hall.wait_for_status("thor", "back", |status| {
                    status["state"] == "running" && status["process_id"] != before
                });
                keeper_of(&hall, 1);
            }
            done.store(true, Ordering::SeqCst);
            client.join().expect("the client is content")
        });
        assert!(answers.len() > 1, "{answers:?}");

        // In good order, the socket goes with the hall.
        hall.cli(["shutdown"]).expect_code(0);
        hall.wait();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect_err("nobody listens");
    }
}

#[test]
fn a_keeper_that_was_killed_is_replaced_and_given_everything() {
    for containment in CONTAINMENTS {
        let mut services = containment.to_owned();
        services += &service("loki", "svc-crashing", &["--on-user1", "--code", "7"]);
        services += "restart = { policy = \"never\" }\n";
        services += &service("thor", "svc-obedient", &[]);
        let mut hall = TestDaemon::start(&services);
        hall.wait_for_state("loki", "running");
        hall.wait_for_state("thor", "running");
        let first = keeper_of(&hall, 2);
        first.kill();
        wait_until("its end", || first.has_ended().then_some(()));
        let second = keeper_of(&hall, 2);
        assert_ne!(first.pid, second.pid);
        // Nobody takes it for something that a service has left.
        hall.cli(["stop", "thor"]).expect_code(0);
        assert!(!hall.log().contains("leaked"), "{}", hall.log());
        assert!(!second.has_ended());

        kill_daemon(&mut hall);
        service_process(&hall, "svc-crashing").signal(Signal::SIGUSR1);
        wait_until("its end", || hall.processes().is_empty().then_some(()));
        hall.spawn();
        assert_eq!(hall.wait_for_state("loki", "crashed")["exit_code"], 7);
        assert!(output_of(&hall, "loki").contains(&"crashing".to_owned()));
    }
}

#[test]
fn the_keeper_outlives_signals_and_ends_once_it_holds_nothing() {
    for containment in CONTAINMENTS {
        let services = containment.to_owned() + &service("thor", "svc-obedient", &[]);
        let mut hall = TestDaemon::start(&services);
        hall.wait_for_state("thor", "running");
        let keeper = keeper_of(&hall, 1);
        for signal in [
            Signal::SIGHUP,
            Signal::SIGINT,
            Signal::SIGQUIT,
            Signal::SIGTERM,
            Signal::SIGUSR1,
            Signal::SIGPIPE,
        ] {
            keeper.signal(signal);
        }
        for _ in 0..2 {
            kill_daemon(&mut hall);
            hall.spawn();
            assert_eq!(hall.keeper().map(|keeper| keeper.pid), Some(keeper.pid));
        }
        // Stopped, there is nothing to be known of it any more.
        hall.cli(["stop", "thor"]).expect_code(0);
        wait_until("it to be released", || {
            (keeper.descriptors() == OWN).then_some(())
        });
        assert!(!keeper.has_ended());
        kill_daemon(&mut hall);
        wait_until("the keeper's end", || keeper.has_ended().then_some(()));
    }
}
