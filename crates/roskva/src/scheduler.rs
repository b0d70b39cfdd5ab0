//! The scheduler: one task for all services, and the short tasks that it begins.
//!
//! It sleeps until the agenda's next entry, so it never wakes for services that have only process
//! checks. Each check and each restart is a task of its own, tracked, and ended by its service's token.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use gladsheim_types::{HealthCheckStrategy, ServiceHealth};
use tokio::time::{self, Instant};

use crate::{
    CheckOptions, EndRequest, HealthMonitorError, RestartHandler,
    agenda::Job,
    core::{Book, Core, find},
    herald::panic_text,
    policy::gate::CheckKind,
    probe::ProbeOutcome,
    service::Phase,
};

/// Time that the owner has to end a run, or to suspend its checks, before they go on.
const HOLD: Duration = Duration::from_secs(60);

impl Core {
    /// Runs until the monitor ends.
    pub(crate) async fn schedule(self: Arc<Self>) {
        loop {
            let next = self.run_due();
            let sleep = async {
                match next {
                    Some(at) => time::sleep(at.saturating_sub(self.now())).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = self.wake.notified() => {}
                () = sleep => {}
            }
        }
    }

    /// Begins what is due; returns when the next entry is.
    fn run_due(self: &Arc<Self>) -> Option<Duration> {
        let now = self.now();
        let mut book = self.lock();
        while let Some((due, name, job)) = book.agenda.pop_due(now) {
            book.delays.record(now.saturating_sub(due), now);
            match job {
                Job::Check(kind) => {
                    self.rearrange(&mut book, &name, kind, due, now);
                    self.begin_check(&mut book, &name, kind);
                }
                Job::EndFailed(kind) => self.end_failed_run(&mut book, &name, kind),
                Job::Restart => self.begin_restart(&mut book, &name),
            }
        }
        book.planned = book.agenda.next();
        book.planned
    }

    fn begin_check(self: &Arc<Self>, book: &mut Book, name: &str, kind: CheckKind) {
        let (Some(service), Some(runtime)) = (book.services.get(name), self.runtime()) else {
            return;
        };
        let Some(slot) = service.slot(kind) else {
            return;
        };
        // One is still under way: this round is left out, so that no two overlap.
        let Ok(guard) = Arc::clone(&slot.lock).try_lock_owned() else {
            return;
        };
        let core = Arc::clone(self);
        let name = Arc::clone(&service.name);
        let run = service.run;
        let ended = service.checks.clone();
        let options = Arc::clone(&slot.options);
        let check = async move {
            let _guard = guard;
            let outcome = async {
                let _permit = core.permits.acquire().await;
                core.probe(&name, &options).await
            };
            tokio::select! {
                biased;
                () = ended.cancelled() => {}
                (outcome, took) = outcome => core.record(&name, run, kind, outcome, Some(took)),
            }
        };
        self.tasks
            .spawn_on(service.tasks.track_future(check), runtime);
    }

    fn begin_restart(self: &Arc<Self>, book: &mut Book, name: &str) {
        let (Some(service), Some(runtime)) = (book.services.get_mut(name), self.runtime()) else {
            return;
        };
        let (Some(pending), Some(handler)) = (service.pending.take(), self.ports.restart.clone())
        else {
            return;
        };
        let name = Arc::clone(&service.name);
        let cancelled = service.restarting.clone();
        let restart = async move {
            let call = async { handler.restart(&name, pending.attempt).await };
            tokio::select! {
                biased;
                () = cancelled.cancelled() => {}
                result = AssertUnwindSafe(call).catch_unwind() => {
                    if let Some(error) = error_text(result) {
                        tracing::warn!(service = %name, error, "a restart failed");
                    }
                }
            }
        };
        self.tasks
            .spawn_on(service.tasks.track_future(restart), runtime);
    }

    /// Has the owner end a run. Where it cannot, or does not in time, checks go on: a run that nobody
    /// ends must not go unwatched.
    pub(crate) async fn end_run(
        self: Arc<Self>,
        handler: Arc<dyn RestartHandler>,
        name: Arc<str>,
        run: u64,
        request: EndRequest,
    ) {
        let call = async { handler.end_run(&name, request).await };
        let ended = async {
            match error_text(AssertUnwindSafe(call).catch_unwind().await) {
                Some(error) => {
                    tracing::warn!(service = %name, error, "a run whose check failed was not ended");
                }
                None => time::sleep(HOLD).await,
            }
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            () = ended => self.resume(&name, run),
        }
    }

    /// Checks outside the schedule: what `get_health` tells about, in its turn with the schedule's check.
    pub(crate) async fn check_now(
        self: &Arc<Self>,
        name: &str,
    ) -> Result<ServiceHealth, HealthMonitorError> {
        let no_run = || HealthMonitorError::HealthCheckFailed(format!("{name} does not run"));
        let (run, kind, ended, options, lock) = {
            let mut book = self.lock();
            let service = find(&mut book, name)?;
            let kind = service.leading();
            let slot = service.slot(kind).ok_or_else(no_run)?;
            if service.phase != Phase::Watched {
                return Err(no_run());
            }
            (
                service.run,
                kind,
                service.checks.clone(),
                Arc::clone(&slot.options),
                Arc::clone(&slot.lock),
            )
        };
        if options.strategy != HealthCheckStrategy::Process {
            let outcome = async {
                let _guard = lock.lock().await;
                self.probe(name, &options).await
            };
            tokio::select! {
                biased;
                () = ended.cancelled() => return Err(no_run()),
                (outcome, took) = outcome => self.record(name, run, kind, outcome, Some(took)),
            }
        }
        self.health(name)
    }

    /// One check, which ends at its timeout and whose panic is contained; and how long it took.
    async fn probe(&self, name: &str, options: &CheckOptions) -> (ProbeOutcome, Duration) {
        let strategy = &options.strategy;
        let begun = Instant::now();
        let check = async {
            match &self.ports.probe {
                Some(probe) => probe.check(name, strategy).await,
                None => {
                    let runner = self.ports.commands.as_deref();
                    self.probe.check(name, strategy, runner).await
                }
            }
        };
        let longest = strategy
            .timeout()
            .unwrap_or(self.config.health_check_timeout);
        let outcome = match time::timeout(longest, AssertUnwindSafe(check).catch_unwind()).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panic)) => {
                let text = panic_text(&*panic);
                tracing::error!(service = name, panic = text, "a check panicked");
                ProbeOutcome::Unhealthy(format!("the check panicked: {text}"))
            }
            Err(_) => ProbeOutcome::TimedOut(format!(
                "{}: no answer within {longest:?}",
                target(strategy)
            )),
        };
        (outcome, begun.elapsed())
    }
}

/// What a strategy asks, for messages.
fn target(strategy: &HealthCheckStrategy) -> &str {
    match strategy {
        HealthCheckStrategy::Http { url, .. } => url,
        HealthCheckStrategy::Grpc { address, .. } | HealthCheckStrategy::Tcp { address, .. } => {
            address
        }
        HealthCheckStrategy::Exec { command, .. } => command.first().map_or("", String::as_str),
        HealthCheckStrategy::Process => "process",
        _ => "check",
    }
}

type Caught = Result<Result<(), crate::BoxError>, Box<dyn std::any::Any + Send>>;

fn error_text(result: Caught) -> Option<String> {
    match result {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(panic) => Some(format!("panic: {}", panic_text(&*panic))),
    }
}
