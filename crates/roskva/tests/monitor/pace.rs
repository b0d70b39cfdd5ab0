//! Intervals while the machine is to be left alone.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use roskva::{CheckOptions, HealthEvent};
use tokio::time::Instant;

use crate::fake::{Act, Call, Hall, INTERVAL, ROUND, check, liveness};

/// Longest time between two checks that are stretched by four.
const LONG_ROUND: Duration = Duration::from_millis(21_010);

#[tokio::test(start_paused = true)]
async fn checks_that_pass_are_stretched_and_failures_are_counted_at_the_usual_pace() {
    let mut hall = Hall::new();
    hall.machine.stretch.store(4, SeqCst);
    hall.probe.script(
        "a:1",
        &[Act::Pass, Act::Pass, Act::Pass, Act::Pass, Act::Fail],
    );
    hall.start("thor", liveness("a")).await;
    let Some(Call::EndRun(..)) = hall.call().await else {
        panic!("three failures end it");
    };
    let calls = hall.probe.calls("a:1");
    let gaps: Vec<_> = calls.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // What comes after a check is decided when that check has ended.
    for (number, gap) in gaps.iter().enumerate() {
        let stretched = number < 4;
        let least = INTERVAL.mul_f64(0.949) * if stretched { 4 } else { 1 };
        let most = if stretched { LONG_ROUND } else { ROUND };
        assert!(
            (least..=most).contains(gap) || number == 0,
            "{number}: {gaps:?}"
        );
    }
    assert_eq!(gaps.len(), 6, "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_start_waits_no_longer_for_its_checks() {
    let mut hall = Hall::new();
    hall.machine.stretch.store(4, SeqCst);
    let slow_to_pass = |name: &str| {
        hall.probe
            .script(&format!("{name}:1"), &[Act::Fail, Act::Pass]);
        CheckOptions {
            success_threshold: 3,
            ..check(name)
        }
    };
    let mut options = liveness("a");
    options.startup = Some(slow_to_pass("up"));
    options.readiness = Some(slow_to_pass("ready"));
    let begin = Instant::now();
    hall.start("thor", options).await;
    while !matches!(
        hall.event().await,
        HealthEvent::ReadinessChanged { ready: true, .. }
    ) {}
    let longest = (ROUND * 3 + Duration::from_millis(101)) * 2;
    assert!(begin.elapsed() <= longest, "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_usual_pace_comes_back_with_the_next_check() {
    let mut hall = Hall::new();
    hall.machine.stretch.store(4, SeqCst);
    hall.start("thor", liveness("a")).await;
    hall.checked_times(4).await;
    hall.machine.stretch.store(0, SeqCst);
    hall.checked_times(3).await;
    let calls = hall.probe.calls("a:1");
    let gap = |number: usize| calls[number + 1] - calls[number];
    assert!(gap(2) > ROUND && gap(3) > ROUND, "{calls:?}");
    assert!(gap(4) <= ROUND && gap(5) <= ROUND, "{calls:?}");
}
