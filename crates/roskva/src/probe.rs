//! Checks: the port, and its dispatch by strategy.

use std::time::Duration;

use async_trait::async_trait;
use gladsheim_types::HealthCheckStrategy;

pub(crate) use crate::probe::grpc::{WatchEnd, Watching};
use crate::{
    CommandRunner,
    probe::{grpc::GrpcProbe, http::HttpProbe},
};

mod exec;
mod grpc;
mod http;
mod kept;
mod pidfd;
mod tail;
mod tcp;

/// How a check ended, with details for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// The service answers as it should.
    Healthy(String),
    /// It answers otherwise, or not at all.
    Unhealthy(String),
    /// It did not answer in time.
    TimedOut(String),
}

/// Carries out one check. [`HealthMonitor`](crate::HealthMonitor) has its own implementation for
/// every strategy; another one can be given in [`MonitorPorts`](crate::MonitorPorts).
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait HealthProbe: Send + Sync + 'static {
    /// Checks once. Never called for [`HealthCheckStrategy::Process`], which needs no probe.
    ///
    /// Cancellation: the monitor drops the future at the strategy's timeout or when the service is
    /// stopped; nothing that the check began may stay behind. A panic counts as a failure.
    async fn check(&self, service_name: &str, strategy: &HealthCheckStrategy) -> ProbeOutcome;
}

/// The implementation for every strategy.
#[derive(Debug, Default)]
pub(crate) struct StrategyProbe {
    http: HttpProbe,
    grpc: GrpcProbe,
}

impl StrategyProbe {
    /// Closes the connections that are kept for a service.
    pub(crate) fn forget(&self, service_name: &str) {
        self.http.forget(service_name);
        self.grpc.forget(service_name);
    }

    /// Opens a stream of verdicts where the strategy has one.
    pub(crate) async fn watch(
        &self,
        service_name: &str,
        strategy: &HealthCheckStrategy,
    ) -> Result<Watching, WatchEnd> {
        match strategy {
            HealthCheckStrategy::Grpc {
                address,
                service_name: asked,
                ..
            } => self.grpc.watch(service_name, address, asked).await,
            _ => Err(WatchEnd::Unoffered), // nothing else has one
        }
    }
}

impl StrategyProbe {
    /// Checks once; see [`HealthProbe::check`].
    pub(crate) async fn check(
        &self,
        service_name: &str,
        strategy: &HealthCheckStrategy,
        runner: Option<&dyn CommandRunner>,
    ) -> ProbeOutcome {
        match strategy {
            HealthCheckStrategy::Http { url, .. } => self.http.check(service_name, url).await,
            HealthCheckStrategy::Grpc {
                address,
                service_name: asked,
                ..
            } => self.grpc.check(service_name, address, asked).await,
            HealthCheckStrategy::Tcp { address, .. } => tcp::check(address).await,
            HealthCheckStrategy::Exec { command, .. } => {
                exec::check(service_name, command, runner).await
            }
            HealthCheckStrategy::Process => ProbeOutcome::Healthy(String::new()),
            _ => ProbeOutcome::Unhealthy("this version does not know the strategy".to_owned()),
        }
    }
}

/// Says what is wrong with a strategy, and what is allowed.
pub(crate) fn validate(strategy: &HealthCheckStrategy) -> Result<(), String> {
    match strategy {
        HealthCheckStrategy::Http { url, .. } => http::validate(url),
        HealthCheckStrategy::Grpc { address, .. } => grpc::validate(address),
        HealthCheckStrategy::Tcp { address, .. } => tcp::validate(address),
        HealthCheckStrategy::Exec { command, .. } => exec::validate(command),
        HealthCheckStrategy::Process => Ok(()),
        _ => Err("this version does not know the strategy".to_owned()),
    }
}

/// The same strategy, with `default` in the place of a timeout of zero.
pub(crate) fn with_timeout(
    mut strategy: HealthCheckStrategy,
    default: Duration,
) -> HealthCheckStrategy {
    match &mut strategy {
        HealthCheckStrategy::Http { timeout, .. }
        | HealthCheckStrategy::Grpc { timeout, .. }
        | HealthCheckStrategy::Tcp { timeout, .. }
        | HealthCheckStrategy::Exec { timeout, .. }
            if timeout.is_zero() =>
        {
            *timeout = default;
        }
        _ => {} // a timeout of its own, or none at all
    }
    strategy
}
