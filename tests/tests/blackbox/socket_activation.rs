//! Sockets that the daemon opens for a service.

use std::{
    collections::BTreeSet,
    io::Read as _,
    net::{Ipv4Addr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use gladsheim_tests::{TestDaemon, free_port, service};

#[test]
fn a_client_of_a_service_that_is_being_restarted_is_never_refused() {
    let port = free_port();
    let hall = TestDaemon::start(&format!(
        "{}sockets = [\"tcp:127.0.0.1:{port}\"]\n",
        service("thor", "svc-activated", &["--ready", "thor.pid"])
    ));
    hall.pid_in("thor.pid");
    let done = AtomicBool::new(false);
    let answers = thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut answers = BTreeSet::new();
            while !done.load(Ordering::SeqCst) {
                let mut connection =
                    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("is not refused");
                let mut answer = String::new();
                connection.read_to_string(&mut answer).expect("is answered");
                answers.insert(answer);
            }
            answers
        });
        for _ in 0..5 {
            hall.cli(["restart", "thor"]).expect_code(0);
        }
        done.store(true, Ordering::SeqCst);
        client.join().expect("the client is content")
    });
    assert!(answers.len() > 2, "{answers:?}");
    assert!(!answers.contains(""), "{answers:?}");
}

#[test]
fn a_port_that_somebody_has_is_told_with_its_address() {
    let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let hall = TestDaemon::start(&format!(
        "{}sockets = [\"tcp:127.0.0.1:{port}\"]\nautostart = false\n",
        service("thor", "svc-activated", &[])
    ));
    let output = hall.cli(["start", "thor"]);
    let expected = format!("socket tcp:127.0.0.1:{port}: Address already in use (EADDRINUSE)");
    assert!(output.stderr.contains(&expected), "{output:?}");
}
