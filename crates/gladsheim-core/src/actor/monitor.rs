//! What the health monitor has to do with one service.

use std::{future::Future, pin::Pin};

use roskva::{
    EndRequest, HealthStatus, HealthStatusChange, MonitorOptions, RestartMode, ServiceHealth,
};
use skirnir::Cause;
use thjalfi::WatchdogAlarm;

use super::{Phase, ServiceActor};
use crate::{GladsheimError, ServiceEvent, actor::command::Reply};

impl ServiceActor {
    /// How the present run is monitored.
    pub(super) fn monitor_options(&self) -> MonitorOptions {
        MonitorOptions {
            startup_timeout: self.start_options().startup_timeout,
            ..self.definition.monitor.clone()
        }
    }

    /// Has the present run checked.
    pub(super) async fn begin_monitoring(&mut self) {
        let roskva = &self.hall.servants.roskva;
        let options = self.monitor_options();
        if let Err(error) = roskva.start_monitoring_with(&self.name, options).await {
            // The run goes on unchecked rather than not at all.
            tracing::warn!(service = %self.name, %error, "not monitored");
            return;
        }
        if self.maintenance
            && let Err(error) = roskva.set_maintenance(&self.name, true)
        {
            tracing::warn!(service = %self.name, %error, "maintenance not kept");
        }
        if let Ok(health) = self.hall.servants.roskva.get_health(&self.name) {
            self.on_health(health);
        }
    }

    /// Keeps the verdict, unless it is about a run that has ended.
    pub(super) fn on_health(&mut self, health: ServiceHealth) {
        let Some(run) = &self.run else { return };
        let of_this_run =
            health.status == HealthStatus::Checking || health.last_check >= run.process.start_time;
        if of_this_run && !matches!(self.phase, Phase::Ending(_)) {
            self.health = health.status;
            self.recorded(
                self.hall
                    .servants
                    .skirnir
                    .update_health_status(&self.name, health),
            );
        }
    }

    /// The verdict changed: the registry has the new one before the bus tells of it.
    pub(super) fn on_health_changed(&mut self, change: HealthStatusChange) {
        if let Ok(health) = self.hall.servants.roskva.get_health(&self.name) {
            self.on_health(health);
        }
        self.publish(ServiceEvent::HealthChanged(change));
    }

    /// The readiness check changed its mind; it counts only once the service has been ready.
    pub(super) fn on_readiness(&mut self, ready: bool) {
        if self.phase == Phase::Running {
            self.set_ready(ready, None);
        }
    }

    /// Has the present run's watchdog count from now on, where it has one; it rests in maintenance.
    pub(super) fn begin_watchdog(&mut self) {
        let interval = self.definition.start.watchdog.filter(|_| !self.maintenance);
        if let Some(run) = &mut self.run {
            let process = run.process.clone();
            run.watchdog = interval.map(|interval| -> Pin<Box<dyn Future<Output = _> + Send>> {
                Box::pin(async move { process.watchdog(interval).await })
            });
        }
    }

    /// The service hangs, or says that it wants to be treated so.
    pub(super) fn on_watchdog(&mut self, alarm: WatchdogAlarm) {
        if self.phase != Phase::Running {
            return; // it is being ended already
        }
        let request = EndRequest {
            reason: format!("watchdog: {alarm}"),
            will_restart: self.definition.monitor.restart.mode != RestartMode::Never,
            shutdown_timeout: None,
        };
        self.end_by_policy(Cause::Watchdog, request);
    }

    pub(super) fn on_maintenance(&mut self, on: bool, reply: Reply) {
        self.maintenance = on;
        self.begin_watchdog();
        let outcome = match &self.run {
            Some(_) => self.hall.servants.roskva.set_maintenance(&self.name, on),
            None => Ok(()),
        };
        self.answer(reply, outcome.map_err(GladsheimError::from));
    }
}
