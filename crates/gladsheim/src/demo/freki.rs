//! A well-behaved gRPC service.

use std::{io, net::SocketAddr, process::ExitCode};

use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic_health::server::health_reporter;

use super::{asked_to_end, say};

pub(super) async fn run(listen: SocketAddr) -> io::Result<ExitCode> {
    let end = asked_to_end()?;
    let listener = TcpListener::bind(listen).await?;
    // The server as a whole serves from the beginning.
    let (_reporter, health) = health_reporter();
    say(&format!(
        "on the scent, answering grpc.health.v1 on {listen}"
    ));
    Server::builder()
        .add_service(health)
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), end)
        .await
        .map_err(io::Error::other)?;
    say("back to the den");
    Ok(ExitCode::SUCCESS)
}
