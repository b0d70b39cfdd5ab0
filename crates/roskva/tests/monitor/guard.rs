//! The load guard: failed checks while the machine starves.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use roskva::{EndRequest, HealthEvent, HealthMonitorConfig, HealthStatus};
use tokio::time::Instant;

use crate::fake::{Act, Call, Hall, INTERVAL, ROUND, liveness, restart_of};

/// A service whose checks fail from the start, and whose machine starves.
async fn starving_hall(acts: &[Act]) -> Hall {
    let hall = Hall::new();
    hall.machine.starves.store(true, SeqCst);
    hall.probe.script("a:1", acts);
    hall.start("thor", liveness("a")).await;
    hall
}

impl Hall {
    /// The next postponement, and whatever ends the wait for it.
    async fn postponed(&mut self) -> Option<String> {
        loop {
            match self.event().await {
                HealthEvent::RestartPostponed { reason, .. } => return Some(reason),
                HealthEvent::Crashed(_) => return None,
                _ => {}
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn failure_under_starvation_is_told_but_ends_the_run_only_at_the_bound() {
    let mut hall = starving_hall(&[Act::Fail]).await;
    let begin = Instant::now();
    let status = hall.checked_times(3).await;
    let crossed = begin.elapsed();
    assert_eq!(status, HealthStatus::Unhealthy, "the verdict is told");
    let health = hall.monitor.get_health("thor").expect("health");
    assert!(
        health.message.contains(
            "not fine; restart postponed by at most 30 s more: the machine starves: 90 %"
        ),
        "{}",
        health.message
    );
    let Some(Call::EndRun(name, EndRequest { reason, .. })) = hall.call().await else {
        panic!("is ended in the end");
    };
    assert_eq!(name, "thor");
    assert!(reason.contains("not fine"), "{reason}");
    let postponed = begin.elapsed() - crossed;
    let bound = Duration::from_secs(30);
    assert!(
        postponed >= bound - Duration::from_millis(10),
        "{postponed:?}"
    );
    assert!(
        postponed <= bound + Duration::from_millis(10),
        "{postponed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn postponement_is_told_once_for_a_row_of_failures() {
    use Act::{Fail, Pass};
    let acts = [Fail, Fail, Fail, Fail, Fail, Pass, Fail, Fail, Fail];
    let mut hall = starving_hall(&acts).await;
    for _ in 0..2 {
        let reason = hall.postponed().await.expect("is postponed");
        assert!(reason.contains("memory"), "{reason}");
    }
    assert_eq!(
        hall.probe.calls("a:1").len(),
        9,
        "at the third and the ninth"
    );
}

#[tokio::test(start_paused = true)]
async fn first_failure_after_the_starvation_ends_the_run() {
    let mut hall = starving_hall(&[Act::Fail]).await;
    hall.postponed().await;
    hall.machine.starves.store(false, SeqCst);
    let begin = Instant::now();
    assert!(matches!(hall.call().await, Some(Call::EndRun(..))));
    let waited = begin.elapsed();
    assert!(waited <= ROUND && waited >= INTERVAL / 2, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn recovery_under_starvation_leaves_the_run_alone() {
    use Act::{Fail, Pass};
    let mut hall = starving_hall(&[Fail, Fail, Fail, Pass]).await;
    hall.postponed().await;
    assert_eq!(hall.call().await, None, "never ended");
    assert_eq!(hall.status("thor"), HealthStatus::Healthy);
}

#[tokio::test(start_paused = true)]
async fn exit_is_a_fact_that_no_guard_masks() {
    let mut hall = starving_hall(&[Act::Fail]).await;
    hall.postponed().await;
    let (attempt, delay) = restart_of(hall.crash("thor"));
    assert_eq!(attempt, 1);
    assert!(delay <= Duration::from_millis(1100), "{delay:?}");
    assert_eq!(
        hall.call().await,
        Some(Call::Restart("thor".to_owned(), 1)),
        "and the postponed end is forgotten"
    );
    assert_eq!(hall.call().await, None);
}

#[tokio::test(start_paused = true)]
async fn guard_can_be_turned_off() {
    let mut hall = Hall::with(HealthMonitorConfig {
        load_guard: false,
        ..HealthMonitorConfig::default()
    });
    hall.machine.starves.store(true, SeqCst);
    hall.probe.script("a:1", &[Act::Fail]);
    let begin = Instant::now();
    hall.start("thor", liveness("a")).await;
    assert!(matches!(hall.call().await, Some(Call::EndRun(..))));
    assert!(begin.elapsed() <= ROUND * 2 + Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn late_scheduler_is_starvation_too() {
    let mut hall = Hall::new();
    hall.probe.script("a:1", &[Act::Fail]);
    hall.start("thor", liveness("a")).await;
    hall.checked_times(2).await;
    // As if this process had not been scheduled: the third check comes seconds too late.
    tokio::time::advance(INTERVAL + Duration::from_secs(2)).await;
    let reason = hall.postponed().await.expect("is postponed");
    assert!(reason.contains("the daemon runs"), "{reason}");
}
