//! Stopping: order, refusals, what survives.

use gladsheim_core::{GladsheimError, StartOverrides, StopOptions, WaitCondition};
use skirnir::{Cause, ServiceState};
use thjalfi::ServiceLoaderError;

use crate::hall::{events, open, restart, service};

#[tokio::test]
async fn a_stop_ends_the_checks_first_and_ends_stopped_by_the_user() {
    let (hall, script) = open(vec![service("thor", &[])]).await;
    hall.start_service("thor", StartOverrides::default())
        .await
        .unwrap();
    script.calls.lock().unwrap().clear();
    let status = hall
        .stop_service("thor", StopOptions::default())
        .await
        .unwrap();
    assert_eq!(
        (status.state, status.cause),
        (ServiceState::Stopped, Some(Cause::User))
    );
    assert_eq!((status.process_id, status.signal), (0, Some(15)));
    assert_eq!(
        script.calls(&["thjalfi", "byggvir", "roskva"]),
        [
            "roskva.stop thor",
            "thjalfi.stop thor",
            "byggvir.run_ended thor"
        ]
    );
    assert_eq!(
        events(&hall)[3..],
        [
            "service.stopping thor",
            "service.exited thor",
            "service.stopped thor"
        ]
    );
}

#[tokio::test]
async fn what_does_not_run_cannot_be_stopped_killed_or_signalled() {
    let (hall, _script) = open(vec![service("thor", &[])]).await;
    let stopped = hall.stop_service("thor", StopOptions::default()).await;
    assert!(
        matches!(stopped, Err(GladsheimError::NotRunning(_))),
        "{stopped:?}"
    );
    let killed = hall.force_kill_service("thor").await;
    assert!(
        matches!(killed, Err(GladsheimError::NotRunning(_))),
        "{killed:?}"
    );
    let unknown = hall.stop_service("odin", StopOptions::default()).await;
    assert!(
        matches!(unknown, Err(GladsheimError::ServiceNotFound(_))),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn a_stop_that_runs_out_of_time_leaves_the_service_running() {
    let (hall, script) = open(vec![service("thor", &[])]).await;
    hall.start_service("thor", StartOverrides::default())
        .await
        .unwrap();
    script.stubborn.lock().unwrap().push("thor".into());
    let error = hall
        .stop_service("thor", StopOptions::default())
        .await
        .unwrap_err();
    assert!(
        matches!(
            &error,
            GladsheimError::ServiceLoader(ServiceLoaderError::ShutdownTimeout(_))
        ),
        "{error}"
    );
    assert_eq!(
        hall.get_service_status("thor").unwrap().state,
        ServiceState::Running
    );
    // A kill does it.
    let status = hall.force_kill_service("thor").await.unwrap();
    assert_eq!(
        (status.state, status.cause),
        (ServiceState::Stopped, Some(Cause::User))
    );
}

#[tokio::test]
async fn what_others_need_is_stopped_only_by_force_and_after_them() {
    let services = vec![
        service("web", &["api"]),
        service("api", &["db"]),
        service("db", &[]),
    ];
    let (hall, script) = open(services).await;
    hall.start_service("web", StartOverrides::default())
        .await
        .unwrap();
    let error = hall
        .stop_service("db", StopOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "Service db is needed by api");
    let force = StopOptions {
        force: true,
        ..StopOptions::default()
    };
    hall.stop_service("db", force).await.unwrap();
    assert_eq!(
        script.calls(&["thjalfi.stop"]),
        ["thjalfi.stop web", "thjalfi.stop api", "thjalfi.stop db"]
    );
    let cause = |name| hall.get_service_status(name).unwrap().cause;
    assert_eq!(
        [cause("web"), cause("api"), cause("db")],
        [
            Some(Cause::Dependency),
            Some(Cause::Dependency),
            Some(Cause::User)
        ]
    );
}

#[tokio::test]
async fn a_stop_during_back_off_cancels_the_restart() {
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
    assert_eq!(
        hall.get_service_status("loki").unwrap().state,
        ServiceState::Restarting
    );
    let status = hall
        .stop_service("loki", StopOptions::default())
        .await
        .unwrap();
    assert_eq!(status.state, ServiceState::Stopped);
    assert_eq!(script.calls(&["roskva.stop"]), ["roskva.stop loki"]);
    assert_eq!(script.launches("loki"), 1);
}

#[tokio::test]
async fn shutdown_ends_checks_then_sampling_then_services_in_reverse_order() {
    let services = vec![
        service("db", &[]),
        service("api", &["db"]),
        service("web", &["api"]),
    ];
    let (hall, script) = open(services).await;
    hall.start_service("web", StartOverrides::default())
        .await
        .unwrap();
    script.calls.lock().unwrap().clear();
    let (first, second) = tokio::join!(hall.shutdown(), hall.shutdown());
    first.unwrap();
    second.unwrap();
    assert_eq!(
        script.calls(&["thjalfi.stop", "byggvir.stop", "roskva.shutdown"]),
        [
            "roskva.shutdown ",
            "byggvir.stop_monitoring ",
            "thjalfi.stop web",
            "thjalfi.stop api",
            "thjalfi.stop db"
        ]
    );
    let refused = hall.start_service("db", StartOverrides::default()).await;
    assert!(
        matches!(refused, Err(GladsheimError::NotOpen(_))),
        "{refused:?}"
    );
}
