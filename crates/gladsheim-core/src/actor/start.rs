//! From a request to a ready service.

use roskva::HealthStatus;
use skirnir::{Cause, RunEnd, ServiceState, Transition};
use std::{sync::Arc, time::SystemTime};
use thjalfi::{Readiness, ServiceLoaderError, ServiceProcess, StartOptions};
use tokio::time::Instant;

use super::{Begun, Ending, Intent, Outcome, Phase, Run, ServiceActor, Then, dependency};
use crate::{
    GladsheimError, GroupStrategy, Result, ServiceEvent, StartOverrides, actor::command::Reply,
    servants::Servants,
};

impl ServiceActor {
    pub(super) async fn on_start(&mut self, overrides: StartOverrides, join: bool, reply: Reply) {
        match &mut self.phase {
            Phase::Idle if join && self.state == ServiceState::Restarting => {
                self.starters.push(reply);
            }
            Phase::Idle => {
                self.hall.servants.roskva.reset_attempts(&self.name);
                self.take_overrides(overrides);
                self.starters.push(reply);
                self.begin_start(Begun::Asked);
            }
            Phase::Held(Cause::Dependency) => {
                // Somebody needs it now: that goes before the order in its restart group.
                if !join {
                    self.take_overrides(overrides);
                }
                self.starters.push(reply);
                self.begin_start(Begun::Asked);
            }
            Phase::Running if join => self.answer(reply, Ok(())),
            Phase::Waiting | Phase::Launching(None) | Phase::Starting | Phase::Held(_) if join => {
                self.starters.push(reply);
            }
            Phase::Waiting
            | Phase::Launching(None)
            | Phase::Starting
            | Phase::Running
            | Phase::Held(_) => {
                self.answer(
                    reply,
                    Err(GladsheimError::AlreadyRunning(self.name.clone())),
                );
            }
            // A start during a stop waits for the stop, and starts once.
            Phase::Launching(Some(ending)) | Phase::Ending(ending) => {
                match ending.intent {
                    Intent::Stop(_) if ending.then == Then::Rest => {
                        ending.then = Then::Again;
                        self.overrides = overrides;
                    }
                    Intent::Stop(_) | Intent::Policy { .. } => {}
                }
                self.starters.push(reply);
            }
        }
    }

    /// What a person asks for replaces what the last one asked for, limits among them.
    pub(super) fn take_overrides(&mut self, overrides: StartOverrides) {
        let before = std::mem::replace(&mut self.overrides, overrides);
        let limits = match (&self.overrides.resource_limits, before.resource_limits) {
            (Some(limits), _) => limits.clone(),
            (None, Some(_)) => self.definition.limits.clone(),
            (None, None) => return,
        };
        if let Err(error) = self
            .hall
            .servants
            .byggvir
            .set_resource_limits(&self.name, limits)
        {
            tracing::warn!(service = %self.name, %error, "limits not set");
        }
    }

    /// The restart policy's delay has passed.
    pub(super) fn on_next_attempt(&mut self, attempt: u32) {
        // A stop or a start may have overtaken it.
        if self.phase == Phase::Idle && self.state == ServiceState::Restarting {
            tracing::debug!(service = %self.name, attempt, "next attempt");
            let group = self.definition.restart_group.as_ref();
            if group.is_some_and(|group| group.strategy != GroupStrategy::OneForOne) {
                self.phase = Phase::Held(Cause::Dependency);
                return;
            }
            self.begun = Begun::Restarted;
            self.launch();
        }
    }

    /// Waits for the dependencies first, if there are any that do not hold.
    pub(super) fn begin_start(&mut self, begun: Begun) {
        self.begun = begun;
        let waiting = dependency::wait_for_all(
            &self.definition,
            &self.hall.directory,
            begun == Begun::Restarted,
        );
        match waiting {
            None => self.launch(),
            Some((future, reason)) => {
                self.phase = Phase::Waiting;
                self.set_ready(false, Some(reason));
                self.task = Some(Box::pin(async { Outcome::Dependencies(future.await) }));
            }
        }
    }

    pub(super) fn on_dependencies(&mut self, result: Result<()>) {
        match result {
            Ok(()) => self.launch(),
            Err(error) => {
                self.phase = Phase::Idle;
                self.leave_restarting(Cause::Dependency);
                let message = error.to_string();
                self.set_ready(false, Some(message.clone()));
                self.record_end(failed_start(Cause::Dependency, Some(message)), false);
                self.answer_starters(Err(error));
            }
        }
    }

    /// A restart that was due and does not come about leaves the service stopped.
    pub(super) fn leave_restarting(&mut self, cause: Cause) {
        if self.state == ServiceState::Restarting {
            let stopped = Transition {
                cause: Some(cause),
                ..Transition::to(ServiceState::Stopped)
            };
            self.enter(stopped, ServiceEvent::Stopped { cause });
        }
    }

    pub(super) fn launch(&mut self) {
        self.phase = Phase::Launching(None);
        // A restart counts once it is launched.
        if std::mem::replace(&mut self.begun, Begun::Asked) != Begun::Asked {
            self.recorded(self.hall.servants.skirnir.record_restart(&self.name));
        }
        self.enter(
            Transition::to(ServiceState::Starting),
            ServiceEvent::Starting,
        );
        let thjalfi = Arc::clone(&self.hall.servants.thjalfi);
        let name = self.name.clone();
        let options = self.start_options();
        self.task = Some(Box::pin(async move {
            Outcome::Launched(thjalfi.launch_service(&name, options).await)
        }));
    }

    pub(super) fn start_options(&self) -> StartOptions {
        let mut options = self.definition.start.clone();
        let overrides = &self.overrides;
        options.env_vars.extend(overrides.env_vars.clone());
        if let Some(working_dir) = &overrides.working_dir {
            options.working_dir = Some(working_dir.clone());
        }
        if let Some(args) = &overrides.args {
            options.args.clone_from(args);
        }
        if let Some(startup_timeout) = overrides.startup_timeout {
            options.startup_timeout = startup_timeout;
        }
        let limits = overrides
            .resource_limits
            .as_ref()
            .unwrap_or(&self.definition.limits);
        options.resource_limits = Some(limits.clone());
        options
    }

    pub(super) async fn on_launched(
        &mut self,
        result: std::result::Result<ServiceProcess, ServiceLoaderError>,
    ) {
        let ending = match std::mem::replace(&mut self.phase, Phase::Starting) {
            Phase::Launching(ending) => ending,
            Phase::Idle
            | Phase::Waiting
            | Phase::Starting
            | Phase::Running
            | Phase::Ending(_)
            | Phase::Held(_) => None,
        };
        match result {
            Ok(process) => {
                self.begin_run(process);
                match ending {
                    Some(ending) => self.end(ending),
                    None => {
                        self.begin_monitoring().await;
                        self.await_readiness();
                    }
                }
            }
            Err(error) => self.on_launch_failed(error, ending),
        }
    }

    fn begin_run(&mut self, process: ServiceProcess) {
        let skirnir = &self.hall.servants.skirnir;
        self.recorded(skirnir.record_start(&self.name, process.pid, process.start_time));
        let process_id = process.pid;
        self.hold(process, Instant::now());
        self.publish(ServiceEvent::Started { process_id });
    }

    /// Another process of the run stands for it.
    pub(super) fn on_led(&mut self, process: ServiceProcess) {
        let skirnir = &self.hall.servants.skirnir;
        self.recorded(skirnir.update_process(&self.name, process.pid));
        self.measure(&process);
        if let Some(run) = &mut self.run {
            run.process = process;
        }
    }

    fn measure(&self, process: &ServiceProcess) {
        self.hall.servants.byggvir.track_service(
            &self.name,
            byggvir::ProcessTree {
                pid: process.pid,
                cgroup: process.cgroup().map(ToOwned::to_owned),
            },
        );
    }

    /// Has a run measured, and waits for its end from now on.
    pub(super) fn hold(&mut self, process: ServiceProcess, started: Instant) {
        self.measure(&process);
        let exiting = process.clone();
        self.run = Some(Run {
            process,
            started,
            exited: Box::pin(async move { exiting.exited().await }),
            watchdog: None,
        });
    }

    /// Waits until the service is ready, at most its start-up timeout.
    pub(super) fn await_readiness(&mut self) {
        let by_health = self.definition.ready_by_health;
        let options = self.start_options();
        if !by_health && options.readiness == Readiness::Exec {
            return self.now_running();
        }
        let Some(run) = &self.run else { return };
        let process = run.process.clone();
        let servants = self.hall.servants.clone();
        let limit = options.startup_timeout;
        self.task = Some(Box::pin(async move {
            let name = process.service_name.clone();
            let ready = async {
                process.ready().await?;
                if by_health {
                    healthy(&servants, &name).await;
                }
                Ok(())
            };
            Outcome::Ready(match process.within_start(limit, ready).await {
                Some(result) => result,
                None => Err(ServiceLoaderError::StartupTimeout(format!(
                    "{name}: not ready after {limit:?}"
                ))),
            })
        }));
    }

    pub(super) fn on_ready(&mut self, result: std::result::Result<(), ServiceLoaderError>) {
        match result {
            Ok(()) => self.now_running(),
            Err(error @ ServiceLoaderError::StartupTimeout(_)) => {
                let message = error.to_string();
                self.end(Ending {
                    intent: Intent::Policy {
                        cause: Cause::StartupTimeout,
                        message,
                    },
                    then: Then::Rest,
                    kill: true,
                    timeout: None,
                });
            }
            // It ended first: the exit is on its way, and says how.
            Err(_) => {}
        }
    }

    fn now_running(&mut self) {
        self.phase = Phase::Running;
        if let Ok(health) = self.hall.servants.roskva.get_health(&self.name) {
            self.on_health(health);
        }
        // A readiness check, where there is one, has the say from here on.
        self.set_ready(
            self.hall
                .servants
                .roskva
                .is_ready(&self.name)
                .unwrap_or(true),
            None,
        );
        self.enter(Transition::to(ServiceState::Running), ServiceEvent::Ready);
        self.begin_watchdog();
        self.answer_starters(Ok(()));
    }

    fn on_launch_failed(&mut self, error: ServiceLoaderError, ending: Option<Ending>) {
        self.phase = Phase::Idle;
        let message = error.to_string();
        if let ServiceLoaderError::Unauthorized(reason) = &error {
            self.publish(ServiceEvent::AuthRefused {
                reason: reason.clone(),
            });
        }
        match ending {
            // It was to be stopped anyway.
            Some(ending) => {
                self.record_end(failed_start(ending.cause(), None), false);
                self.after_ending(&ending);
            }
            None => {
                self.record_end(failed_start(Cause::Spawn, Some(message.clone())), false);
                let cause = Cause::Spawn;
                let failed = Transition {
                    cause: Some(cause),
                    reason: Some(message.clone()),
                    ..Transition::to(ServiceState::Failed)
                };
                self.enter(failed, ServiceEvent::Failed { cause, message });
                self.answer_starters(Err(error.into()));
            }
        }
    }
}

fn failed_start(cause: Cause, error_message: Option<String>) -> RunEnd {
    RunEnd {
        cause,
        exit_code: None,
        signal: None,
        error_message,
        at: SystemTime::now(),
    }
}

/// Waits until the health check says that the service is healthy.
async fn healthy(servants: &Servants, name: &str) {
    let Ok(mut updates) = servants.roskva.subscribe_health_updates(name) else {
        // Not monitored any more: the run is ending, and its exit ends this wait.
        return std::future::pending().await;
    };
    loop {
        let health = servants.roskva.get_health(name);
        if health.is_ok_and(|health| health.status == HealthStatus::Healthy) {
            return;
        }
        // The update itself does not matter, nor that some were missed: the health is read again.
        if let Err(tokio::sync::broadcast::error::RecvError::Closed) = updates.recv().await {
            return std::future::pending().await;
        }
    }
}
