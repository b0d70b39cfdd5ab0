//! The load guard: what a failed check proves while the machine, or this process, starves.
//!
//! It postpones the end of a run, and only that: the failure counts, the verdict changes, and an exit
//! is a fact that no guard sees. A run is postponed once, by a bounded time.

use std::time::Duration;

use crate::MachinePressure;

/// The shortest bound.
const BOUND: Duration = Duration::from_secs(30);
/// A busy machine has much CPU pressure and still serves everybody; so it counts only together with
/// a delay of our own.
const CPU: f32 = 80.0;
const LATE_UNDER_PRESSURE: Duration = Duration::from_millis(500);
const LATE: Duration = Duration::from_secs(1);
const MEMORY: f32 = 20.0;
const IO: f32 = 50.0;
/// For how long a delay is remembered, at least; twice that at most.
const MEMORY_OF_DELAYS: Duration = Duration::from_secs(5);

/// How a failed check that would end a run is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judgement {
    End,
    Postpone { until: Duration },
}

/// Judges at `now`; `postponed` is until when this run was postponed before.
pub(crate) fn judge(
    starving: bool,
    postponed: Option<Duration>,
    now: Duration,
    interval: Duration,
) -> Judgement {
    let until = postponed.unwrap_or_else(|| now.saturating_add(bound(interval)));
    if starving && now < until {
        Judgement::Postpone { until }
    } else {
        Judgement::End
    }
}

/// The longer of three intervals and 30 s.
fn bound(interval: Duration) -> Duration {
    interval.saturating_mul(3).max(BOUND)
}

/// What is wrong with the machine, or with this process, that a healthy service may fail a check.
pub(crate) fn starvation(pressure: MachinePressure, late: Duration) -> Option<String> {
    let share = |what: &str, percent: f32| {
        format!("the machine starves: {percent:.0} % of the time is lost waiting for {what}")
    };
    let delay = || format!("the daemon runs {} ms late", late.as_millis());
    if pressure.memory >= MEMORY {
        Some(share("memory", pressure.memory))
    } else if pressure.io >= IO {
        Some(share("input and output", pressure.io))
    } else if pressure.cpu >= CPU && late >= LATE_UNDER_PRESSURE {
        Some(format!("{}, {}", share("a CPU", pressure.cpu), delay()))
    } else {
        (late >= LATE).then(delay)
    }
}

/// The worst delay of the last seconds.
#[derive(Debug, Default)]
pub(crate) struct Delays {
    since: Duration,
    worst: Duration,
    worst_before: Duration,
}

impl Delays {
    pub(crate) fn record(&mut self, late: Duration, now: Duration) {
        self.age(now);
        self.worst = self.worst.max(late);
    }

    pub(crate) fn worst(&mut self, now: Duration) -> Duration {
        self.age(now);
        self.worst.max(self.worst_before)
    }

    fn age(&mut self, now: Duration) {
        let age = now.saturating_sub(self.since);
        if age >= MEMORY_OF_DELAYS {
            let recent = age < MEMORY_OF_DELAYS * 2;
            self.worst_before = if recent { self.worst } else { Duration::ZERO };
            self.worst = Duration::ZERO;
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn bound_is_the_longer_of_three_intervals_and_half_a_minute() {
        for (interval, bound) in [(1, 30), (10, 30), (11, 33), (60, 180)] {
            let judgement = judge(true, None, SECOND, SECOND * interval);
            let until = SECOND + SECOND * bound;
            assert_eq!(judgement, Judgement::Postpone { until });
        }
    }

    #[test]
    fn without_starvation_nothing_is_postponed() {
        assert_eq!(judge(false, None, SECOND, SECOND), Judgement::End);
        assert_eq!(
            judge(false, Some(SECOND * 9), SECOND, SECOND),
            Judgement::End
        );
    }

    proptest! {
        /// However the load comes and goes, the first failure that is postponed is not so for longer
        /// than the bound.
        #[test]
        fn no_failure_is_postponed_beyond_the_bound(
            interval in 1_u64..100, steps in prop::collection::vec(1_u64..30, 1..200),
        ) {
            let interval = SECOND * u32::try_from(interval).expect("small");
            let mut now = SECOND;
            let mut postponed = None;
            for step in steps {
                match judge(true, postponed, now, interval) {
                    Judgement::Postpone { until } => {
                        prop_assert!(until <= SECOND + bound(interval));
                        prop_assert!(now < until);
                        postponed = Some(until);
                    }
                    Judgement::End => prop_assert!(now >= SECOND + bound(interval)),
                }
                now += Duration::from_secs(step);
            }
        }
    }

    #[test]
    fn starvation_has_its_reason() {
        let calm = MachinePressure::default();
        let cpu = MachinePressure { cpu: 99.0, ..calm };
        let memory = MachinePressure {
            memory: 25.0,
            ..calm
        };
        let io = MachinePressure { io: 60.0, ..calm };
        let ms = Duration::from_millis;
        for (pressure, late, reason) in [
            (calm, ms(0), None),
            (calm, ms(999), None),
            (calm, ms(1200), Some("the daemon runs 1200 ms late")),
            (cpu, ms(20), None),
            (
                cpu,
                ms(600),
                Some(
                    "the machine starves: 99 % of the time is lost waiting for a CPU, \
                     the daemon runs 600 ms late",
                ),
            ),
            (
                memory,
                ms(0),
                Some("the machine starves: 25 % of the time is lost waiting for memory"),
            ),
            (
                io,
                ms(0),
                Some("the machine starves: 60 % of the time is lost waiting for input and output"),
            ),
        ] {
            assert_eq!(starvation(pressure, late).as_deref(), reason);
        }
    }

    #[test]
    fn delays_are_remembered_for_some_seconds() {
        let mut delays = Delays::default();
        delays.record(SECOND, SECOND);
        for (now, worst) in [(1, 1), (5, 1), (9, 1), (10, 0), (60, 0)] {
            assert_eq!(delays.worst(SECOND * now), SECOND * worst, "after {now} s");
        }
    }
}
