//! What observers are told: events, updates of one service, and notices for listeners.
//!
//! All of it is queued under the book's lock, so that everybody sees facts in the order in which they
//! happened, and none of it waits for anybody.

use std::time::SystemTime;

use crate::{
    CrashStage, ExitReport, HealthEvent, HealthStatusChange, RestartDecision, ServiceCrash,
    core::{Book, Core},
    policy::{gate::CheckKind, restart::End},
};

impl Core {
    /// Tells observers what has changed since they were last told, and the end of a check.
    pub(crate) fn tell(
        &self,
        book: &mut Book,
        name: &str,
        alive: bool,
        checked: Option<CheckKind>,
    ) {
        let Some(service) = book.services.get_mut(name) else {
            return;
        };
        let change = service.status_change();
        let checked = checked.is_some_and(|kind| kind != CheckKind::Readiness);
        if checked || change.is_some() {
            let updates = service.updates.as_ref().filter(|u| u.receiver_count() > 0);
            let events = checked && self.events.receiver_count() > 0;
            if updates.is_some() || events {
                let health = service.health(self.now(), alive);
                if let Some(updates) = updates {
                    drop(updates.send(health.clone())); // the last subscriber may just have left
                }
                if events {
                    self.publish(HealthEvent::Checked(health));
                }
            }
        }
        if let Some((old_status, new_status)) = change {
            let change = HealthStatusChange {
                service_name: name.to_owned(),
                old_status,
                new_status,
                timestamp: SystemTime::now(),
            };
            if let Some(runtime) = self.runtime() {
                self.health_listeners.tell(runtime, &change);
            }
            self.publish(HealthEvent::StatusChanged(change));
        }
        if let Some(ready) = service.readiness_change() {
            self.publish(HealthEvent::ReadinessChanged {
                service_name: name.to_owned(),
                ready,
            });
        }
    }

    /// Tells observers how a run ended, where it is a crash.
    pub(crate) fn tell_end(
        &self,
        name: &str,
        report: &ExitReport,
        (end, stage): (End, CrashStage),
        decision: RestartDecision,
    ) {
        match end {
            End::Requested | End::NeverRan | End::Success => {}
            End::Failure => {
                let crash = ServiceCrash {
                    service_name: name.to_owned(),
                    exit_code: report.exit_code,
                    timestamp: SystemTime::now(),
                    restart_attempt: match decision {
                        RestartDecision::Restart { attempt, .. } => attempt,
                        RestartDecision::Success
                        | RestartDecision::Never
                        | RestartDecision::GiveUp { .. } => 0,
                    },
                    signal: report.signal,
                    cause: report.cause,
                    uptime: report.uptime,
                    stage,
                };
                if let Some(runtime) = self.runtime() {
                    self.crash_listeners.tell(runtime, &crash);
                }
                self.publish(HealthEvent::Crashed(crash));
            }
        }
        match decision {
            RestartDecision::GiveUp { attempts } if end != End::NeverRan => {
                self.publish(HealthEvent::RestartsExhausted {
                    service_name: name.to_owned(),
                    attempts,
                });
            }
            RestartDecision::GiveUp { .. }
            | RestartDecision::Restart { .. }
            | RestartDecision::Success
            | RestartDecision::Never => {}
        }
    }

    pub(crate) fn publish(&self, event: HealthEvent) {
        drop(self.events.send(event)); // without an observer there is nobody to tell
    }
}
