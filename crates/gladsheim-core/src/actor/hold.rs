//! Down for a moment: whoever suspends a service starts it again, as a reload and a restart group do.
//!
//! A service that is held counts as active, so that its dependents go on waiting for it; a stop of a
//! person's ends the hold, and then nobody starts it.

use std::sync::Arc;

use roskva::RestartDecision;
use skirnir::{Cause, ServiceRegistryError, ServiceState};

use super::{Begun, Ending, Intent, Phase, ServiceActor, Then};
use crate::{
    GladsheimError, ServiceDefinition, StartOverrides, actor::command::Reply, group::Notice,
};

impl ServiceActor {
    pub(super) async fn on_suspend(&mut self, cause: Cause, reply: Reply) {
        let reload = cause == Cause::Reload;
        match self.phase {
            // What has failed may be cured by the new definition; what was stopped stays so.
            Phase::Idle => {
                if reload && self.state != ServiceState::Stopped {
                    self.hall.servants.roskva.stop_monitoring(&self.name).await;
                    self.phase = Phase::Held(cause);
                }
                self.answer(reply, Ok(()));
            }
            Phase::Held(_) => {
                if reload {
                    self.phase = Phase::Held(cause);
                }
                self.answer(reply, Ok(()));
            }
            Phase::Waiting => {
                self.task = None;
                self.phase = Phase::Held(cause);
                self.set_ready(false, Some(String::new()));
                self.answer(reply, Ok(()));
            }
            Phase::Launching(_) | Phase::Starting | Phase::Running | Phase::Ending(_) => {
                let roskva = &self.hall.servants.roskva;
                if reload {
                    roskva.stop_monitoring(&self.name).await;
                } else {
                    // Its own attempts still count: siblings must not reset each other for ever.
                    roskva.suspend_checks(&self.name);
                }
                self.stoppers.push(reply);
                self.request_end(Ending {
                    intent: Intent::Stop(cause),
                    then: Then::Hold,
                    kill: false,
                    timeout: None,
                });
            }
        }
    }

    pub(super) fn on_resume(&mut self, cause: Cause, reply: Reply) {
        if self.phase != Phase::Held(cause) {
            self.answer(reply, Err(GladsheimError::NotRunning(self.name.clone())));
            return;
        }
        self.starters.push(reply);
        self.begin_start(if cause == Cause::Dependency {
            Begun::Restarted
        } else {
            Begun::Asked
        });
    }

    /// Takes on another definition. The process is not touched: where it has to be, it was suspended before.
    pub(super) fn on_redefine(&mut self, definition: Arc<ServiceDefinition>, reply: Reply) {
        let old = std::mem::replace(&mut self.definition, definition);
        if self.phase == Phase::Held(Cause::Reload) {
            // What somebody asked for at an earlier start ends with the run that it was for.
            self.take_overrides(StartOverrides::default());
        }
        let outcome = self.apply_limits(&old);
        self.apply_metadata(&old);
        self.apply_monitor(&old);
        match self.phase {
            Phase::Waiting if old.depends_on != self.definition.depends_on => {
                self.task = None;
                self.begin_start(self.begun);
            }
            Phase::Idle
                if self.state == ServiceState::Restarting
                    && old.restart_group != self.definition.restart_group =>
            {
                self.notify(Notice::Restarts);
            }
            // Its group may not know it any more.
            Phase::Held(Cause::Dependency)
                if old.restart_group != self.definition.restart_group =>
            {
                self.begin_start(Begun::Restarted);
            }
            _ => {}
        }
        self.answer(reply, outcome);
    }

    fn apply_limits(&self, old: &ServiceDefinition) -> crate::Result<()> {
        let byggvir = &self.hall.servants.byggvir;
        if old.limit_policy != self.definition.limit_policy {
            byggvir.set_limit_policy(&self.name, self.definition.limit_policy.clone());
        }
        if old.limits != self.definition.limits {
            byggvir.set_resource_limits(&self.name, self.definition.limits.clone())?;
        }
        Ok(())
    }

    fn apply_metadata(&self, old: &ServiceDefinition) {
        let skirnir = &self.hall.servants.skirnir;
        let new = &self.definition;
        let recorded = |outcome: Result<(), ServiceRegistryError>| self.recorded(outcome);
        if old.metadata != new.metadata {
            let custom = new.metadata.clone().into_iter().collect();
            recorded(skirnir.update_custom(&self.name, custom));
        }
        if old.endpoints != new.endpoints {
            recorded(skirnir.update_endpoints(&self.name, new.endpoints.clone()));
        }
    }

    fn apply_monitor(&mut self, old: &ServiceDefinition) {
        if old.monitor == self.definition.monitor {
            return;
        }
        let roskva = &self.hall.servants.roskva;
        match roskva.update_monitoring(&self.name, self.monitor_options()) {
            Ok(()) if self.phase == Phase::Running => {
                let ready = roskva.is_ready(&self.name).unwrap_or(true);
                self.set_ready(ready, None);
            }
            // Not monitored at present: the next run will be, by the new options.
            Ok(()) | Err(roskva::HealthMonitorError::ServiceNotFound(_)) => {}
            Err(error) => tracing::warn!(service = %self.name, %error, "monitored as before"),
        }
    }

    /// Lets the restart group know what follows a failure.
    pub(super) fn tell_group(&mut self, decision: &RestartDecision) {
        match decision {
            RestartDecision::Restart { .. } => self.notify(Notice::Restarts),
            RestartDecision::GiveUp { .. } => self.notify(Notice::GaveUp),
            RestartDecision::Success | RestartDecision::Never => {}
        }
    }

    fn notify(&mut self, notice: fn(String) -> Notice) {
        if self.definition.restart_group.is_some() {
            self.notices.push(notice(self.name.clone()));
        }
    }
}

impl Ending {
    /// Brings it together with the ending that is under way: a stop of a person's goes before a hold, a
    /// hold before a restart, and a reload's hold before a group's.
    pub(super) fn meet(&mut self, old: &Ending) {
        let stop = matches!(old.intent, Intent::Stop(_));
        let yields = match (self.then, old.then) {
            (Then::Hold, Then::Rest) => stop,
            (Then::Again, Then::Hold) => true,
            (Then::Hold, Then::Hold) => old.cause() == Cause::Reload,
            (Then::Rest, _) | (Then::Again, _) | (Then::Hold, Then::Again) => false,
        };
        if yields {
            self.intent = old.intent.clone();
            self.then = old.then;
        }
    }
}
