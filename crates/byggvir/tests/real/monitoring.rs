//! The manager over real processes.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use byggvir::{
    LimitAction, LimitHandler, LimitPolicy, LimitViolation, ProcessTree, ResourceEvent,
    ResourceLimits, ResourceManager, ResourceManagerApi, ResourceManagerConfig,
    ResourceManagerError, ResourceManagerExt, ResourceManagerPorts, ViolationType,
};
use tokio::{
    sync::{broadcast, mpsc},
    time::timeout,
};

use crate::burden::{Burden, MIB};

/// No test waits longer for a fact.
const PATIENCE: Duration = Duration::from_secs(30);

fn config() -> ResourceManagerConfig {
    ResourceManagerConfig {
        monitoring_interval: Duration::from_millis(20),
        ..ResourceManagerConfig::default()
    }
}

fn half_of_the_burden() -> ResourceLimits {
    ResourceLimits {
        max_memory_bytes: 32 * MIB,
        ..ResourceLimits::default()
    }
}

/// Hands what it is asked to do on to the test.
struct Requests(mpsc::UnboundedSender<LimitViolation>);

#[async_trait]
impl LimitHandler for Requests {
    async fn restart(&self, violation: LimitViolation) {
        panic!("nobody declared a restart: {violation:?}");
    }

    async fn stop(&self, violation: LimitViolation) {
        self.0.send(violation).expect("the test listens");
    }
}

async fn next_fact(events: &mut broadcast::Receiver<ResourceEvent>) -> ResourceEvent {
    loop {
        match timeout(PATIENCE, events.recv())
            .await
            .expect("in time")
            .expect("not too slow")
        {
            ResourceEvent::Sampled { .. } => {}
            fact => return fact,
        }
    }
}

#[tokio::test]
async fn process_over_its_limit_is_told_and_stopped() {
    let (sender, mut stops) = mpsc::unbounded_channel();
    let ports = ResourceManagerPorts {
        limit_handler: Some(Arc::new(Requests(sender))),
        ..ResourceManagerPorts::default()
    };
    let manager: Arc<dyn ResourceManagerApi> =
        Arc::new(ResourceManager::with_ports(config(), ports));
    let (sender, mut heard) = mpsc::unbounded_channel();
    manager.on_limit_violation(move |violation| {
        sender
            .send(violation.violation_type)
            .expect("the test listens");
    });
    let mut events = manager.subscribe();
    manager.start_monitoring().await;

    let mut burden = Burden::start("memory", None);
    let policy = LimitPolicy {
        action: LimitAction::Stop,
        ..LimitPolicy::default()
    };
    manager.set_limit_policy("hungry", policy);
    manager
        .set_resource_limits("hungry", half_of_the_burden())
        .expect("are valid");
    manager.track_service("hungry", burden.tree());

    let fact = next_fact(&mut events).await;
    assert!(matches!(fact, ResourceEvent::LimitWarning(_)), "{fact:?}");
    let fact = next_fact(&mut events).await;
    assert!(matches!(fact, ResourceEvent::LimitExceeded(_)), "{fact:?}");
    let violation = timeout(PATIENCE, stops.recv())
        .await
        .expect("in time")
        .expect("is asked for");
    assert_eq!(violation.violation_type, ViolationType::MemoryExceeded);
    assert!(
        violation.current_usage.memory_bytes > 64 * MIB,
        "{violation:?}"
    );
    assert_eq!(heard.recv().await, Some(ViolationType::MemoryWarning));
    assert_eq!(heard.recv().await, Some(ViolationType::MemoryExceeded));

    burden.end();
    manager.run_ended("hungry");
    for _ in 0..2 {
        let fact = next_fact(&mut events).await;
        assert!(matches!(fact, ResourceEvent::LimitCleared(_)), "{fact:?}");
    }
    let gone = manager.get_resource_usage("hungry");
    assert_eq!(
        gone,
        Err(ResourceManagerError::ServiceNotFound("hungry".into()))
    );
    manager.stop_monitoring().await;
}

#[tokio::test]
async fn restarted_service_shows_only_the_new_process() {
    let manager = ResourceManager::new(config());
    manager.start_monitoring().await;
    let large = Burden::start("memory", None);
    manager.track_service("thor", large.tree());
    assert!(
        manager
            .get_resource_usage("thor")
            .expect("is measured")
            .memory_bytes
            > 64 * MIB
    );
    assert_ne!(manager.measured_by("thor"), "none");

    let small = Burden::start("busy", None);
    manager.track_service("thor", small.tree());
    let usage = manager.get_resource_usage("thor").expect("is measured");
    assert!(usage.memory_bytes < 64 * MIB, "{usage:?}");
    manager.stop_monitoring().await;
}

#[tokio::test]
async fn busy_process_shows_its_share_of_the_machine() {
    let manager = ResourceManager::new(config());
    let mut events = manager.subscribe();
    let burden = Burden::start("busy", None);
    manager.track_service("busy", burden.tree());
    manager.start_monitoring().await;
    let shows_work = async {
        loop {
            events.recv().await.expect("not too slow");
            let usage = manager.get_resource_usage("busy").expect("is measured");
            assert!((0.0..=100.0).contains(&usage.cpu_percent), "{usage:?}");
            if usage.cpu_percent > 0.0 && manager.get_system_usage().cpu_usage > 0.0 {
                return;
            }
        }
    };
    timeout(PATIENCE, shows_work).await.expect("in time");
    manager.stop_monitoring().await;
}

/// The specification: every public method may be called from several threads at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_threads_share_one_manager() {
    let manager = ResourceManager::new(config());
    manager.start_monitoring().await;
    let own = ProcessTree {
        pid: std::process::id(),
        cgroup: None,
    };
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let (manager, own) = (&manager, &own);
            scope.spawn(move || {
                for turn in 0..50 {
                    let name = format!("service-{}", (worker + turn) % 3);
                    manager.track_service(&name, own.clone());
                    manager
                        .set_resource_limits(&name, half_of_the_burden())
                        .expect("are valid");
                    // Another thread may have ended it: both answers are right.
                    match manager.get_resource_usage(&name) {
                        Ok(usage) => assert!(usage.memory_bytes > 0),
                        Err(error) => {
                            let gone = ResourceManagerError::ServiceNotFound(name.clone());
                            assert_eq!(error, gone);
                        }
                    }
                    manager.untrack_service(&name);
                }
            });
        }
    });
    for name in ["service-0", "service-1", "service-2"] {
        manager
            .get_resource_limits(name)
            .expect_err("all are forgotten");
    }
    timeout(PATIENCE, manager.stop_monitoring())
        .await
        .expect("in time");
}
