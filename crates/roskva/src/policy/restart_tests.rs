//! The decision table, the published cases, and the properties of the limit.

use proptest::prelude::*;

use super::*;

const ALWAYS: RestartMode = RestartMode::Always;
const ON_FAILURE: RestartMode = RestartMode::OnFailure;
const NEVER: RestartMode = RestartMode::Never;

fn report(cause: Cause, exit_code: Option<i32>, uptime: Duration) -> ExitReport {
    ExitReport {
        exit_code,
        signal: None,
        cause,
        uptime,
    }
}

fn crash(uptime: Duration) -> ExitReport {
    report(Cause::Exit, Some(1), uptime)
}

fn limit(max_attempts: u32, window: f64) -> RestartPolicy {
    RestartPolicy {
        max_attempts,
        window: Duration::from_secs_f64(window),
        ..RestartPolicy::default()
    }
}

/// Lets a service crash `count` times, each `gap` after its last start, and restarts it at once.
fn crash_loop(policy: &RestartPolicy, gap: Duration, count: usize) -> Vec<Next> {
    let mut history = History::default();
    let mut now = Duration::ZERO;
    (0..count)
        .map(|_| {
            now += gap;
            let next = history.decide(policy, &crash(gap), now);
            if let Next::Restart { .. } = next {
                history.record(policy, now);
            }
            next
        })
        .collect()
}

fn gave_up_at(nexts: &[Next]) -> Option<usize> {
    nexts
        .iter()
        .position(|next| matches!(next, Next::GiveUp { .. }))
}

/// OTP's permanent, transient and temporary children, with every cause there is.
#[test]
fn decision_table_holds_for_every_mode_and_cause() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Row {
        Requested,
        NeverRan,
        Success,
        Failure,
    }
    let row_of = |cause: Cause, code: Option<i32>| match cause {
        Cause::User | Cause::Reload | Cause::Battery | Cause::Shutdown => Row::Requested,
        Cause::Spawn => Row::NeverRan,
        Cause::Exit if code == Some(0) => Row::Success,
        _ => Row::Failure,
    };
    let restart = Next::Restart {
        attempt: 1,
        streak: 0,
    };
    for cause in Cause::ALL {
        for code in [None, Some(0), Some(1)] {
            for mode in [ALWAYS, ON_FAILURE, NEVER] {
                let expected = match (row_of(cause, code), mode) {
                    (Row::Requested, _) => Next::Nothing,
                    (Row::NeverRan, _) => Next::GiveUp { attempts: 0 },
                    (Row::Success, RestartMode::Always) => restart,
                    (Row::Success, RestartMode::OnFailure | RestartMode::Never) => Next::Nothing,
                    (Row::Failure, RestartMode::Always | RestartMode::OnFailure) => restart,
                    (Row::Failure, RestartMode::Never) => Next::Never,
                };
                let policy = RestartPolicy {
                    mode,
                    ..RestartPolicy::default()
                };
                let report = report(cause, code, Duration::ZERO);
                let found = History::default().decide(&policy, &report, Duration::ZERO);
                assert_eq!(found, expected, "{mode:?} {cause} {code:?}");
            }
        }
    }
}

#[test]
fn named_exit_codes_count_as_success() {
    let policy = RestartPolicy {
        success_exit_codes: vec![0, 143],
        ..RestartPolicy::default()
    };
    for (code, end) in [(0, End::Success), (143, End::Success), (1, End::Failure)] {
        let report = report(Cause::Exit, Some(code), Duration::ZERO);
        assert_eq!(classify(&policy, &report), end, "{code}");
    }
    // The code of a run that was ended for its failed check says nothing.
    let probed = report(Cause::Probe, Some(0), Duration::ZERO);
    assert_eq!(classify(&policy, &probed), End::Failure);
}

#[test]
fn fourth_failure_gives_up_after_three_restarts() {
    let nexts = crash_loop(&limit(3, 600.0), Duration::from_millis(1), 5);
    let restart = |attempt| Next::Restart {
        attempt,
        streak: attempt - 1,
    };
    let give_up = Next::GiveUp { attempts: 3 };
    assert_eq!(
        nexts,
        [restart(1), restart(2), restart(3), give_up, give_up]
    );
}

#[test]
fn intensity_is_that_of_otp() {
    // MaxR = 2 in a long window: the third exit gives up.
    let nexts = crash_loop(&limit(2, 3600.0), Duration::from_secs(1), 3);
    assert_eq!(gave_up_at(&nexts), Some(2));
    // MaxR = 1 per second, exits every 2.1 s: never.
    let nexts = crash_loop(&limit(1, 1.0), Duration::from_millis(2100), 1000);
    assert_eq!(gave_up_at(&nexts), None);
    // The same, faster than the window: the second exit.
    let nexts = crash_loop(&limit(1, 1.0), Duration::from_millis(900), 3);
    assert_eq!(gave_up_at(&nexts), Some(1));
}

#[test]
fn window_slides_but_the_back_off_goes_on() {
    let policy = limit(3, 5.0);
    let nexts = crash_loop(&policy, Duration::from_secs(2), 6);
    let attempts: Vec<_> = nexts
        .iter()
        .map(|next| match next {
            Next::Restart { attempt, streak } => (*attempt, *streak),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(attempts, [(1, 0), (2, 1), (3, 2), (3, 3), (3, 4), (3, 5)]);
}

#[test]
fn stable_run_forgives_what_went_before() {
    let policy = limit(3, 600.0);
    let mut history = History::default();
    for second in 0..3 {
        history.record(&policy, Duration::from_secs(second));
    }
    let now = Duration::from_secs(100);
    let decide = |report: &ExitReport| history.clone().decide(&policy, report, now);

    let nearly = crash(policy.reset_after - Duration::from_nanos(1));
    assert_eq!(decide(&nearly), Next::GiveUp { attempts: 3 });
    let stable = crash(policy.reset_after);
    let first = Next::Restart {
        attempt: 1,
        streak: 0,
    };
    assert_eq!(decide(&stable), first);
    let never_ready = report(Cause::StartupTimeout, None, policy.reset_after);
    assert_eq!(decide(&never_ready), Next::GiveUp { attempts: 3 });
}

#[test]
fn reset_after_zero_forgives_nothing() {
    let policy = RestartPolicy {
        reset_after: Duration::ZERO,
        ..limit(1, 600.0)
    };
    let nexts = crash_loop(&policy, Duration::from_secs(90), 2);
    assert_eq!(gave_up_at(&nexts), Some(1));
}

#[test]
fn no_limit_never_gives_up_and_keeps_no_list() {
    let policy = limit(0, 600.0);
    let mut history = History::default();
    for attempt in 1..=10_000 {
        let next = history.decide(&policy, &crash(Duration::ZERO), Duration::ZERO);
        let expected = Next::Restart {
            attempt,
            streak: attempt - 1,
        };
        assert_eq!(next, expected);
        history.record(&policy, Duration::ZERO);
    }
    assert!(history.restarts.is_empty());
}

proptest! {
    /// Whatever happens, no window ever holds more restarts than the limit since the last stable run.
    #[test]
    fn no_window_holds_more_restarts_than_the_limit(
        max in 1_u32..6, window in 1_u64..60, gaps in prop::collection::vec(0_u64..30, 0..200),
    ) {
        let policy = RestartPolicy {
            reset_after: Duration::ZERO,
            ..limit(max, window as f64)
        };
        let mut history = History::default();
        let mut now = 0;
        let mut restarts: Vec<u64> = Vec::new();
        for gap in gaps {
            now += gap;
            let next = history.decide(&policy, &crash(Duration::from_secs(gap)), Duration::from_secs(now));
            let inside = restarts.iter().filter(|at| now - **at <= window).count();
            match next {
                Next::Restart { attempt, streak } => {
                    prop_assert_eq!(attempt as usize, inside + 1);
                    prop_assert_eq!(streak as usize, restarts.len());
                    restarts.push(now);
                    history.record(&policy, Duration::from_secs(now));
                }
                Next::GiveUp { attempts } => prop_assert_eq!(attempts as usize, inside),
                other => prop_assert!(false, "{other:?}"),
            }
            prop_assert!(history.restarts.len() <= max as usize);
        }
    }

    #[test]
    fn requested_ends_are_never_restarted(max in 0_u32..3, stable in any::<bool>(), code in any::<Option<i32>>()) {
        for mode in [ALWAYS, ON_FAILURE, NEVER] {
            for cause in [Cause::User, Cause::Reload, Cause::Battery, Cause::Shutdown] {
                let policy = RestartPolicy { mode, ..limit(max, 600.0) };
                let uptime = if stable { policy.reset_after } else { Duration::ZERO };
                let next = History::default().decide(&policy, &report(cause, code, uptime), Duration::ZERO);
                prop_assert_eq!(next, Next::Nothing);
            }
        }
    }
}

#[test]
fn crash_of_a_start_is_told_apart_from_one_after_stable_running() {
    use CrashStage::{Running, Stable, Startup};
    let options = MonitorOptions::default();
    let second = Duration::from_secs;
    for (cause, uptime, expected) in [
        (Cause::Exit, second(0), Startup),
        (Cause::Signal, second(29), Startup),
        (Cause::Exit, second(30), Running),
        (Cause::Exit, second(59), Running),
        (Cause::Exit, second(60), Stable),
        (Cause::StartupTimeout, second(90), Startup),
    ] {
        let report = report(cause, None, uptime);
        assert_eq!(
            stage(&options, &report),
            expected,
            "{cause} after {uptime:?}"
        );
    }
}

#[test]
fn stable_running_counts_even_within_a_long_startup_timeout() {
    let options = MonitorOptions {
        startup_timeout: Duration::from_secs(600),
        ..MonitorOptions::default()
    };
    let report = crash(Duration::from_secs(61));
    assert_eq!(stage(&options, &report), CrashStage::Stable);
}
