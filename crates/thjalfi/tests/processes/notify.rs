//! Services that tell of themselves by the `sd_notify` protocol.

use std::{
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    time::Duration,
};

use thjalfi::{Notice, ProcessEvent, Readiness, ServiceLoaderError, StartOptions};

use crate::support::{Facts, Hall, containments, soon};

/// Tells, from a process below the leader that stays, what it is asked to.
const TELL: &str = r#"
    perl -MSocket -e '
        my $name = $ENV{NOTIFY_SOCKET}; $name =~ s/^@/\0/;
        socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die;
        for (@ARGV) { if (/^sleep=(.*)/) { select(undef, undef, undef, $1); next } send($s, $_, 0, pack_sockaddr_un($name)) or die "send: $!" }
        sleep 1000' "#;

fn options(facts: &Facts, messages: &str) -> StartOptions {
    StartOptions {
        readiness: Readiness::Notify,
        ..facts.options(&format!("{TELL} {messages}; exit"))
    }
}

#[tokio::test]
async fn a_service_is_ready_when_it_says_so_and_what_else_it_says_is_told() {
    for containment in containments() {
        let hall = Hall::contained(containment);
        let facts = hall.facts();
        let mut events = hall.loader.subscribe();
        let options = options(&facts, "STATUS=warming READY=1");
        soon(hall.loader.start_service("sh", options))
            .await
            .expect("is ready");
        let mut notices = Vec::new();
        loop {
            match soon(events.recv()).await.unwrap() {
                ProcessEvent::Notified { notice, .. } => notices.push(notice),
                ProcessEvent::Ready { .. } => break,
                _ => {}
            }
        }
        assert_eq!(notices, [Notice::Status("warming".to_owned())]);
        soon(hall.loader.force_kill_service("sh")).await.unwrap();
    }
}

#[tokio::test]
async fn what_comes_from_outside_of_the_service_is_ignored() {
    let hall = Hall::new();
    let mut facts = hall.facts();
    let options = StartOptions {
        readiness: Readiness::Notify,
        startup_timeout: Duration::from_millis(300),
        ..facts.options("echo $NOTIFY_SOCKET >$FACTS; exec sleep 1000")
    };
    let meddle = async {
        let name = facts.next().await;
        let address = SocketAddr::from_abstract_name(name.strip_prefix('@').unwrap()).unwrap();
        let socket = UnixDatagram::unbound().unwrap();
        socket.send_to_addr(b"READY=1", &address).unwrap();
    };
    let (started, ()) =
        soon(async { tokio::join!(hall.loader.start_service("sh", options), meddle) }).await;
    assert!(
        matches!(started, Err(ServiceLoaderError::StartupTimeout(_))),
        "{started:?}"
    );
}

#[tokio::test]
async fn a_service_may_ask_for_more_time_to_start() {
    let hall = Hall::new();
    let facts = hall.facts();
    let limit = Duration::from_secs(3);
    let mut options = options(&facts, "EXTEND_TIMEOUT_USEC=1000000000 sleep=3 READY=1");
    options.startup_timeout = limit;
    let begun = std::time::Instant::now();
    soon(hall.loader.start_service("sh", options))
        .await
        .expect("is ready");
    assert!(begun.elapsed() > limit);
    soon(hall.loader.force_kill_service("sh")).await.unwrap();
}
