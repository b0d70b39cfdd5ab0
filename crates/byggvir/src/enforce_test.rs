//! The manager with a kernel that holds limits, refuses them, and kills.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tokio::sync::mpsc;

use crate::{
    Enforced, LimitAction, ResourceEvent, ResourceLimits, ResourceManager, ResourceManagerConfig,
    ResourceManagerError, ResourceManagerPorts, lock,
    mock::MockLimitEnforcer,
    world::{MIB, StuckHandler, World, leader, memory_limit, next_fact, next_round, policy},
};

#[tokio::test(start_paused = true)]
async fn kernel_that_holds_a_limit_needs_no_action() {
    let world = World::default();
    world.put(1, 11 * MIB, 0.0);
    let mut enforcer = MockLimitEnforcer::new();
    enforcer.expect_oom_kills().returning(|_| Ok(0));
    let memory_only = Enforced {
        memory: true,
        ..Enforced::default()
    };
    enforcer
        .expect_apply()
        .returning(move |_, _, _| Ok(memory_only));
    let (sender, mut actions) = mpsc::unbounded_channel();
    let ports = ResourceManagerPorts {
        enforcer: Arc::new(enforcer),
        limit_handler: Some(Arc::new(StuckHandler(sender))),
        ..world.ports()
    };
    let manager = ResourceManager::with_ports(ResourceManagerConfig::default(), ports);
    manager.set_limit_policy("thor", policy(LimitAction::Stop));
    manager
        .set_resource_limits("thor", memory_limit(10 * MIB))
        .expect("are valid");
    manager.track_service("thor", leader(1));
    assert_eq!(manager.limits_enforced_by("thor"), "kernel");
    let mut events = manager.subscribe();
    manager.start_monitoring().await;
    let fact = next_fact(&mut events).await;
    assert!(matches!(fact, ResourceEvent::LimitWarning(_)), "{fact:?}");
    for _ in 0..3 {
        next_round(&mut events).await;
    }
    assert!(actions.try_recv().is_err());
    let with_cpu = ResourceLimits {
        max_cpu_percent: 50.0,
        ..memory_limit(10 * MIB)
    };
    manager
        .set_resource_limits("thor", with_cpu)
        .expect("are valid");
    assert_eq!(
        manager.limits_enforced_by("thor"),
        "sampling",
        "nobody holds the CPU"
    );
}

#[test]
fn limits_that_the_kernel_refuses_change_nothing() {
    let world = World::default();
    let mut enforcer = MockLimitEnforcer::new();
    enforcer.expect_oom_kills().returning(|_| Ok(0));
    enforcer
        .expect_apply()
        .returning(|_, limits, _| match limits.max_memory_bytes {
            0 => Ok(Enforced::default()),
            _ => Err(io::Error::other("no")),
        });
    let ports = ResourceManagerPorts {
        enforcer: Arc::new(enforcer),
        ..world.ports()
    };
    let manager = ResourceManager::with_ports(ResourceManagerConfig::default(), ports);
    manager.track_service("thor", leader(1));
    let refused = manager.set_resource_limits("thor", memory_limit(10 * MIB));
    assert_eq!(refused, Err(ResourceManagerError::SystemError("no".into())));
    let invalid = manager.set_resource_limits("thor", memory_limit(1));
    assert!(
        matches!(invalid, Err(ResourceManagerError::InvalidLimits(_))),
        "{invalid:?}"
    );
    assert_eq!(
        manager.get_resource_limits("thor"),
        Ok(ResourceLimits::default())
    );
    assert_eq!(manager.limits_enforced_by("thor"), "none");
    manager
        .set_resource_limits("loki", memory_limit(10 * MIB))
        .expect("does not run, so is stored");
}

#[test]
fn oom_kills_are_those_of_the_run_and_survive_its_end() {
    let kills = Arc::new(Mutex::new(3));
    let counted = Arc::clone(&kills);
    let mut enforcer = MockLimitEnforcer::new();
    enforcer
        .expect_apply()
        .returning(|_, _, _| Ok(Enforced::default()));
    enforcer
        .expect_oom_kills()
        .returning(move |_| Ok(*lock(&counted)));
    let ports = ResourceManagerPorts {
        enforcer: Arc::new(enforcer),
        ..World::default().ports()
    };
    let manager = ResourceManager::with_ports(ResourceManagerConfig::default(), ports);
    assert_eq!(manager.oom_kills("thor"), 0);
    manager.track_service("thor", leader(1));
    assert_eq!(manager.oom_kills("thor"), 0);
    *lock(&kills) = 5;
    assert_eq!(manager.oom_kills("thor"), 2);
    manager.run_ended("thor");
    *lock(&kills) = 9;
    assert_eq!(manager.oom_kills("thor"), 2);
    manager.track_service("thor", leader(2));
    assert_eq!(manager.oom_kills("thor"), 0);
}
