//! Services that tell of themselves by the `sd_notify` protocol.

use std::{
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    time::Duration,
};

use thjalfi::{Notice, ProcessEvent, Readiness, ServiceLoaderError, Signal, StartOptions};

use crate::support::{Facts, Hall, containments, lives, soon};

/// Tells what it is asked to, from a process that stays, unless that is asked to `exit`.
const TELL: &str = r#"
    perl -MSocket -e '
        my $name = $ENV{NOTIFY_SOCKET}; $name =~ s/^@/\0/;
        socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die;
        for (@ARGV) { if (/^sleep=(.*)/) { select(undef, undef, undef, $1); next } exit $1 if /^exit=(.*)/; send($s, $_, 0, pack_sockaddr_un($name)) or die "send: $!" }
        sleep 1000' "#;

/// A server in a session of its own, which ends with 9 when it is asked to.
const SERVER: &str = r#"
    setsid sh -c 'trap "exit 9" TERM; echo $$ >$FACTS; while :; do sleep 0.02; done' & "#;

/// The script of a service that names the server as its main process, and itself tells some more.
fn naming(messages: &str) -> String {
    let tell = TELL.replacen("perl", "exec perl", 1);
    format!("{SERVER} {tell} MAINPID=$! READY=1 {messages}")
}

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

#[tokio::test]
async fn a_main_process_that_was_named_is_the_leader_and_the_first_ones_end_is_none() {
    for containment in containments() {
        let hall = Hall::contained(containment);
        let mut facts = hall.facts();
        let script = naming("exit=3");
        let options = StartOptions {
            readiness: Readiness::Notify,
            ..facts.options(&script)
        };
        let first = soon(hall.loader.start_service("sh", options))
            .await
            .expect("is ready");
        let main = facts.pid().await;
        soon(async {
            while lives(first.pid) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert!(first.is_alive() && lives(main), "{containment:?}");
        assert_eq!(hall.loader.get_process("sh").unwrap().pid, main);
        assert_eq!(soon(first.successor()).await.pid, main);
        assert_eq!(first.identity().unwrap().pid, main);
        soon(hall.loader.stop_service("sh", Duration::from_secs(1000)))
            .await
            .expect("stops");
        let exit = soon(first.exited()).await;
        assert_eq!(exit.status.and_then(|status| status.code()), Some(9));
        assert!(!lives(main) && !exit.killed && exit.leaked.is_empty());
        assert!(!hall.loader.is_running("sh"));
    }
}

#[tokio::test]
async fn the_end_of_the_named_main_process_is_that_of_the_service() {
    for containment in containments() {
        let hall = Hall::contained(containment);
        let mut facts = hall.facts();
        let script = naming("");
        let options = StartOptions {
            readiness: Readiness::Notify,
            ..facts.options(&script)
        };
        let first = soon(hall.loader.start_service("sh", options))
            .await
            .expect("is ready");
        let main = facts.pid().await;
        soon(first.successor()).await;
        first.send_signal(Signal::Terminate).unwrap();
        let exit = soon(first.exited()).await;
        let code = exit.status.and_then(|status| status.code());
        assert_eq!(code, Some(9), "{containment:?}");
        assert!(!lives(first.pid) && !lives(main), "{containment:?}");
    }
}

#[tokio::test]
async fn a_main_process_outside_of_the_service_is_ignored() {
    for containment in containments() {
        let hall = Hall::contained(containment);
        let facts = hall.facts();
        let messages = format!("MAINPID={} READY=1", std::process::id());
        let options = options(&facts, &messages);
        let process = soon(hall.loader.start_service("sh", options))
            .await
            .expect("is ready");
        assert_eq!(hall.loader.get_process("sh").unwrap().pid, process.pid);
        soon(hall.loader.force_kill_service("sh")).await.unwrap();
        assert!(!lives(process.pid));
    }
}

#[tokio::test]
async fn a_service_that_reloads_tells_so_and_runs_and_is_ready_all_the_time() {
    let hall = Hall::new();
    let facts = hall.facts();
    let mut events = hall.loader.subscribe();
    let options = options(
        &facts,
        "READY=1 RELOADING=1 STATUS=rereading READY=1 STATUS=done",
    );
    let process = soon(hall.loader.start_service("sh", options))
        .await
        .expect("is ready");
    let (mut told, mut ready) = (Vec::new(), 0);
    while told.len() < 3 {
        match soon(events.recv()).await.unwrap() {
            ProcessEvent::Notified { notice, .. } => told.push(notice),
            ProcessEvent::Ready { .. } => ready += 1,
            _ => {}
        }
    }
    let status = |text: &str| Notice::Status(text.to_owned());
    assert_eq!(
        told,
        [Notice::Reloading, status("rereading"), status("done")]
    );
    assert_eq!(ready, 1);
    assert!(process.is_alive());
    soon(hall.loader.force_kill_service("sh")).await.unwrap();
}
