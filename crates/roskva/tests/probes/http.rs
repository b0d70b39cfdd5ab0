//! HTTP and TCP checks.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use roskva::{HealthCheckStrategy, HealthStatus};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream, UnixListener},
};
use tokio_util::task::TaskTracker;

use crate::world::{
    Checker, PATIENT, SHORT, assert_health, check, grpc, http, serve_http, server, swallow_request,
};

#[tokio::test]
async fn http_2xx_and_3xx_are_healthy_and_the_rest_is_not() {
    let (address, _) = server(serve_http).await;
    use HealthStatus::{Healthy, Unhealthy};
    for (path, status, text) in [
        ("/health", Healthy, "HTTP 200 OK"),
        ("/status/204", Healthy, "HTTP 204"),
        ("/status/304", Healthy, "HTTP 304"),
        ("/status/404", Unhealthy, "HTTP 404 Not Found"),
        (
            "/status/503",
            Unhealthy,
            "HTTP 503 Service Unavailable: database down",
        ),
        ("/to?/health", Healthy, "HTTP 200 OK"),
        ("/to?/status/500", Unhealthy, "HTTP 500"),
        (
            "/to?http://elsewhere.invalid/",
            Healthy,
            "warning: the redirect to http://elsewhere.invalid/ was not followed",
        ),
        ("/to?https://127.0.0.1/", Healthy, "warning"),
        ("/loop", Unhealthy, "more than 10 redirects"),
    ] {
        let health = check(http(format!("http://{address}{path}"), PATIENT)).await;
        assert_health(&health, status, text);
    }
}

#[tokio::test]
async fn http_connection_is_used_again_and_replaced_when_the_server_has_closed_it() {
    let (address, connections) = server(serve_http).await;
    let checker = Checker::new(http(format!("http://{address}/"), PATIENT)).await;
    for _ in 0..10 {
        assert_health(&checker.check().await, HealthStatus::Healthy, "200");
    }
    assert_eq!(connections.load(SeqCst), 1);

    // This one answers once and closes, though it promised to go on.
    let (address, connections) = server(|mut stream: TcpStream| async move {
        swallow_request(&mut stream).await;
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await; // nor who reads
    })
    .await;
    let checker = Checker::new(http(format!("http://{address}/"), PATIENT)).await;
    for _ in 0..5 {
        assert_health(&checker.check().await, HealthStatus::Healthy, "200");
    }
    assert_eq!(connections.load(SeqCst), 5);
}

#[tokio::test]
async fn http_server_that_never_answers_times_out() {
    let (address, _) = server(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let health = check(http(format!("http://{address}/"), SHORT)).await;
    assert_health(&health, HealthStatus::Timeout, "no answer within 200ms");
}

#[tokio::test]
async fn http_body_without_end_is_read_to_a_bound() {
    let (address, _) = server(|mut stream: TcpStream| async move {
        swallow_request(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n";
        let mut result = stream.write_all(head).await;
        while result.is_ok() {
            result = stream.write_all(&[b'x'; 65536]).await;
        }
    })
    .await;
    let checker = Checker::new(http(format!("http://{address}/"), PATIENT)).await;
    for _ in 0..3 {
        assert_health(&checker.check().await, HealthStatus::Healthy, "200");
    }
}

#[tokio::test]
async fn http_body_that_dribbles_times_out() {
    let (address, _) = server(|mut stream: TcpStream| async move {
        swallow_request(&mut stream).await;
        let mut result = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while result.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await; // the misbehaviour itself
            result = stream.write_all(b"x").await;
        }
    })
    .await;
    let health = check(http(format!("http://{address}/"), SHORT)).await;
    assert_health(&health, HealthStatus::Timeout, "no answer");
}

#[tokio::test]
async fn http_servers_that_speak_no_http_are_unhealthy() {
    for answer in [
        &b""[..],
        b"HTTP/1.1 ",
        b"220 smtp.example.org ESMTP\r\n",
        b"\0\0\0\0\0",
    ] {
        let (address, _) = server(move |mut stream: TcpStream| async move {
            swallow_request(&mut stream).await;
            let _ = stream.write_all(answer).await; // the client may be gone
        })
        .await;
        let health = check(http(format!("http://{address}/"), PATIENT)).await;
        assert_health(&health, HealthStatus::Unhealthy, &address);
    }
}

#[tokio::test]
async fn http_headers_without_end_are_unhealthy() {
    let (address, _) = server(|mut stream: TcpStream| async move {
        swallow_request(&mut stream).await;
        let mut result = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while result.is_ok() {
            result = stream
                .write_all(b"x-header: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n")
                .await;
        }
    })
    .await;
    let health = check(http(format!("http://{address}/"), PATIENT)).await;
    assert_health(&health, HealthStatus::Unhealthy, &address);
}

/// An address where nobody listens: it was bound a moment ago.
async fn dead_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    listener.local_addr().expect("bound").to_string()
}

#[tokio::test]
async fn refused_connections_say_so() {
    let address = dead_address().await;
    for strategy in [
        http(format!("http://{address}/"), PATIENT),
        grpc(&address, "", PATIENT),
        HealthCheckStrategy::Tcp {
            address: address.clone(),
            timeout: PATIENT,
        },
    ] {
        let health = check(strategy).await;
        assert_health(&health, HealthStatus::Unhealthy, "Connection refused");
    }
}

#[tokio::test]
async fn http_over_a_unix_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("http.sock");
    let listener = UnixListener::bind(&path).expect("binds");
    let tasks = TaskTracker::new();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            serve_http(stream).await;
        }
    });
    let url = |resource: &str| format!("unix:{}:{resource}", path.display());
    assert_health(
        &check(http(url("/health"), PATIENT)).await,
        HealthStatus::Healthy,
        "200",
    );
    assert_health(
        &check(http(url("/status/500"), PATIENT)).await,
        HealthStatus::Unhealthy,
        "500",
    );
    let missing = format!("unix:{}/none:/", folder.path().display());
    assert_health(
        &check(http(missing, PATIENT)).await,
        HealthStatus::Unhealthy,
        "No such file",
    );
}

#[tokio::test]
async fn tcp_check_is_green_while_http_fails() {
    let (address, _) = server(serve_http).await;
    let strategy = HealthCheckStrategy::Tcp {
        address,
        timeout: PATIENT,
    };
    assert_health(
        &check(strategy).await,
        HealthStatus::Healthy,
        "accepts connections",
    );
}
