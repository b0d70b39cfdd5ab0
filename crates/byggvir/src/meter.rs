//! Takes samples, in rounds or on demand, and keeps what they say.
//!
//! Two locks, always in this order: `probe` for as long as a round reads counters, `table` for short
//! statements. A query for a service that has a sample takes only the second, so it never waits for a
//! round.

use std::{io, sync::Mutex, time::SystemTime};

use gladsheim_types::{ResourceLimits, ResourceUsage};

use crate::{
    ResourceEvent, ResourceManagerError, SystemProbe, SystemResourceUsage, SystemSample,
    TrackedTree, lock,
    table::{CPU_WINDOW, Table},
    teller::Teller,
};

pub(crate) struct Meter {
    pub(crate) table: Mutex<Table>,
    pub(crate) default_limits: ResourceLimits,
    /// Whether rounds keep the samples fresh.
    in_rounds: bool,
    probe: Mutex<Box<dyn SystemProbe>>,
    machine: Mutex<Option<(SystemSample, SystemResourceUsage)>>,
}

impl Meter {
    pub(crate) fn new(
        probe: Box<dyn SystemProbe>,
        default_limits: ResourceLimits,
        in_rounds: bool,
    ) -> Self {
        Self {
            table: Mutex::default(),
            default_limits,
            in_rounds,
            probe: Mutex::new(probe),
            machine: Mutex::default(),
        }
    }

    /// One round: measures the machine and all services, compares with the limits, and tells.
    pub(crate) fn round(&self, teller: &Teller) {
        let mut probe = lock(&self.probe);
        let num_cores = self.measure_machine(&mut **probe).num_cores;
        let (names, trees) = lock(&self.table).tracked();
        let samples = probe.sample(&trees);
        drop(probe);

        let now = SystemTime::now();
        let heard = teller.is_heard();
        let mut usages = Vec::new();
        let mut crossings = Vec::new();
        let mut table = lock(&self.table);
        for ((name, TrackedTree { run, .. }), sample) in names.iter().zip(&trees).zip(samples) {
            let sample = sample
                .inspect_err(|error| tracing::debug!(service = %name, %error, "no sample"))
                .ok();
            let Some(usage) = table.measure(name, *run, sample, num_cores, now) else {
                continue;
            };
            crossings.extend(table.watch(name, &usage, &self.default_limits));
            if heard {
                usages.push((name.to_string(), usage));
            }
        }
        drop(table);
        if heard {
            teller.send(ResourceEvent::Sampled { usages });
        }
        teller.tell(crossings);
    }

    /// The last sample of a service, or one taken now if there is none, or none fresh enough.
    pub(crate) fn usage(&self, name: &str) -> Result<ResourceUsage, ResourceManagerError> {
        if let Some(usage) = self.known_usage(name)? {
            return Ok(usage);
        }
        let mut probe = lock(&self.probe);
        // Somebody else may have taken it while this one waited.
        if let Some(usage) = self.known_usage(name)? {
            return Ok(usage);
        }
        let not_found = || ResourceManagerError::ServiceNotFound(name.to_owned());
        let tracked = {
            let table = lock(&self.table);
            let run = table
                .get(name)
                .and_then(|entry| entry.run.as_ref())
                .ok_or_else(not_found)?;
            run.tracked.clone()
        };
        let num_cores = self.num_cores(&mut **probe);
        let sample = probe
            .sample(std::slice::from_ref(&tracked))
            .pop()
            .unwrap_or_else(|| Err(io::Error::other("the backend gave no answer")))
            .map_err(|error| ResourceManagerError::SystemError(error.to_string()));
        drop(probe);
        let (sample, error) = match sample {
            Ok(sample) => (Some(sample), None),
            Err(error) => (None, Some(error)),
        };
        let usage =
            lock(&self.table).measure(name, tracked.run, sample, num_cores, SystemTime::now());
        usage.ok_or_else(|| error.unwrap_or_else(not_found))
    }

    fn known_usage(&self, name: &str) -> Result<Option<ResourceUsage>, ResourceManagerError> {
        let table = lock(&self.table);
        let run = table.get(name).and_then(|entry| entry.run.as_ref());
        let run = run.ok_or_else(|| ResourceManagerError::ServiceNotFound(name.to_owned()))?;
        // Where there are no rounds, a sample is as good as new for as long as its CPU could be no better.
        let valid = |(sample, _): &&(crate::TreeSample, ResourceUsage)| {
            self.in_rounds || sample.at.elapsed() < CPU_WINDOW
        };
        Ok(run
            .measured
            .as_ref()
            .filter(valid)
            .map(|(_, usage)| usage.clone()))
    }

    /// Lets go of what is held for a run; waits for a round under way.
    pub(crate) fn forget(&self, run: u64) {
        lock(&self.probe).forget(run);
    }

    /// Usage of the machine: that of the last round, else measured now.
    pub(crate) fn system_usage(&self) -> SystemResourceUsage {
        let known = lock(&self.machine).clone();
        if let Some((sample, usage)) = known
            && (self.in_rounds || sample.at.elapsed() < CPU_WINDOW)
        {
            return usage;
        }
        self.measure_machine(&mut **lock(&self.probe))
    }

    fn num_cores(&self, probe: &mut dyn SystemProbe) -> usize {
        let known = lock(&self.machine)
            .as_ref()
            .map(|(sample, _)| sample.num_cores);
        known.unwrap_or_else(|| self.measure_machine(probe).num_cores)
    }

    fn measure_machine(&self, probe: &mut dyn SystemProbe) -> SystemResourceUsage {
        let sample = probe.system();
        let mut machine = lock(&self.machine);
        let before = machine.take();
        match sample {
            Ok(sample) => {
                let usage = sample.usage_since(before.as_ref().map(|(sample, _)| sample));
                *machine = Some((sample, usage.clone()));
                usage
            }
            Err(error) => {
                // Once, not in every round.
                if before.is_some() {
                    tracing::warn!(%error, "the machine's usage cannot be read any more");
                }
                before.map(|(_, usage)| usage).unwrap_or_default()
            }
        }
    }
}
