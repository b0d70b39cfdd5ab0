//! What the sampling task looks at beside the rounds: pressure, and what the kernel kills.

use std::sync::{Arc, Mutex};

use crate::{
    ResourceEvent, lock,
    manager::Inner,
    oom::OomWatch,
    pressure::{PressureSource, PressureWatch},
    probe::is_alive,
};

/// What it remembers from one look to the next. Its locks are taken before the table's.
pub(crate) struct Lookout {
    source: Arc<dyn PressureSource>,
    /// The alarms of the machine; those of a service are its run's.
    machine: Mutex<PressureWatch>,
    pub(crate) ooms: Mutex<OomWatch>,
}

impl Lookout {
    pub(crate) fn new(source: Arc<dyn PressureSource>) -> Self {
        Self {
            source,
            machine: Mutex::default(),
            ooms: Mutex::default(),
        }
    }
}

impl Inner {
    /// Compares the pressure on the machine and on services with its limits, and tells.
    pub(crate) fn look_at_pressure(&self) {
        let source = &*self.lookout.source;
        let limits = self.config.pressure;
        let look = limits.look(source, None);
        let edges = lock(&self.lookout.machine).step(limits, look);
        self.teller.tell_pressure(None, edges);
        let watched = lock(&self.meter.table).with_pressure_limits();
        for (name, tracked, limits) in watched {
            let look = limits.look(source, tracked.tree.cgroup.as_deref());
            let mut table = lock(&self.meter.table);
            let edges = table.take_in_pressure(&name, tracked.run, limits, look);
            drop(table);
            self.teller.tell_pressure(Some(&name), edges);
        }
    }

    /// Tells of OOM kills that a service has survived.
    pub(crate) fn look_at_oom_kills(&self) {
        let stirred = lock(&self.lookout.ooms).stirred();
        if stirred.is_empty() {
            return;
        }
        let runs = lock(&self.meter.table).runs(&stirred);
        for (service_name, tracked) in runs {
            // With its leader the run is about to end.
            if !is_alive(tracked.tree.pid) {
                continue;
            }
            let count = self.oom_kills(&service_name);
            let mut table = lock(&self.meter.table);
            let Some(run) = table.run(&service_name, tracked.run) else {
                continue;
            };
            let kills = run.oom.step(count);
            let unsettled = run.oom.is_unsettled();
            drop(table);
            if unsettled {
                lock(&self.lookout.ooms).look_again(tracked.run);
            }
            if let Some(kills) = kills {
                let service_name = service_name.to_string();
                self.teller.send(ResourceEvent::OomKilled {
                    service_name,
                    kills,
                });
            }
        }
    }
}

#[cfg(test)]
#[path = "lookout_test.rs"]
mod tests;
