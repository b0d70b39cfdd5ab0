//! `gladsheim.v1.GladsheimService` over the hall: each call is one call of [`Gladsheim`], translated.

use std::collections::BTreeMap;

use futures_util::stream::BoxStream;
use gladsheim_core::{
    Gladsheim, GladsheimError, WaitCondition,
    skirnir::ServiceState,
    thjalfi::{LogQuery, Signal},
};
use gladsheim_proto::{
    reason,
    v1::{gladsheim_service_server::GladsheimService, *},
};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Code, Request, Response, Status, async_trait};

use super::{
    convert,
    error::{internal, invalid, status},
    reload::{Asked, Reloader},
    telemetry,
    upgrade::{Upgrader, upgrading},
};

mod follow;
mod log;

/// Lines of a log that are read where the request names no number.
const DEFAULT_LAST_LINES: u32 = 100;

type Answer<T> = Result<Response<T>, Status>;
type Messages<T> = BoxStream<'static, Result<T, Status>>;

/// The service. Clones share the hall.
#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) hall: Gladsheim,
    /// What `GetDaemon` answers.
    pub(super) daemon: Daemon,
    pub(super) reloader: Reloader,
    pub(super) upgrader: Upgrader,
    /// Where commands go on whose caller does not wait any more.
    pub(super) tasks: TaskTracker,
    /// Cancelled by a call of `Shutdown`.
    pub(super) stop: CancellationToken,
    /// Cancelled once all services are stopped, or before an upgrade: streams end, and `Shutdown` and `Upgrade` are
    /// answered.
    pub(super) stopped: CancellationToken,
}

#[async_trait]
impl GladsheimService for Service {
    async fn start_service(
        &self,
        request: Request<StartServiceRequest>,
    ) -> Answer<StartServiceResponse> {
        let mut request = request.into_inner();
        let name = std::mem::take(&mut request.service_name);
        let started = self
            .hall
            .start_service(&name, convert::overrides(request))
            .await
            .map_err(status)?;
        answer(StartServiceResponse {
            status: Some(convert::status(started)),
        })
    }

    async fn stop_service(
        &self,
        request: Request<StopServiceRequest>,
    ) -> Answer<StopServiceResponse> {
        let (hall, request) = (self.hall.clone(), request.into_inner());
        // With `force` it is the stop of several, none of which should be left out for a caller who went away.
        let stop = async move {
            let options = convert::stop_options(&request);
            hall.stop_service(&request.service_name, options).await
        };
        let stopped = self.to_its_end(stop).await?.map_err(status)?;
        let report = self.hall.stop_report(&stopped.service_name);
        answer(StopServiceResponse {
            slow_stop: report.and_then(convert::slow_stop),
            status: Some(convert::status(stopped)),
        })
    }

    async fn force_kill_service(
        &self,
        request: Request<ForceKillServiceRequest>,
    ) -> Answer<ForceKillServiceResponse> {
        let name = request.into_inner().service_name;
        let killed = self.hall.force_kill_service(&name).await.map_err(status)?;
        answer(ForceKillServiceResponse {
            status: Some(convert::status(killed)),
        })
    }

    async fn restart_service(
        &self,
        request: Request<RestartServiceRequest>,
    ) -> Answer<RestartServiceResponse> {
        let name = request.into_inner().service_name;
        let restarted = self.hall.restart_service(&name).await.map_err(status)?;
        answer(RestartServiceResponse {
            status: Some(convert::status(restarted)),
        })
    }

    async fn load_service(
        &self,
        request: Request<LoadServiceRequest>,
    ) -> Answer<LoadServiceResponse> {
        let mut files = BTreeMap::new();
        for name in self.named_or_all(request.into_inner().service_name) {
            let loaded = self.hall.load_service(&name).await.map_err(status)?;
            files.extend(loaded.files);
        }
        answer(LoadServiceResponse {
            bytes: files.values().sum(),
            files: files
                .into_keys()
                .map(|file| file.display().to_string())
                .collect(),
        })
    }

    async fn signal_service(
        &self,
        request: Request<SignalServiceRequest>,
    ) -> Answer<SignalServiceResponse> {
        let request = request.into_inner();
        let signal = Signal::from_name(&request.signal)
            .ok_or_else(|| unknown("signal", &request.signal, &Signal::ALL.map(Signal::as_str)))?;
        self.hall
            .signal_service(&request.service_name, signal)
            .map_err(status)?;
        answer(SignalServiceResponse {})
    }

    async fn reset_service(
        &self,
        request: Request<ResetServiceRequest>,
    ) -> Answer<ResetServiceResponse> {
        for name in self.named_or_all(request.into_inner().service_name) {
            self.hall.reset_service(&name).await.map_err(status)?;
        }
        answer(ResetServiceResponse {})
    }

    async fn set_maintenance(
        &self,
        request: Request<SetMaintenanceRequest>,
    ) -> Answer<SetMaintenanceResponse> {
        let request = request.into_inner();
        self.hall
            .set_maintenance(&request.service_name, request.on)
            .await
            .map_err(status)?;
        answer(SetMaintenanceResponse {})
    }

    async fn get_service_status(
        &self,
        request: Request<GetServiceStatusRequest>,
    ) -> Answer<ServiceStatus> {
        let name = request.into_inner().service_name;
        let found = self.hall.get_service_status(&name).map_err(status)?;
        answer(convert::status(found))
    }

    async fn describe_service(
        &self,
        request: Request<DescribeServiceRequest>,
    ) -> Answer<ServiceDescription> {
        let name = request.into_inner().service_name;
        let described = self.hall.describe_service(&name).map_err(status)?;
        answer(convert::description(described))
    }

    async fn list_services(
        &self,
        request: Request<ListServicesRequest>,
    ) -> Answer<ListServicesResponse> {
        let request = request.into_inner();
        let state = match request.state.as_str() {
            "" => None,
            name => Some(ServiceState::from_name(name).ok_or_else(|| {
                unknown("state", name, &ServiceState::ALL.map(ServiceState::as_str))
            })?),
        };
        let services = self
            .hall
            .list_services()
            .into_iter()
            .filter(|service| state.is_none_or(|state| service.state == state))
            .filter(|service| {
                let has = |wanted| {
                    service
                        .metadata
                        .iter()
                        .any(|(key, value)| (key, value) == wanted)
                };
                request.r#where.iter().all(has)
            })
            .map(convert::status)
            .collect();
        answer(ListServicesResponse { services })
    }

    async fn get_health(&self, request: Request<GetHealthRequest>) -> Answer<ServiceHealth> {
        let name = request.into_inner().service_name;
        answer(convert::health(
            self.hall.get_health(&name).map_err(status)?,
        ))
    }

    async fn check_health(&self, request: Request<CheckHealthRequest>) -> Answer<ServiceHealth> {
        let name = request.into_inner().service_name;
        let checked = self.hall.check_health(&name).await.map_err(status)?;
        answer(convert::health(checked))
    }

    async fn get_resource_usage(
        &self,
        request: Request<GetResourceUsageRequest>,
    ) -> Answer<ResourceUsage> {
        let name = request.into_inner().service_name;
        let usage = self.hall.get_resource_usage(&name).map_err(status)?;
        let hall = self.hall.clone();
        let asked = name.clone();
        // Reading about many processes takes a while. What cannot be told is left out.
        let detail = tokio::task::spawn_blocking(move || hall.get_usage_detail(&asked)).await;
        let detail = detail.ok().and_then(Result::ok).unwrap_or_default();
        answer(convert::usage(name, usage, detail))
    }

    async fn get_system_usage(&self, _: Request<GetSystemUsageRequest>) -> Answer<SystemUsage> {
        answer(convert::system_usage(self.hall.get_system_usage()))
    }

    async fn get_resource_limits(
        &self,
        request: Request<GetResourceLimitsRequest>,
    ) -> Answer<ResourceLimits> {
        let name = request.into_inner().service_name;
        let limits = self.hall.get_resource_limits(&name).map_err(status)?;
        answer(convert::limits(limits))
    }

    async fn set_resource_limits(
        &self,
        request: Request<SetResourceLimitsRequest>,
    ) -> Answer<ResourceLimits> {
        let request = request.into_inner();
        let name = &request.service_name;
        let before = self.hall.get_resource_limits(name).map_err(status)?;
        let limits = convert::changed_limits(before, &request);
        self.hall
            .set_resource_limits(name, limits.clone())
            .map_err(status)?;
        answer(convert::limits(limits))
    }

    async fn get_statistics(&self, _: Request<GetStatisticsRequest>) -> Answer<Statistics> {
        answer(convert::statistics(self.hall.get_statistics()))
    }

    async fn wait_service(
        &self,
        request: Request<WaitServiceRequest>,
    ) -> Answer<WaitServiceResponse> {
        let request = request.into_inner();
        let condition = wait_condition(&request.condition)?;
        let waited = self.hall.wait_for(&request.service_name, condition);
        let met = tokio::select! {
            biased;
            met = waited => met.map_err(status)?,
            () = self.stopped.cancelled() => return Err(self.gone()),
        };
        let exited = condition == WaitCondition::Exited;
        answer(WaitServiceResponse {
            exit_code: met.exit_code.filter(|_| exited),
            signal: met.signal.filter(|_| exited),
            status: Some(convert::status(met)),
        })
    }

    type WatchEventsStream = Messages<Event>;

    async fn watch_events(
        &self,
        request: Request<WatchEventsRequest>,
    ) -> Answer<Self::WatchEventsStream> {
        let request = request.into_inner();
        self.check_name(&request.service_name)?;
        let since = self.hall.events_since(request.since);
        let follow = request.follow;
        let events = follow::events(since, request, self.stopped.clone());
        answer(self.explained(events, follow))
    }

    type WatchHealthStream = Messages<ServiceHealth>;

    async fn watch_health(
        &self,
        request: Request<WatchHealthRequest>,
    ) -> Answer<Self::WatchHealthStream> {
        let name = request.into_inner().service_name;
        // Subscribed before the present is read: no check falls between the two.
        let updates = self.hall.watch_health(&name).map_err(status)?;
        let present = self.hall.get_health(&name).map_err(status)?;
        let health = follow::health(present, updates, self.stopped.clone());
        answer(self.explained(health, true))
    }

    type StreamLogsStream = Messages<LogLine>;

    async fn stream_logs(
        &self,
        request: Request<StreamLogsRequest>,
    ) -> Answer<Self::StreamLogsStream> {
        let request = request.into_inner();
        let query = LogQuery {
            last: request.last.unwrap_or(DEFAULT_LAST_LINES) as usize,
            follow: request.follow,
        };
        let sources = self
            .named_or_all(request.service_name)
            .iter()
            .map(|name| self.hall.read_log(name, query))
            .collect::<Result<Vec<_>, _>>()
            .map_err(status)?;
        let lines = log::merged(sources, query.follow, self.stopped.clone());
        answer(self.explained(lines, query.follow))
    }

    type BringUpStream = Messages<BringUpProgress>;

    async fn bring_up(&self, request: Request<BringUpRequest>) -> Answer<Self::BringUpStream> {
        let names = request.into_inner().service_names;
        let progress = self.hall.bring_up(&names).map_err(status)?;
        let messages = ReceiverStream::new(progress).map(|one| Ok(convert::progress(one)));
        answer(Box::pin(messages) as Self::BringUpStream)
    }

    async fn reload(&self, request: Request<ReloadRequest>) -> Answer<ReloadResponse> {
        let plan = if request.into_inner().dry_run {
            self.reloader.plan().await
        } else {
            let reloader = self.reloader.clone();
            let reload = async move { reloader.reload(Asked::ByClient).await };
            self.to_its_end(reload).await?
        };
        answer(plan?)
    }

    /// Only asks: the daemon's own task shuts down, so a caller that goes away stops nothing half-way.
    async fn shutdown(&self, request: Request<ShutdownRequest>) -> Answer<ShutdownResponse> {
        drop(request);
        tracing::info!("asked to shut down by a client: stopping all services");
        self.stop.cancel();
        self.stopped.cancelled().await;
        answer(ShutdownResponse {
            slow_stops: convert::slow_stops(&self.hall),
        })
    }

    async fn set_log_level(
        &self,
        request: Request<SetLogLevelRequest>,
    ) -> Answer<SetLogLevelResponse> {
        let not_ours = |error: telemetry::NotOurs| {
            let reason = reason::LOG_NOT_OURS;
            reason::status(Code::FailedPrecondition, reason, error.to_string())
        };
        if let Some(level) = request.into_inner().level {
            let levels = level.parse();
            let levels =
                levels.map_err(|error: telemetry::LevelError| invalid(error.to_string()))?;
            telemetry::set_levels(levels).map_err(not_ours)?;
            tracing::info!("the log tells {level} now");
        }
        answer(SetLogLevelResponse {
            level: telemetry::levels().map_err(not_ours)?.to_string(),
        })
    }

    /// Answers once nothing else is answered any more.
    async fn upgrade(&self, request: Request<UpgradeRequest>) -> Answer<UpgradeResponse> {
        drop(request);
        let upgrader = self.upgrader.clone();
        let prepared = self.to_its_end(async move { upgrader.prepare().await });
        let response = prepared.await??;
        self.stopped.cancelled().await;
        answer(response)
    }

    async fn get_daemon(&self, _: Request<GetDaemonRequest>) -> Answer<Daemon> {
        answer(self.daemon.clone())
    }
}

impl Service {
    /// Carries out a command, also when the caller goes away or its deadline passes.
    async fn to_its_end<T: Send + 'static>(
        &self,
        command: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Status> {
        let done = self.tasks.spawn(command).await;
        // It is never aborted, so it can only have panicked.
        done.map_err(|error| internal(error.to_string()))
    }

    fn named_or_all(&self, name: String) -> Vec<String> {
        if name.is_empty() {
            self.hall.service_names()
        } else {
            vec![name]
        }
    }

    /// Whether the daemon has ended, or will answer again.
    fn gone(&self) -> Status {
        if self.upgrader.is_under_way() {
            upgrading()
        } else {
            not_open()
        }
    }

    /// A stream that says why it ends, if it would not end by itself.
    fn explained<T: Send + 'static>(&self, messages: Messages<T>, follows: bool) -> Messages<T> {
        if follows {
            self.upgrader.explain(messages)
        } else {
            messages
        }
    }

    /// Whether `name` is empty or a service of the hall.
    fn check_name(&self, name: &str) -> Result<(), Status> {
        if !name.is_empty() && self.hall.definition(name).is_none() {
            return Err(status(GladsheimError::ServiceNotFound(name.to_owned())));
        }
        Ok(())
    }
}

fn answer<T>(message: T) -> Answer<T> {
    Ok(Response::new(message))
}

fn wait_condition(name: &str) -> Result<WaitCondition, Status> {
    Ok(match name {
        "running" => WaitCondition::Running,
        "ready" => WaitCondition::Ready,
        "healthy" => WaitCondition::Healthy,
        "stopped" => WaitCondition::Stopped,
        "exited" => WaitCondition::Exited,
        other => {
            let known = ["running", "ready", "healthy", "stopped", "exited"];
            return Err(unknown("condition", other, &known));
        }
    })
}

fn unknown(what: &str, word: &str, known: &[&str]) -> Status {
    invalid(format!(
        "unknown {what} `{word}`; known are {}",
        known.join(", ")
    ))
}

fn not_open() -> Status {
    status(GladsheimError::NotOpen("it has shut down".to_owned()))
}
