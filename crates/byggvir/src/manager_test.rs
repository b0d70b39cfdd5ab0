//! The manager over a world that does as told, in virtual time.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::{
    BatteryReading, Enforced, LimitAction, SystemSample, TrackedTree, TreeSample, ViolationType,
    mock::{MockBatterySource, MockLimitEnforcer},
};

const MIB: u64 = 1 << 20;
const CORES: usize = 4;

/// What the fake probe measures: memory and CPU share of each leader, one second between samples.
#[derive(Debug, Clone, Default)]
struct World(Arc<Mutex<Numbers>>);

#[derive(Debug, Default)]
struct Numbers {
    trees: HashMap<u32, Tree>,
    samples: u32,
}

#[derive(Debug, Default)]
struct Tree {
    memory: u64,
    cpu_percent: f64,
    cpu_time: Duration,
}

#[derive(Debug)]
struct FakeProbe {
    world: World,
    epoch: Instant,
    /// Its receiver learns when the probe is dropped.
    _alive: oneshot::Sender<()>,
}

impl World {
    fn put(&self, pid: u32, memory: u64, cpu_percent: f64) {
        let mut numbers = lock(&self.0);
        let tree = numbers.trees.entry(pid).or_default();
        (tree.memory, tree.cpu_percent) = (memory, cpu_percent);
    }

    fn samples(&self) -> u32 {
        lock(&self.0).samples
    }

    fn probe(&self) -> (Box<dyn SystemProbe>, oneshot::Receiver<()>) {
        let (_alive, dropped) = oneshot::channel();
        (
            Box::new(FakeProbe {
                world: self.clone(),
                epoch: Instant::now(),
                _alive,
            }),
            dropped,
        )
    }

    fn ports(&self) -> ResourceManagerPorts {
        ResourceManagerPorts {
            probe: self.probe().0,
            ..ResourceManagerPorts::default()
        }
    }

    fn manager(&self) -> ResourceManager {
        ResourceManager::with_ports(ResourceManagerConfig::default(), self.ports())
    }
}

impl SystemProbe for FakeProbe {
    fn sample(&mut self, trees: &[TrackedTree]) -> Vec<io::Result<TreeSample>> {
        let mut numbers = lock(&self.world.0);
        numbers.samples += 1;
        let at = self.epoch + Duration::from_secs(numbers.samples.into());
        let sample = |TrackedTree { tree, .. }: &TrackedTree| {
            let tree = numbers
                .trees
                .get_mut(&tree.pid)
                .ok_or(io::ErrorKind::NotFound)?;
            tree.cpu_time += Duration::from_secs_f64(tree.cpu_percent / 100.0 * CORES as f64);
            Ok(TreeSample {
                memory_bytes: tree.memory,
                cpu_time: tree.cpu_time,
                at,
                backend: "fake",
            })
        };
        trees.iter().map(sample).collect()
    }

    fn forget(&mut self, _run: u64) {}

    fn system(&mut self) -> io::Result<SystemSample> {
        let samples = self.world.samples();
        Ok(SystemSample {
            total_memory: 1000 * MIB,
            available_memory: 400 * MIB,
            cpu_time: Duration::from_secs(2) * samples,
            num_cores: CORES,
            at: self.epoch + Duration::from_secs(samples.into()),
        })
    }
}

fn leader(pid: u32) -> ProcessTree {
    ProcessTree { pid, cgroup: None }
}

fn memory_limit(bytes: u64) -> ResourceLimits {
    ResourceLimits {
        max_memory_bytes: bytes,
        ..ResourceLimits::default()
    }
}

fn policy(action: LimitAction) -> LimitPolicy {
    LimitPolicy {
        action,
        ..LimitPolicy::default()
    }
}

/// Waits for the next round; panics on a limit or battery event.
async fn next_round(events: &mut broadcast::Receiver<ResourceEvent>) {
    let event = events.recv().await.expect("the sampler lives");
    assert!(matches!(event, ResourceEvent::Sampled { .. }), "{event:?}");
}

/// The next event that is not a mere sample.
async fn next_fact(events: &mut broadcast::Receiver<ResourceEvent>) -> ResourceEvent {
    loop {
        match events.recv().await.expect("the sampler lives") {
            ResourceEvent::Sampled { .. } => {}
            fact => return fact,
        }
    }
}

/// A handler that tells what it was called with, and never comes back.
struct StuckHandler(mpsc::UnboundedSender<(LimitAction, LimitViolation)>);

#[async_trait]
impl LimitHandler for StuckHandler {
    async fn restart(&self, violation: LimitViolation) {
        self.0
            .send((LimitAction::Restart, violation))
            .expect("the test listens");
        std::future::pending().await
    }

    async fn stop(&self, violation: LimitViolation) {
        self.0
            .send((LimitAction::Stop, violation))
            .expect("the test listens");
        std::future::pending().await
    }
}

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
    lock(&world.0).trees.clear();
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

fn alfheim() -> ResourceManagerConfig {
    ResourceManagerConfig {
        platform: Platform::Alfheim,
        battery_aware: true,
        ..ResourceManagerConfig::default()
    }
}

#[tokio::test(start_paused = true)]
async fn low_battery_is_told_both_ways_and_stretches_the_rounds() {
    let world = World::default();
    let level = Arc::new(Mutex::new(BatteryReading {
        percent: 10,
        discharging: true,
    }));
    let read = Arc::clone(&level);
    let mut battery = MockBatterySource::new();
    battery
        .expect_read()
        .returning(move || Ok(Some(*lock(&read))));
    let ports = ResourceManagerPorts {
        battery: Arc::new(battery),
        ..world.ports()
    };
    let manager = ResourceManager::with_ports(alfheim(), ports);
    let mut events = manager.subscribe();
    manager.start_monitoring().await;
    let fact = next_fact(&mut events).await;
    assert!(
        matches!(fact, ResourceEvent::BatteryLow { percent: 10 }),
        "{fact:?}"
    );
    let start = tokio::time::Instant::now();
    next_round(&mut events).await;
    assert_eq!(start.elapsed().as_secs(), 4);

    *lock(&level) = BatteryReading {
        percent: 10,
        discharging: false,
    };
    let fact = next_fact(&mut events).await;
    assert!(
        matches!(fact, ResourceEvent::BatteryOk { percent: 10 }),
        "{fact:?}"
    );
    assert_eq!(start.elapsed().as_secs(), 32, "it is looked at every 30 s");
    let start = tokio::time::Instant::now();
    next_round(&mut events).await;
    assert_eq!(start.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn battery_matters_only_where_it_is_asked_for() {
    let on_desktop = ResourceManagerConfig {
        platform: Platform::Midgard,
        ..alfheim()
    };
    let unaware = ResourceManagerConfig {
        battery_aware: false,
        ..alfheim()
    };
    for config in [on_desktop, unaware] {
        // Without an expectation, a mock that is read panics, and the round fails.
        let battery = Arc::new(MockBatterySource::new());
        let ports = ResourceManagerPorts {
            battery,
            ..World::default().ports()
        };
        let manager = ResourceManager::with_ports(config, ports);
        let mut events = manager.subscribe();
        manager.start_monitoring().await;
        let start = tokio::time::Instant::now();
        next_round(&mut events).await;
        next_round(&mut events).await;
        assert_eq!(start.elapsed().as_secs(), 1);
        manager.stop_monitoring().await;
    }
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
