//! The pump: carries what the servants tell in their own streams to the registry, the actors and the
//! bus.
//!
//! Starts, ends and states do not pass here: the actors see to those themselves, since they must
//! not be missed. What passes here may be missed by a pump that falls behind; it then reads the present.

use byggvir::ResourceEvent;
use roskva::HealthEvent;
use thjalfi::ProcessEvent;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio_util::sync::CancellationToken;

use crate::{
    EventKind, ServiceEvent,
    actor::{Hall, command::Command},
};

/// Carries until it is stopped or all streams have ended.
pub(crate) struct Pump {
    hall: Hall,
    processes: Receiver<ProcessEvent>,
    resources: Receiver<ResourceEvent>,
    health: Receiver<HealthEvent>,
}

impl Pump {
    /// Subscribes at once, so that nothing is missed from here on.
    pub(crate) fn new(hall: Hall) -> Self {
        let servants = &hall.servants;
        let processes = servants.thjalfi.subscribe();
        let resources = servants.byggvir.subscribe();
        let health = servants.roskva.subscribe();
        Self {
            hall,
            processes,
            resources,
            health,
        }
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                // What comes seldom goes first: so none waits for long, and chance has no part in the order.
                biased;
                () = stop.cancelled() => return,
                Some(event) = next(&mut self.processes) => match event {
                    Next::Event(event) => self.on_process(event),
                    Next::Missed => {}
                },
                Some(event) = next(&mut self.resources) => match event {
                    Next::Event(event) => self.on_resource(event),
                    // The next round comes by itself.
                    Next::Missed => {}
                },
                Some(event) = next(&mut self.health) => match event {
                    Next::Event(event) => self.on_health(event),
                    Next::Missed => self.read_health(),
                },
                else => return,
            }
        }
    }

    fn on_process(&self, event: ProcessEvent) {
        // All else about processes, the actors tell.
        if let ProcessEvent::OutputDropped {
            service_name,
            lines,
        } = event
        {
            self.publish(service_name, ServiceEvent::OutputDropped { lines });
        }
    }

    fn on_resource(&self, event: ResourceEvent) {
        match event {
            ResourceEvent::Sampled { usages } => {
                for (name, usage) in usages {
                    // Unknown only if it was removed in this very moment.
                    let _ = self
                        .hall
                        .servants
                        .skirnir
                        .update_resource_usage(&name, usage);
                }
            }
            ResourceEvent::LimitWarning(violation) => {
                let name = violation.service_name.clone();
                self.publish(name, ServiceEvent::LimitWarning(violation));
            }
            ResourceEvent::LimitExceeded(violation) => {
                let name = violation.service_name.clone();
                self.publish(name, ServiceEvent::LimitExceeded(violation));
            }
            ResourceEvent::LimitCleared(violation) => {
                let name = violation.service_name.clone();
                self.publish(name, ServiceEvent::LimitCleared(violation));
            }
            ResourceEvent::OomKilled {
                service_name,
                kills,
            } => self.publish(service_name, ServiceEvent::OomKilled { kills }),
            ResourceEvent::PressureWarning(reading) => match reading.service_name.clone() {
                Some(name) => self.publish(name, ServiceEvent::PressureWarning(reading)),
                None => self.hall.bus.publish(EventKind::PressureWarning(reading)),
            },
            ResourceEvent::PressureCleared(reading) => match reading.service_name.clone() {
                Some(name) => self.publish(name, ServiceEvent::PressureCleared(reading)),
                None => self.hall.bus.publish(EventKind::PressureCleared(reading)),
            },
            ResourceEvent::BatteryLow { percent } => {
                self.hall.bus.publish(EventKind::BatteryLow { percent });
            }
            ResourceEvent::BatteryOk { percent } => {
                self.hall.bus.publish(EventKind::BatteryOk { percent });
            }
            // The enum may grow in a later version of its crate.
            _ => {}
        }
    }

    fn on_health(&self, event: HealthEvent) {
        match event {
            HealthEvent::Checked(health) => {
                let name = health.service_name.clone();
                self.hall.directory.send(&name, Command::Health(health));
            }
            HealthEvent::StatusChanged(change) => {
                let name = change.service_name.clone();
                self.hall
                    .directory
                    .send(&name, Command::HealthChanged(change));
            }
            HealthEvent::ReadinessChanged {
                service_name,
                ready,
            } => {
                self.hall
                    .directory
                    .send(&service_name, Command::Readiness(ready));
            }
            HealthEvent::RestartPostponed {
                service_name,
                reason,
                until,
            } => {
                self.publish(
                    service_name,
                    ServiceEvent::RestartPostponed { reason, until },
                );
            }
            // The actors tell these, from the policy's decision.
            HealthEvent::Crashed(_) | HealthEvent::RestartsExhausted { .. } | _ => {}
        }
    }

    fn read_health(&self) {
        for name in self.hall.directory.names() {
            self.read_health_of(&name);
        }
    }

    fn read_health_of(&self, name: &str) {
        if let Ok(health) = self.hall.servants.roskva.get_health(name) {
            self.hall.directory.send(name, Command::Health(health));
        }
    }

    fn publish(&self, service_name: String, event: ServiceEvent) {
        self.hall.bus.publish(EventKind::Service {
            service_name,
            event,
        });
    }
}

enum Next<T> {
    Event(T),
    Missed,
}

/// The next event; `None` after the stream has ended.
async fn next<T: Clone>(stream: &mut Receiver<T>) -> Option<Next<T>> {
    match stream.recv().await {
        Ok(event) => Some(Next::Event(event)),
        Err(RecvError::Lagged(_)) => Some(Next::Missed),
        Err(RecvError::Closed) => None,
    }
}
