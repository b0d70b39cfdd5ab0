//! The manager's rounds, over a world that does as told and in virtual time.

use std::time::Duration;

use tokio::sync::mpsc;

use super::*;
use crate::{
    LimitAction, LimitHandler, ViolationType,
    world::{CORES, MIB, StuckHandler, World, leader, memory_limit, next_fact, next_round, policy},
};

#[tokio::test(start_paused = true)]
async fn usage_before_and_after_monitoring_is_refused() {
    let world = World::default();
    world.put(1, MIB, 0.0);
    let manager = world.manager();
    manager.track_service("thor", leader(1));
    let refused = Err(ResourceManagerError::MonitoringNotStarted);
    assert_eq!(manager.get_resource_usage("thor"), refused);
    manager.start_monitoring().await;
    assert_eq!(
        manager
            .get_resource_usage("thor")
            .expect("is measured")
            .memory_bytes,
        MIB
    );
    manager.stop_monitoring().await;
    assert_eq!(manager.get_resource_usage("thor"), refused);
    let samples = world.samples();
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(world.samples(), samples, "a stopped sampler sampled");
    manager.start_monitoring().await;
    manager
        .get_resource_usage("thor")
        .expect("is measured again");
}

#[tokio::test(start_paused = true)]
async fn cpu_is_a_share_of_the_whole_machine_over_the_last_interval() {
    let world = World::default();
    world.put(1, MIB, 25.0);
    let manager = world.manager();
    manager.track_service("thor", leader(1));
    let mut events = manager.subscribe();
    manager.start_monitoring().await;
    next_round(&mut events).await;
    let usage = manager.get_resource_usage("thor").expect("is measured");
    assert_eq!(usage.cpu_percent, 0.0, "there was no interval yet");
    for percent in [25.0, 100.0, 0.0] {
        world.put(1, MIB, percent);
        next_round(&mut events).await;
        let usage = manager.get_resource_usage("thor").expect("is measured");
        assert!(
            (f64::from(usage.cpu_percent) - percent).abs() < 0.01,
            "{usage:?}"
        );
    }
    let system = manager.get_system_usage();
    assert_eq!((system.num_cores, system.used_memory), (CORES, 600 * MIB));
    assert!(
        (system.cpu_usage - 200.0).abs() < 0.1,
        "two of four CPUs worked: {system:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn replaced_run_never_shows_the_old_numbers() {
    let world = World::default();
    world.put(1, 100 * MIB, 50.0);
    world.put(2, 5 * MIB, 0.0);
    let manager = world.manager();
    manager.track_service("thor", leader(1));
    let mut events = manager.subscribe();
    manager.start_monitoring().await;
    next_round(&mut events).await;
    next_round(&mut events).await;
    assert!(
        manager
            .get_resource_usage("thor")
            .expect("is measured")
            .cpu_percent
            > 0.0
    );
    manager.track_service("thor", leader(2));
    let usage = manager.get_resource_usage("thor").expect("is measured");
    assert_eq!((usage.memory_bytes, usage.cpu_percent), (5 * MIB, 0.0));
}

#[tokio::test(start_paused = true)]
async fn ended_run_has_no_usage_but_keeps_its_limits() {
    let world = World::default();
    world.put(1, MIB, 0.0);
    let manager = world.manager();
    manager.start_monitoring().await;
    manager.track_service("thor", leader(1));
    manager
        .set_resource_limits("thor", memory_limit(7 * MIB))
        .expect("are valid");
    manager.get_resource_usage("thor").expect("is measured");
    let not_found = ResourceManagerError::ServiceNotFound("thor".into());

    manager.run_ended("thor");
    assert_eq!(manager.get_resource_usage("thor"), Err(not_found.clone()));
    assert_eq!(
        manager.get_resource_limits("thor"),
        Ok(memory_limit(7 * MIB))
    );

    manager.untrack_service("thor");
    assert_eq!(manager.get_resource_limits("thor"), Err(not_found));
}

#[tokio::test(start_paused = true)]
async fn vanished_process_is_an_error_not_an_old_number() {
    let world = World::default();
    world.put(1, MIB, 0.0);
    let manager = world.manager();
    manager.track_service("thor", leader(1));
    let mut events = manager.subscribe();
    manager.start_monitoring().await;
    next_round(&mut events).await;
    world.end();
    next_round(&mut events).await;
    let error = manager.get_resource_usage("thor").expect_err("has ended");
    assert!(
        matches!(error, ResourceManagerError::SystemError(_)),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn exceeded_limit_is_told_and_acted_upon_once_while_sampling_goes_on() {
    let world = World::default();
    world.put(1, 50 * MIB, 0.0);
    let (sender, mut actions) = mpsc::unbounded_channel();
    let handler: Arc<dyn LimitHandler> = Arc::new(StuckHandler(sender));
    let ports = ResourceManagerPorts {
        limit_handler: Some(handler),
        ..world.ports()
    };
    let manager = ResourceManager::with_ports(ResourceManagerConfig::default(), ports);
    let (sender, mut heard) = mpsc::unbounded_channel();
    manager.on_limit_violation(|_| panic!("a listener's own trouble"));
    manager.on_limit_violation(move |violation| sender.send(violation).expect("is heard"));
    manager.track_service("thor", leader(1));
    manager.set_limit_policy("thor", policy(LimitAction::Restart));
    manager
        .set_resource_limits("thor", memory_limit(100 * MIB))
        .expect("are valid");
    assert_eq!(manager.limits_enforced_by("thor"), "sampling");
    let mut events = manager.subscribe();
    manager.start_monitoring().await;
    next_round(&mut events).await;
    assert_eq!(manager.check_limits("thor"), Ok(None));

    world.put(1, 150 * MIB, 0.0);
    let fact = next_fact(&mut events).await;
    assert!(matches!(fact, ResourceEvent::LimitWarning(_)), "{fact:?}");
    let violation = manager
        .check_limits("thor")
        .expect("is measured")
        .expect("is above");
    assert_eq!(violation.violation_type, ViolationType::MemoryExceeded);

    let fact = next_fact(&mut events).await;
    assert!(matches!(fact, ResourceEvent::LimitExceeded(_)), "{fact:?}");
    let (action, violation) = actions.recv().await.expect("is acted upon");
    assert_eq!(action, LimitAction::Restart);
    assert_eq!(violation.current_usage.memory_bytes, 150 * MIB);
    assert_eq!(violation.limits, memory_limit(100 * MIB));
    for kind in [ViolationType::MemoryWarning, ViolationType::MemoryExceeded] {
        assert_eq!(heard.recv().await.expect("is heard").violation_type, kind);
    }

    // The handler never returns; rounds go on, and nothing is told twice.
    for _ in 0..5 {
        next_round(&mut events).await;
    }
    assert!(actions.try_recv().is_err() && heard.try_recv().is_err());

    manager.run_ended("thor");
    for kind in [ViolationType::MemoryExceeded, ViolationType::MemoryWarning] {
        match next_fact(&mut events).await {
            ResourceEvent::LimitCleared(violation) => assert_eq!(violation.violation_type, kind),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn single_spike_is_never_acted_upon() {
    let world = World::default();
    world.put(1, MIB, 0.0);
    let (sender, mut actions) = mpsc::unbounded_channel();
    let handler: Arc<dyn LimitHandler> = Arc::new(StuckHandler(sender));
    let ports = ResourceManagerPorts {
        limit_handler: Some(handler),
        ..world.ports()
    };
    let manager = ResourceManager::with_ports(ResourceManagerConfig::default(), ports);
    manager.track_service("thor", leader(1));
    manager.set_limit_policy("thor", policy(LimitAction::Stop));
    manager
        .set_resource_limits("thor", memory_limit(10 * MIB))
        .expect("are valid");
    let mut events = manager.subscribe();
    manager.start_monitoring().await;
    next_round(&mut events).await;
    for memory in [500 * MIB, MIB, 500 * MIB, MIB, MIB] {
        world.put(1, memory, 0.0);
        while !matches!(events.recv().await, Ok(ResourceEvent::Sampled { .. })) {}
    }
    assert!(actions.try_recv().is_err(), "a spike was acted upon");
}

#[tokio::test(start_paused = true)]
async fn without_sampling_no_task_wakes_and_usage_is_measured_when_asked_for() {
    let world = World::default();
    world.put(1, MIB, 0.0);
    let config = ResourceManagerConfig {
        monitoring_interval: Duration::ZERO,
        ..Default::default()
    };
    let manager = ResourceManager::with_ports(config, world.ports());
    manager.track_service("thor", leader(1));
    manager
        .set_resource_limits("thor", memory_limit(10 * MIB))
        .expect("are valid");
    manager.start_monitoring().await;
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!(world.samples(), 0);
    assert_eq!(manager.limits_enforced_by("thor"), "none");
    assert_eq!(
        manager
            .get_resource_usage("thor")
            .expect("is measured")
            .memory_bytes,
        MIB
    );
    assert_eq!(world.samples(), 1);
    manager.stop_monitoring().await;
}

#[tokio::test(start_paused = true)]
async fn last_handle_ends_the_sampler() {
    let world = World::default();
    let (probe, dropped) = world.probe();
    let ports = ResourceManagerPorts {
        probe,
        ..ResourceManagerPorts::default()
    };
    let manager = ResourceManager::with_ports(ResourceManagerConfig::default(), ports);
    let other_handle = manager.clone();
    let mut events = manager.subscribe();
    manager.start_monitoring().await;
    drop(manager);
    next_round(&mut events).await;
    drop(other_handle);
    dropped.await.expect_err("the probe is dropped, not used");
}

#[test]
fn manager_can_be_made_outside_of_a_runtime() {
    let manager = ResourceManager::new(ResourceManagerConfig::default());
    manager.track_service("thor", leader(std::process::id()));
    assert_eq!(
        manager.get_resource_limits("thor"),
        Ok(ResourceLimits::default())
    );
    assert_eq!(manager.measured_by("thor"), "none");
    assert!(manager.get_system_usage().total_memory > 0);
}
