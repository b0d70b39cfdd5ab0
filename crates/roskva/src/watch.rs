//! gRPC `Watch`: where a server offers it, a kept stream tells of changes at once, and checks by the
//! schedule become rare.
//!
//! `Check` stays the foundation: a stream is opened once a check has passed, and when it breaks, the
//! next check comes within an interval and says what is the matter. Each change that a stream tells
//! counts like the end of a check; as long as it is anything but SERVING, checks go on at their
//! interval and count towards the threshold. A server that hangs keeps its stream, and looks just like one where nothing changes; so
//! every [`CONFIRM`]th interval a check confirms that it answers.

use std::{sync::Arc, time::Duration};

use gladsheim_types::HealthCheckStrategy;

use crate::{
    ProbeOutcome,
    core::{Book, Core},
    policy::gate::CheckKind,
    probe::WatchEnd,
    service::{Phase, Service},
};

/// Intervals from one check to the next while a stream says SERVING.
const CONFIRM: u32 = 6;

/// The stream of one kind of check in the present run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Watch {
    /// None; a check that passes opens one.
    #[default]
    Closed,
    /// Asked for, without an answer yet.
    Opening,
    Open {
        /// What it said last.
        serving: bool,
    },
    /// The server offers none.
    Unoffered,
}

impl Watch {
    /// Time to the next check, where nothing is wrong.
    pub(crate) fn pace(self, interval: Duration) -> Duration {
        match self {
            Self::Open { serving: true } => interval.saturating_mul(CONFIRM),
            Self::Open { serving: false } | Self::Closed | Self::Opening | Self::Unoffered => {
                interval
            }
        }
    }
}

impl Core {
    /// Opens a stream, if this check has passed and could have one.
    pub(crate) fn begin_watch(self: &Arc<Self>, book: &mut Book, name: &str, kind: CheckKind) {
        let (None, Some(runtime)) = (&self.ports.probe, self.runtime()) else {
            return;
        };
        let Some(service) = book.services.get_mut(name) else {
            return;
        };
        // The start-up check is over once it has passed.
        if kind == CheckKind::Startup || !service.wants(kind) {
            return;
        }
        let (run, ended) = (service.run, service.checks.clone());
        let name = Arc::clone(&service.name);
        let Some(slot) = service.slot_mut(kind) else {
            return;
        };
        let options = Arc::clone(&slot.options);
        let is_grpc = matches!(options.strategy, HealthCheckStrategy::Grpc { .. });
        if !is_grpc || slot.watch != Watch::Closed || !slot.is_calm() {
            return;
        }
        slot.watch = Watch::Opening;
        let core = Arc::clone(self);
        let follow = async move {
            tokio::select! {
                biased;
                () = ended.cancelled() => {}
                end = core.follow(&name, run, kind, &options.strategy) => core.watch_ended(&name, run, kind, end),
            }
        };
        self.tasks
            .spawn_on(service.tasks.track_future(follow), runtime);
    }

    async fn follow(
        self: &Arc<Self>,
        name: &str,
        run: u64,
        kind: CheckKind,
        strategy: &HealthCheckStrategy,
    ) -> WatchEnd {
        let mut stream = match self.probe.watch(name, strategy).await {
            Ok(stream) => stream,
            Err(end) => return end,
        };
        loop {
            match stream.next().await {
                Ok(outcome) => self.watched(name, run, kind, outcome),
                Err(end) => return end,
            }
        }
    }

    /// A stream has told a verdict.
    fn watched(self: &Arc<Self>, name: &str, run: u64, kind: CheckKind, outcome: ProbeOutcome) {
        let serving = matches!(outcome, ProbeOutcome::Healthy(_));
        {
            let mut book = self.lock();
            let Some(service) = present(&mut book, name, run) else {
                return;
            };
            let wanted = service.wants(kind);
            let Some(slot) = service.slot_mut(kind) else {
                return;
            };
            slot.watch = Watch::Open { serving };
            if !wanted || (serving && slot.is_calm()) {
                return; // checks rest, or it is known already
            }
        }
        self.record(name, run, kind, outcome, None);
    }

    fn watch_ended(&self, name: &str, run: u64, kind: CheckKind, end: WatchEnd) {
        let mut book = self.lock();
        let Some(slot) = present(&mut book, name, run).and_then(|s| s.slot_mut(kind)) else {
            return;
        };
        slot.watch = match end {
            WatchEnd::Unoffered => Watch::Unoffered,
            WatchEnd::Broken => Watch::Closed,
        };
        self.hasten(&mut book, name, kind);
    }

    /// Brings the next check forward, where it was put off by a stream or by a slower pace and there is now no
    /// reason for that any more.
    pub(crate) fn hasten(&self, book: &mut Book, name: &str, kind: CheckKind) {
        let now = self.now();
        let Some(slot) = book.services.get_mut(name).and_then(|s| s.slot_mut(kind)) else {
            return;
        };
        let pace = slot.pace(self.stretch());
        let at = now.saturating_add(pace);
        // One that follows its schedule is at most a jitter later than that.
        if let Some(timer) = slot.timer
            && timer.at > at.saturating_add(pace / 2)
        {
            slot.timer = book.agenda.replace(timer, at);
            self.wake.notify_one();
        }
    }
}

fn present<'a>(book: &'a mut Book, name: &str, run: u64) -> Option<&'a mut Service> {
    let service = book.services.get_mut(name)?;
    (service.run == run && service.phase == Phase::Watched).then_some(service)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_rare_only_while_a_stream_says_serving() {
        let interval = Duration::from_secs(5);
        let open = |serving| Watch::Open { serving };
        assert_eq!(open(true).pace(interval), Duration::from_secs(30));
        for watch in [open(false), Watch::Closed, Watch::Opening, Watch::Unoffered] {
            assert_eq!(watch.pace(interval), interval, "{watch:?}");
        }
    }
}
