//! Which kinds of check run, and which failures count.

use std::time::Duration;

use crate::policy::threshold::Verdict;

/// What a check is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum CheckKind {
    Startup,
    Liveness,
    Readiness,
}

impl CheckKind {
    /// Startup first: the others wait for it.
    pub(crate) const ALL: [Self; 3] = [Self::Startup, Self::Liveness, Self::Readiness];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Liveness => "liveness",
            Self::Readiness => "readiness",
        }
    }

    /// Whether failing for good ends the run.
    pub(crate) fn ends_run(self) -> bool {
        match self {
            Self::Startup | Self::Liveness => true,
            Self::Readiness => false,
        }
    }
}

/// Whether checks of this kind run. `startup` is the start-up check's verdict, `None` without one:
/// it runs until it has passed, and the others from then on.
pub(crate) fn is_open(kind: CheckKind, startup: Option<Verdict>) -> bool {
    let passed = match startup {
        None | Some(Verdict::Passing) => true,
        Some(Verdict::Undecided | Verdict::Failing { .. }) => false,
    };
    match kind {
        CheckKind::Startup => !passed,
        CheckKind::Liveness | CheckKind::Readiness => passed,
    }
}

/// Whether a failure counts, so long after the start of the run.
pub(crate) fn failure_counts(since_start: Duration, start_period: Duration) -> bool {
    since_start >= start_period
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gate_opens_when_the_startup_check_has_passed() {
        use CheckKind::{Liveness, Readiness, Startup};
        let failing = Verdict::Failing { timed_out: false };
        for (startup, open) in [
            (None, vec![Liveness, Readiness]),
            (Some(Verdict::Undecided), vec![Startup]),
            (Some(failing), vec![Startup]),
            (Some(Verdict::Passing), vec![Liveness, Readiness]),
        ] {
            let found: Vec<_> = CheckKind::ALL
                .into_iter()
                .filter(|kind| is_open(*kind, startup))
                .collect();
            assert_eq!(found, open, "{startup:?}");
        }
    }

    #[test]
    fn failures_count_from_the_end_of_the_start_period() {
        let period = Duration::from_secs(10);
        assert!(!failure_counts(Duration::from_millis(9_999), period));
        assert!(failure_counts(period, period));
        assert!(failure_counts(Duration::ZERO, Duration::ZERO));
    }

    #[test]
    fn readiness_alone_ends_no_run() {
        assert!(CheckKind::Startup.ends_run() && CheckKind::Liveness.ends_run());
        assert!(!CheckKind::Readiness.ends_run());
    }
}
