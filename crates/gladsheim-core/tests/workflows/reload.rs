//! New definitions for an open hall: only what changed is touched.

use gladsheim_core::{
    Gladsheim, GladsheimError, Plan, PlanAction, PlanStep, ServiceDefinition, StartOverrides,
    StopOptions,
};
use skirnir::{Cause, ServiceState};
use std::{sync::Arc, time::Duration};
use tokio_util::task::TaskTracker;

use crate::hall::{Script, events, open, service};

/// A hall with all of these running.
async fn running(services: &[ServiceDefinition]) -> (Gladsheim, Arc<Script>) {
    let (hall, script) = open(services.to_vec()).await;
    let mut progress = hall.bring_up(&[]).unwrap();
    while let Some(one) = progress.recv().await {
        one.result.unwrap();
    }
    script.calls.lock().unwrap().clear();
    (hall, script)
}

fn actions(plan: &Plan) -> Vec<(String, PlanAction)> {
    for step in &plan.steps {
        assert!(step.error.is_none(), "{step:?}");
    }
    let step = |step: &PlanStep| (step.service_name.clone(), step.action);
    plan.steps.iter().map(step).collect()
}

const PROCESSES: [&str; 3] = ["thjalfi.launch", "thjalfi.stop", "thjalfi.kill"];

#[tokio::test]
async fn only_what_changed_is_touched() {
    let mut services = ["a", "b", "c"].map(|name| service(name, &[]));
    let (hall, script) = running(&services).await;
    services[1].start.args.push("-v".into());
    let planned = hall.plan(&services).unwrap();
    let plan = hall.reload(services.to_vec()).await.unwrap();
    assert_eq!(actions(&planned), actions(&plan));
    assert_eq!(plan.steps[1].action, PlanAction::Restart);
    assert_eq!(
        script.calls(&PROCESSES),
        ["thjalfi.stop b", "thjalfi.launch b"]
    );
    let status = hall.get_service_status("b").unwrap();
    assert_eq!(
        (status.state, status.cause),
        (ServiceState::Running, Some(Cause::Reload))
    );
    assert_eq!(events(&hall).last().unwrap(), "hall.reloaded");

    // Nothing changed since.
    let plan = hall.reload(services.to_vec()).await.unwrap();
    assert!(actions(&plan).iter().all(|(_, a)| *a == PlanAction::None));
}

#[tokio::test]
async fn what_can_be_applied_at_once_is_and_no_process_notices() {
    let mut services = [service("thor", &[])];
    let (hall, script) = running(&services).await;
    let thor = &mut services[0];
    thor.limits.max_memory_bytes = 1 << 20;
    thor.monitor.restart.max_attempts = 9;
    thor.metadata.insert("role".into(), "web".into());
    thor.endpoints.push("tcp:1".into());
    thor.shutdown_timeout = Duration::from_secs(1);
    let plan = hall.reload(services.to_vec()).await.unwrap();
    assert_eq!(actions(&plan), [("thor".into(), PlanAction::Apply)]);
    assert_eq!(
        script.calls(&["thjalfi", "byggvir", "roskva"]),
        [
            "byggvir.limits thor",
            "roskva.update thor",
            "thjalfi.paths thor"
        ]
    );
    let status = hall.get_service_status("thor").unwrap();
    assert_eq!(status.metadata, [("role".into(), "web".into())]);
    assert_eq!(status.endpoints, ["tcp:1"]);
    assert_eq!(hall.definition("thor").unwrap().as_ref(), &services[0]);
}

#[tokio::test]
async fn services_come_and_go_and_stand_in_their_new_order() {
    let (hall, script) = running(&[service("web", &["db"]), service("db", &[])]).await;
    let new = [
        service("cache", &[]),
        ServiceDefinition {
            autostart: false,
            ..service("job", &[])
        },
        service("web2", &["cache"]),
        service("db", &[]),
    ];
    let plan = hall.reload(new.to_vec()).await.unwrap();
    assert_eq!(
        actions(&plan),
        [
            ("web".into(), PlanAction::Remove),
            ("cache".into(), PlanAction::Add),
            ("job".into(), PlanAction::Add),
            ("web2".into(), PlanAction::Add),
            ("db".into(), PlanAction::None)
        ]
    );
    assert_eq!(
        script.calls(&PROCESSES),
        [
            "thjalfi.stop web",
            "thjalfi.launch cache",
            "thjalfi.launch web2"
        ]
    );
    assert_eq!(
        script.calls(&["thjalfi.paths", "byggvir.untrack"]),
        ["byggvir.untrack web", "thjalfi.paths cache db job web2"]
    );
    assert_eq!(hall.service_names(), ["cache", "job", "web2", "db"]);
    let gone = hall.get_service_status("web");
    assert!(matches!(gone, Err(GladsheimError::ServiceNotFound(_))));
    let job = hall.get_service_status("job").unwrap();
    assert_eq!((job.state, job.process_id), (ServiceState::Stopped, 0));
}

#[tokio::test]
async fn restarts_go_down_and_up_in_dependency_order() {
    let mut services = [
        service("web", &["api"]),
        service("api", &["db"]),
        service("db", &[]),
    ];
    let (hall, script) = running(&services).await;
    // The one between is not touched, and yet web goes before db.
    services[0].start.args.push("-v".into());
    services[2].start.args.push("-v".into());
    let plan = hall.reload(services.to_vec()).await.unwrap();
    assert!(plan.steps.iter().all(|step| step.error.is_none()));
    assert_eq!(
        script.calls(&PROCESSES)[..2],
        ["thjalfi.stop web", "thjalfi.stop db"]
    );
    assert_eq!(script.launches("api"), 1);
    assert_eq!((script.launches("web"), script.launches("db")), (2, 2));
}

#[tokio::test]
async fn a_service_that_was_stopped_stays_stopped_and_begins_with_its_new_definition() {
    let mut services = [service("thor", &[])];
    let (hall, script) = running(&services).await;
    hall.stop_service("thor", StopOptions::default())
        .await
        .unwrap();
    script.calls.lock().unwrap().clear();
    services[0].start.args.push("-v".into());
    let plan = hall.reload(services.to_vec()).await.unwrap();
    assert_eq!(actions(&plan), [("thor".into(), PlanAction::NextStart)]);
    assert_eq!(script.calls(&PROCESSES), Vec::<String>::new());
    assert_eq!(
        hall.get_service_status("thor").unwrap().state,
        ServiceState::Stopped
    );
}

#[tokio::test]
async fn a_service_that_failed_is_given_a_new_chance_by_a_change() {
    let mut services = [service("thor", &[])];
    let (hall, script) = open(services.to_vec()).await;
    script.refuses("thor");
    hall.start_service("thor", StartOverrides::default())
        .await
        .unwrap_err();
    script.refuse.lock().unwrap().clear();
    services[0].path = "/bin/false".into();
    let plan = hall.reload(services.to_vec()).await.unwrap();
    assert_eq!(actions(&plan), [("thor".into(), PlanAction::Restart)]);
    assert_eq!(
        hall.get_service_status("thor").unwrap().state,
        ServiceState::Running
    );
}

#[tokio::test]
async fn what_makes_no_sense_changes_nothing() {
    let services = [service("a", &[]), service("b", &[])];
    let (hall, script) = running(&services).await;
    let before = events(&hall);
    let mut limited = service("a", &[]);
    limited.limits.max_cpu_percent = 101.0;
    for wrong in [
        vec![service("a", &["a"])],
        vec![service("a", &["b"]), service("b", &["a"])],
        vec![service("a", &["nobody"])],
        vec![service("a", &[]), service("a", &[])],
        vec![limited],
    ] {
        hall.plan(&wrong).unwrap_err();
        hall.reload(wrong).await.unwrap_err();
    }
    assert_eq!(events(&hall), before);
    assert_eq!(script.calls(&[""]), Vec::<String>::new());
    assert_eq!(hall.service_names(), ["a", "b"]);
}

#[tokio::test]
async fn a_new_service_that_cannot_start_is_told_in_its_step_and_harms_nobody() {
    let (hall, script) = running(&[service("a", &[])]).await;
    script.refuses("b");
    let new = vec![service("a", &[]), service("b", &[]), service("c", &["b"])];
    let plan = hall.reload(new).await.unwrap();
    let errors: Vec<_> = plan
        .steps
        .iter()
        .map(|step| step.error.as_ref().map(ToString::to_string))
        .collect();
    assert_eq!(errors[0], None);
    assert!(errors[1].as_ref().unwrap().contains("no such file"));
    assert!(errors[2].as_ref().unwrap().contains("its dependency b"));
    assert_eq!(
        hall.get_service_status("a").unwrap().state,
        ServiceState::Running
    );
}

#[tokio::test]
async fn a_dependency_that_restarts_does_not_confuse_late_dependents() {
    let db = |args: &[&str]| {
        let mut db = service("db", &[]);
        db.start.readiness = thjalfi::Readiness::Notify;
        db.start.args = args.iter().map(ToString::to_string).collect();
        db
    };
    let mut web = service("web", &["db"]);
    web.depends_on[0].condition = gladsheim_core::DependencyCondition::Ready;
    let (hall, script) = open(vec![web.clone(), db(&[])]).await;
    let starting = hall.clone();
    let web_start = TaskTracker::new().spawn(async move {
        starting
            .start_service("web", StartOverrides::default())
            .await
    });
    until(|| script.launches("db") == 1).await;
    // The dependent waits for a readiness that never comes; the dependency is restarted meanwhile.
    let reloading = hall.clone();
    let reload =
        TaskTracker::new().spawn(async move { reloading.reload(vec![web, db(&["-v"])]).await });
    until(|| script.launches("db") == 2).await;
    script.ready("db");
    reload.await.unwrap().unwrap();
    let status = web_start.await.unwrap().unwrap();
    assert_eq!(status.state, ServiceState::Running);
    assert_eq!(script.launches("web"), 1);
}

async fn until(fact: impl Fn() -> bool) {
    while !fact() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_stop_in_the_middle_of_a_reload_holds() {
    let mut services = [service("thor", &[])];
    services[0].start.readiness = thjalfi::Readiness::Notify;
    let (hall, script) = open(services.to_vec()).await;
    let starting = hall.clone();
    let start = TaskTracker::new().spawn(async move {
        starting
            .start_service("thor", StartOverrides::default())
            .await
    });
    until(|| script.launches("thor") == 1).await;
    script.ready("thor");
    start.await.unwrap().unwrap();
    services[0].start.args.push("-v".into());
    let reloading = hall.clone();
    let reload = TaskTracker::new().spawn(async move { reloading.reload(services.to_vec()).await });
    until(|| script.launches("thor") == 2).await;
    hall.stop_service("thor", StopOptions::default())
        .await
        .unwrap();
    let plan = reload.await.unwrap().unwrap();
    assert!(plan.steps[0].error.is_none(), "{plan:?}");
    assert_eq!(
        hall.get_service_status("thor").unwrap().state,
        ServiceState::Stopped
    );
}
