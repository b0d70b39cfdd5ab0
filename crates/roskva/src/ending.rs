//! The end of runs: asked for where a check has failed for good, and what follows once it is there.

use std::sync::Arc;

use gladsheim_types::Cause;

use crate::{
    EndRequest, ExitReport, RestartDecision,
    agenda::Job,
    core::{Book, Core},
    policy::{
        backoff,
        gate::CheckKind,
        restart::{End, Next, classify, stage},
    },
    service::{Pending, Phase, wall_clock},
};

impl Core {
    /// Asks the owner to end a run whose check has failed for good.
    pub(crate) fn end_failed_run(self: &Arc<Self>, book: &mut Book, name: &str, kind: CheckKind) {
        let now = self.now();
        let (Some(handler), Some(runtime)) = (self.ports.restart.clone(), self.runtime()) else {
            return;
        };
        let Some(service) = book.services.get_mut(name) else {
            return;
        };
        let Some(reason) = service.failed_for_good(kind) else {
            return;
        };
        service.phase = Phase::Held;
        service.checks.cancel();
        let next = service.history.clone().decide(
            &service.options.restart,
            &ExitReport {
                exit_code: None,
                signal: None,
                cause: Cause::Probe,
                uptime: now.saturating_sub(service.began),
            },
            now,
        );
        let request = EndRequest {
            reason,
            will_restart: matches!(next, Next::Restart { .. }),
            shutdown_timeout: service
                .slot(kind)
                .and_then(|slot| slot.options.shutdown_timeout),
        };
        let (name, run) = (Arc::clone(&service.name), service.run);
        self.arrange(book, &name, false);
        let core = Arc::clone(self);
        let end = core.end_run(handler, name, run, request);
        self.tasks.spawn_on(end, runtime);
    }

    /// The owner has not ended the run: checks go on, with the counters as they are.
    pub(crate) fn resume(self: &Arc<Self>, name: &str, run: u64) {
        let alive = self.is_alive(name);
        let mut book = self.lock();
        if let Some(service) = book.services.get_mut(name)
            && service.run == run
            && service.phase == Phase::Held
        {
            service.phase = Phase::Watched;
            service.checks = self.stop.child_token();
            self.arrange(&mut book, name, alive);
        }
    }

    pub(crate) fn exited(self: &Arc<Self>, name: &str, report: &ExitReport) -> RestartDecision {
        let now = self.now();
        let mut book = self.lock();
        let Some(service) = book.services.get_mut(name) else {
            return RestartDecision::Success;
        };
        let options = Arc::clone(&service.options);
        let policy = &options.restart;
        let end = classify(policy, report);
        if let Some(pending) = &service.pending {
            if end != End::Requested {
                return pending.decision; // told twice
            }
            let key = pending.key;
            service.pending = None;
            book.agenda.remove(key);
        }
        self.unwatch(&mut book, name, Phase::Ended);

        let Book {
            services,
            agenda,
            budget,
            noise,
            ..
        } = &mut *book;
        let Some(service) = services.get_mut(name) else {
            return RestartDecision::Success;
        };
        let decision = match service.history.decide(policy, report, now) {
            Next::Nothing => RestartDecision::Success,
            Next::Never => RestartDecision::Never,
            Next::GiveUp { attempts } => RestartDecision::GiveUp { attempts },
            Next::Restart { attempt, streak } => {
                let backoff = backoff::delay(policy, streak, noise.f64() * 2.0 - 1.0);
                let delay = backoff.max(budget.reserve(now));
                let at = now.saturating_add(delay);
                service.history.record(policy, at);
                let decision = RestartDecision::Restart {
                    attempt,
                    delay,
                    at: wall_clock(delay),
                };
                if self.ports.restart.is_some() {
                    service.pending = Some(Pending {
                        key: agenda.insert(at, Arc::clone(&service.name), Job::Restart),
                        attempt,
                        decision,
                    });
                }
                decision
            }
        };
        let stage = stage(&options, report);
        self.tell_end(name, report, (end, stage), decision);
        self.attend(&mut book);
        decision
    }
}
