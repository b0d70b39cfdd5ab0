//! Ends that nobody asked for, and what follows.

use std::{os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};

use gladsheim_core::{GladsheimError, StartOverrides, WaitCondition};
use roskva::RestartDecision;
use skirnir::{Cause, ServiceState};

use crate::hall::{events, open, restart, service};

#[tokio::test]
async fn a_crash_is_reported_with_its_exit_and_the_policy_decides() {
    for (decision, state) in [
        (RestartDecision::Success, ServiceState::Stopped),
        (RestartDecision::Never, ServiceState::Crashed),
        (
            RestartDecision::GiveUp { attempts: 3 },
            ServiceState::Failed,
        ),
        (restart(1, 60), ServiceState::Restarting),
    ] {
        let (hall, script) = open(vec![service("loki", &[])]).await;
        script
            .decisions
            .lock()
            .unwrap()
            .insert("loki".into(), decision);
        hall.start_service("loki", StartOverrides::default())
            .await
            .unwrap();
        script.exit("loki", 3);
        let status = hall.wait_for("loki", WaitCondition::Exited).await.unwrap();
        assert_eq!(
            (status.state, status.exit_code),
            (state, Some(3)),
            "{decision:?}"
        );
        assert_eq!(status.cause, Some(Cause::Exit));
        assert_eq!(status.process_id, 0);
        assert_eq!(
            status.next_attempt_at.is_some(),
            state == ServiceState::Restarting
        );
        assert_eq!(
            script.calls(&["byggvir.run_ended", "roskva.report"]),
            ["byggvir.run_ended loki", "roskva.report_exit loki exit"]
        );
        let ends = events(&hall)
            .iter()
            .filter(|event| *event == "service.exited loki")
            .count();
        assert_eq!(ends, 1);
    }
}

#[tokio::test]
async fn a_kill_for_want_of_memory_is_told_apart_from_the_leaders_own_end() {
    for (raw, oom_kills, cause) in [
        (9, 2, Cause::Oom),
        (9, 0, Cause::Signal),
        // A child was killed, and its parent ended of that by itself.
        (137 << 8, 1, Cause::Exit),
        (15, 1, Cause::Signal),
    ] {
        let (hall, script) = open(vec![service("fenrir", &[])]).await;
        hall.start_service("fenrir", StartOverrides::default())
            .await
            .unwrap();
        script.out_of_memory("fenrir", ExitStatus::from_raw(raw), oom_kills);
        let status = hall
            .wait_for("fenrir", WaitCondition::Exited)
            .await
            .unwrap();
        assert_eq!(status.cause, Some(cause), "{raw} {oom_kills}");
        let said = status.error_message.unwrap_or_default();
        assert_eq!(said.contains("want of memory"), oom_kills > 0, "{said}");
    }
}

#[tokio::test]
async fn a_restart_by_hand_leaves_dependents_running_and_is_not_counted() {
    let (hall, script) = open(vec![service("web", &["db"]), service("db", &[])]).await;
    hall.start_service("web", StartOverrides::default())
        .await
        .unwrap();
    let status = hall.restart_service("db").await.unwrap();
    assert_eq!(
        (status.state, status.generation),
        (ServiceState::Running, 2)
    );
    assert_eq!((status.restart_count, status.cause), (0, Some(Cause::User)));
    assert_eq!(hall.get_service_status("web").unwrap().generation, 1);
    assert_eq!(script.launches("db"), 2);
    let about_db: Vec<_> = events(&hall)
        .into_iter()
        .filter(|event| event.ends_with(" db"))
        .skip(3)
        .collect();
    assert_eq!(
        about_db,
        [
            "service.restarting db",
            "service.exited db",
            "service.starting db",
            "service.started db",
            "service.ready db"
        ]
    );
}

#[tokio::test]
async fn a_restart_of_what_does_not_run_starts_it() {
    let (hall, script) = open(vec![service("thor", &[])]).await;
    let status = hall.restart_service("thor").await.unwrap();
    assert_eq!(status.state, ServiceState::Running);
    assert_eq!(script.launches("thor"), 1);
}

#[tokio::test]
async fn a_start_during_back_off_starts_at_once() {
    let (hall, script) = open(vec![service("loki", &[])]).await;
    script
        .decisions
        .lock()
        .unwrap()
        .insert("loki".into(), restart(1, 60));
    hall.start_service("loki", StartOverrides::default())
        .await
        .unwrap();
    script.exit("loki", 3);
    hall.wait_for("loki", WaitCondition::Exited).await.unwrap();
    let status = hall
        .start_service("loki", StartOverrides::default())
        .await
        .unwrap();
    assert_eq!(
        (status.state, status.generation),
        (ServiceState::Running, 2)
    );
    assert_eq!(status.restart_count, 0);
}

#[tokio::test]
async fn a_reset_makes_a_failed_service_stopped() {
    let (hall, script) = open(vec![service("loki", &[])]).await;
    let decision = RestartDecision::GiveUp { attempts: 3 };
    script
        .decisions
        .lock()
        .unwrap()
        .insert("loki".into(), decision);
    hall.start_service("loki", StartOverrides::default())
        .await
        .unwrap();
    script.exit("loki", 3);
    hall.wait_for("loki", WaitCondition::Exited).await.unwrap();
    let waiting = hall.wait_for("loki", WaitCondition::Healthy).await;
    assert!(
        matches!(waiting, Err(GladsheimError::WaitFailed { .. })),
        "{waiting:?}"
    );
    hall.reset_service("loki").await.unwrap();
    assert_eq!(
        hall.get_service_status("loki").unwrap().state,
        ServiceState::Stopped
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_watchdog_ends_the_run_and_the_policy_decides() {
    for (triggers, message) in [
        (false, "watchdog: no WATCHDOG=1 for 10s"),
        (true, "watchdog: WATCHDOG=trigger"),
    ] {
        let mut loki = service("loki", &[]);
        loki.start.watchdog = Some(Duration::from_secs(10));
        let (hall, script) = open(vec![loki]).await;
        let decision = restart(1, 60);
        script
            .decisions
            .lock()
            .unwrap()
            .insert("loki".into(), decision);
        hall.start_service("loki", StartOverrides::default())
            .await
            .unwrap();
        if triggers {
            script.processes.lock().unwrap()["loki"][0].trigger_watchdog();
        }
        let status = hall.wait_for("loki", WaitCondition::Exited).await.unwrap();
        assert_eq!(status.state, ServiceState::Restarting);
        assert_eq!(status.cause, Some(Cause::Watchdog));
        assert_eq!(status.error_message.as_deref(), Some(message));
        assert_eq!(
            script.calls(&["roskva.suspend", "thjalfi.stop", "roskva.report"]),
            [
                "roskva.suspend loki",
                "thjalfi.stop loki",
                "roskva.report_exit loki watchdog"
            ]
        );
    }
}
