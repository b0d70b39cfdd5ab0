//! What may be asked, by whom, and how it all ends.

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, atomic::Ordering::SeqCst},
    task::{Context, Poll, Waker},
    time::Duration,
};

use roskva::{
    Cause, CheckOptions, HealthCheckStrategy, HealthMonitor, HealthMonitorConfig,
    HealthMonitorError, RestartDecision,
};
use tokio::time::timeout;

use crate::fake::{Act, Hall, INTERVAL, alive_tasks, exit, liveness, tcp};

#[test]
fn monitor_can_be_made_and_asked_outside_a_runtime() {
    let monitor = HealthMonitor::new(HealthMonitorConfig::default());
    let unknown = HealthMonitorError::ServiceNotFound("thor".to_owned());
    assert_eq!(monitor.get_health("thor"), Err(unknown.clone()));
    assert_eq!(
        monitor.subscribe_health_updates("thor").err(),
        Some(unknown.clone())
    );
    assert_eq!(monitor.set_maintenance("thor", true), Err(unknown));
    assert_eq!(monitor.is_ready("thor"), None);
    let decision = monitor.report_exit("thor", exit(Cause::Exit, Some(1)));
    assert_eq!(decision, RestartDecision::Success);
    monitor.suspend_checks("thor");
    monitor.reset_attempts("thor");
}

#[test]
fn monitoring_without_a_runtime_is_an_error() {
    let monitor = HealthMonitor::new(HealthMonitorConfig::default());
    let mut start = pin!(monitor.start_monitoring("thor", tcp("a")));
    let mut context = Context::from_waker(Waker::noop());
    match start.as_mut().poll(&mut context) {
        Poll::Ready(Err(HealthMonitorError::HealthCheckFailed(_))) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn senseless_options_are_refused_with_a_reason() {
    let hall = Hall::new();
    let with = |change: fn(&mut CheckOptions)| {
        let mut options = liveness("a");
        change(&mut options.liveness);
        options
    };
    for (options, reason) in [
        (with(|c| c.interval = Duration::ZERO), "interval"),
        (with(|c| c.failure_threshold = 0), "threshold"),
        (with(|c| c.success_threshold = 0), "threshold"),
        (
            with(|c| {
                c.strategy = HealthCheckStrategy::Http {
                    url: "https://a/".into(),
                    timeout: INTERVAL,
                }
            }),
            "https",
        ),
        (
            with(|c| {
                c.strategy = HealthCheckStrategy::Exec {
                    command: vec![],
                    timeout: INTERVAL,
                }
            }),
            "command",
        ),
    ] {
        let error = hall.monitor.start_monitoring_with("thor", options).await;
        match error {
            Err(HealthMonitorError::InvalidStrategy(text)) => {
                assert!(text.contains(reason), "{text}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(hall.monitor.get_health("thor").is_err());
}

#[tokio::test(start_paused = true)]
async fn one_run_is_monitored_once() {
    let hall = Hall::new();
    hall.start("thor", liveness("a")).await;
    let again = hall.monitor.start_monitoring("thor", tcp("a")).await;
    assert_eq!(
        again,
        Err(HealthMonitorError::AlreadyMonitoring("thor".to_owned()))
    );
    hall.monitor.suspend_checks("thor");
    hall.start("thor", liveness("a")).await;
    hall.crash("thor");
    hall.start("thor", liveness("a")).await;
}

#[tokio::test(start_paused = true)]
async fn timeout_of_zero_is_the_configured_one() {
    let mut hall = Hall::new();
    hall.probe.script("a:1", &[Act::Hang]);
    let address = "a:1".to_owned();
    let strategy = HealthCheckStrategy::Tcp {
        address,
        timeout: Duration::ZERO,
    };
    hall.monitor
        .start_monitoring("thor", strategy)
        .await
        .expect("starts");
    hall.checked().await;
    let health = hall.monitor.get_health("thor").expect("health");
    assert_eq!(
        health.check_strategy.timeout(),
        Some(Duration::from_secs(5))
    );
    assert!(
        health.message.contains("no answer within 5s"),
        "{}",
        health.message
    );
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_all_tasks() {
    let hall = Hall::new();
    hall.probe.script("a:1", &[Act::Hang]);
    for number in 0..10 {
        hall.start(&format!("s{number}"), liveness("a")).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(hall.probe.under_way.load(SeqCst), 10);
    assert_eq!(alive_tasks(), 11, "ten checks and the scheduler");
    hall.monitor.shutdown().await;
    assert_eq!(hall.probe.under_way.load(SeqCst), 0);
    assert_eq!(
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks(),
        0
    );
    let late = hall.monitor.start_monitoring("late", tcp("a")).await;
    assert!(matches!(
        late,
        Err(HealthMonitorError::HealthCheckFailed(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_ends_the_tasks() {
    let Hall { monitor, probe, .. } = Hall::new();
    probe.script("a:1", &[Act::Hang]);
    monitor
        .start_monitoring("thor", tcp("a"))
        .await
        .expect("starts");
    probe.is_under_way().await;
    let clone = monitor.clone();
    drop(monitor);
    tokio::task::yield_now().await;
    assert_eq!(probe.under_way.load(SeqCst), 1, "a clone is left");
    drop(clone);
    let ended = async {
        while tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
            > 0
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(60), ended)
        .await
        .expect("they end");
    assert_eq!(Arc::strong_count(&probe), 1, "and hold nothing");
}
