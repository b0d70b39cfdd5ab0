//! What is known about each service. Values only: no I/O, no clock, no lock.

use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
    time::SystemTime,
};

use gladsheim_types::{ResourceLimits, ResourceUsage};

use crate::{
    Enforced, LimitAction, LimitPolicy, LimitViolation, ProcessTree, TrackedTree, TreeSample,
    ViolationType,
    limits::{Direction, Edge, Watch},
};

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
    /// The last measurement, none since a failed one.
    pub(crate) measured: Option<(TreeSample, ResourceUsage)>,
    watch: Watch,
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
    pub(crate) fn track(&mut self, name: &str, tree: Arc<ProcessTree>, oom_kills_before: u64) {
        self.last_run += 1;
        let run = self.last_run;
        self.entry(name).run = Some(Run {
            tracked: TrackedTree { run, tree },
            enforced: Enforced::default(),
            oom_kills_before,
            measured: None,
            watch: Watch::default(),
        });
    }

    /// Ends the run, if there is one: returns its number, and takes its alarms down.
    pub(crate) fn end_run(
        &mut self,
        name: &str,
        oom_kills: u64,
        defaults: &ResourceLimits,
        now: SystemTime,
    ) -> (Option<u64>, Vec<Crossing>) {
        let Some(entry) = self.services.get_mut(name) else {
            return (None, Vec::new());
        };
        let Some(mut run) = entry.run.take() else {
            return (None, Vec::new());
        };
        entry.past_oom_kills = oom_kills;
        let usage = run
            .measured
            .map_or_else(ResourceUsage::default, |(_, usage)| usage);
        let crossings = entry.crossings(name, run.watch.clear(), &usage, defaults, now);
        (Some(run.tracked.run), crossings)
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
    fn run(&mut self, name: &str, number: u64) -> Option<&mut Run> {
        let run = self.services.get_mut(name)?.run.as_mut()?;
        (run.tracked.run == number).then_some(run)
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
        let usage = ResourceUsage {
            memory_bytes: sample.memory_bytes,
            cpu_percent: before.map_or(0.0, |(earlier, _)| {
                sample.cpu_percent_since(&earlier, num_cores)
            }),
            measured_at: now,
        };
        run.measured = Some((sample, usage.clone()));
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
            action: action_for(kind, direction, self.policy.action),
        };
        edges.into_iter().map(crossing).collect()
    }
}

/// Only an exceeded limit is acted upon.
fn action_for(kind: ViolationType, direction: Direction, declared: LimitAction) -> LimitAction {
    match direction {
        Direction::Up if kind.is_exceeded() => declared,
        Direction::Up | Direction::Down => LimitAction::Warn,
    }
}
