//! A daemon that is only played: a few services with fixed manners, and a real gRPC server.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream};
use gladsheim_proto::{
    reason,
    v1::{
        gladsheim_service_server::{GladsheimService, GladsheimServiceServer},
        *,
    },
};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status, transport::Server};

type Answer<T> = Result<Response<T>, Status>;
type Items<T> = BoxStream<'static, Result<T, Status>>;

/// Serves until it is dropped.
pub(crate) struct FakeDaemon {
    folder: tempfile::TempDir,
    hall: Arc<Mutex<Hall>>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Hall {
    services: Vec<ServiceStatus>,
    last_start: Option<StartServiceRequest>,
    was_shut_down: bool,
}

impl FakeDaemon {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let hall = Arc::new(Mutex::new(Hall {
            services: services(),
            ..Hall::default()
        }));
        let stop = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = {
            let _inside = runtime.enter();
            UnixListener::bind(folder.path().join("daemon.sock")).expect("is free")
        };
        let service = GladsheimServiceServer::new(Service(Arc::clone(&hall)));
        let server = Server::builder().add_service(service);
        let stopped = stop.clone().cancelled_owned();
        let thread = std::thread::spawn(move || {
            let incoming = UnixListenerStream::new(listener);
            let served = server.serve_with_incoming_shutdown(incoming, stopped);
            runtime.block_on(served).expect("serves");
        });
        Self {
            folder,
            hall,
            stop,
            thread: Some(thread),
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        Path::join(self.folder.path(), "daemon.sock")
    }

    pub(crate) fn last_start(&self) -> Option<StartServiceRequest> {
        self.hall.lock().expect("not poisoned").last_start.clone()
    }

    pub(crate) fn was_shut_down(&self) -> bool {
        self.hall.lock().expect("not poisoned").was_shut_down
    }
}

impl Drop for FakeDaemon {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("ends well");
        }
    }
}

/// `thor` needs `freki`; what the others do stands in their names.
fn services() -> Vec<ServiceStatus> {
    let service = |name: &str, state: &str| ServiceStatus {
        service_name: name.to_owned(),
        state: state.to_owned(),
        health: "unknown".to_owned(),
        ..ServiceStatus::default()
    };
    let running = |name| ServiceStatus {
        process_id: 7,
        memory_bytes: Some(1024),
        ..service(name, "running")
    };
    let web = [("role".to_owned(), "web".to_owned())];
    vec![
        running("freki"),
        ServiceStatus {
            metadata: web.into(),
            ..running("thor")
        },
        ServiceStatus {
            memory_bytes: None,
            ..running("loki")
        },
        service("stopped", "stopped"),
        service("broken", "stopped"),
        service("forbidden", "stopped"),
        service("stuck", "stopped"),
        service("killed", "stopped"),
        service("chatty", "stopped"),
    ]
}

struct Service(Arc<Mutex<Hall>>);

impl Service {
    fn status(&self, name: &str) -> Result<ServiceStatus, Status> {
        let hall = self.0.lock().expect("not poisoned");
        let known = hall
            .services
            .iter()
            .find(|status| status.service_name == name)
            .cloned();
        known.ok_or_else(|| reason::status(Code::NotFound, reason::NOT_FOUND, "no such service"))
    }

    fn change(&self, name: &str, state: &str, process_id: i32) -> Option<ServiceStatus> {
        let mut hall = self.0.lock().expect("not poisoned");
        let status = hall
            .services
            .iter_mut()
            .find(|status| status.service_name == name)?;
        (status.state, status.process_id) = (state.to_owned(), process_id);
        Some(status.clone())
    }
}

fn health(name: String) -> ServiceHealth {
    let status = if name == "loki" {
        "unhealthy"
    } else {
        "healthy"
    };
    ServiceHealth {
        service_name: name,
        status: status.to_owned(),
        ..ServiceHealth::default()
    }
}

fn items<T: Send + 'static>(items: Vec<T>) -> Answer<Items<T>> {
    Ok(Response::new(Box::pin(stream::iter(
        items.into_iter().map(Ok),
    ))))
}

fn not_played<T>() -> Answer<T> {
    Err(Status::unimplemented("not played"))
}

#[async_trait]
impl GladsheimService for Service {
    async fn start_service(
        &self,
        request: Request<StartServiceRequest>,
    ) -> Answer<StartServiceResponse> {
        let request = request.into_inner();
        let name = request.service_name.clone();
        self.0.lock().expect("not poisoned").last_start = Some(request);
        let refusal = match (&*name, &*self.status(&name)?.state) {
            ("broken", _) => (Code::Internal, reason::SPAWN_FAILED),
            ("forbidden", _) => (Code::PermissionDenied, reason::UNAUTHORIZED),
            (_, "running") => (Code::AlreadyExists, reason::ALREADY_RUNNING),
            _ => {
                return Ok(Response::new(StartServiceResponse {
                    status: self.change(&name, "running", 7),
                }));
            }
        };
        Err(reason::status(
            refusal.0,
            refusal.1,
            format!("{name} is not started"),
        ))
    }

    async fn stop_service(
        &self,
        request: Request<StopServiceRequest>,
    ) -> Answer<StopServiceResponse> {
        let StopServiceRequest {
            service_name,
            force,
            ..
        } = request.into_inner();
        if self.status(&service_name)?.state != "running" {
            return Err(reason::status(
                Code::FailedPrecondition,
                reason::NOT_RUNNING,
                "does not run",
            ));
        }
        if service_name == "freki" && !force && self.status("thor")?.state == "running" {
            let message = "freki is needed by thor";
            return Err(reason::status(
                Code::FailedPrecondition,
                reason::NEEDED_BY_OTHERS,
                message,
            ));
        }
        Ok(Response::new(StopServiceResponse {
            status: self.change(&service_name, "stopped", 0),
            slow_stop: None,
        }))
    }

    async fn force_kill_service(
        &self,
        _: Request<ForceKillServiceRequest>,
    ) -> Answer<ForceKillServiceResponse> {
        not_played()
    }

    async fn restart_service(
        &self,
        _: Request<RestartServiceRequest>,
    ) -> Answer<RestartServiceResponse> {
        not_played()
    }

    async fn signal_service(
        &self,
        _: Request<SignalServiceRequest>,
    ) -> Answer<SignalServiceResponse> {
        Err(reason::status(
            Code::InvalidArgument,
            reason::INVALID_ARGUMENT,
            "no such signal",
        ))
    }

    async fn load_service(&self, _: Request<LoadServiceRequest>) -> Answer<LoadServiceResponse> {
        not_played()
    }

    async fn reset_service(&self, _: Request<ResetServiceRequest>) -> Answer<ResetServiceResponse> {
        not_played()
    }

    async fn set_maintenance(
        &self,
        _: Request<SetMaintenanceRequest>,
    ) -> Answer<SetMaintenanceResponse> {
        not_played()
    }

    async fn get_service_status(
        &self,
        request: Request<GetServiceStatusRequest>,
    ) -> Answer<ServiceStatus> {
        self.status(&request.into_inner().service_name)
            .map(Response::new)
    }

    async fn describe_service(
        &self,
        request: Request<DescribeServiceRequest>,
    ) -> Answer<ServiceDescription> {
        let status = self.status(&request.into_inner().service_name)?;
        Ok(Response::new(ServiceDescription {
            status: Some(status),
            ..ServiceDescription::default()
        }))
    }

    async fn list_services(
        &self,
        request: Request<ListServicesRequest>,
    ) -> Answer<ListServicesResponse> {
        let ListServicesRequest { r#where, .. } = request.into_inner();
        let mut services = self.0.lock().expect("not poisoned").services.clone();
        services.retain(|status| {
            r#where
                .iter()
                .all(|(key, value)| status.metadata.get(key) == Some(value))
        });
        Ok(Response::new(ListServicesResponse { services }))
    }

    async fn get_health(&self, request: Request<GetHealthRequest>) -> Answer<ServiceHealth> {
        Ok(Response::new(health(request.into_inner().service_name)))
    }

    async fn check_health(&self, request: Request<CheckHealthRequest>) -> Answer<ServiceHealth> {
        Ok(Response::new(health(request.into_inner().service_name)))
    }

    async fn get_resource_usage(
        &self,
        _: Request<GetResourceUsageRequest>,
    ) -> Answer<ResourceUsage> {
        not_played()
    }

    async fn get_system_usage(&self, _: Request<GetSystemUsageRequest>) -> Answer<SystemUsage> {
        not_played()
    }

    async fn get_resource_limits(
        &self,
        _: Request<GetResourceLimitsRequest>,
    ) -> Answer<ResourceLimits> {
        not_played()
    }

    async fn set_resource_limits(
        &self,
        _: Request<SetResourceLimitsRequest>,
    ) -> Answer<ResourceLimits> {
        not_played()
    }

    async fn get_statistics(&self, _: Request<GetStatisticsRequest>) -> Answer<Statistics> {
        not_played()
    }

    async fn wait_service(
        &self,
        request: Request<WaitServiceRequest>,
    ) -> Answer<WaitServiceResponse> {
        let name = request.into_inner().service_name;
        let status = Some(self.status(&name)?);
        let (exit_code, signal) = match &*name {
            "stuck" => return std::future::pending().await,
            "broken" => {
                return Err(reason::status(
                    Code::FailedPrecondition,
                    reason::WAIT_FAILED,
                    "has failed",
                ));
            }
            "loki" => (Some(7), None),
            "killed" => (None, Some(9)),
            _ => (None, None),
        };
        Ok(Response::new(WaitServiceResponse {
            status,
            exit_code,
            signal,
        }))
    }

    type WatchEventsStream = Items<Event>;

    async fn watch_events(&self, request: Request<WatchEventsRequest>) -> Answer<Items<Event>> {
        let event = |seq, kind: &str, name: &str| Event {
            seq,
            kind: kind.to_owned(),
            service_name: name.to_owned(),
            ..Event::default()
        };
        let since = request.into_inner().since;
        let mut events = vec![
            event(1, "service.started", "loki"),
            event(2, "service.crashed", "loki"),
            event(3, "hall.ready", ""),
        ];
        events.retain(|event| event.seq > since);
        items(events)
    }

    type WatchHealthStream = Items<ServiceHealth>;

    async fn watch_health(&self, _: Request<WatchHealthRequest>) -> Answer<Items<ServiceHealth>> {
        not_played()
    }

    type StreamLogsStream = Items<LogLine>;

    async fn stream_logs(&self, request: Request<StreamLogsRequest>) -> Answer<Items<LogLine>> {
        let service_name = self
            .status(&request.into_inner().service_name)?
            .service_name;
        let count = if service_name == "chatty" { 10_000 } else { 1 };
        let line = LogLine {
            at_unix_ms: if service_name == "freki" { 1 } else { 2 },
            stream: "stdout".to_owned(),
            line: format!("hail from {service_name}"),
            service_name,
        };
        items(vec![line; count])
    }

    type BringUpStream = Items<BringUpProgress>;

    async fn bring_up(&self, _: Request<BringUpRequest>) -> Answer<Items<BringUpProgress>> {
        not_played()
    }

    async fn reload(&self, _: Request<ReloadRequest>) -> Answer<ReloadResponse> {
        not_played()
    }

    async fn upgrade(&self, _: Request<UpgradeRequest>) -> Answer<UpgradeResponse> {
        not_played()
    }

    async fn shutdown(&self, _: Request<ShutdownRequest>) -> Answer<ShutdownResponse> {
        self.0.lock().expect("not poisoned").was_shut_down = true;
        Ok(Response::new(ShutdownResponse::default()))
    }

    async fn set_log_level(
        &self,
        request: Request<SetLogLevelRequest>,
    ) -> Answer<SetLogLevelResponse> {
        let level = request.into_inner().level;
        Ok(Response::new(SetLogLevelResponse {
            level: level.unwrap_or_else(|| "info".to_owned()),
        }))
    }

    async fn get_daemon(&self, _: Request<GetDaemonRequest>) -> Answer<Daemon> {
        let hall_file = "/another/gladsheim.toml".to_owned();
        // No process has this id, so nobody waits for its end.
        Ok(Response::new(Daemon {
            process_id: u32::MAX,
            hall_file,
            ..Daemon::default()
        }))
    }
}
