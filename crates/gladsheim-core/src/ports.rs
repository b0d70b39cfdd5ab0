//! The core's side of the servants' ports: what they need from each other goes through here.

use std::sync::Arc;

use async_trait::async_trait;
use byggvir::{
    LimitHandler, LimitViolation, ResourceManagerApi, STRETCH_ON_BATTERY,
    pressure::{Pressure, PressureKind, PressureSource},
};
use roskva::{
    BoxError, CommandEnd, CommandRunner, EndRequest, MachinePressure, Pace, ProcessLiveness,
    RestartHandler, RestartMode, Starvation,
};
use skirnir::Cause;
use thjalfi::{ServiceLoaderApi, ServiceLoaderError};
use tokio::sync::oneshot;

use crate::{GladsheimError, Result, actor::command::Command, directory::Directory};

/// Carries out what roskva's policy and byggvir's limits decide, by commands to the actors.
#[derive(Debug, Clone)]
pub(crate) struct Orders {
    pub(crate) directory: Arc<Directory>,
}

impl Orders {
    /// Sends a command and waits for its answer; a service that is gone answers `ServiceNotFound`.
    pub(crate) async fn ask(
        &self,
        name: &str,
        command: impl FnOnce(crate::actor::command::Reply) -> Command,
    ) -> Result<()> {
        let (answer, reply) = oneshot::channel();
        self.directory.send(
            name,
            command(Box::new(move |outcome| {
                // A caller that gave up is no error.
                let _ = answer.send(outcome);
            })),
        );
        reply
            .await
            .unwrap_or_else(|_| Err(GladsheimError::ServiceNotFound(name.to_owned())))
    }

    async fn end_run(&self, name: &str, cause: Cause, request: EndRequest) -> Result<()> {
        self.ask(name, |reply| Command::EndRun {
            cause,
            request,
            reply,
        })
        .await
    }
}

#[async_trait]
impl RestartHandler for Orders {
    async fn restart(&self, service_name: &str, attempt: u32) -> std::result::Result<(), BoxError> {
        // Not awaited: an actor that waits for roskva must not be waited for by roskva.
        self.directory
            .send(service_name, Command::NextAttempt { attempt });
        Ok(())
    }

    async fn end_run(
        &self,
        service_name: &str,
        request: EndRequest,
    ) -> std::result::Result<(), BoxError> {
        Ok(self.end_run(service_name, Cause::Probe, request).await?)
    }
}

#[async_trait]
impl LimitHandler for Orders {
    async fn restart(&self, violation: LimitViolation) {
        let name = &violation.service_name;
        let Some(definition) = self.directory.definition(name) else {
            return;
        };
        let request = EndRequest {
            reason: format!("limit exceeded: {violation}"),
            will_restart: definition.monitor.restart.mode != RestartMode::Never,
            shutdown_timeout: None,
        };
        if let Err(error) = self.end_run(name, Cause::Limit, request).await {
            tracing::debug!(service = %name, %error, "not restarted for its limit");
        }
    }

    async fn stop(&self, violation: LimitViolation) {
        let name = &violation.service_name;
        let stopped = self
            .ask(name, |reply| Command::Stop {
                timeout: None,
                cause: Cause::Limit,
                reply,
            })
            .await;
        if let Err(error) = stopped {
            tracing::debug!(service = %name, %error, "not stopped for its limit");
        }
    }
}

/// Lets roskva's load guard read the pressure of the whole machine where byggvir reads it.
pub(crate) struct Machine(pub(crate) Arc<dyn PressureSource>);

impl Starvation for Machine {
    fn pressure(&self) -> MachinePressure {
        // A kernel that does not tell has no pressure, as far as anybody knows.
        let read = |kind| -> Pressure { self.0.read(kind, None).unwrap_or_default() };
        MachinePressure {
            cpu: read(PressureKind::Cpu).some.avg10,
            memory: read(PressureKind::Memory).full.avg10,
            io: read(PressureKind::Io).full.avg10,
        }
    }
}

/// Lets roskva's command checks run where thjalfi has started the service.
pub(crate) struct LoaderCommands(pub(crate) Arc<dyn ServiceLoaderApi>);

#[async_trait]
impl CommandRunner for LoaderCommands {
    async fn run(
        &self,
        service_name: &str,
        command: &[String],
    ) -> std::result::Result<CommandEnd, BoxError> {
        match self.0.run_command(service_name, command).await {
            Ok(end) => Ok(CommandEnd {
                status: end.status,
                output: end.output,
            }),
            Err(ServiceLoaderError::SpawnFailed(text)) => Err(text.into()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Lets roskva check less often while byggvir says that the machine lives on its battery.
pub(crate) struct BatteryPace(pub(crate) Arc<dyn ResourceManagerApi>);

impl Pace for BatteryPace {
    fn stretch(&self) -> u32 {
        if self.0.on_battery() {
            STRETCH_ON_BATTERY
        } else {
            1
        }
    }
}

/// Lets roskva's process check ask thjalfi.
pub(crate) struct LoaderLiveness(pub(crate) Arc<dyn ServiceLoaderApi>);

impl ProcessLiveness for LoaderLiveness {
    fn is_alive(&self, service_name: &str) -> bool {
        self.0.is_running(service_name)
    }
}
