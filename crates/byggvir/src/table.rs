//! What is known about each service. Values only: no I/O, no clock, no lock.

use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
    time::{Duration, SystemTime},
};

use gladsheim_types::{ResourceLimits, ResourceUsage};

use crate::{
    Enforced, LimitAction, LimitPolicy, LimitViolation, ProcessTree, TrackedTree, TreeSample,
    limits::{Direction, Edge, Watch},
    oom::OomCount,
    pressure::{Look, PressureEdge, PressureLimits, PressureWatch},
};

/// CPU is told over at least this time: clock ticks of 10 ms make noise of anything shorter.
pub(crate) const CPU_WINDOW: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
pub(crate) struct Table {
    services: HashMap<Arc<str>, Entry>,
    last_run: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Entry {
    pub(crate) limits: Option<ResourceLimits>,
    pub(crate) policy: LimitPolicy,
    pub(crate) run: Option<Run>,
    /// OOM kills of the last run, counted at its end.
    pub(crate) past_oom_kills: u64,
}

/// One run of a service, from `track_service` to `run_ended`.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) tracked: TrackedTree,
    pub(crate) enforced: Enforced,
    /// OOM kills that the cgroup had counted when the run began.
    pub(crate) oom_kills_before: u64,
    /// The last measurement, none since a failed one, and the sample that its CPU was made of.
    pub(crate) measured: Option<(TreeSample, ResourceUsage)>,
    pub(crate) oom: OomCount,
    watch: Watch,
    pressure: PressureWatch,
}

/// What ends with a run.
#[derive(Debug)]
pub(crate) struct RunEnd {
    /// Its number.
    pub(crate) run: u64,
    /// The alarms that were up.
    pub(crate) crossings: Vec<Crossing>,
    pub(crate) pressure: Vec<PressureEdge>,
}

/// A limit that was crossed, either way.
#[derive(Debug, Clone)]
pub(crate) struct Crossing {
    pub(crate) direction: Direction,
    pub(crate) violation: LimitViolation,
    /// What the policy wants done about it.
    pub(crate) action: LimitAction,
}

impl Table {
    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        self.services.get(name)
    }

    pub(crate) fn entry(&mut self, name: &str) -> &mut Entry {
        match self.services.entry(name.into()) {
            hash_map::Entry::Occupied(entry) => entry.into_mut(),
            hash_map::Entry::Vacant(entry) => entry.insert(Entry::default()),
        }
    }

    /// Begins a run; the caller ends the one before. Limits and policy stay.
    pub(crate) fn track(
        &mut self,
        name: &str,
        tree: Arc<ProcessTree>,
        oom_kills_before: u64,
    ) -> u64 {
        self.last_run += 1;
        let run = self.last_run;
        self.entry(name).run = Some(Run {
            tracked: TrackedTree { run, tree },
            enforced: Enforced::default(),
            oom_kills_before,
            measured: None,
            oom: OomCount::default(),
            watch: Watch::default(),
            pressure: PressureWatch::default(),
        });
        run
    }

    /// Ends the run, if there is one, and takes its alarms down.
    pub(crate) fn end_run(
        &mut self,
        name: &str,
        oom_kills: u64,
        defaults: &ResourceLimits,
        now: SystemTime,
    ) -> Option<RunEnd> {
        let entry = self.services.get_mut(name)?;
        let mut run = entry.run.take()?;
        entry.past_oom_kills = oom_kills;
        let usage = run
            .measured
            .map_or_else(ResourceUsage::default, |(_, usage)| usage);
        Some(RunEnd {
            run: run.tracked.run,
            crossings: entry.crossings(name, run.watch.clear(), &usage, defaults, now),
            pressure: run.pressure.clear(entry.policy.pressure),
        })
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.services.remove(name);
    }

    /// All runs, with their services' names.
    pub(crate) fn tracked(&self) -> (Vec<Arc<str>>, Vec<TrackedTree>) {
        let running = |(name, entry): (&Arc<str>, &Entry)| {
            entry
                .run
                .as_ref()
                .map(|run| (Arc::clone(name), run.tracked.clone()))
        };
        self.services.iter().filter_map(running).unzip()
    }

    /// The run of this number, if it is still the service's.
    pub(crate) fn run(&mut self, name: &str, number: u64) -> Option<&mut Run> {
        let run = self.services.get_mut(name)?.run.as_mut()?;
        (run.tracked.run == number).then_some(run)
    }

    /// The runs with a cgroup whose pressure has a limit, with their services' names.
    pub(crate) fn with_pressure_limits(&self) -> Vec<(Arc<str>, TrackedTree, PressureLimits)> {
        let watched = |(name, entry): (&Arc<str>, &Entry)| {
            let (run, limits) = (entry.run.as_ref()?, entry.policy.pressure);
            let watched = run.tracked.tree.cgroup.is_some() && !run.pressure.is_idle(limits);
            watched.then(|| (Arc::clone(name), run.tracked.clone(), limits))
        };
        self.services.iter().filter_map(watched).collect()
    }

    /// Takes in a look at the pressure on a run; tells what has changed.
    pub(crate) fn take_in_pressure(
        &mut self,
        name: &str,
        number: u64,
        limits: PressureLimits,
        look: Look,
    ) -> Vec<PressureEdge> {
        self.run(name, number)
            .map_or_else(Vec::new, |run| run.pressure.step(limits, look))
    }

    /// The runs of these numbers that there are still, with their services' names.
    pub(crate) fn runs(&self, numbers: &[u64]) -> Vec<(Arc<str>, TrackedTree)> {
        let wanted = |(name, entry): (&Arc<str>, &Entry)| {
            let run = entry.run.as_ref()?;
            let is_it = numbers.contains(&run.tracked.run);
            is_it.then(|| (Arc::clone(name), run.tracked.clone()))
        };
        self.services.iter().filter_map(wanted).collect()
    }

    pub(crate) fn set_enforced(&mut self, name: &str, number: u64, enforced: Enforced) {
        if let Some(run) = self.run(name, number) {
            run.enforced = enforced;
        }
    }

    /// Takes in a sample of a run. Returns the usage, or nothing if the service has another run by
    /// now, so that the old run's numbers never show.
    pub(crate) fn measure(
        &mut self,
        name: &str,
        number: u64,
        sample: Option<TreeSample>,
        num_cores: usize,
        now: SystemTime,
    ) -> Option<ResourceUsage> {
        let run = self.run(name, number)?;
        let before = run.measured.take();
        let sample = sample?;
        let (since, cpu_percent) = match before {
            None => (sample, 0.0),
            Some((earlier, usage)) if sample.at < earlier.at + CPU_WINDOW => {
                (earlier, usage.cpu_percent)
            }
            Some((earlier, _)) => (sample, sample.cpu_percent_since(&earlier, num_cores)),
        };
        let usage = ResourceUsage {
            memory_bytes: sample.memory_bytes,
            cpu_percent,
            measured_at: now,
        };
        run.measured = Some((since, usage.clone()));
        Some(usage)
    }

    /// Compares a usage just measured with the limits; tells what has changed.
    pub(crate) fn watch(
        &mut self,
        name: &str,
        usage: &ResourceUsage,
        defaults: &ResourceLimits,
    ) -> Vec<Crossing> {
        let Some(entry) = self.services.get_mut(name) else {
            return Vec::new();
        };
        let Some(run) = &mut entry.run else {
            return Vec::new();
        };
        let limits = entry.limits.as_ref().unwrap_or(defaults);
        let edges = run.watch.step(usage, limits, run.enforced);
        entry.crossings(name, edges, usage, defaults, usage.measured_at)
    }
}

impl Entry {
    pub(crate) fn limits<'a>(&'a self, defaults: &'a ResourceLimits) -> &'a ResourceLimits {
        self.limits.as_ref().unwrap_or(defaults)
    }

    /// Takes over limits. One that somebody changes, somebody means: it is no advice any more.
    pub(crate) fn set_limits(&mut self, limits: ResourceLimits, defaults: &ResourceLimits) {
        let before = self.limits(defaults);
        let memory_stays = before.max_memory_bytes == limits.max_memory_bytes;
        let cpu_stays = before.max_cpu_percent == limits.max_cpu_percent;
        self.policy.memory_advisory &= memory_stays;
        self.policy.cpu_advisory &= cpu_stays;
        self.limits = Some(limits);
    }

    fn crossings(
        &self,
        name: &str,
        edges: Vec<Edge>,
        usage: &ResourceUsage,
        defaults: &ResourceLimits,
        now: SystemTime,
    ) -> Vec<Crossing> {
        let crossing = |Edge { kind, direction }| Crossing {
            direction,
            violation: LimitViolation {
                service_name: name.to_owned(),
                violation_type: kind,
                current_usage: usage.clone(),
                limits: self.limits(defaults).clone(),
                timestamp: now,
            },
            action: match direction {
                Direction::Up => self.policy.action_for(kind),
                Direction::Down => LimitAction::Warn,
            },
        };
        edges.into_iter().map(crossing).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn cpu_over_too_short_a_time_is_not_told() {
        let mut table = Table::default();
        let tree = ProcessTree {
            pid: 1,
            cgroup: None,
        };
        table.track("thor", Arc::new(tree), 0);
        let start = Instant::now();
        let mut measure = |millis, cpu_millis| {
            let sample = TreeSample {
                memory_bytes: millis,
                cpu_time: Duration::from_millis(cpu_millis),
                at: start + Duration::from_millis(millis),
                backend: "fake",
            };
            table
                .measure("thor", 1, Some(sample), 1, SystemTime::UNIX_EPOCH)
                .expect("is its run")
        };
        assert_eq!(measure(0, 0).cpu_percent, 0.0);
        // One tick within 3 ms would be more than the whole machine.
        let usage = measure(3, 10);
        assert_eq!((usage.memory_bytes, usage.cpu_percent), (3, 0.0));
        assert!((measure(1000, 500).cpu_percent - 50.0).abs() < 0.01);
        assert!((measure(1010, 510).cpu_percent - 50.0).abs() < 0.01);
        assert!((measure(2000, 600).cpu_percent - 10.0).abs() < 0.01);
    }
}
