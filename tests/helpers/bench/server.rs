//! One server for all services, in a thread of its own: HTTP and `grpc.health.v1`, always well.

use std::{net::SocketAddr, sync::mpsc, thread};

use anyhow::Context as _;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tonic::transport::server::TcpIncoming;

/// Where it listens.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
}

/// Starts it; it runs as long as this process.
pub(crate) fn start() -> anyhow::Result<Servers> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (tell, told) = mpsc::channel();
    thread::spawn(move || runtime.block_on(serve(tell)));
    told.recv().context("the server has ended")
}

async fn serve(tell: mpsc::Sender<Servers>) -> anyhow::Result<()> {
    let http = TcpListener::bind("127.0.0.1:0").await?;
    let grpc = TcpListener::bind("127.0.0.1:0").await?;
    tell.send(Servers {
        http: http.local_addr()?,
        grpc: grpc.local_addr()?,
    })?;
    let (_reporter, health) = tonic_health::server::health_reporter();
    let grpc = tonic::transport::Server::builder()
        .add_service(health)
        .serve_with_incoming(TcpIncoming::from(grpc));
    let tasks = tokio::task::LocalSet::new();
    let http = tasks.run_until(async {
        loop {
            let (stream, _) = http.accept().await?;
            tokio::task::spawn_local(answer(stream));
        }
    });
    tokio::select! {
        result = grpc => Ok(result?),
        result = http => result,
    }
}

/// Answers whatever is asked, request after request, until the client leaves.
async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = [0; 1024];
    // A request of a check comes in one piece.
    while stream.read(&mut request).await? > 0 {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await?;
    }
    Ok(())
}

/// This process has a connection of each service.
pub(crate) fn raise_descriptor_limit() -> anyhow::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}
