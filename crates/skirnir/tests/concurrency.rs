//! Many threads at one registry, on real locks: histories stay legal and nobody misses anything.
//! (Which interleavings are possible at all is model-checked in `src/model.rs`.)

#![expect(clippy::expect_used, reason = "a helper that fails, fails its test")]

#[path = "support/follower.rs"]
mod follower;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use follower::Follower;
use skirnir::{ServiceMetadata, ServiceRegistry, ServiceState};

const SERVICES: [&str; 4] = ["baldur", "freki", "loki", "thor"];
const ROUNDS: usize = 500;
const WRITERS: usize = 4;

/// Each writer tries to move every service everywhere; most attempts are refused.
fn push_around(registry: &ServiceRegistry) {
    for round in 0..ROUNDS {
        for (index, name) in SERVICES.into_iter().enumerate() {
            let state = ServiceState::ALL[(round + index) % ServiceState::ALL.len()];
            if registry.update_state(name, state).is_ok() {
                registry.record_restart(name).expect("is there");
            }
        }
    }
}

fn read_while(registry: &ServiceRegistry, busy: &AtomicBool) {
    let mut restarts = 0;
    while busy.load(Ordering::Acquire) {
        let statistics = registry.get_statistics();
        assert_eq!(statistics.total_count, SERVICES.len());
        let listed = registry.list_services();
        assert_eq!(listed.len(), SERVICES.len());
        let now: u64 = listed.iter().map(|s| u64::from(s.restart_count)).sum();
        assert!(now >= restarts, "counters never fall");
        restarts = now;
    }
}

#[test]
fn racing_writers_leave_one_legal_history_that_everybody_saw() {
    let registry = ServiceRegistry::new();
    for name in SERVICES {
        registry
            .register_service(name.into(), ServiceMetadata::default())
            .expect("is new");
    }
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = Arc::clone(&heard);
    registry.on_state_change(move |change| ear.lock().expect("is whole").push(change));
    let mut follower = Follower::new(&registry, None);

    let busy = AtomicBool::new(true);
    thread::scope(|scope| {
        let reader = scope.spawn(|| read_while(&registry, &busy));
        let writers = [(); WRITERS].map(|()| scope.spawn(|| push_around(&registry)));
        while writers.iter().any(|writer| !writer.is_finished()) {
            follower.catch_up();
        }
        busy.store(false, Ordering::Release);
        reader.join().expect("readers see whole values");
    });
    follower.catch_up();
    follower.assert_copy_of(&registry);

    let heard = std::mem::take(&mut *heard.lock().expect("is whole"));
    assert!(heard.len() > SERVICES.len(), "something happened");
    for (change, seq) in heard.iter().zip(1..) {
        assert_eq!(change.seq, seq, "in order, without gaps");
        assert!(change.old_state.is_valid_transition(change.new_state));
    }
    for name in SERVICES {
        let of_one: Vec<_> = heard.iter().filter(|c| c.service_name == name).collect();
        for pair in of_one.windows(2) {
            assert_eq!(pair[0].new_state, pair[1].old_state, "{name}");
        }
        let history = registry.history(name);
        let tail = &of_one[of_one.len().saturating_sub(32)..];
        assert_eq!(history.iter().collect::<Vec<_>>(), tail, "{name}");
        let service = registry.get_service(name).expect("is there");
        assert_eq!(of_one.len(), service.restart_count as usize, "{name}");
    }
}

#[tokio::test]
async fn a_waiting_consumer_is_woken_by_changes_and_by_the_end() {
    let registry = ServiceRegistry::new();
    let mut follower = Follower::new(&registry, Some(0));
    let writer = thread::spawn(move || {
        for _ in 0..ROUNDS {
            let metadata = ServiceMetadata::default();
            registry
                .register_service("thor".into(), metadata)
                .expect("is new");
            registry.unregister_service("thor").expect("is there");
        }
        // The last handle is dropped here, and with it the watch ends.
    });
    while let Some(event) = follower.watch.next().await {
        follower.take(event);
    }
    assert_eq!(follower.revision, Some(2 * ROUNDS as u64));
    writer.join().expect("does not panic");
}
