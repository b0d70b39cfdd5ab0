//! The HTTP server: `GET /metrics` and `GET /health`, for whoever is on this machine.
//!
//! Nobody who asks here is known, so nobody gets to keep anything busy: a few connections at a time, one
//! request each, and a deadline for all of it.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Metrics, exposition::Dialect};

/// Connections at the same time; more wait in the kernel.
const CONNECTIONS: usize = 16;
/// From the connection to the last byte of the answer.
const DEADLINE: Duration = Duration::from_secs(5);
/// Bytes of a request's head.
const HEAD: usize = 16 * 1024;
/// Pause after an `accept` that failed, for want of descriptors as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Why metrics cannot be served.
#[derive(Debug, thiserror::Error)]
#[error(
    "metrics cannot be served at {address}: {source}; choose another address by the key `metrics`"
)]
pub(crate) struct MetricsError {
    address: SocketAddr,
    source: io::Error,
}

/// Takes the address.
pub(in crate::daemon) async fn listen(address: SocketAddr) -> Result<TcpListener, MetricsError> {
    let bind = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        tracing::info!("metrics are at http://{address}/metrics");
        Ok(listener)
    };
    bind.await
        .map_err(|source| MetricsError { address, source })
}

/// Serves until `stopped` is cancelled; requests under way are then cut off.
pub(in crate::daemon) async fn serve(
    listener: TcpListener,
    metrics: Metrics,
    stopped: CancellationToken,
) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let tasks = TaskTracker::new();
    let accept = async {
        loop {
            // It is never closed.
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((connection, _)) => {
                    let answer = answer(connection, metrics.clone());
                    let answer = stopped.clone().run_until_cancelled_owned(answer);
                    tasks.spawn(async move {
                        let _permit = permit;
                        answer.await
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection for metrics could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    stopped.run_until_cancelled(accept).await;
    tasks.close();
    tasks.wait().await;
}

/// One request and its answer.
async fn answer(connection: TcpStream, metrics: Metrics) {
    let respond = service_fn(move |request| respond(metrics.clone(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .max_buf_size(HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(connection), respond);
    // Whoever goes away, says nonsense or takes too long does so at their own expense.
    match timeout(DEADLINE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a request for metrics came to nothing"),
        Err(_) => tracing::debug!("a request for metrics took too long"),
    }
}

async fn respond(
    metrics: Metrics,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    let is_get = request.method() == Method::GET || request.method() == Method::HEAD;
    let (status, content_type, body) = match path {
        "/metrics" | "/health" if !is_get => (StatusCode::METHOD_NOT_ALLOWED, PLAIN, String::new()),
        "/metrics" => {
            let dialect = Dialect::accepted(&accepted(request.headers()));
            match spawn_blocking(move || metrics.page(dialect)).await {
                Ok(page) => (StatusCode::OK, dialect.content_type(), page),
                Err(error) => {
                    tracing::error!(%error, "metrics could not be collected");
                    (StatusCode::INTERNAL_SERVER_ERROR, PLAIN, String::new())
                }
            }
        }
        "/health" => (StatusCode::OK, PLAIN, "ok\n".to_owned()),
        _ => (
            StatusCode::NOT_FOUND,
            PLAIN,
            "there are /metrics and /health here\n".to_owned(),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    Ok(response)
}

const PLAIN: &str = "text/plain; charset=utf-8";

/// All that the `Accept` headers say.
fn accepted(headers: &HeaderMap) -> String {
    let values = headers.get_all(ACCEPT).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .collect::<Vec<_>>()
        .join(",")
}
