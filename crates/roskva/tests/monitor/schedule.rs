//! When checks run.

use std::{
    sync::atomic::Ordering::SeqCst,
    time::{Duration, SystemTime},
};

use roskva::{HealthMonitorError, HealthStatus};
use tokio::time::{Instant, timeout};

use crate::fake::{Act, Hall, INTERVAL, ROUND, liveness};

#[tokio::test(start_paused = true)]
async fn first_check_comes_promptly_and_then_by_the_interval() {
    let mut hall = Hall::new();
    let begin = Instant::now();
    hall.start("thor", liveness("a")).await;
    hall.checked_times(50).await;
    let calls = hall.probe.calls("a:1");
    assert!(calls[0] - begin <= Duration::from_millis(101));
    for pair in calls.windows(2) {
        let gap = pair[1] - pair[0];
        assert!(gap >= INTERVAL.mul_f64(0.949) && gap <= ROUND, "{gap:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn next_check_is_true_to_the_schedule() {
    let mut hall = Hall::new();
    hall.start("thor", liveness("a")).await;
    for _ in 0..10 {
        hall.checked().await;
        let health = hall.monitor.get_health("thor").expect("health");
        let told = health
            .next_check
            .duration_since(SystemTime::now())
            .expect("lies ahead");
        let asked = Instant::now();
        hall.checked().await;
        let found = *hall.probe.calls("a:1").last().expect("was called") - asked;
        assert!(
            found.abs_diff(told) < Duration::from_millis(100),
            "{found:?} {told:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn checks_of_one_service_never_overlap() {
    let mut hall = Hall::new();
    hall.probe.script("a:1", &[Act::Hang]);
    let mut options = liveness("a");
    options.liveness.interval = Duration::from_millis(100);
    options.liveness.failure_threshold = 100;
    hall.start("thor", options).await;
    let monitor = hall.monitor.clone();
    let (now, _) = tokio::join!(monitor.check_health_now("thor"), hall.checked_times(5));
    now.expect("the service runs");
    assert_eq!(hall.probe.most_under_way.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn thousand_hanging_checks_are_carried_out_a_few_at_a_time() {
    let mut hall = Hall::new();
    hall.probe.script("a:1", &[Act::Hang]);
    for number in 0..1000 {
        hall.start(&format!("s{number}"), liveness("a")).await;
    }
    hall.checked_times(1000).await;
    assert_eq!(hall.probe.most_under_way.load(SeqCst), 64);
}

#[tokio::test(start_paused = true)]
async fn check_now_leaves_the_schedule_alone() {
    let mut hall = Hall::new();
    hall.start("thor", liveness("a")).await;
    hall.checked().await;
    let first = hall.probe.calls("a:1")[0];
    tokio::time::sleep(Duration::from_secs(3)).await;
    let health = hall.monitor.check_health_now("thor").await.expect("runs");
    assert_eq!(
        (health.status, health.message.as_str()),
        (HealthStatus::Healthy, "fine")
    );
    hall.checked_times(2).await;
    let calls = hall.probe.calls("a:1");
    assert_eq!(calls.len(), 3);
    assert!(calls[2] - first <= ROUND);
}

#[tokio::test(start_paused = true)]
async fn dropped_check_now_changes_nothing() {
    let mut hall = Hall::new();
    hall.start("thor", liveness("a")).await;
    hall.checked().await;
    hall.probe.script("a:1", &[Act::Hang, Act::Pass]);
    let before = hall.monitor.get_health("thor").expect("health");
    let impatient = timeout(
        Duration::from_millis(10),
        hall.monitor.check_health_now("thor"),
    )
    .await;
    assert!(impatient.is_err());
    let after = hall.monitor.get_health("thor").expect("health");
    assert_eq!(
        (after.status, after.last_check),
        (before.status, before.last_check)
    );
    assert_eq!(hall.checked().await, HealthStatus::Healthy);
}

#[tokio::test(start_paused = true)]
async fn check_now_of_a_service_that_does_not_run_says_so() {
    let hall = Hall::new();
    hall.start("thor", liveness("a")).await;
    hall.monitor.suspend_checks("thor");
    let error = hall.monitor.check_health_now("thor").await;
    assert!(
        matches!(error, Err(HealthMonitorError::HealthCheckFailed(_))),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn maintenance_rests_checks_and_keeps_the_verdict() {
    let mut hall = Hall::new();
    hall.start("thor", liveness("a")).await;
    hall.checked().await;
    hall.probe.script("a:1", &[Act::Fail]);
    hall.monitor
        .set_maintenance("thor", true)
        .expect("is monitored");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(hall.probe.calls("a:1").len(), 1);
    assert_eq!(hall.status("thor"), HealthStatus::Healthy);
    for _ in 0..5 {
        hall.monitor.check_health_now("thor").await.expect("runs");
    }
    assert_eq!(hall.status("thor"), HealthStatus::Unhealthy);
    assert!(
        hall.calls.try_recv().is_err(),
        "nothing is ended in maintenance"
    );

    hall.probe.script("a:1", &[Act::Pass]);
    hall.monitor
        .set_maintenance("thor", false)
        .expect("is monitored");
    assert_eq!(hall.checked_times(6).await, HealthStatus::Healthy);
}
