//! Model check of the concurrent part: shuttle chooses the interleavings of a few threads at every lock.
//! A failing schedule is printed and replays with `shuttle::replay`.

use std::sync::{Arc, Mutex, PoisonError};

use follower::Follower;
use shuttle::thread;

use crate::{ServiceMetadata, ServiceRegistry, ServiceState, StateChange};

#[path = "../tests/support/follower.rs"]
mod follower;

const SCHEDULES: usize = 1_000;

fn running(names: &[&str]) -> ServiceRegistry {
    let registry = ServiceRegistry::new();
    for name in names {
        let metadata = ServiceMetadata {
            state: ServiceState::Running,
            ..ServiceMetadata::default()
        };
        registry
            .register_service((*name).into(), metadata)
            .expect("is new");
    }
    registry
}

/// What a listener heard. A lock of std: nothing is scheduled while it is held.
fn ear(registry: &ServiceRegistry) -> Arc<Mutex<Vec<StateChange>>> {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (ear, shown) = (Arc::clone(&heard), registry.clone());
    registry.on_state_change(move |change| {
        let last = shown.history(&change.service_name);
        assert!(
            last.iter().any(|known| known.seq >= change.seq),
            "told before it was so"
        );
        ear.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(change);
    });
    heard
}

#[test]
fn one_of_two_racing_commands_wins_and_the_other_is_refused() {
    shuttle::check_random(
        || {
            let registry = running(&["thor"]);
            let racers = [ServiceState::Stopping, ServiceState::Crashed].map(|state| {
                let registry = registry.clone();
                thread::spawn(move || registry.update_state("thor", state).is_ok())
            });
            let won = racers.map(|racer| racer.join().expect("does not panic"));
            assert_eq!(won.iter().filter(|won| **won).count(), 1);
            assert_eq!(registry.history("thor").len(), 1);
        },
        SCHEDULES,
    );
}

#[test]
fn listeners_hear_every_change_once_and_in_order() {
    shuttle::check_random(
        || {
            let registry = running(&["freki", "thor"]);
            let heard = ear(&registry);
            let mut stream = registry.subscribe();
            let writers = ["freki", "thor"].map(|name| {
                let registry = registry.clone();
                thread::spawn(move || {
                    for state in [ServiceState::Crashed, ServiceState::Starting] {
                        registry.update_state(name, state).expect("is legal");
                    }
                })
            });
            for writer in writers {
                writer.join().expect("does not panic");
            }
            let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            let order: Vec<u64> = heard.iter().map(|change| change.seq).collect();
            assert_eq!(order, [1, 2, 3, 4]);
            for change in heard.iter() {
                assert_eq!(stream.try_recv().as_ref(), Ok(change));
            }
        },
        SCHEDULES,
    );
}

#[test]
fn readers_see_statistics_and_listings_that_are_whole() {
    shuttle::check_random(
        || {
            let registry = running(&["freki", "thor"]);
            let writer = {
                let registry = registry.clone();
                thread::spawn(move || {
                    registry
                        .update_state("thor", ServiceState::Crashed)
                        .expect("is legal");
                    registry.unregister_service("freki").expect("is there");
                })
            };
            let counts = registry.get_statistics();
            assert_eq!(
                counts.running_count + counts.crashed_count,
                counts.total_count
            );
            let listed = registry.list_services();
            assert!(listed.iter().any(|service| service.service_name == "thor"));
            writer.join().expect("does not panic");
        },
        SCHEDULES,
    );
}

#[test]
fn a_watch_that_begins_amid_changes_ends_with_a_true_copy() {
    shuttle::check_random(
        || {
            let registry = running(&["freki", "thor"]);
            let writer = {
                let registry = registry.clone();
                thread::spawn(move || {
                    registry
                        .update_state("thor", ServiceState::Crashed)
                        .expect("is legal");
                    registry.record_restart("thor").expect("is there");
                    registry.unregister_service("freki").expect("is there");
                })
            };
            let mut follower = Follower::new(&registry, None);
            follower.catch_up();
            writer.join().expect("does not panic");
            follower.catch_up();
            assert_eq!((follower.revision, follower.snapshots), (Some(5), 1));
            follower.assert_copy_of(&registry);
        },
        SCHEDULES,
    );
}
