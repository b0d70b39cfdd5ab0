//! Thresholds: how many failures in a row make a failure, and how many successes undo it.
//!
//! ```text
//! Undecided ──S successes──> Passing ──F failures──> Failing ──S successes──> Passing
//!     └──────F failures──────────────────────────────^
//! ```

use gladsheim_types::HealthStatus;

/// What the checks of one kind say, taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Undecided,
    Passing,
    /// `timed_out` tells how the check ended that crossed the threshold.
    Failing {
        timed_out: bool,
    },
}

impl Verdict {
    pub(crate) fn status(self) -> HealthStatus {
        match self {
            Self::Undecided => HealthStatus::Unknown,
            Self::Passing => HealthStatus::Healthy,
            Self::Failing { timed_out: false } => HealthStatus::Unhealthy,
            Self::Failing { timed_out: true } => HealthStatus::Timeout,
        }
    }
}

/// How one check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    Failure { timed_out: bool },
}

/// Counts outcomes and judges.
#[derive(Debug, Clone)]
pub(crate) struct Threshold {
    failure_threshold: u32,
    success_threshold: u32,
    verdict: Verdict,
    failures: u32,
    successes: u32,
}

impl Threshold {
    pub(crate) fn new(failure_threshold: u32, success_threshold: u32) -> Self {
        Self {
            failure_threshold,
            success_threshold,
            verdict: Verdict::Undecided,
            failures: 0,
            successes: 0,
        }
    }

    pub(crate) fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Failures since the last success.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Counts one outcome; a success ends a row of failures, a failure a row of successes.
    pub(crate) fn record(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Success => {
                self.failures = 0;
                self.successes = self.successes.saturating_add(1);
                if self.successes >= self.success_threshold {
                    self.verdict = Verdict::Passing;
                }
            }
            Outcome::Failure { timed_out } => {
                self.successes = 0;
                self.failures = self.failures.saturating_add(1);
                let failing_already = matches!(self.verdict, Verdict::Failing { .. });
                if self.failures >= self.failure_threshold && !failing_already {
                    self.verdict = Verdict::Failing { timed_out };
                }
            }
        }
    }

    /// Judges at once, for a check that cannot be mistaken.
    pub(crate) fn settle(&mut self, outcome: Outcome) {
        (self.failures, self.successes, self.verdict) = match outcome {
            Outcome::Success => (0, 1, Verdict::Passing),
            Outcome::Failure { timed_out } => (1, 0, Verdict::Failing { timed_out }),
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `+` is a success, `-` a failure, `t` one by time-out; the answer has a letter for the verdict
    /// after each: `?` undecided, `H` healthy, `U` unhealthy, `T` timeout.
    fn walk(failure_threshold: u32, success_threshold: u32, outcomes: &str) -> String {
        let mut threshold = Threshold::new(failure_threshold, success_threshold);
        outcomes
            .chars()
            .map(|outcome| {
                threshold.record(match outcome {
                    '+' => Outcome::Success,
                    other => Outcome::Failure {
                        timed_out: other == 't',
                    },
                });
                match threshold.verdict() {
                    Verdict::Undecided => '?',
                    Verdict::Passing => 'H',
                    Verdict::Failing { timed_out: false } => 'U',
                    Verdict::Failing { timed_out: true } => 'T',
                }
            })
            .collect()
    }

    #[test]
    fn published_cases_hold() {
        for (name, f, s, outcomes, verdicts) in [
            (
                "kubelet TestFailureThreshold",
                3,
                1,
                "+--+--+---",
                "HHHHHHHHHU",
            ),
            (
                "kubelet TestSuccessThreshold",
                1,
                3,
                "-++-++-+++",
                "UUUUUUUUUH",
            ),
            ("undecided fails by the same count", 3, 1, "---", "??U"),
            ("undecided passes by the same count", 1, 3, "+++", "??H"),
            ("a mixed start stays undecided", 2, 2, "+-+-++", "?????H"),
            (
                "the crossing failure names the verdict",
                3,
                1,
                "t-t--",
                "??TTT",
            ),
            (
                "a later time-out does not rename it",
                1,
                1,
                "-tt+t",
                "UUUHT",
            ),
            ("one and one", 1, 1, "+-+-", "HUHU"),
        ] {
            assert_eq!(walk(f, s, outcomes), verdicts, "{name}");
        }
    }

    #[test]
    fn failures_count_since_the_last_success() {
        let mut threshold = Threshold::new(3, 3);
        let failure = Outcome::Failure { timed_out: false };
        for expected in 1..=5 {
            threshold.record(failure);
            assert_eq!(threshold.failures(), expected);
        }
        threshold.record(Outcome::Success);
        assert_eq!(threshold.failures(), 0);
        assert_eq!(threshold.verdict(), Verdict::Failing { timed_out: false });
    }

    proptest! {
        /// The verdict is that of the last long-enough row: a second, slower way to say the same.
        #[test]
        fn verdict_is_that_of_the_last_long_row(
            f in 1_u32..5, s in 1_u32..5, outcomes in "[+-]{0,40}",
        ) {
            let mut expected = '?';
            let mut row = (' ', 0);
            let model: String = outcomes.chars().map(|outcome| {
                row = if row.0 == outcome { (outcome, row.1 + 1) } else { (outcome, 1) };
                match outcome {
                    '+' if row.1 >= s => expected = 'H',
                    '-' if row.1 >= f => expected = 'U',
                    _ => {}
                }
                expected
            }).collect();
            prop_assert_eq!(walk(f, s, &outcomes), model);
        }
    }
}
