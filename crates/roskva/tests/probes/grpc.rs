//! gRPC checks.

use std::convert::Infallible;

use roskva::HealthStatus;
use tokio::net::{TcpListener, UnixListener};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::task::TaskTracker;

use crate::world::{Checker, PATIENT, SHORT, assert_health, check, grpc, serve_http, server};

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
