//! Following the registry: snapshot and changes, gaps, resuming, the end.

#![expect(clippy::expect_used, reason = "a helper that fails, fails its test")]

#[path = "support/follower.rs"]
mod follower;

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use follower::Follower;
use gladsheim_types::{HealthStatus, ServiceHealth};
use skirnir::{ServiceMetadata, ServiceRegistry, ServiceState, WatchEvent};

/// As documented at `watch_from`.
const HELD: u64 = 1024;

fn with_thor() -> ServiceRegistry {
    let registry = ServiceRegistry::new();
    registry
        .register_service("thor".into(), ServiceMetadata::default())
        .expect("is new");
    registry
}

fn change(registry: &ServiceRegistry, times: u64) {
    for _ in 0..times {
        registry.record_restart("thor").expect("is there");
    }
}

#[test]
fn a_watch_begins_with_a_snapshot_and_goes_on_with_changes() {
    let registry = with_thor();
    let mut follower = Follower::new(&registry, None);
    follower.catch_up();
    assert_eq!((follower.snapshots, follower.revision), (1, Some(1)));
    registry
        .update_state("thor", ServiceState::Starting)
        .expect("is legal");
    registry
        .register_service("loki".into(), ServiceMetadata::default())
        .expect("is new");
    registry.unregister_service("loki").expect("is there");
    follower.catch_up();
    assert_eq!((follower.snapshots, follower.revision), (1, Some(4)));
    follower.assert_copy_of(&registry);
}

#[test]
fn an_empty_registry_has_an_empty_snapshot() {
    let mut watch = ServiceRegistry::new().watch_from(None);
    assert_eq!(watch.try_next(), None, "the registry is gone");
    let registry = ServiceRegistry::new();
    let mut watch = registry.watch_from(None);
    let (revision, services) = (0, Vec::new());
    let empty = WatchEvent::Snapshot { revision, services };
    assert_eq!(watch.try_next(), Some(empty));
    assert_eq!(watch.try_next(), None);
}

#[test]
fn a_watch_resumes_from_a_revision_that_is_still_held() {
    let registry = with_thor();
    change(&registry, HELD);
    // Held are the revisions 2 to HELD + 1.
    for resumed in [1, 2, HELD] {
        let first = registry.watch_from(Some(resumed)).try_next();
        assert!(
            matches!(&first, Some(WatchEvent::Change(change)) if change.revision == resumed + 1),
            "{first:?}"
        );
    }
    let up_to_date = registry.watch_from(Some(HELD + 1)).try_next();
    assert_eq!(up_to_date, None, "nothing is new");
    let too_old = registry.watch_from(Some(0)).try_next();
    assert!(matches!(too_old, Some(WatchEvent::Snapshot { revision, .. }) if revision == HELD + 1));
}

#[test]
fn a_consumer_that_falls_too_far_behind_gets_a_snapshot_and_goes_on() {
    let registry = with_thor();
    let mut follower = Follower::new(&registry, None);
    follower.catch_up();
    change(&registry, HELD);
    follower.catch_up();
    assert_eq!(follower.snapshots, 1, "all of it was still held");
    change(&registry, HELD + 1);
    follower.catch_up();
    assert_eq!(follower.snapshots, 2, "one was not");
    change(&registry, 1);
    follower.catch_up();
    assert_eq!(follower.snapshots, 2);
    follower.assert_copy_of(&registry);
}

#[test]
fn a_revision_from_another_registry_gets_a_snapshot() {
    let registry = with_thor();
    for foreign in [2, 99, u64::MAX] {
        let mut watch = registry.watch_from(Some(foreign));
        assert!(
            matches!(
                watch.try_next(),
                Some(WatchEvent::Snapshot { revision: 1, .. })
            ),
            "{foreign}"
        );
    }
}

#[test]
fn a_measurement_is_no_change_but_a_verdict_is() {
    let registry = with_thor();
    let mut watch = registry.watch_from(Some(1));
    let health = |status| ServiceHealth {
        status,
        ..ServiceHealth::default()
    };
    registry
        .update_resource_usage("thor", Default::default())
        .expect("is there");
    assert_eq!(watch.try_next(), None);
    for (status, told) in [
        (HealthStatus::Healthy, true),
        (HealthStatus::Healthy, false),
        (HealthStatus::Unhealthy, true),
    ] {
        registry
            .update_health_status("thor", health(status))
            .expect("is there");
        assert_eq!(watch.try_next().is_some(), told, "{status}");
    }
}

struct Alarm(AtomicBool);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn a_waiting_consumer_is_woken_by_the_next_change() {
    let registry = with_thor();
    let mut watch = registry.watch_from(Some(1));
    let alarm = Arc::new(Alarm(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&alarm));
    let mut context = Context::from_waker(&waker);

    let mut next = pin!(watch.next());
    assert_eq!(next.as_mut().poll(&mut context), Poll::Pending);
    assert!(!alarm.0.load(Ordering::Acquire));
    change(&registry, 1);
    assert!(alarm.0.load(Ordering::Acquire));
    let event = next.as_mut().poll(&mut context);
    assert!(
        matches!(&event, Poll::Ready(Some(WatchEvent::Change(change))) if change.revision == 2),
        "{event:?}"
    );
}

#[tokio::test]
async fn a_watch_ends_with_the_registry_and_after_the_last_change() {
    let registry = with_thor();
    let mut watch = registry.watch_from(Some(1));
    change(&registry, 1);
    drop(registry);
    let event = watch.next().await;
    assert!(matches!(event, Some(WatchEvent::Change(change)) if change.revision == 2));
    assert_eq!(watch.next().await, None);
    assert_eq!(watch.next().await, None);
}
