//! The gRPC server: who may connect, and that nobody who does can hold up the others.
//!
//! # Theory of operation
//!
//! One task accepts. Each connection has a task of its own, and each call on it another; all of them end
//! with [`serve`]. A connection needs a place ([`Census`]), so that a flood of them leaves some for the daemon's own user.
//! What a peer can hold is bounded: calls on a connection, bytes under way in both directions, the time until
//! it has said a word. A stream is pulled by its reader, so one that does not read costs its window and no more.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use gladsheim_proto::{FILE_DESCRIPTOR_SET, v1::gladsheim_service_server::GladsheimServiceServer};
use nix::sys::resource::{Resource, getrlimit};
use tokio::{
    net::{UnixListener, UnixStream},
    time::sleep,
};
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tonic_reflection::server::{Builder, Error as ReflectionError};

use self::{
    admission::{Census, Guest, Limits},
    call::Calls,
    connection::Host,
};
use super::{
    access::AccessControl,
    grpc::Service,
    health::HallHealth,
    metrics::CallCounts,
    peer::{Credentials, Peer},
};

mod admission;
mod body;
mod call;
mod connection;

/// Pause after an `accept` that failed, for want of descriptors as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Why the server could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    #[error("server reflection: {0}")]
    Reflection(#[from] ReflectionError),
}

/// Serves until `service.stopped` is cancelled; then lets calls under way end.
///
/// Cancellation: dropping the future closes all connections.
pub(super) async fn serve(
    listener: UnixListener,
    service: Service,
    access: Arc<AccessControl>,
    counts: CallCounts,
) -> Result<(), ServerError> {
    let stopped = service.stopped.clone();
    let server = Arc::new(Server {
        routes: routes(service)?,
        access,
        counts,
        census: Mutex::new(Census::new(limits())),
        host: Host::new(stopped.clone()),
    });
    let _cut_when_dropped = server.host.cut.clone().drop_guard();
    stopped
        .run_until_cancelled(Arc::clone(&server).accept(listener))
        .await;
    server.host.tasks.close();
    server.host.tasks.wait().await;
    Ok(())
}

fn routes(service: Service) -> Result<Routes, ServerError> {
    let health = HallHealth {
        hall: service.hall.clone(),
        stop: service.stop.clone(),
        stopped: service.stopped.clone(),
    };
    let routes = Routes::new(GladsheimServiceServer::new(service))
        .add_service(HealthServer::new(health))
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    Ok(routes.prepare())
}

fn reflection() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// A quarter of the descriptors at most: the services' pipes and logs need the rest.
fn limits() -> Limits {
    let (files, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    Limits::of(usize::try_from(files / 4).unwrap_or(usize::MAX))
}

/// What all connections share.
#[derive(Debug)]
struct Server {
    routes: Routes,
    access: Arc<AccessControl>,
    counts: CallCounts,
    /// Guards the counts only.
    census: Mutex<Census>,
    host: Host,
}

impl Server {
    /// Accepts connections for ever. Where `accept` fails it pauses, instead of trying again at once.
    async fn accept(self: Arc<Self>, listener: UnixListener) {
        loop {
            match listener.accept().await {
                Ok((connection, _)) => self.welcome(connection),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves a connection, if there is a place for it.
    fn welcome(self: &Arc<Self>, connection: UnixStream) {
        let peer = match Credentials::of(&connection) {
            Ok(credentials) => Peer::Local(credentials),
            Err(error) => {
                tracing::warn!(%error, "a connection was refused: nobody knows whose it is");
                return;
            }
        };
        let Some(place) = self.place_for(&peer) else {
            let why = "too many are open already";
            self.access.turned_away(&peer.to_string(), why);
            return;
        };
        let calls = Calls::new(
            self.routes.clone(),
            Arc::clone(&self.access),
            self.counts.clone(),
            peer,
        );
        self.host.serve(connection, calls, place);
    }

    fn place_for(self: &Arc<Self>, peer: &Peer) -> Option<Place> {
        let guest = match peer {
            peer if self.access.is_master(peer) => Guest::Master,
            Peer::Local(Credentials { uid, .. }) => Guest::User(*uid),
            Peer::Remote(certified) => Guest::Address(certified.address.ip()),
        };
        let mut census = self.census.lock().unwrap_or_else(PoisonError::into_inner);
        census.admit(guest).then(|| Place {
            server: Arc::clone(self),
            guest,
        })
    }
}

/// A connection's place; free again when it is dropped.
#[derive(Debug)]
struct Place {
    server: Arc<Server>,
    guest: Guest,
}

impl Drop for Place {
    fn drop(&mut self) {
        let census = &self.server.census;
        let mut census = census.lock().unwrap_or_else(PoisonError::into_inner);
        census.leave(self.guest);
    }
}
