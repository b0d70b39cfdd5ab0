//! Servers on loopback, and a way to check once.

use std::{
    convert::Infallible,
    future::Future,
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
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::TaskTracker;

/// Long enough for any check that is meant to end, on a busy machine.
pub(crate) const PATIENT: Duration = Duration::from_secs(20);
/// For checks that are meant to time out.
pub(crate) const SHORT: Duration = Duration::from_millis(200);

/// Checks once, by a monitor whose first failure is the verdict and whose schedule never comes.
pub(crate) struct Checker {
    monitor: HealthMonitor,
    strategy: HealthCheckStrategy,
}

impl Checker {
    pub(crate) async fn new(strategy: HealthCheckStrategy) -> Self {
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

    pub(crate) async fn check(&self) -> ServiceHealth {
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
pub(crate) fn assert_health(health: &ServiceHealth, status: HealthStatus, text: &str) {
    assert_eq!(health.status, status, "{}", health.message);
    assert!(
        health.message.contains(text),
        "{:?} lacks {text:?}",
        health.message
    );
}

pub(crate) async fn check(strategy: HealthCheckStrategy) -> ServiceHealth {
    Checker::new(strategy).await.check().await
}

pub(crate) fn http(url: impl Into<String>, timeout: Duration) -> HealthCheckStrategy {
    HealthCheckStrategy::Http {
        url: url.into(),
        timeout,
    }
}

pub(crate) fn grpc(
    address: impl Into<String>,
    service_name: &str,
    timeout: Duration,
) -> HealthCheckStrategy {
    HealthCheckStrategy::Grpc {
        address: address.into(),
        service_name: service_name.to_owned(),
        timeout,
    }
}

pub(crate) fn exec(script: &str, timeout: Duration) -> HealthCheckStrategy {
    let command = ["sh", "-c", script].map(str::to_owned).to_vec();
    HealthCheckStrategy::Exec { command, timeout }
}

/// A TCP server that does `serve` with each connection; returns its address and counts connections.
pub(crate) async fn server<F>(
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> (String, Arc<AtomicUsize>)
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
pub(crate) async fn swallow_request(stream: &mut TcpStream) {
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

pub(crate) async fn serve_http<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) {
    let connection =
        http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
    let _ = connection.await; // a client that leaves is no concern of the server
}
