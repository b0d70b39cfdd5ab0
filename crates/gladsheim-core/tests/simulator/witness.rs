//! The witness: sees every event as it comes and compares it with what must hold at every moment.

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    sync::Arc,
};

use gladsheim_core::{EventKind, ServiceEvent, Subscription};
use skirnir::{ServiceRegistry, ServiceState};
use tokio::time::Instant;

use crate::definition::GUEST;

/// What was seen of each service, and the story in short: equal stories have equal digests.
#[derive(Default)]
pub(crate) struct Testimony {
    pub(crate) services: BTreeMap<String, Life>,
    pub(crate) digest: u64,
}

/// One service's life so far.
#[derive(Default)]
pub(crate) struct Life {
    state: ServiceState,
    /// Starts, those that came to nothing among them.
    begun: u64,
    pub(crate) started: u64,
    pub(crate) exited: u64,
    generation: u64,
    restarts: u32,
}

/// Watches until the bus is closed.
pub(crate) async fn watch(
    mut events: Subscription,
    registry: Arc<ServiceRegistry>,
    tell: bool,
) -> Testimony {
    let begin = Instant::now();
    let mut digest = DefaultHasher::new();
    let mut testimony = Testimony::default();
    while let Some(event) = events.next().await {
        let at = begin.elapsed().as_millis();
        let line = format!("{at:>9} {}", in_short(&event.kind));
        if tell {
            tell_of(&line);
        }
        line.hash(&mut digest);
        match &event.kind {
            EventKind::Service {
                service_name,
                event,
            } => {
                let life = testimony.services.entry(service_name.clone()).or_default();
                life.goes_on(service_name, event);
                life.compare(service_name, &registry);
            }
            EventKind::HallGap { .. } => panic!("the witness fell behind"),
            _ => {}
        }
    }
    testimony.digest = digest.finish();
    testimony
}

#[expect(clippy::print_stderr, reason = "one seed is replayed to be read")]
pub(crate) fn tell_of(line: &str) {
    eprintln!("{line}");
}

/// Without what real time has in it.
fn in_short(kind: &EventKind) -> String {
    let name = kind.service_name().unwrap_or_default();
    let more = match kind {
        EventKind::Service { event, .. } => match event {
            ServiceEvent::Started { process_id } => process_id.to_string(),
            ServiceEvent::Stopping { cause }
            | ServiceEvent::Stopped { cause }
            | ServiceEvent::Exited { cause, .. }
            | ServiceEvent::Crashed { cause, .. }
            | ServiceEvent::Failed { cause, .. } => cause.to_string(),
            ServiceEvent::Restarting { cause, attempt, .. } => format!("{cause} {attempt}"),
            _ => String::new(),
        },
        _ => String::new(),
    };
    format!("{name:<5} {} {more}", kind.name())
}

impl Life {
    /// Every transition is legal, runs do not overlap, and each has one end.
    fn goes_on(&mut self, name: &str, event: &ServiceEvent) {
        let next = match event {
            ServiceEvent::Started { .. } => {
                assert_eq!(self.started, self.exited, "{name}: two runs at once");
                self.started += 1;
                return;
            }
            ServiceEvent::Exited { .. } => {
                self.exited += 1;
                assert_eq!(self.started, self.exited, "{name}: an end without a start");
                return;
            }
            // While it is one already, this only tells the time of the next attempt.
            ServiceEvent::Restarting { .. } if self.state == ServiceState::Restarting => return,
            ServiceEvent::Starting => {
                self.begun += 1;
                ServiceState::Starting
            }
            ServiceEvent::Ready => ServiceState::Running,
            ServiceEvent::Stopping { .. } => ServiceState::Stopping,
            ServiceEvent::Stopped { .. } => ServiceState::Stopped,
            ServiceEvent::Crashed { .. } => ServiceState::Crashed,
            ServiceEvent::Restarting { .. } => ServiceState::Restarting,
            ServiceEvent::Failed { .. } => ServiceState::Failed,
            _ => return,
        };
        let before = std::mem::replace(&mut self.state, next);
        assert!(
            before.is_valid_transition(next),
            "{name}: {before} to {next}"
        );
    }

    /// What is counted never falls, and the registry knows at least what the event says.
    fn compare(&mut self, name: &str, registry: &ServiceRegistry) {
        if name == GUEST {
            // It comes and goes, and is counted anew each time.
            return;
        }
        let known = registry.get_service(name).expect("it is never removed");
        assert!(known.generation >= self.started, "{name}: a run is missing");
        assert!(known.generation >= self.generation, "{name}: generations");
        assert!(known.restart_count >= self.restarts, "{name}: restarts");
        assert!(
            u64::from(known.restart_count) <= self.begun,
            "{name}: a restart is a start"
        );
        (self.generation, self.restarts) = (known.generation, known.restart_count);
    }
}
