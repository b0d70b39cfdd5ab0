//! What checks say: thresholds, start period, start-up gate, readiness, process checks.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use roskva::{CheckOptions, EndRequest, HealthEvent, HealthStatus, MonitorOptions};
use tokio::time::Instant;

use crate::fake::{Act, Call, Hall, INTERVAL, ROUND, check, liveness};

#[tokio::test(start_paused = true)]
async fn checking_is_seen_only_before_the_first_check() {
    let mut hall = Hall::new();
    hall.probe.script("a:1", &[Act::Hang, Act::Pass, Act::Hang]);
    hall.start("thor", liveness("a")).await;
    assert_eq!(hall.status("thor"), HealthStatus::Unknown);
    hall.probe.is_under_way().await;
    assert_eq!(hall.status("thor"), HealthStatus::Checking);
    hall.checked_times(2).await;
    hall.probe.is_under_way().await;
    assert_eq!(
        hall.status("thor"),
        HealthStatus::Healthy,
        "the last verdict stays"
    );
}

#[tokio::test(start_paused = true)]
async fn third_failure_is_unhealthy_and_success_heals() {
    let mut hall = Hall::new();
    hall.owner.refuses.store(true, SeqCst);
    use Act::{Fail, Hang, Panic, Pass};
    hall.probe
        .script("a:1", &[Pass, Fail, Panic, Hang, Fail, Pass]);
    hall.start("thor", liveness("a")).await;
    use HealthStatus::{Healthy, Timeout};
    for (status, failures) in [
        (Healthy, 0),
        (Healthy, 1),
        (Healthy, 2),
        (Timeout, 3),
        (Timeout, 4),
        (Healthy, 0),
    ] {
        assert_eq!(hall.checked().await, status);
        let health = hall.monitor.get_health("thor").expect("health");
        assert_eq!(health.consecutive_failures, failures);
    }
}

#[tokio::test(start_paused = true)]
async fn failures_in_the_start_period_do_not_count() {
    let mut hall = Hall::new();
    hall.probe.script("a:1", &[Act::Fail]);
    let mut options = liveness("a");
    options.liveness.start_period = Duration::from_secs(60);
    let begin = Instant::now();
    hall.start("thor", options).await;
    let Some(Call::EndRun(_, EndRequest { reason, .. })) = hall.call().await else {
        panic!("is ended");
    };
    assert_eq!(reason, "liveness check: not fine");
    let after = begin.elapsed();
    assert!(
        after >= Duration::from_secs(60) + 2 * INTERVAL.mul_f64(0.9)
            && after <= Duration::from_secs(60) + 3 * ROUND
    );
}

#[tokio::test(start_paused = true)]
async fn process_check_follows_the_process_without_waking_anybody() {
    let hall = Hall::new();
    let options = MonitorOptions {
        readiness: Some(CheckOptions::default()),
        ..MonitorOptions::default()
    };
    hall.start("thor", options.clone()).await;
    assert_eq!(hall.status("thor"), HealthStatus::Healthy);
    assert_eq!(hall.monitor.is_ready("thor"), Some(true));
    let health = hall.monitor.check_health_now("thor").await.expect("runs");
    let ahead = health
        .next_check
        .duration_since(health.last_check)
        .expect("ahead");
    assert!(ahead.abs_diff(INTERVAL) < Duration::from_millis(10));
    // Not even the scheduler exists.
    assert_eq!(
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks(),
        0
    );

    hall.monitor.suspend_checks("thor");
    hall.monitor
        .set_maintenance("thor", true)
        .expect("is known");
    hall.start("thor", options).await;
    assert_eq!(
        hall.status("thor"),
        HealthStatus::Healthy,
        "in maintenance too"
    );
    hall.alive.0.store(false, SeqCst);
    assert_eq!(hall.status("thor"), HealthStatus::Unhealthy);
    assert_eq!(hall.monitor.is_ready("thor"), Some(false));
    hall.crash("thor");
    assert_eq!(hall.status("thor"), HealthStatus::Unknown);
}

#[tokio::test(start_paused = true)]
async fn liveness_and_readiness_wait_for_the_startup_check() {
    let mut hall = Hall::new();
    hall.probe
        .script("up:1", &[Act::Fail, Act::Fail, Act::Pass]);
    hall.probe.script("a:1", &[Act::Fail]);
    let mut options = liveness("a");
    options.startup = Some(check("up"));
    options.readiness = Some(check("ready"));
    hall.start("thor", options).await;

    hall.checked_times(2).await;
    assert!(hall.probe.calls("a:1").is_empty() && hall.probe.calls("ready:1").is_empty());
    hall.checked().await;
    assert_eq!(hall.monitor.is_ready("thor"), Some(false));
    let Some(Call::EndRun(_, EndRequest { reason, .. })) = hall.call().await else {
        panic!("then it bites");
    };
    assert!(reason.starts_with("liveness"), "{reason}");
    let passed = hall.probe.calls("up:1");
    assert_eq!(passed.len(), 3, "a startup check that has passed is over");
    assert!(hall.probe.calls("ready:1")[0] - passed[2] <= Duration::from_millis(101));
}

#[tokio::test(start_paused = true)]
async fn failing_startup_ends_the_run_though_liveness_would_pass() {
    let mut hall = Hall::new();
    hall.probe.script("up:1", &[Act::Fail]);
    let mut options = liveness("a");
    options.startup = Some(check("up"));
    hall.start("thor", options).await;
    let Some(Call::EndRun(_, EndRequest { reason, .. })) = hall.call().await else {
        panic!("is ended");
    };
    assert!(reason.starts_with("startup"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn failing_readiness_never_ends_a_run() {
    let mut hall = Hall::new();
    hall.probe.script(
        "ready:1",
        &[
            Act::Pass,
            Act::Fail,
            Act::Fail,
            Act::Fail,
            Act::Pass,
            Act::Fail,
        ],
    );
    let options = MonitorOptions {
        readiness: Some(check("ready")),
        ..MonitorOptions::default()
    };
    hall.start("thor", options).await;
    let mut changes = Vec::new();
    while changes.len() < 4 {
        if let HealthEvent::ReadinessChanged { ready, .. } = hall.event().await {
            changes.push(ready);
        }
    }
    assert_eq!(changes, [true, false, true, false]);
    assert_eq!(hall.status("thor"), HealthStatus::Healthy);
    assert_eq!(hall.call().await, None);
}

#[tokio::test(start_paused = true)]
async fn stopping_service_is_not_ready() {
    let mut hall = Hall::new();
    let options = MonitorOptions {
        readiness: Some(check("ready")),
        ..MonitorOptions::default()
    };
    hall.start("thor", options).await;
    while !matches!(
        hall.event().await,
        HealthEvent::ReadinessChanged { ready: true, .. }
    ) {}
    hall.monitor.suspend_checks("thor");
    assert_eq!(hall.monitor.is_ready("thor"), Some(false));
    while !matches!(
        hall.event().await,
        HealthEvent::ReadinessChanged { ready: false, .. }
    ) {}
}
