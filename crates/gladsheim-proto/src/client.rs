//! The typed client: one HTTP/2 connection over a unix socket or, with the feature `tls`, over TCP.

#[cfg(feature = "tls")]
mod tls;

use std::{
    future::Future,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UnixStream,
};
use tonic::{
    Status, Streaming,
    transport::{Channel, Endpoint},
};

#[cfg(feature = "tls")]
pub use self::tls::{TlsError, TlsOptions};
use crate::v1::{gladsheim_service_client::GladsheimServiceClient, *};

/// The largest answer that is accepted: ten thousand services with everything that is known of them.
const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// A connection to a daemon. Clones share it, and calls run side by side on it.
///
/// A connection that breaks is opened again by the next call. Dropping a call's future cancels the
/// call; whether the daemon had begun by then is not known. Dropping the last clone closes the
/// connection.
#[derive(Debug, Clone)]
pub struct Client {
    stub: GladsheimServiceClient<Channel>,
}

/// There is no daemon at a socket, or none that lets us in.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to {}", socket.display())]
#[non_exhaustive]
pub struct ConnectError {
    /// Path of the socket.
    pub socket: PathBuf,
    /// What the operating system said: `NotFound` or `ConnectionRefused` where no daemon listens,
    /// `PermissionDenied` where it does not let us in.
    pub source: io::Error,
}

macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident($request:ident) -> $response:ty;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        ///
        /// The daemon's refusal, see [`reason`](crate::reason), or a failure of the transport.
        pub async fn $name(&self, request: $request) -> Result<$response, Status> {
            Ok(self.stub.clone().$name(request).await?.into_inner())
        }
    )*};
}

impl Client {
    /// Connects to the daemon that listens at `socket`. Must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// When nobody listens there, or the caller may not open the socket.
    pub async fn connect(socket: &Path) -> Result<Self, ConnectError> {
        // The first stream is opened here and not by the channel, so that the error is the operating
        // system's own and comes now.
        let error = |source| ConnectError {
            socket: socket.to_owned(),
            source,
        };
        let first = UnixStream::connect(socket).await.map_err(error)?;
        let path: Arc<Path> = socket.into();
        // The address only fills the `:authority` of requests; the connector knows where to go.
        let endpoint = Endpoint::from_static("http://localhost");
        Ok(over(endpoint, first, move || {
            let path = Arc::clone(&path);
            async move { UnixStream::connect(&path).await }
        }))
    }

    calls! {
        /// Starts a service, after what it depends on; returns when it is ready.
        start_service(StartServiceRequest) -> StartServiceResponse;
        /// Stops a service gracefully; returns when its whole process tree is gone.
        stop_service(StopServiceRequest) -> StopServiceResponse;
        /// Kills a service's whole process tree at once.
        force_kill_service(ForceKillServiceRequest) -> ForceKillServiceResponse;
        /// Stops a service if it runs, and starts it.
        restart_service(RestartServiceRequest) -> RestartServiceResponse;
        /// Brings binaries and shared libraries into the page cache, ahead of a start.
        load_service(LoadServiceRequest) -> LoadServiceResponse;
        /// Sends one signal to a service's leader.
        signal_service(SignalServiceRequest) -> SignalServiceResponse;
        /// Clears `failed` and the counted attempts.
        reset_service(ResetServiceRequest) -> ResetServiceResponse;
        /// Keeps a service running without checks, or goes on checking.
        set_maintenance(SetMaintenanceRequest) -> SetMaintenanceResponse;
        /// Changes what the daemon tells in its own log; without a level, only asks.
        set_log_level(SetLogLevelRequest) -> SetLogLevelResponse;
        /// Status of one service.
        get_service_status(GetServiceStatusRequest) -> ServiceStatus;
        /// One service at length: status, history, processes, dependencies.
        describe_service(DescribeServiceRequest) -> ServiceDescription;
        /// Status of all services, in the order of the hall file.
        list_services(ListServicesRequest) -> ListServicesResponse;
        /// Last known health of a service.
        get_health(GetHealthRequest) -> ServiceHealth;
        /// Checks a service's health now.
        check_health(CheckHealthRequest) -> ServiceHealth;
        /// Last sample of a service's resources.
        get_resource_usage(GetResourceUsageRequest) -> ResourceUsage;
        /// Usage of the machine.
        get_system_usage(GetSystemUsageRequest) -> SystemUsage;
        /// Limits of a service.
        get_resource_limits(GetResourceLimitsRequest) -> ResourceLimits;
        /// Changes limits of a service; what is not set stays as it is. Returns all of them.
        set_resource_limits(SetResourceLimitsRequest) -> ResourceLimits;
        /// Counts per state.
        get_statistics(GetStatisticsRequest) -> Statistics;
        /// Blocks until a condition holds of a service, or cannot hold any more.
        wait_service(WaitServiceRequest) -> WaitServiceResponse;
        /// The event bus. Without `follow`, what is held and then the end.
        watch_events(WatchEventsRequest) -> Streaming<Event>;
        /// Health of one service: at once, and at each check.
        watch_health(WatchHealthRequest) -> Streaming<ServiceHealth>;
        /// Captured output of one service or, without a name, of all.
        stream_logs(StreamLogsRequest) -> Streaming<LogLine>;
        /// Starts services; one message for each as it is done. Dropping the stream cancels nothing.
        bring_up(BringUpRequest) -> Streaming<BringUpProgress>;
        /// Reads the hall file again and carries out what changed.
        reload(ReloadRequest) -> ReloadResponse;
        /// Stops all services in reverse order, then the daemon; returns when the services are stopped.
        shutdown(ShutdownRequest) -> ShutdownResponse;
        /// Has the daemon execute its program anew; returns just before it does so.
        upgrade(UpgradeRequest) -> UpgradeResponse;
        /// Which daemon this is.
        get_daemon(GetDaemonRequest) -> Daemon;
    }
}

/// A client over `first`, and over what `again` opens once that has broken.
fn over<S, F>(endpoint: Endpoint, first: S, again: impl Fn() -> F + Send + Sync + 'static) -> Client
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = io::Result<S>> + Send + 'static,
{
    let first = Arc::new(Mutex::new(Some(first)));
    let connector = tower::service_fn(move |_| {
        let open = first.lock().unwrap_or_else(PoisonError::into_inner).take();
        let opening = open.is_none().then(&again);
        async move {
            match (open, opening) {
                (Some(stream), _) => Ok(TokioIo::new(stream)),
                (None, Some(opening)) => opening.await.map(TokioIo::new),
                (None, None) => Err(io::ErrorKind::NotConnected.into()),
            }
        }
    });
    let channel = endpoint.connect_with_connector_lazy(connector);
    Client {
        stub: GladsheimServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES),
    }
}
