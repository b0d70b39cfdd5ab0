//! The end of runs, and the restarts that follow.

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use roskva::{
    Cause, CheckOptions, CrashStage, EndRequest, ExitReport, HealthEvent, HealthMonitor,
    HealthMonitorConfig, HealthStatus, MonitorOptions, MonitorPorts, RestartDecision, RestartMode,
    RestartPolicy,
};
use tokio::time::Instant;

use crate::fake::{Act, Call, FakeProbe, Hall, check, exit, liveness, restart_of, tcp};

#[tokio::test(start_paused = true)]
async fn failed_liveness_ends_the_run_once_and_checks_rest_until_the_next() {
    let mut hall = Hall::new();
    hall.probe.script("a:1", &[Act::Fail]);
    hall.start("thor", liveness("a")).await;
    let request = EndRequest {
        reason: "liveness check: not fine".to_owned(),
        will_restart: true,
        shutdown_timeout: None,
    };
    assert_eq!(
        hall.call().await,
        Some(Call::EndRun("thor".to_owned(), request))
    );
    assert_eq!(hall.status("thor"), HealthStatus::Unhealthy);
    hall.monitor.suspend_checks("thor");
    assert_eq!(hall.status("thor"), HealthStatus::Unknown);
    assert_eq!(hall.call().await, None, "once");
    assert_eq!(
        hall.probe.calls("a:1").len(),
        3,
        "no check between the kill and the new process"
    );

    let (attempt, _) = restart_of(
        hall.monitor
            .report_exit("thor", exit(Cause::Probe, Some(0))),
    );
    assert_eq!(attempt, 1);
    assert_eq!(hall.call().await, Some(Call::Restart("thor".to_owned(), 1)));
    assert_eq!(hall.probe.calls("a:1").len(), 3);
    hall.start("thor", liveness("a")).await;
    assert!(matches!(hall.call().await, Some(Call::EndRun(..))));
}

#[tokio::test(start_paused = true)]
async fn crash_is_told_with_its_attempt_and_how_far_the_run_had_come() {
    let mut hall = Hall::new();
    let mut options = MonitorOptions::default();
    options.restart.max_attempts = 2;
    for (uptime, attempt, stage) in [
        (1, 1, CrashStage::Startup),
        (31, 2, CrashStage::Running),
        (61, 1, CrashStage::Stable),
        (1, 2, CrashStage::Startup),
        (1, 0, CrashStage::Startup),
    ] {
        hall.start("thor", options.clone()).await;
        let report = ExitReport {
            uptime: Duration::from_secs(uptime),
            ..exit(Cause::Exit, Some(1))
        };
        hall.monitor.report_exit("thor", report);
        let crash = loop {
            if let HealthEvent::Crashed(crash) = hall.event().await {
                break crash;
            }
        };
        assert_eq!(
            (crash.restart_attempt, crash.stage),
            (attempt, stage),
            "{uptime} s"
        );
    }
}

/// kubelet: `terminationGracePeriodSeconds` of a probe.
#[tokio::test(start_paused = true)]
async fn check_that_ends_a_run_says_how_long_the_stop_may_take() {
    let mut hall = Hall::new();
    hall.probe.script("a:1", &[Act::Pass]);
    hall.probe.script("b:1", &[Act::Fail]);
    let timeout = |seconds| Some(Duration::from_secs(seconds));
    let mut options = liveness("a");
    options.liveness.shutdown_timeout = timeout(5);
    options.startup = Some(CheckOptions {
        shutdown_timeout: timeout(7),
        ..check("b")
    });
    hall.start("thor", options.clone()).await;
    options.startup = None;
    options.liveness.strategy = tcp("b");
    hall.start("loki", options).await;
    let mut asked = Vec::new();
    for _ in 0..2 {
        match hall.call().await {
            Some(Call::EndRun(name, request)) => asked.push((name, request.shutdown_timeout)),
            other => panic!("{other:?}"),
        }
    }
    asked.sort();
    assert_eq!(
        asked,
        [
            ("loki".to_owned(), timeout(5)),
            ("thor".to_owned(), timeout(7))
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn run_that_nobody_ends_does_not_go_unwatched() {
    let mut hall = Hall::new();
    hall.probe.script("a:1", &[Act::Fail]);
    hall.start("thor", liveness("a")).await;
    assert!(matches!(hall.call().await, Some(Call::EndRun(..))));
    let asked = Instant::now();
    assert!(matches!(hall.call().await, Some(Call::EndRun(..))));
    assert!(asked.elapsed() >= Duration::from_secs(60));
    assert_eq!(hall.probe.calls("a:1").len(), 4);
}

#[tokio::test(start_paused = true)]
async fn refused_end_of_a_run_is_asked_for_again_at_the_next_failure() {
    let mut hall = Hall::new();
    hall.owner.refuses.store(true, SeqCst);
    hall.probe.script("a:1", &[Act::Fail]);
    hall.start("thor", liveness("a")).await;
    for _ in 0..3 {
        assert!(matches!(hall.call().await, Some(Call::EndRun(..))));
    }
}

#[tokio::test(start_paused = true)]
async fn refused_end_of_a_run_is_not_asked_for_again_by_a_success() {
    let mut hall = Hall::new();
    hall.owner.refuses.store(true, SeqCst);
    use Act::{Fail, Pass};
    hall.probe.script("a:1", &[Fail, Fail, Fail, Pass]);
    let mut options = liveness("a");
    options.liveness.success_threshold = 1000;
    options.readiness = Some(check("ready"));
    hall.start("thor", options).await;
    assert!(matches!(hall.call().await, Some(Call::EndRun(..))));
    assert_eq!(hall.call().await, None);
    assert_eq!(hall.status("thor"), HealthStatus::Unhealthy);
}

#[tokio::test(start_paused = true)]
async fn without_an_owner_the_monitor_only_reports() {
    let probe = Arc::new(FakeProbe::default());
    probe.script("a:1", &[Act::Fail]);
    let ports = MonitorPorts {
        probe: Some(probe.clone()),
        ..MonitorPorts::default()
    };
    let monitor = HealthMonitor::with_ports(HealthMonitorConfig::default(), ports);
    monitor
        .start_monitoring("thor", tcp("a"))
        .await
        .expect("starts");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(probe.calls("a:1").len() > 10, "checks go on");
    assert_eq!(
        monitor.get_health("thor").expect("health").status,
        HealthStatus::Unhealthy
    );
    assert_eq!(
        restart_of(monitor.report_exit("thor", exit(Cause::Signal, None))).0,
        1
    );
}

#[tokio::test(start_paused = true)]
async fn crashes_are_restarted_with_growing_delays_and_then_given_up_once() {
    let mut hall = Hall::new();
    let options = MonitorOptions {
        restart: RestartPolicy {
            jitter: 0.0,
            ..RestartPolicy::default()
        },
        ..MonitorOptions::default()
    };
    for attempt in 1..=3 {
        hall.start("thor", options.clone()).await;
        let reported = Instant::now();
        let decision = hall.crash("thor");
        let delay = Duration::from_secs(1 << (attempt - 1));
        assert_eq!(restart_of(decision), (attempt, delay));
        assert_eq!(hall.crash("thor"), decision, "told twice, it is one end");
        let (call, at) = hall.calls.recv().await.expect("is restarted");
        assert_eq!(call, Call::Restart("thor".to_owned(), attempt));
        assert!((at - reported).abs_diff(delay) <= Duration::from_millis(2));
    }
    hall.start("thor", options).await;
    assert_eq!(hall.crash("thor"), RestartDecision::GiveUp { attempts: 3 });
    assert_eq!(hall.call().await, None, "left alone");

    let mut told = Vec::new();
    while let Ok(event) = hall.events.try_recv() {
        match event {
            HealthEvent::Crashed(crash) => told.push(format!("crash {}", crash.restart_attempt)),
            HealthEvent::RestartsExhausted { attempts, .. } => {
                told.push(format!("exhausted {attempts}"))
            }
            _ => {}
        }
    }
    assert_eq!(
        told,
        ["crash 1", "crash 2", "crash 3", "crash 0", "exhausted 3"]
    );
}

#[tokio::test(start_paused = true)]
async fn ends_that_are_no_crash_are_not_told_as_one() {
    for (report, mode, decision) in [
        (
            exit(Cause::Exit, Some(0)),
            RestartMode::OnFailure,
            RestartDecision::Success,
        ),
        (
            exit(Cause::User, None),
            RestartMode::Always,
            RestartDecision::Success,
        ),
        (
            exit(Cause::Shutdown, Some(1)),
            RestartMode::Always,
            RestartDecision::Success,
        ),
        (
            exit(Cause::Spawn, None),
            RestartMode::Always,
            RestartDecision::GiveUp { attempts: 0 },
        ),
    ] {
        let mut hall = Hall::new();
        let mut options = MonitorOptions::default();
        options.restart.mode = mode;
        hall.start("thor", options).await;
        assert_eq!(
            hall.monitor.report_exit("thor", report.clone()),
            decision,
            "{report:?}"
        );
        assert_eq!(hall.call().await, None, "{report:?}");
        while let Ok(event) = hall.events.try_recv() {
            assert!(matches!(event, HealthEvent::StatusChanged(_)), "{event:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn policy_never_ends_an_unhealthy_run_without_a_restart() {
    let mut hall = Hall::new();
    hall.probe.script("a:1", &[Act::Fail]);
    let mut options = liveness("a");
    options.restart.mode = RestartMode::Never;
    hall.start("thor", options).await;
    assert!(matches!(
        hall.call().await,
        Some(Call::EndRun(
            _,
            EndRequest {
                will_restart: false,
                ..
            }
        ))
    ));
    let decision = hall.monitor.report_exit("thor", exit(Cause::Probe, None));
    assert_eq!(decision, RestartDecision::Never);
    assert_eq!(hall.call().await, None);
}

#[tokio::test(start_paused = true)]
async fn restart_that_is_due_is_cancelled() {
    for cancel in ["stop", "reset", "user", "started"] {
        let mut hall = Hall::new();
        hall.start("thor", MonitorOptions::default()).await;
        hall.crash("thor");
        match cancel {
            "stop" => hall.monitor.stop_monitoring("thor").await,
            "reset" => hall.monitor.reset_attempts("thor"),
            "user" => {
                let decision = hall.monitor.report_exit("thor", exit(Cause::User, None));
                assert_eq!(decision, RestartDecision::Success);
            }
            _ => hall.start("thor", MonitorOptions::default()).await,
        }
        assert_eq!(hall.call().await, None, "{cancel}");
    }
}

#[tokio::test(start_paused = true)]
async fn reset_forgets_the_attempts_and_suspending_does_not() {
    let mut hall = Hall::new();
    for attempt in 1..=2 {
        hall.start("thor", MonitorOptions::default()).await;
        hall.monitor.suspend_checks("thor");
        assert_eq!(restart_of(hall.crash("thor")).0, attempt);
        hall.call().await.expect("is restarted");
    }
    hall.monitor.reset_attempts("thor");
    hall.start("thor", MonitorOptions::default()).await;
    assert_eq!(restart_of(hall.crash("thor")).0, 1);
}

#[tokio::test(start_paused = true)]
async fn stop_ends_a_restart_and_a_check_that_are_under_way() {
    let mut hall = Hall::new();
    hall.owner.hangs.store(true, SeqCst);
    hall.start("thor", MonitorOptions::default()).await;
    hall.crash("thor");
    hall.call().await.expect("the restart is under way");
    hall.monitor.stop_monitoring("thor").await;
    assert!(hall.monitor.get_health("thor").is_err());

    hall.probe.script("a:1", &[Act::Hang]);
    hall.start("thor", liveness("a")).await;
    hall.probe.is_under_way().await;
    hall.monitor.stop_monitoring("thor").await;
    assert_eq!(hall.probe.under_way.load(SeqCst), 0);
    hall.monitor.stop_monitoring("thor").await;
}

#[tokio::test(start_paused = true)]
async fn restarts_of_a_whole_hall_are_spread() {
    let mut hall = Hall::new();
    let begin = Instant::now();
    for number in 0..1000 {
        let name = format!("s{number}");
        hall.start(&name, MonitorOptions::default()).await;
        hall.crash(&name);
    }
    let mut times = Vec::new();
    while times.len() < 1000 {
        let (_, at) = hall.calls.recv().await.expect("is restarted");
        times.push(at - begin);
    }
    let within = |secs| times.iter().filter(|at| at.as_secs_f64() < secs).count();
    assert!((100..=160).contains(&within(1.2)), "{}", within(1.2));
    assert!(within(10.0) <= 610 && times[999] >= Duration::from_secs(17));
}
