//! The typed client against nobody, somebody, and somebody who comes back.
#![cfg(feature = "client")]
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::{io, path::Path};

use gladsheim_proto::{Client, FILE_DESCRIPTOR_SET, v1::GetDaemonRequest};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Code, service::Routes, transport::Server};

/// A server that knows no method, until the token is cancelled.
fn serve(socket: &Path, tasks: &TaskTracker) -> CancellationToken {
    let stop = CancellationToken::new();
    let incoming = UnixListenerStream::new(UnixListener::bind(socket).expect("is free"));
    let server = Server::builder().add_routes(Routes::default());
    tasks.spawn(server.serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned()));
    stop
}

#[tokio::test]
async fn nobody_at_the_socket_is_the_operating_systems_own_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("nobody.sock");
    let error = Client::connect(&socket).await.expect_err("nobody is there");
    assert_eq!(error.source.kind(), io::ErrorKind::NotFound);
    assert_eq!(error.socket, socket);

    drop(UnixListener::bind(&socket).expect("is free"));
    let error = Client::connect(&socket)
        .await
        .expect_err("nobody is there any more");
    assert_eq!(error.source.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_broken_connection_is_opened_again_by_the_next_call() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("daemon.sock");
    let tasks = TaskTracker::new();
    tasks.close();
    let stop = serve(&socket, &tasks);
    let client = Client::connect(&socket).await.expect("connects");
    let code = || async {
        client
            .get_daemon(GetDaemonRequest {})
            .await
            .map_err(|s| s.code())
    };
    assert_eq!(code().await, Err(Code::Unimplemented), "it answers");

    stop.cancel();
    tasks.wait().await;
    assert_eq!(code().await, Err(Code::Unavailable), "it is gone");

    std::fs::remove_file(&socket).expect("is left behind");
    let stop = serve(&socket, &tasks);
    assert_eq!(code().await, Err(Code::Unimplemented), "it answers again");
    stop.cancel();
}

#[test]
fn the_descriptors_name_every_method() {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("is a descriptor set");
    let service = set
        .file
        .iter()
        .flat_map(|file| &file.service)
        .next()
        .expect("a service");
    assert_eq!(service.name(), "GladsheimService");
    assert_eq!(service.method.len(), 28);
}
