//! Starting: order, roll-back, meetings.

use std::time::Duration;

use gladsheim_core::{
    Dependency, DependencyCondition, Gladsheim, GladsheimConfig, GladsheimError, ServiceDefinition,
    StartOverrides, StopOptions, WaitCondition,
};
use skirnir::{Cause, ServiceState};
use thjalfi::{Readiness, ServiceLoaderError};

use crate::hall::{events, open, service};

fn slow(name: &str) -> ServiceDefinition {
    let mut service = service(name, &[]);
    service.start.readiness = Readiness::Notify;
    service.start.startup_timeout = Duration::from_secs(30);
    service
}

#[tokio::test]
async fn a_start_asks_the_servants_in_order_and_ends_running() {
    let (hall, script) = open(vec![service("thor", &[])]).await;
    let status = hall
        .start_service("thor", StartOverrides::default())
        .await
        .unwrap();
    assert_eq!(status.state, ServiceState::Running);
    assert_eq!(
        (status.process_id, status.generation, status.ready),
        (100, 1, true)
    );
    assert_eq!(
        script.calls(&["thjalfi", "byggvir", "roskva"]),
        [
            "thjalfi.launch thor",
            "byggvir.track thor",
            "roskva.start thor"
        ]
    );
    assert_eq!(
        events(&hall),
        [
            "service.starting thor",
            "service.started thor",
            "service.ready thor"
        ]
    );
}

#[tokio::test]
async fn a_launch_that_fails_leaves_nothing_behind_and_is_not_retried() {
    let (hall, script) = open(vec![service("thor", &[])]).await;
    script
        .refuse
        .lock()
        .unwrap()
        .insert("thor".into(), "thor: exec /x: ENOENT".into());
    let error = hall
        .start_service("thor", StartOverrides::default())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, GladsheimError::ServiceLoader(ServiceLoaderError::SpawnFailed(text)) if text.contains("ENOENT")),
        "{error}"
    );
    let status = hall.get_service_status("thor").unwrap();
    assert_eq!(status.state, ServiceState::Failed);
    assert_eq!((status.process_id, status.cause), (0, Some(Cause::Spawn)));
    assert_eq!(
        script.calls(&["thjalfi", "byggvir", "roskva"]),
        ["thjalfi.launch thor"]
    );
    // And it can be started once the reason is gone.
    script.refuse.lock().unwrap().clear();
    hall.start_service("thor", StartOverrides::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_second_start_while_the_first_is_under_way_is_refused() {
    let (hall, script) = open(vec![slow("thor")]).await;
    let first = hall.start_service("thor", StartOverrides::default());
    let second = async {
        hall.wait_for("thor", WaitCondition::Exited).await.ok(); // never: both are polled
    };
    tokio::pin!(first, second);
    // Until the process is there, and the first start waits for readiness.
    while script.launches("thor") == 0 {
        tokio::select! { biased; _ = &mut first => panic!("not ready yet"), () = &mut second => {}, () = tokio::task::yield_now() => {} }
    }
    let error = hall
        .start_service("thor", StartOverrides::default())
        .await
        .unwrap_err();
    assert!(
        matches!(error, GladsheimError::AlreadyRunning(_)),
        "{error}"
    );
    script.ready("thor");
    assert_eq!(first.await.unwrap().state, ServiceState::Running);
    assert_eq!(script.launches("thor"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_never_ready_is_killed_at_its_timeout() {
    let (hall, script) = open(vec![slow("thor")]).await;
    let error = hall
        .start_service("thor", StartOverrides::default())
        .await
        .unwrap_err();
    assert!(
        matches!(
            &error,
            GladsheimError::ServiceLoader(ServiceLoaderError::StartupTimeout(_))
        ),
        "{error}"
    );
    assert_eq!(
        script.calls(&["thjalfi", "roskva.report"]),
        [
            "thjalfi.launch thor",
            "thjalfi.kill thor",
            "roskva.report_exit thor startup_timeout"
        ]
    );
    let status = hall.get_service_status("thor").unwrap();
    assert_eq!(
        (status.state, status.cause),
        (ServiceState::Crashed, Some(Cause::StartupTimeout))
    );
}

#[tokio::test]
async fn a_run_that_ends_before_it_is_ready_fails_the_start_with_its_exit() {
    let (hall, script) = open(vec![slow("thor")]).await;
    let starting = hall.start_service("thor", StartOverrides::default());
    let ending = async {
        while script.launches("thor") == 0 {
            tokio::task::yield_now().await;
        }
        script.exit("thor", 7);
    };
    let (outcome, ()) = tokio::join!(starting, ending);
    let error = outcome.unwrap_err().to_string();
    assert!(
        error.contains("ended before it was ready: exit code 7"),
        "{error}"
    );
    let status = hall.get_service_status("thor").unwrap();
    assert_eq!(
        (status.state, status.exit_code),
        (ServiceState::Crashed, Some(7))
    );
}

#[tokio::test]
async fn a_stop_overtakes_a_start_that_waits_for_readiness() {
    let (hall, script) = open(vec![slow("thor")]).await;
    let starting = hall.start_service("thor", StartOverrides::default());
    let stopping = async {
        while script.launches("thor") == 0 {
            tokio::task::yield_now().await;
        }
        hall.stop_service("thor", StopOptions::default()).await
    };
    let (started, stopped) = tokio::join!(starting, stopping);
    assert!(
        matches!(started, Err(GladsheimError::Overtaken(_))),
        "{started:?}"
    );
    assert_eq!(stopped.unwrap().state, ServiceState::Stopped);
}

#[tokio::test]
async fn dependencies_start_first_each_once() {
    let services = vec![
        service("web", &["api", "cache"]),
        service("api", &["db"]),
        service("cache", &["db"]),
        service("db", &[]),
        service("bystander", &[]),
    ];
    let (hall, script) = open(services).await;
    hall.start_service("web", StartOverrides::default())
        .await
        .unwrap();
    let launches = script.calls(&["thjalfi.launch"]);
    assert_eq!(launches.len(), 4, "{launches:?}");
    assert_eq!(launches[0], "thjalfi.launch db");
    assert_eq!(launches[3], "thjalfi.launch web");
    assert_eq!(
        hall.get_service_status("bystander").unwrap().state,
        ServiceState::Stopped
    );
}

#[tokio::test]
async fn a_required_dependency_that_fails_leaves_its_dependents_stopped_with_the_reason() {
    let (hall, script) = open(vec![service("web", &["db"]), service("db", &[])]).await;
    script
        .refuse
        .lock()
        .unwrap()
        .insert("db".into(), "no such file".into());
    let error = hall
        .start_service("web", StartOverrides::default())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, GladsheimError::DependencyFailed { .. }),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("db is failed: Process spawn failed: no such file"),
        "{error}"
    );
    let status = hall.get_service_status("web").unwrap();
    assert_eq!(
        (status.state, status.cause),
        (ServiceState::Stopped, Some(Cause::Dependency))
    );
    assert_eq!(script.launches("web"), 0);
}

#[tokio::test]
async fn a_soft_dependency_that_fails_does_not_matter() {
    let mut web = service("web", &[]);
    web.depends_on.push(Dependency {
        service_name: "db".into(),
        condition: DependencyCondition::Ready,
        required: false,
    });
    let (hall, script) = open(vec![web, service("db", &[])]).await;
    script
        .refuse
        .lock()
        .unwrap()
        .insert("db".into(), "no such file".into());
    let status = hall
        .start_service("web", StartOverrides::default())
        .await
        .unwrap();
    assert_eq!(status.state, ServiceState::Running);
}

#[tokio::test]
async fn a_stop_of_a_service_that_waits_for_a_dependency_ends_the_wait() {
    let mut web = service("web", &[]);
    web.depends_on.push(Dependency {
        service_name: "db".into(),
        condition: DependencyCondition::Ready,
        required: true,
    });
    let (hall, script) = open(vec![web, slow("db")]).await;
    let starting = hall.start_service("web", StartOverrides::default());
    let stopping = async {
        while script.launches("db") == 0 {
            tokio::task::yield_now().await;
        }
        hall.stop_service("web", StopOptions::default()).await
    };
    let (started, stopped) = tokio::join!(starting, stopping);
    assert!(
        matches!(started, Err(GladsheimError::Overtaken(_))),
        "{started:?}"
    );
    assert_eq!(stopped.unwrap().state, ServiceState::Stopped);
    // The dependency goes on, and becoming ready starts nobody by surprise.
    script.ready("db");
    hall.wait_for("db", WaitCondition::Ready).await.unwrap();
    assert_eq!(script.launches("web"), 0);
}

#[tokio::test]
async fn a_bring_up_tells_of_every_service_and_one_failure_stops_no_other() {
    let services = vec![
        service("a", &[]),
        service("b", &["c"]),
        service("c", &[]),
        service("d", &[]),
    ];
    let (hall, script) = open(services).await;
    script
        .refuse
        .lock()
        .unwrap()
        .insert("c".into(), "broken".into());
    let mut progress = hall.bring_up(&[]).unwrap();
    let mut outcomes = Vec::new();
    while let Some(one) = progress.recv().await {
        outcomes.push((one.service_name, one.result.is_ok()));
    }
    outcomes.sort();
    let expected = [("a", true), ("b", false), ("c", false), ("d", true)];
    assert_eq!(outcomes, expected.map(|(name, up)| (name.to_owned(), up)));
    // Of the whole hall, not of single names, and after all else.
    let ready = |events: &[String]| events.iter().filter(|event| *event == "hall.ready").count();
    let events = events(&hall);
    assert_eq!(
        (ready(&events), events.last().unwrap().as_str()),
        (1, "hall.ready")
    );
    let mut progress = hall.bring_up(&["a".to_owned()]).unwrap();
    while progress.recv().await.is_some() {}
    assert_eq!(ready(&crate::hall::events(&hall)), 1);
}

#[tokio::test]
async fn an_empty_hall_is_ready_at_once() {
    let (hall, _script) = open(Vec::new()).await;
    let mut progress = hall.bring_up(&[]).unwrap();
    assert!(progress.recv().await.is_none());
    assert_eq!(events(&hall), ["hall.ready"]);
}

#[tokio::test]
async fn a_hall_with_a_circle_or_an_unknown_dependency_does_not_open() {
    for (services, text) in [
        (
            vec![service("a", &["b"]), service("b", &["a"])],
            "a -> b -> a",
        ),
        (
            vec![service("a", &["nobody"])],
            "nobody, which is not defined",
        ),
        (
            vec![service("a", &[]), service("a", &[])],
            "a is there twice",
        ),
    ] {
        let hall = Gladsheim::new(GladsheimConfig {
            services,
            ..GladsheimConfig::default()
        });
        let error = hall.start().await.unwrap_err().to_string();
        assert!(
            error.starts_with("Configuration error: ") && error.contains(text),
            "{error}"
        );
    }
}
