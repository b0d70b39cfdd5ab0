//! The load guard at work: a run whose check has failed for good is not ended while the machine starves.

use std::{sync::Arc, time::Duration};

use crate::{
    HealthEvent, ProbeOutcome,
    agenda::{Job, Key},
    core::{Book, Core},
    policy::{
        gate::CheckKind,
        guard::{Judgement, judge, starvation},
    },
    service::wall_clock,
};

/// A run that would have ended without the load guard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Postponed {
    pub(crate) until: Duration,
    /// Its entry in the agenda, which ends the run at that time at the latest.
    pub(crate) key: Key,
}

impl Core {
    /// What is wrong with the machine or this process, now that a check has ended like this. Reads files: not
    /// under the lock.
    pub(crate) fn starvation(&self, outcome: &ProbeOutcome) -> Option<String> {
        let failed = match outcome {
            ProbeOutcome::Healthy(_) => false,
            ProbeOutcome::Unhealthy(_) | ProbeOutcome::TimedOut(_) => true,
        };
        if !failed || !self.config.load_guard {
            return None;
        }
        let port = self.ports.starvation.as_ref();
        let pressure = port.map(|port| port.pressure()).unwrap_or_default();
        let now = self.now();
        let late = {
            let mut book = self.lock();
            // The scheduler itself may not have been able to run since.
            let overdue = book
                .planned
                .map_or(Duration::ZERO, |at| now.saturating_sub(at));
            book.delays.worst(now).max(overdue)
        };
        starvation(pressure, late)
    }

    /// Whether a run whose check may have failed for good is left alone for now; tells so.
    pub(crate) fn postpones(
        &self,
        book: &mut Book,
        name: &str,
        kind: CheckKind,
        starving: Option<String>,
    ) -> bool {
        let now = self.now();
        let Some(service) = book.services.get_mut(name) else {
            return false;
        };
        let failed = service.failed_for_good(kind).is_some();
        let service_name = Arc::clone(&service.name);
        let Some(slot) = service.slot_mut(kind) else {
            return false;
        };
        if !failed {
            if slot.is_calm()
                && let Some(postponed) = slot.postponed.take()
            {
                book.agenda.remove(postponed.key);
            }
            return false;
        }
        let before = slot.postponed.map(|postponed| postponed.until);
        let until = match judge(starving.is_some(), before, now, slot.options.interval) {
            Judgement::End => return false,
            Judgement::Postpone { until } => until,
        };
        let reason = starving.unwrap_or_default();
        let left = until.saturating_sub(now);
        slot.message = format!(
            "{}; restart postponed by at most {} s more: {reason}",
            slot.message,
            left.as_secs_f32().ceil()
        );
        if before.is_none() && self.ports.restart.is_some() {
            let key = book
                .agenda
                .insert(until, service_name, Job::EndFailed(kind));
            slot.postponed = Some(Postponed { until, key });
            self.publish(HealthEvent::RestartPostponed {
                service_name: name.to_owned(),
                reason,
                until: wall_clock(left),
            });
        }
        true
    }
}
