//! gRPC `Watch`, against servers that offer it and one that does not.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::{Stream, StreamExt};
use roskva::{CheckOptions, HealthMonitor, HealthMonitorConfig, HealthStatus, MonitorOptions};
use tokio::{net::TcpListener, runtime::Runtime, sync::watch, time::timeout};
use tokio_stream::wrappers::{TcpListenerStream, WatchStream};
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus::{self, NotServing, Serving},
    health_server::{Health, HealthServer},
};

use crate::world::{PATIENT, SHORT, grpc};

/// What the server does; counts what it is asked.
struct Server {
    status: watch::Sender<ServingStatus>,
    watchable: bool,
    hangs: AtomicBool,
    checks: AtomicUsize,
    watches: AtomicUsize,
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

#[tonic::async_trait]
impl Health for Server {
    async fn check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        self.checks.fetch_add(1, SeqCst);
        if self.hangs.load(SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok(Response::new(response(*self.status.borrow())))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        self.watches.fetch_add(1, SeqCst);
        if !self.watchable {
            return Err(Status::unimplemented("no Watch here"));
        }
        let statuses = WatchStream::new(self.status.subscribe());
        Ok(Response::new(Box::pin(
            statuses.map(|status| Ok(response(status))),
        )))
    }
}

/// A service under watch, and its server, which dies with its runtime.
struct World {
    server: Arc<Server>,
    monitor: HealthMonitor,
    runtime: Option<Runtime>,
}

impl World {
    async fn new(watchable: bool, interval: Duration, failure_threshold: u32) -> Self {
        let server = Arc::new(Server {
            status: watch::Sender::new(Serving),
            watchable,
            hangs: AtomicBool::new(false),
            checks: AtomicUsize::new(0),
            watches: AtomicUsize::new(0),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let bound = runtime.spawn(TcpListener::bind("127.0.0.1:0")).await;
        let listener = bound.expect("no panic").expect("binds");
        let address = listener.local_addr().expect("bound").to_string();
        let serving = tonic::transport::Server::builder()
            .add_service(HealthServer::from_arc(Arc::clone(&server)))
            .serve_with_incoming(TcpListenerStream::new(listener));
        TaskTracker::new().spawn_on(serving, runtime.handle());
        let monitor = HealthMonitor::new(HealthMonitorConfig::default());
        let options = MonitorOptions {
            liveness: CheckOptions {
                strategy: grpc(address, "thor", SHORT),
                interval,
                failure_threshold,
                ..CheckOptions::default()
            },
            ..MonitorOptions::default()
        };
        let started = monitor.start_monitoring_with("thor", options).await;
        started.expect("good options");
        Self {
            server,
            monitor,
            runtime: Some(runtime),
        }
    }

    /// All its connections break.
    fn kill_server(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    async fn becomes(&self, status: HealthStatus) {
        let mut updates = self.monitor.subscribe_health_updates("thor").expect("runs");
        let reached = async {
            while self.monitor.get_health("thor").expect("runs").status != status {
                updates.recv().await.expect("runs");
            }
        };
        let reached = timeout(PATIENT, reached).await;
        reached.unwrap_or_else(|_| panic!("never {status:?}"));
    }

    async fn is_watched(&self) {
        counts(&self.server.watches, 1).await;
        let streams = async {
            while self.server.status.receiver_count() == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENT, streams).await.expect("a stream");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill_server();
    }
}

async fn counts(counter: &AtomicUsize, count: usize) {
    let reached = async {
        while counter.load(SeqCst) < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENT, reached).await.expect("is asked so often");
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn watched_changes_arrive_long_before_the_next_check() {
    let world = World::new(true, HOUR, 1).await;
    world.is_watched().await;
    for (said, status) in [
        (NotServing, HealthStatus::Unhealthy),
        (Serving, HealthStatus::Healthy),
        (NotServing, HealthStatus::Unhealthy),
    ] {
        world.server.status.send_replace(said);
        world.becomes(status).await;
    }
    let health = world.monitor.get_health("thor").expect("runs");
    assert_eq!(health.message, "NOT_SERVING");
    assert_eq!(world.server.checks.load(SeqCst), 1, "only the first");
    assert_eq!(world.server.watches.load(SeqCst), 1, "one stream is kept");
}

#[tokio::test]
async fn watched_failure_is_one_of_those_that_the_threshold_wants() {
    let world = World::new(true, Duration::from_millis(50), 3).await;
    world.is_watched().await;
    world.server.status.send_replace(NotServing);
    world.becomes(HealthStatus::Unhealthy).await;
    let health = world.monitor.get_health("thor").expect("runs");
    assert!(health.consecutive_failures >= 3);
}

#[tokio::test]
async fn broken_stream_is_followed_by_checks_that_fail() {
    let mut world = World::new(true, Duration::from_millis(50), 2).await;
    world.is_watched().await;
    world.kill_server();
    world.becomes(HealthStatus::Unhealthy).await;
}

#[tokio::test]
async fn server_without_watch_is_asked_for_it_once_and_checked_from_then_on() {
    let world = World::new(false, Duration::from_millis(20), 1).await;
    counts(&world.server.checks, 5).await;
    assert_eq!(world.server.watches.load(SeqCst), 1);
    world.server.status.send_replace(NotServing);
    world.becomes(HealthStatus::Unhealthy).await;
}

#[tokio::test]
async fn hung_server_is_found_out_in_spite_of_its_stream() {
    let world = World::new(true, Duration::from_millis(50), 2).await;
    world.is_watched().await;
    world.server.hangs.store(true, SeqCst);
    world.becomes(HealthStatus::Timeout).await;
}

#[tokio::test]
async fn stream_ends_with_the_run() {
    let world = World::new(true, HOUR, 1).await;
    world.is_watched().await;
    world.monitor.suspend_checks("thor");
    let gone = async {
        while world.server.status.receiver_count() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENT, gone).await.expect("the stream is closed");
}
