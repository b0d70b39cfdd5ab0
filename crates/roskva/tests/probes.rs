//! The built-in checks against real endpoints on loopback, well-behaved and otherwise.
#![expect(clippy::expect_used, reason = "helpers of tests fail loudly too")]

use std::{
    convert::Infallible,
    future::Future,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use roskva::{
    HealthCheckStrategy, HealthMonitor, HealthMonitorConfig, HealthStatus, ServiceHealth,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixListener},
};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::task::TaskTracker;

/// Long enough for any check that is meant to end, on a busy machine.
const PATIENT: Duration = Duration::from_secs(20);
/// For checks that are meant to time out.
const SHORT: Duration = Duration::from_millis(200);

/// Checks once, by a monitor whose first failure is the verdict and whose schedule never comes.
struct Checker {
    monitor: HealthMonitor,
    strategy: HealthCheckStrategy,
}

impl Checker {
    async fn new(strategy: HealthCheckStrategy) -> Self {
        let monitor = HealthMonitor::new(HealthMonitorConfig {
            consecutive_failures_threshold: 1,
            ..HealthMonitorConfig::default()
        });
        let started = monitor.start_monitoring("thor", strategy.clone()).await;
        started.expect("a good strategy");
        // The schedule's own checks would disturb the counts of the servers here.
        monitor.set_maintenance("thor", true).expect("is monitored");
        Self { monitor, strategy }
    }

    async fn check(&self) -> ServiceHealth {
        let begin = Instant::now();
        let health = self.monitor.check_health_now("thor").await.expect("runs");
        let longest = self.strategy.timeout().expect("has one");
        assert!(
            begin.elapsed() < longest + Duration::from_secs(5),
            "outlived its timeout"
        );
        health
    }
}

#[track_caller]
fn assert_health(health: &ServiceHealth, status: HealthStatus, text: &str) {
    assert_eq!(health.status, status, "{}", health.message);
    assert!(
        health.message.contains(text),
        "{:?} lacks {text:?}",
        health.message
    );
}

async fn check(strategy: HealthCheckStrategy) -> ServiceHealth {
    Checker::new(strategy).await.check().await
}

fn http(url: impl Into<String>, timeout: Duration) -> HealthCheckStrategy {
    HealthCheckStrategy::Http {
        url: url.into(),
        timeout,
    }
}

fn grpc(address: impl Into<String>, service_name: &str, timeout: Duration) -> HealthCheckStrategy {
    HealthCheckStrategy::Grpc {
        address: address.into(),
        service_name: service_name.to_owned(),
        timeout,
    }
}

fn exec(script: &str, timeout: Duration) -> HealthCheckStrategy {
    let command = ["sh", "-c", script].map(str::to_owned).to_vec();
    HealthCheckStrategy::Exec { command, timeout }
}

/// A TCP server that does `serve` with each connection; returns its address and counts connections.
async fn server<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> (String, Arc<AtomicUsize>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("bound").to_string();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let tasks = TaskTracker::new();
    let connections = tasks.clone();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, SeqCst);
            connections.spawn(serve(stream));
        }
    });
    (address, count)
}

/// Reads the request's beginning, which does not matter here.
async fn swallow_request(stream: &mut TcpStream) {
    let mut request = [0; 1024];
    let _ = stream.read(&mut request).await; // a client that leaves is no concern of the server
}

/// Answers by the path: `/status/503`, `/to/LOCATION`, `/loop`, else 200.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    let response = Response::builder();
    let response = if let Some(status) = path.strip_prefix("/status/") {
        response.status(status.parse::<u16>().expect("a status"))
    } else if let Some(location) = request.uri().query().filter(|_| path == "/to") {
        response
            .status(StatusCode::FOUND)
            .header("location", location)
    } else if path == "/loop" {
        response
            .status(StatusCode::MOVED_PERMANENTLY)
            .header("location", "loop")
    } else {
        response
    };
    Ok(response
        .body(Full::from("database down\nmore"))
        .expect("a response"))
}

async fn serve_http<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) {
    let connection =
        http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
    let _ = connection.await; // a client that leaves is no concern of the server
}

// === HTTP ===

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

// === TCP ===

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

// === gRPC ===

/// A `grpc.health.v1` server, and the reporter that sets what it says.
async fn grpc_server() -> (String, tonic_health::server::HealthReporter) {
    let (reporter, service) = tonic_health::server::health_reporter();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("bound").to_string();
    let serve = tonic::transport::Server::builder()
        .add_service(service)
        .serve_with_incoming(TcpListenerStream::new(listener));
    TaskTracker::new().spawn(serve);
    (address, reporter)
}

#[tokio::test]
async fn grpc_serving_alone_is_healthy() {
    use tonic_health::ServingStatus::{NotServing, Serving, Unknown};
    let (address, reporter) = grpc_server().await;
    for (name, status) in [("up", Serving), ("down", NotServing), ("odd", Unknown)] {
        reporter.set_service_status(name, status).await;
    }
    use HealthStatus::{Healthy, Unhealthy};
    for (asked, status, text) in [
        ("", Healthy, "SERVING"),
        ("up", Healthy, "SERVING"),
        ("down", Unhealthy, "NOT_SERVING"),
        ("odd", Unhealthy, "UNKNOWN"),
        (
            "nobody",
            Unhealthy,
            "SERVICE_UNKNOWN: the server knows no service \"nobody\"",
        ),
    ] {
        assert_health(&check(grpc(&address, asked, PATIENT)).await, status, text);
    }
    let url = format!("http://{address}");
    assert_health(&check(grpc(url, "up", PATIENT)).await, Healthy, "SERVING");
}

#[tokio::test]
async fn grpc_verdict_follows_the_server_over_one_channel() {
    use tonic_health::ServingStatus::{NotServing, Serving};
    let (address, reporter) = grpc_server().await;
    let checker = Checker::new(grpc(&address, "thor", PATIENT)).await;
    for (status, verdict) in [
        (Serving, HealthStatus::Healthy),
        (NotServing, HealthStatus::Unhealthy),
        (Serving, HealthStatus::Healthy),
    ] {
        reporter.set_service_status("thor", status).await;
        assert_eq!(checker.check().await.status, verdict);
    }
}

#[tokio::test]
async fn grpc_server_without_the_health_service_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("bound").to_string();
    let serve = tonic::transport::Server::builder()
        .add_service(Nothing)
        .serve_with_incoming(TcpListenerStream::new(listener));
    TaskTracker::new().spawn(serve);
    let health = check(grpc(address, "", PATIENT)).await;
    assert_health(&health, HealthStatus::Unhealthy, "UNIMPLEMENTED");
}

/// A gRPC service without methods.
#[derive(Clone)]
struct Nothing;

impl tonic::server::NamedService for Nothing {
    const NAME: &'static str = "grpc.health.v1.Health";
}

impl<B> tonic::codegen::Service<hyper::http::Request<B>> for Nothing {
    type Response = hyper::http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: hyper::http::Request<B>) -> Self::Future {
        std::future::ready(Ok(
            tonic::Status::unimplemented("no such method").into_http()
        ))
    }
}

#[tokio::test]
async fn grpc_server_that_never_answers_or_speaks_otherwise_fails() {
    let (silent, _) = server(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let health = check(grpc(silent, "", SHORT)).await;
    assert_health(&health, HealthStatus::Timeout, "no answer within 200ms");

    let (web, _) = server(serve_http).await;
    assert_health(
        &check(grpc(&web, "", PATIENT)).await,
        HealthStatus::Unhealthy,
        &web,
    );
}

#[tokio::test]
async fn grpc_over_a_unix_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("grpc.sock");
    let (_reporter, service) = tonic_health::server::health_reporter();
    let listener = UnixListener::bind(&path).expect("binds");
    let serve = tonic::transport::Server::builder()
        .add_service(service)
        .serve_with_incoming(tokio_stream::wrappers::UnixListenerStream::new(listener));
    TaskTracker::new().spawn(serve);
    let address = format!("unix:{}", path.display());
    assert_health(
        &check(grpc(address, "", PATIENT)).await,
        HealthStatus::Healthy,
        "SERVING",
    );
}

// === commands ===

#[tokio::test]
async fn exec_exit_code_is_the_verdict_and_the_last_line_the_message() {
    use HealthStatus::{Healthy, Unhealthy};
    for (script, status, text) in [
        ("echo one; echo all well; echo", Healthy, "all well"),
        (
            "echo first; echo disk is full >&2; exit 3",
            Unhealthy,
            "sh: exit status: 3: disk is full",
        ),
        ("kill -KILL $$", Unhealthy, "signal: 9"),
    ] {
        assert_health(&check(exec(script, PATIENT)).await, status, text);
    }
    let command = vec!["/no/such/program".to_owned()];
    let missing = HealthCheckStrategy::Exec {
        command,
        timeout: PATIENT,
    };
    assert_health(&check(missing).await, Unhealthy, "No such file");
}

#[tokio::test]
async fn exec_with_output_without_end_is_bounded() {
    let health = check(exec("yes | head -c 50000000", PATIENT)).await;
    assert_health(&health, HealthStatus::Healthy, "y");
    assert!(health.message.len() <= 200);
    let health = check(exec("yes", SHORT)).await;
    assert_health(&health, HealthStatus::Timeout, "no answer within 200ms");
}

/// Waits until no process holds the FIFO open for writing: whoever opened it has died.
async fn writers_are_gone(fifo: tokio::net::unix::pipe::Receiver) {
    let gone = async {
        let mut buffer = [0; 64];
        loop {
            fifo.readable().await.expect("readable");
            match fifo.try_read(&mut buffer) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
    };
    tokio::time::timeout(PATIENT, gone)
        .await
        .expect("the whole tree dies");
}

fn make_fifo(path: &Path) {
    let status = std::process::Command::new("mkfifo").arg(path).status();
    assert!(status.expect("mkfifo runs").success());
}

#[tokio::test]
async fn exec_leaves_nobody_behind_at_the_timeout_and_after_the_exit() {
    let folder = tempfile::tempdir().expect("a folder");
    for (script, status) in [
        (
            "echo here; (sleep 1000; true) & sleep 1000",
            HealthStatus::Timeout,
        ),
        ("echo here; sleep 1000 & exit 1", HealthStatus::Unhealthy),
        ("echo here; sleep 1000 & exit 0", HealthStatus::Healthy),
    ] {
        let path = folder.path().join("fifo");
        make_fifo(&path);
        let fifo = tokio::net::unix::pipe::OpenOptions::new()
            .open_receiver(&path)
            .expect("opens");
        // The whole tree holds the FIFO open; the first line shows that somebody did.
        let script = format!("exec 9>{}; echo here >&9; {script}", path.display());
        let timeout = if status == HealthStatus::Timeout {
            Duration::from_secs(1)
        } else {
            PATIENT
        };
        let health = check(exec(&script, timeout)).await;
        assert_eq!(health.status, status, "{}", health.message);
        writers_are_gone(fifo).await;
        std::fs::remove_file(&path).expect("removed");
    }
}
