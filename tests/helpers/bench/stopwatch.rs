//! Times of many rounds.

use std::time::{Duration, Instant};

/// What each round took.
#[derive(Debug, Default)]
pub(crate) struct Rounds(Vec<Duration>);

impl Rounds {
    pub(crate) fn push(&mut self, began: Instant) {
        self.0.push(began.elapsed());
    }

    /// Milliseconds that this part of all rounds, from 0.0 to 1.0, did not exceed; 0 without rounds.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (part * sorted.len() as f64).ceil() as usize;
        sorted
            .get(rank.saturating_sub(1))
            .map_or(0.0, |time| milliseconds(*time))
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
