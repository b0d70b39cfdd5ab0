//! The gRPC server: who may connect, and that nobody who does can hold up the others.
//!
//! # Theory of operation
//!
//! One task accepts. Each connection has a task of its own, and each call on it another; all of them end
//! with [`serve`]. A connection needs a place ([`Census`]), so that a flood of them leaves some for the daemon's own user.
//! What a peer can hold is bounded: calls on a connection, bytes under way in both directions, the time until
//! it has said a word. A stream is pulled by its reader, so one that does not read costs its window and no more.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use gladsheim_proto::{FILE_DESCRIPTOR_SET, v1::gladsheim_service_server::GladsheimServiceServer};
use hyper::rt::Executor as _;
use nix::sys::resource::{Resource, getrlimit};
use tokio::{
    net::{TcpStream, UnixListener, UnixStream},
    time::{sleep, timeout},
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
    tls::{TlsIdentity, TlsListener},
};

mod admission;
mod body;
mod call;
mod connection;

/// How long somebody on the network may take to say who they are.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A peer on the network that is silent is asked after this time whether it is still there, and given up after the
/// same once more. Not so on the unix socket: there the kernel tells the end of a peer, and a client whose reader
/// has paused (`gladsheim logs -f | less`) is no dead one.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
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
    tls: Option<TlsListener>,
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
    let on_network = async {
        if let Some(tls) = tls {
            server.accept_tls(tls).await;
        }
    };
    let accepting = futures_util::future::join(server.accept(listener), on_network);
    stopped.run_until_cancelled(accepting).await;
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
    async fn accept(self: &Arc<Self>, listener: UnixListener) {
        loop {
            match listener.accept().await {
                Ok((connection, _)) => self.welcome(connection),
                Err(error) => pause(error).await,
            }
        }
    }

    /// The same for the network.
    async fn accept_tls(self: &Arc<Self>, tls: TlsListener) {
        let TlsListener { listener, identity } = tls;
        loop {
            match listener.accept().await {
                Ok((connection, address)) => {
                    let guest = Guest::Address(address.ip());
                    if let Some(place) = self.place_for(guest, &address) {
                        let identity = Arc::clone(&identity);
                        let welcome = self.clone().welcome_tls(connection, address, identity);
                        self.host.execute(async move {
                            welcome.await;
                            drop(place);
                        });
                    }
                }
                Err(error) => pause(error).await,
            }
        }
    }

    /// Serves a connection, if there is a place for it.
    fn welcome(self: &Arc<Self>, connection: UnixStream) {
        let credentials = match Credentials::of(&connection) {
            Ok(credentials) => credentials,
            Err(error) => {
                tracing::warn!(%error, "a connection was refused: nobody knows whose it is");
                return;
            }
        };
        let uid = credentials.uid;
        let peer = Peer::Local(credentials);
        let guest = if self.access.is_master(&peer) {
            Guest::Master
        } else {
            Guest::User(uid)
        };
        if let Some(place) = self.place_for(guest, &peer) {
            let served = self.host.serve(connection, self.calls_of(peer), None);
            self.host.execute(async move {
                served.await;
                drop(place);
            });
        }
    }

    /// Finds out who somebody is, and serves them.
    async fn welcome_tls(
        self: Arc<Self>,
        connection: TcpStream,
        address: SocketAddr,
        identity: Arc<TlsIdentity>,
    ) {
        let why = match timeout(HANDSHAKE, identity.accept(connection, address)).await {
            Ok(Ok((stream, certified))) => {
                let calls = self.calls_of(Peer::Remote(certified));
                return self.host.serve(stream, calls, Some(KEEP_ALIVE)).await;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no handshake in {HANDSHAKE:?}"),
        };
        self.access.turned_away(&address.to_string(), &why);
    }

    fn calls_of(&self, peer: Peer) -> Calls {
        Calls::new(
            self.routes.clone(),
            Arc::clone(&self.access),
            self.counts.clone(),
            peer,
        )
    }

    fn place_for(self: &Arc<Self>, guest: Guest, peer: &impl ToString) -> Option<Place> {
        let mut census = self.census.lock().unwrap_or_else(PoisonError::into_inner);
        if census.admit(guest) {
            let server = Arc::clone(self);
            return Some(Place { server, guest });
        }
        drop(census);
        let why = "too many are open already";
        self.access.turned_away(&peer.to_string(), why);
        None
    }
}

/// For want of descriptors, as a rule.
async fn pause(error: io::Error) {
    tracing::warn!(%error, "a connection could not be accepted");
    sleep(ACCEPT_PAUSE).await;
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
