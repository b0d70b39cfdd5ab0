//! The manager with a kernel that holds limits, refuses them, and kills.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tokio::sync::mpsc;

use crate::{
    Enforced, LimitAction, LimitPolicy, ResourceEvent, ResourceLimits, ResourceManager,
    ResourceManagerConfig, ResourceManagerError, ResourceManagerPorts, ViolationType, lock,
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

#[tokio::test(start_paused = true)]
async fn advice_only_warns_beside_a_limit_that_is_acted_upon() {
    let world = World::default();
    world.put(1, 11 * MIB, 90.0);
    let mut enforcer = MockLimitEnforcer::new();
    enforcer.expect_oom_kills().returning(|_| Ok(0));
    // This kernel holds whatever it is asked to.
    enforcer.expect_apply().returning(|_, limits, _| {
        assert_eq!(limits.max_memory_bytes, 0, "advice is not the kernel's");
        Ok(Enforced {
            memory: true,
            ..Enforced::default()
        })
    });
    let (sender, mut actions) = mpsc::unbounded_channel();
    let ports = ResourceManagerPorts {
        enforcer: Arc::new(enforcer),
        limit_handler: Some(Arc::new(StuckHandler(sender))),
        ..world.ports()
    };
    let manager = ResourceManager::with_ports(ResourceManagerConfig::default(), ports);
    let limits = ResourceLimits {
        max_cpu_percent: 50.0,
        ..memory_limit(10 * MIB)
    };
    manager
        .set_resource_limits("thor", limits)
        .expect("are valid");
    let advice = LimitPolicy {
        memory_advisory: true,
        ..policy(LimitAction::Stop)
    };
    manager.set_limit_policy("thor", advice);
    manager.track_service("thor", leader(1));
    let mut events = manager.subscribe();
    manager.start_monitoring().await;

    let mut exceeded = Vec::new();
    while exceeded.len() < 2 {
        if let ResourceEvent::LimitExceeded(violation) = next_fact(&mut events).await {
            exceeded.push(violation.violation_type);
        }
    }
    assert!(exceeded.contains(&ViolationType::MemoryExceeded));
    let (action, violation) = actions.recv().await.expect("is asked for");
    assert_eq!(action, LimitAction::Stop);
    assert_eq!(violation.violation_type, ViolationType::CpuExceeded);
    assert!(actions.try_recv().is_err());
}

#[test]
fn advice_that_somebody_changes_becomes_a_limit() {
    let world = World::default();
    let mut enforcer = MockLimitEnforcer::new();
    enforcer.expect_oom_kills().returning(|_| Ok(0));
    enforcer.expect_apply().returning(|_, limits, _| {
        Ok(Enforced {
            memory: true,
            cpu: limits.max_cpu_percent == 0.0,
            pids: true,
        })
    });
    let ports = ResourceManagerPorts {
        enforcer: Arc::new(enforcer),
        ..world.ports()
    };
    let manager = ResourceManager::with_ports(ResourceManagerConfig::default(), ports);
    let limits = |memory| ResourceLimits {
        max_cpu_percent: 50.0,
        ..memory_limit(memory)
    };
    let set = |memory| {
        manager
            .set_resource_limits("thor", limits(memory))
            .expect("are valid");
        manager.limits_enforced_by("thor")
    };
    set(10 * MIB);
    let advice = LimitPolicy {
        memory_advisory: true,
        cpu_advisory: true,
        ..LimitPolicy::default()
    };
    manager.set_limit_policy("thor", advice);
    manager.track_service("thor", leader(1));
    assert_eq!(manager.limits_enforced_by("thor"), "sampling");
    assert_eq!(set(10 * MIB), "sampling", "nothing was changed");
    assert_eq!(set(20 * MIB), "kernel", "the CPU's is advice still");
}
