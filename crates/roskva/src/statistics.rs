//! How long checks take, and how they end: counted for whoever measures, since the monitor was made.

use std::time::Duration;

use crate::{policy::gate::CheckKind, probe::ProbeOutcome};

/// Counts of one kind of check of one service. They go on through its runs, and begin anew once monitoring
/// of it was stopped. What a stream tells is no check, nor is a look at whether the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckStatistics {
    /// `startup`, `liveness` or `readiness`.
    pub check: &'static str,
    /// Checks that took at most the time of [`CheckStatistics::BOUNDS`] at the same place, and more than
    /// that of the place before; last those that took longer than all bounds.
    pub latency: [u64; CheckStatistics::BOUNDS.len() + 1],
    /// Time that all of them took together.
    pub total: Duration,
    /// Checks that said healthy.
    pub healthy: u64,
    /// Checks that said unhealthy.
    pub unhealthy: u64,
    /// Checks that timed out.
    pub timed_out: u64,
}

impl CheckStatistics {
    /// Upper bounds of the classes of [`latency`](Self::latency).
    pub const BOUNDS: [Duration; 12] = [
        Duration::from_micros(500),
        Duration::from_millis(1),
        Duration::from_micros(2_500),
        Duration::from_millis(5),
        Duration::from_millis(10),
        Duration::from_millis(25),
        Duration::from_millis(50),
        Duration::from_millis(100),
        Duration::from_millis(250),
        Duration::from_secs(1),
        Duration::from_millis(2_500),
        Duration::from_secs(10),
    ];

    fn new(kind: CheckKind) -> Self {
        Self {
            check: kind.as_str(),
            latency: [0; Self::BOUNDS.len() + 1],
            total: Duration::ZERO,
            healthy: 0,
            unhealthy: 0,
            timed_out: 0,
        }
    }

    fn record(&mut self, outcome: &ProbeOutcome, took: Duration) {
        let class = Self::BOUNDS.partition_point(|bound| *bound < took);
        self.latency[class] += 1;
        self.total = self.total.saturating_add(took);
        match outcome {
            ProbeOutcome::Healthy(_) => self.healthy += 1,
            ProbeOutcome::Unhealthy(_) => self.unhealthy += 1,
            ProbeOutcome::TimedOut(_) => self.timed_out += 1,
        }
    }
}

/// The statistics of a service: room is made by the first check of a kind.
#[derive(Debug, Default)]
pub(crate) struct Statistics([Option<Box<CheckStatistics>>; CheckKind::ALL.len()]);

impl Statistics {
    pub(crate) fn record(&mut self, kind: CheckKind, outcome: &ProbeOutcome, took: Duration) {
        self.0[kind as usize]
            .get_or_insert_with(|| Box::new(CheckStatistics::new(kind)))
            .record(outcome, took);
    }

    pub(crate) fn present(&self) -> Vec<CheckStatistics> {
        self.0.iter().flatten().map(|one| **one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_counts_in_the_first_class_that_holds_its_time() {
        let mut statistics = Statistics::default();
        assert_eq!(statistics.present(), []);
        for (micros, outcome) in [
            (500, ProbeOutcome::Healthy(String::new())),
            (501, ProbeOutcome::Healthy(String::new())),
            (11_000_000, ProbeOutcome::TimedOut(String::new())),
        ] {
            let took = Duration::from_micros(micros);
            statistics.record(CheckKind::Liveness, &outcome, took);
        }
        let [liveness] = statistics.present()[..] else {
            panic!("one kind was checked")
        };
        assert_eq!(liveness.check, "liveness");
        assert_eq!(liveness.latency, [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(liveness.total, Duration::from_micros(11_001_001));
        assert_eq!(
            (liveness.healthy, liveness.unhealthy, liveness.timed_out),
            (2, 0, 1)
        );
    }

    #[test]
    fn bounds_grow() {
        assert!(CheckStatistics::BOUNDS.is_sorted_by(|a, b| a < b));
    }
}
