//! `grpc.health.v1.Health` for the daemon as a whole and for each service under its name.
//!
//! It reads the hall when it is asked, so what it says is never older than the question.

use futures_util::stream::{BoxStream, unfold};
use gladsheim_core::{Gladsheim, Subscription, skirnir::ServiceState};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, async_trait, server::NamedService as _};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_server::Health,
};

use super::{error, grpc::Service};

/// The health service of one daemon.
#[derive(Debug)]
pub(super) struct HallHealth {
    pub(super) hall: Gladsheim,
    /// Cancelled when the daemon begins to shut down: it serves no longer.
    pub(super) stop: CancellationToken,
    /// Cancelled once all services are stopped: watches end.
    pub(super) stopped: CancellationToken,
}

#[async_trait]
impl Health for HallHealth {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let name = request.into_inner().service;
        match serving(&self.hall, &self.stop, &name) {
            ServingStatus::ServiceUnknown => Err(error::status(
                gladsheim_core::GladsheimError::ServiceNotFound(name),
            )),
            status @ (ServingStatus::Unknown
            | ServingStatus::Serving
            | ServingStatus::NotServing) => Ok(Response::new(response(status))),
        }
    }

    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let watch = Watch {
            name: request.into_inner().service,
            // Events wake the watch, nothing more; those held already do no harm.
            events: self.hall.events_since(0),
            told: None,
            hall: self.hall.clone(),
            stop: self.stop.clone(),
            stopped: self.stopped.clone(),
        };
        let statuses = unfold(watch, |mut watch| async {
            let status = watch.next().await?;
            Some((Ok(response(status)), watch))
        });
        Ok(Response::new(Box::pin(statuses)))
    }
}

/// One client that watches one name.
struct Watch {
    name: String,
    hall: Gladsheim,
    events: Subscription,
    told: Option<ServingStatus>,
    stop: CancellationToken,
    stopped: CancellationToken,
}

impl Watch {
    /// The next status that differs from the last one; `None` at the end.
    async fn next(&mut self) -> Option<ServingStatus> {
        loop {
            let status = serving(&self.hall, &self.stop, &self.name);
            if self.told.replace(status) != Some(status) {
                return Some(status);
            }
            tokio::select! {
                biased;
                () = self.stopped.cancelled() => return None,
                () = self.stop.cancelled(), if self.whole_daemon() => {
                    // Told as soon as it is true; after that, only the end is left to wait for.
                    if self.told == Some(ServingStatus::NotServing) {
                        self.stopped.cancelled().await;
                        return None;
                    }
                }
                event = self.events.next() => { event?; }
            }
        }
    }

    fn whole_daemon(&self) -> bool {
        is_whole_daemon(&self.name)
    }
}

fn is_whole_daemon(name: &str) -> bool {
    name.is_empty()
        || name == gladsheim_proto::v1::gladsheim_service_server::GladsheimServiceServer::<Service>::NAME
}

fn serving(hall: &Gladsheim, stop: &CancellationToken, name: &str) -> ServingStatus {
    let serves = if is_whole_daemon(name) {
        !stop.is_cancelled()
    } else {
        match hall.get_service_status(name) {
            Ok(status) => {
                status.state == ServiceState::Running && status.ready && !status.health.is_failing()
            }
            Err(_) => return ServingStatus::ServiceUnknown,
        }
    };
    if serves {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}
