//! Restart groups, by the semantics of Erlang's supervisors.

use std::sync::Arc;

use gladsheim_core::{
    Gladsheim, GroupStrategy, RestartGroup, ServiceDefinition, StopOptions, WaitCondition,
};
use roskva::{RestartDecision, RestartMode};
use skirnir::{Cause, ServiceState};

use crate::hall::{Script, open, restart, service};

fn members(strategy: GroupStrategy) -> Vec<ServiceDefinition> {
    let member = |name| ServiceDefinition {
        restart_group: Some(RestartGroup {
            name: "web".into(),
            strategy,
        }),
        ..service(name, &[])
    };
    // Not in the alphabet's order, so that it is the file's order that is seen.
    let mut services: Vec<_> = ["c", "a", "b"].map(member).into();
    services.push(service("bystander", &[]));
    services
}

async fn running(services: Vec<ServiceDefinition>) -> (Gladsheim, Arc<Script>) {
    let (hall, script) = open(services).await;
    for name in ["c", "a", "b", "bystander"] {
        script.decides(name, restart(1, 60));
    }
    let mut progress = hall.bring_up(&[]).unwrap();
    while let Some(one) = progress.recv().await {
        one.result.unwrap();
    }
    script.calls.lock().unwrap().clear();
    (hall, script)
}

const PROCESSES: [&str; 3] = ["thjalfi.launch", "thjalfi.stop", "thjalfi.kill"];

/// Lets everything happen that happens by itself.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

fn state(hall: &Gladsheim, name: &str) -> ServiceState {
    hall.get_service_status(name).unwrap().state
}

#[tokio::test]
async fn siblings_are_stopped_in_reverse_and_restarted_in_order() {
    for (strategy, calls) in [
        (GroupStrategy::OneForOne, &["thjalfi.launch a"][..]),
        (
            GroupStrategy::RestForOne,
            &["thjalfi.stop b", "thjalfi.launch a", "thjalfi.launch b"],
        ),
        (
            GroupStrategy::OneForAll,
            &[
                "thjalfi.stop b",
                "thjalfi.stop c",
                "thjalfi.launch c",
                "thjalfi.launch a",
                "thjalfi.launch b",
            ],
        ),
    ] {
        let (hall, script) = running(members(strategy)).await;
        script.exit("a", 1);
        settle().await;
        let stops = calls.iter().filter(|call| call.contains("stop")).count();
        assert_eq!(script.calls(&PROCESSES), calls[..stops], "{strategy:?}");
        script.next_attempt("a").await;
        settle().await;
        assert_eq!(script.calls(&PROCESSES), calls, "{strategy:?}");
        for name in ["c", "a", "b"] {
            let status = hall.get_service_status(name).unwrap();
            assert_eq!(status.state, ServiceState::Running);
            let concerned = calls.contains(&&*format!("thjalfi.launch {name}"));
            assert_eq!(status.restart_count, u32::from(concerned), "{name}");
            if concerned && name != "a" {
                assert_eq!(status.cause, Some(Cause::Dependency));
            }
        }
        assert_eq!(script.launches("bystander"), 1);
    }
}

#[tokio::test]
async fn a_temporary_sibling_is_stopped_and_not_restarted() {
    let mut services = members(GroupStrategy::OneForAll);
    services[2].monitor.restart.mode = RestartMode::Never;
    let (hall, script) = running(services).await;
    script.exit("a", 1);
    settle().await;
    script.next_attempt("a").await;
    settle().await;
    assert_eq!(state(&hall, "b"), ServiceState::Stopped);
    assert_eq!(state(&hall, "c"), ServiceState::Running);
    assert_eq!(state(&hall, "a"), ServiceState::Running);
}

#[tokio::test]
async fn a_temporary_service_that_fails_concerns_nobody() {
    let (hall, script) = running(members(GroupStrategy::OneForAll)).await;
    script.decides("a", RestartDecision::Never);
    script.exit("a", 1);
    hall.wait_for("a", WaitCondition::Exited).await.unwrap();
    settle().await;
    assert_eq!(script.calls(&PROCESSES), Vec::<String>::new());
}

#[tokio::test]
async fn a_sibling_that_was_stopped_by_hand_stays_stopped() {
    let (hall, script) = running(members(GroupStrategy::OneForAll)).await;
    hall.stop_service("c", StopOptions::default())
        .await
        .unwrap();
    script.exit("a", 1);
    settle().await;
    script.next_attempt("a").await;
    settle().await;
    assert_eq!(state(&hall, "c"), ServiceState::Stopped);
    assert_eq!(script.launches("c"), 1);
    assert_eq!(state(&hall, "b"), ServiceState::Running);
}

#[tokio::test]
async fn a_sibling_that_cannot_be_started_again_does_not_leave_the_others_half_up() {
    let (hall, script) = running(members(GroupStrategy::OneForAll)).await;
    script.refuses("b");
    script.exit("a", 1);
    settle().await;
    script.next_attempt("a").await;
    settle().await;
    assert_eq!(state(&hall, "b"), ServiceState::Failed);
    for name in ["a", "c"] {
        assert_eq!(state(&hall, name), ServiceState::Stopped, "{name}");
    }
    // Where only what follows is concerned, what comes before stays.
    let (hall, script) = running(members(GroupStrategy::RestForOne)).await;
    script.refuses("b");
    script.exit("a", 1);
    settle().await;
    script.next_attempt("a").await;
    settle().await;
    assert_eq!(state(&hall, "b"), ServiceState::Failed);
    assert_eq!(state(&hall, "a"), ServiceState::Running);
}

#[tokio::test]
async fn a_sibling_that_fails_during_the_restart_begins_another_one() {
    let mut services = members(GroupStrategy::OneForAll);
    for service in &mut services[..3] {
        service.start.readiness = thjalfi::Readiness::Notify;
    }
    let (hall, script) = open(services).await;
    for name in ["c", "a", "b"] {
        script.decides(name, restart(1, 60));
    }
    drop(hall.bring_up(&[]).unwrap());
    settle().await;
    for name in ["c", "a", "b"] {
        script.ready(name);
    }
    settle().await;
    script.exit("a", 1);
    settle().await;
    script.next_attempt("a").await;
    settle().await;
    script.ready("c");
    settle().await;
    script.calls.lock().unwrap().clear();
    // It is just being started again, before it is ready, after c and before b.
    script.exit("a", 1);
    settle().await;
    assert_eq!(script.calls(&PROCESSES), ["thjalfi.stop c"]);
    script.next_attempt("a").await;
    for name in ["c", "a", "b"] {
        settle().await;
        script.ready(name);
    }
    settle().await;
    assert_eq!(
        script.calls(&PROCESSES)[1..],
        ["thjalfi.launch c", "thjalfi.launch a", "thjalfi.launch b"]
    );
    for name in ["c", "a", "b"] {
        assert_eq!(state(&hall, name), ServiceState::Running, "{name}");
    }
}

#[tokio::test]
async fn a_group_is_given_up_with_the_one_that_is() {
    let (hall, script) = running(members(GroupStrategy::OneForAll)).await;
    script.decides("a", RestartDecision::GiveUp { attempts: 3 });
    script.exit("a", 1);
    settle().await;
    assert_eq!(state(&hall, "a"), ServiceState::Failed);
    for name in ["b", "c"] {
        let status = hall.get_service_status(name).unwrap();
        assert_eq!(status.state, ServiceState::Stopped, "{name}");
        assert_eq!(status.cause, Some(Cause::Dependency));
    }
    assert_eq!(state(&hall, "bystander"), ServiceState::Running);
}

#[tokio::test]
async fn a_shutdown_ends_a_group_that_is_held() {
    let (hall, script) = running(members(GroupStrategy::OneForAll)).await;
    script.exit("a", 1);
    settle().await;
    hall.shutdown().await.unwrap();
    let launches = script.calls(&["thjalfi.launch"]);
    assert_eq!(launches, Vec::<String>::new());
}

#[tokio::test]
async fn a_group_that_is_restarted_starts_nothing_beside_it() {
    let mut services = members(GroupStrategy::OneForAll);
    services[2].depends_on = service("", &["bystander"]).depends_on;
    let (hall, script) = running(services).await;
    script.decides("bystander", RestartDecision::Never);
    script.exit("bystander", 1);
    script.exit("a", 1);
    settle().await;
    script.next_attempt("a").await;
    settle().await;
    // As it is where one service is restarted alone: what it once waited for is not looked at again.
    assert_eq!(state(&hall, "bystander"), ServiceState::Crashed);
    assert_eq!(script.launches("bystander"), 1);
    for name in ["c", "a", "b"] {
        assert_eq!(state(&hall, name), ServiceState::Running, "{name}");
    }
}
