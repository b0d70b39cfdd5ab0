//! The gRPC server on the control socket.

use std::{io, time::Duration};

use futures_util::{Stream, stream::unfold};
use gladsheim_proto::{FILE_DESCRIPTOR_SET, v1::gladsheim_service_server::GladsheimServiceServer};
use tokio::{
    net::{UnixListener, UnixStream},
    time::sleep,
};
use tonic::{service::InterceptorLayer, transport::Server};
use tonic_health::pb::health_server::HealthServer;
use tonic_reflection::server::{Builder, Error as ReflectionError};

use super::{access, grpc::Service, health::HallHealth};

/// Flow-control windows: a control socket moves small messages, and memory is per connection.
const WINDOW: u32 = 64 * 1024;
/// Calls at once on one connection.
const STREAMS: u32 = 128;
/// Pause after an `accept` that failed, for want of descriptors as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Why the server could not be had, or ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    #[error("server reflection: {0}")]
    Reflection(#[from] ReflectionError),
    #[error("gRPC server: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// Serves until `service.stopped` is cancelled; then lets calls under way end.
pub(super) async fn serve(listener: UnixListener, service: Service) -> Result<(), ServerError> {
    let health = HallHealth {
        hall: service.hall.clone(),
        stop: service.stop.clone(),
        stopped: service.stopped.clone(),
    };
    let stopped = service.stopped.clone();
    Server::builder()
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_concurrent_streams(STREAMS)
        .layer(InterceptorLayer::new(access::check))
        .add_service(GladsheimServiceServer::new(service))
        .add_service(HealthServer::new(health))
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .serve_with_incoming_shutdown(connections(listener), stopped.cancelled())
        .await?;
    Ok(())
}

fn reflection() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// Accepted connections. Where `accept` fails it pauses: tonic would try again at once, for ever.
fn connections(listener: UnixListener) -> impl Stream<Item = io::Result<UnixStream>> {
    unfold(listener, |listener| async {
        loop {
            match listener.accept().await {
                Ok((connection, _)) => return Some((Ok(connection), listener)),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    })
}
