//! Who is told that a limit was crossed: observers, listeners, and the owner who acts.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
};

use tokio::sync::broadcast;
use tokio_util::task::TaskTracker;

use crate::{
    BatteryHandler, LimitAction, LimitHandler, LimitViolation, ResourceEvent, ViolationListener,
    battery::BatteryEdge,
    limits::Direction,
    lock,
    pressure::{PressureEdge, PressureReading},
    table::Crossing,
};

/// Events that a slow observer may fall behind before it sees a gap.
const CAPACITY: usize = 256;

pub(crate) struct Teller {
    events: broadcast::Sender<ResourceEvent>,
    listeners: Mutex<Vec<ViolationListener>>,
    handler: Option<Arc<dyn LimitHandler>>,
    battery_handler: Option<Arc<dyn BatteryHandler>>,
    /// Handlers at work. Nobody waits for them here: what they do may itself wait for the owner.
    actions: TaskTracker,
}

impl Teller {
    pub(crate) fn new(
        handler: Option<Arc<dyn LimitHandler>>,
        battery_handler: Option<Arc<dyn BatteryHandler>>,
    ) -> Self {
        Self {
            events: broadcast::Sender::new(CAPACITY),
            listeners: Mutex::default(),
            handler,
            battery_handler,
            actions: TaskTracker::new(),
        }
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<ResourceEvent> {
        self.events.subscribe()
    }

    pub(crate) fn is_heard(&self) -> bool {
        self.events.receiver_count() > 0
    }

    pub(crate) fn add_listener(&self, listener: ViolationListener) {
        lock(&self.listeners).push(listener);
    }

    pub(crate) fn send(&self, event: ResourceEvent) {
        // Nobody listens: no error.
        let _ = self.events.send(event);
    }

    /// Tells observers first, then listeners, and then has the policy's action carried out. Needs a
    /// runtime if one of the crossings has an action.
    pub(crate) fn tell(&self, crossings: Vec<Crossing>) {
        for Crossing {
            direction,
            violation,
            action,
        } in crossings
        {
            match direction {
                Direction::Down => {
                    self.send(ResourceEvent::LimitCleared(violation));
                    continue;
                }
                Direction::Up if violation.violation_type.is_exceeded() => {
                    self.send(ResourceEvent::LimitExceeded(violation.clone()));
                }
                Direction::Up => self.send(ResourceEvent::LimitWarning(violation.clone())),
            }
            self.call_listeners(&violation);
            self.act(action, violation);
        }
    }

    /// Tells observers about the pressure on a service, or on the machine without one.
    pub(crate) fn tell_pressure(&self, service_name: Option<&str>, edges: Vec<PressureEdge>) {
        for edge in edges {
            let reading = PressureReading {
                service_name: service_name.map(str::to_owned),
                kind: edge.kind,
                percent: edge.percent,
                limit: edge.limit,
            };
            self.send(match edge.direction {
                Direction::Up => ResourceEvent::PressureWarning(reading),
                Direction::Down => ResourceEvent::PressureCleared(reading),
            });
        }
    }

    /// Tells observers, and then has services stopped or brought back. Needs a runtime.
    pub(crate) fn tell_battery(&self, edge: BatteryEdge) {
        self.send(match edge {
            BatteryEdge::Low { percent } => ResourceEvent::BatteryLow { percent },
            BatteryEdge::Ok { percent } => ResourceEvent::BatteryOk { percent },
        });
        let Some(handler) = self.battery_handler.clone() else {
            return;
        };
        self.actions.spawn(async move {
            match edge {
                BatteryEdge::Low { percent } => handler.low(percent).await,
                BatteryEdge::Ok { percent } => handler.ok(percent).await,
            }
        });
    }

    fn call_listeners(&self, violation: &LimitViolation) {
        let listeners = lock(&self.listeners).clone();
        for listener in listeners {
            if catch_unwind(AssertUnwindSafe(|| listener(violation.clone()))).is_err() {
                tracing::error!(
                    service = violation.service_name,
                    "a violation listener panicked"
                );
            }
        }
    }

    fn act(&self, action: LimitAction, violation: LimitViolation) {
        let Some(handler) = self.handler.clone() else {
            return;
        };
        match action {
            LimitAction::Warn => {}
            LimitAction::Restart => {
                self.actions
                    .spawn(async move { handler.restart(violation).await });
            }
            LimitAction::Stop => {
                self.actions
                    .spawn(async move { handler.stop(violation).await });
            }
        }
    }
}
