//! The budget of the whole hall: when much of it fails at once, restarts are spread.
//!
//! A token bucket: one hundred restarts may follow at once, then fifty a second. That is generous; it
//! bounds what a thousand restarts cost the machine, and a single service never meets it.

use std::time::Duration;

/// Restarts that may follow at once.
const BURST: f64 = 100.0;
/// Restarts per second from then on.
const RATE: f64 = 50.0;

/// Tokens left; negative while restarts wait for theirs.
#[derive(Debug)]
pub(crate) struct Budget {
    tokens: f64,
    at: Duration,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self {
            tokens: BURST,
            at: Duration::ZERO,
        }
    }

    /// Takes one restart out of the budget; returns how long it must wait for that.
    pub(crate) fn reserve(&mut self, now: Duration) -> Duration {
        let gained = now.saturating_sub(self.at).as_secs_f64() * RATE;
        self.at = self.at.max(now);
        self.tokens = (self.tokens + gained).min(BURST) - 1.0;
        Duration::from_secs_f64((-self.tokens).max(0.0) / RATE)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn thousand_failures_at_once_are_spread() {
        let mut budget = Budget::new();
        let waits: Vec<_> = (0..1000).map(|_| budget.reserve(Duration::ZERO)).collect();
        assert!(waits[..100].iter().all(Duration::is_zero));
        assert_eq!(waits[100], Duration::from_millis(20));
        assert_eq!(waits[999], Duration::from_secs(18));
        assert!(budget.reserve(Duration::from_secs(60)).is_zero());
    }

    proptest! {
        #[test]
        fn no_stretch_has_more_than_burst_and_rate(gaps in prop::collection::vec(0_u64..200, 1..400)) {
            let mut budget = Budget::new();
            let mut now = Duration::ZERO;
            let mut times: Vec<f64> = gaps.iter().map(|gap| {
                now += Duration::from_millis(*gap);
                (now + budget.reserve(now)).as_secs_f64()
            }).collect();
            times.sort_by(f64::total_cmp);
            for (i, first) in times.iter().enumerate() {
                for (count, last) in times[i..].iter().enumerate() {
                    prop_assert!(count as f64 <= BURST + (last - first) * RATE + 1e-6);
                }
            }
        }
    }
}
