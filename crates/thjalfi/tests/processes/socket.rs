//! Sockets that are opened for a service and outlive its runs.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
};

use sha2::{Digest, Sha256};
use thjalfi::{SocketAddress, StartOptions};

use crate::support::{Hall, containments, executable, soon, spawn_failure};

fn free() -> SocketAddr {
    let probe = TcpListener::bind("127.0.0.1:0").unwrap();
    probe.local_addr().unwrap()
}

const SCRIPT: &str = "#!/bin/sh
[ \"$LISTEN_PID\" = $$ ] && echo \"$LISTEN_FDS $LISTEN_FDNAMES\" >$FACTS
for fd in 3 4; do readlink /proc/$$/fd/$fd | sed 's/:.*//' >$FACTS; done
exec sleep 1000
";

#[tokio::test]
async fn a_service_finds_its_sockets_from_descriptor_three_and_knows_that_they_are_its_own() {
    for containment in containments() {
        let hall = Hall::contained(containment);
        let mut facts = hall.facts();
        let program = hall.path("program");
        executable(&program, SCRIPT);
        hall.loader
            .set_service_paths([("thor".to_owned(), program)].into());
        let (tcp, unix) = (free(), hall.path("s"));
        let digest: String = Sha256::digest(SCRIPT)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let options = StartOptions {
            sockets: vec![SocketAddress::Tcp(tcp), SocketAddress::Unix(unix.clone())],
            ..facts.options("")
        };
        // The descriptor of a pinned executable must not get in the way.
        let pinned = StartOptions {
            sha256: Some(digest),
            ..options.clone()
        };
        let names = format!(
            "tcp-{}:unix-{}",
            tcp.to_string().replace(':', "-"),
            unix.display()
        );
        for options in [options, pinned] {
            hall.loader.start_service("thor", options).await.unwrap();
            assert_eq!(facts.next().await, format!("2 {names}"));
            assert_eq!(facts.next().await, "socket");
            assert_eq!(facts.next().await, "socket");
            hall.loader.force_kill_service("thor").await.unwrap();
        }
    }
}

#[tokio::test]
async fn sockets_stay_open_between_the_runs_and_close_with_the_service() {
    let hall = Hall::new();
    let (tcp, unix) = (free(), hall.path("s"));
    let options = StartOptions {
        args: vec!["-c".to_owned(), "exit 0".to_owned()],
        sockets: vec![SocketAddress::Tcp(tcp), SocketAddress::Unix(unix.clone())],
        ..StartOptions::default()
    };
    for _ in 0..2 {
        let run = hall.loader.start_service("sh", options.clone()).await;
        soon(run.unwrap().exited()).await;
        UnixStream::connect(&unix).unwrap();
        TcpStream::connect(tcp).unwrap();
    }
    hall.loader.set_service_paths(Default::default());
    // A child that another test has just cloned holds all descriptors until its exec.
    let closed = async {
        while TcpStream::connect(tcp).is_ok() {
            tokio::task::yield_now().await;
        }
    };
    soon(closed).await;
    assert!(!unix.exists());
}

#[tokio::test]
async fn a_socket_that_somebody_has_is_named_with_the_errno_and_one_that_was_left_is_taken() {
    let hall = Hall::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let with = |sockets| StartOptions {
        args: vec!["-c".to_owned(), "exec sleep 1000".to_owned()],
        sockets,
        ..StartOptions::default()
    };
    let started = hall
        .loader
        .start_service("sh", with(vec![SocketAddress::Tcp(address)]))
        .await;
    assert_eq!(
        spawn_failure(started),
        format!("sh: socket tcp:{address}: Address already in use (EADDRINUSE)")
    );

    let left = hall.path("s");
    drop(std::os::unix::net::UnixListener::bind(&left).unwrap());
    assert!(fs::exists(&left).unwrap());
    let options = with(vec![SocketAddress::Unix(left.clone())]);
    hall.loader.start_service("sh", options).await.unwrap();
    UnixStream::connect(&left).unwrap();
    hall.loader.force_kill_service("sh").await.unwrap();
}
