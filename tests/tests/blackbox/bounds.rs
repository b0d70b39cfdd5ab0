//! What a caller can hold is bounded, and nobody holds up the others.

use std::{io::Write as _, os::unix::net::UnixStream};

use futures_util::future::join_all;
use gladsheim_proto::{Client, reason, v1};
use gladsheim_tests::{TestDaemon, service, wait_until};
use tonic::{Code, Request};

fn by_hand(name: &str) -> String {
    service(name, "svc-obedient", &[]) + "autostart = false\n"
}

/// Connections that say nothing take the places of their user and no more, are given up, and others are answered.
#[tokio::test]
async fn a_flood_of_connections_disturbs_nobody_who_is_connected_and_passes() {
    let hall = TestDaemon::start(&by_hand("thor"));
    let client = Client::connect(&hall.socket()).await.unwrap();
    client.get_daemon(v1::GetDaemonRequest {}).await.unwrap();
    let flood: Vec<_> = (0..2000)
        .map_while(|_| UnixStream::connect(hall.socket()).ok())
        .collect();
    let start = v1::StartServiceRequest {
        service_name: "thor".to_owned(),
        ..Default::default()
    };
    client.start_service(start).await.unwrap();
    wait_until(
        "a place for a newcomer, once the silent ones are given up",
        || (hall.cli(["status"]).code == Some(0)).then_some(()),
    );
    drop(flood);
}

#[tokio::test]
async fn who_stalls_in_a_request_or_never_reads_holds_up_neither_others_nor_the_shutdown() {
    let mut hall = TestDaemon::start(&service("thor", "svc-chatty", &["--every", "1"]));
    // The preface of HTTP/2, its settings, and the beginning of a frame that never ends.
    let mut half = UnixStream::connect(hall.socket()).unwrap();
    half.write_all(
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x40\x01\x04\0\0\0\x01half",
    )
    .unwrap();
    let stalled = Client::connect(&hall.socket()).await.unwrap();
    let mut streams = Vec::new();
    for _ in 0..50 {
        let request = v1::StreamLogsRequest {
            follow: true,
            ..Default::default()
        };
        streams.push(stalled.stream_logs(request).await.unwrap());
    }
    hall.wait_for_state("thor", "running");
    hall.cli(["restart", "thor"]).expect_code(0);
    hall.cli(["shutdown"]).expect_code(0);
    assert!(hall.wait().success());
}

#[tokio::test]
async fn a_flood_of_reloads_is_carried_out_a_few_times() {
    let hall = TestDaemon::start(&by_hand("thor"));
    let client = Client::connect(&hall.socket()).await.unwrap();
    let reloads = (0..100).map(|_| client.reload(v1::ReloadRequest { dry_run: false }));
    let answers = join_all(reloads).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let told = hall.cli(["--format", "json", "events"]).expect_code(0);
    let reloaded = told.stdout.matches("hall.reloaded").count();
    assert!((1..100).contains(&reloaded), "{reloaded}");
}

/// The daemon's own answer: the request is made without the client's clock.
#[tokio::test]
async fn a_deadline_ends_the_call_and_not_the_start() {
    let never = service("thor", "svc-obedient", &[]) + "autostart = false\nready = \"delay:2s\"\n";
    let hall = TestDaemon::start(&never);
    let status = start_with_timeout(&hall, "100m").await;
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert_eq!(reason::of(&status), Some(reason::DEADLINE_EXCEEDED));
    hall.wait_for_status("thor", "ready", |status| status["ready"] == true);
}

/// What a start with this `grpc-timeout` is answered, over a transport that knows nothing of deadlines.
async fn start_with_timeout(hall: &TestDaemon, timeout: &str) -> tonic::Status {
    let stream = tokio::net::UnixStream::connect(hall.socket())
        .await
        .unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (sender, connection) = hyper::client::conn::http2::handshake(executor, io)
        .await
        .unwrap();
    let transport = tower::service_fn(move |request| {
        let mut sender = sender.clone();
        async move { sender.send_request(request).await }
    });
    let mut client = v1::gladsheim_service_client::GladsheimServiceClient::with_origin(
        transport,
        "http://localhost".parse().unwrap(),
    );
    let mut request = Request::new(v1::StartServiceRequest {
        service_name: "thor".to_owned(),
        ..Default::default()
    });
    request
        .metadata_mut()
        .insert("grpc-timeout", timeout.parse().unwrap());
    tokio::select! {
        answer = client.start_service(request) => answer.unwrap_err(),
        ended = connection => panic!("the connection ended: {ended:?}"),
    }
}
