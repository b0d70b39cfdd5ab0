//! A world for the manager's tests: processes that use what they are told to, in virtual time.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::{
    LimitAction, LimitHandler, LimitPolicy, LimitViolation, ProcessTree, ResourceEvent,
    ResourceLimits, ResourceManager, ResourceManagerConfig, ResourceManagerPorts, SystemProbe,
    SystemSample, TrackedTree, TreeSample, lock,
};

pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const CORES: usize = 4;

/// What the fake probe measures: memory and CPU share of each leader, one second between samples.
#[derive(Debug, Clone, Default)]
pub(crate) struct World(Arc<Mutex<Numbers>>);

#[derive(Debug, Default)]
pub(crate) struct Numbers {
    trees: HashMap<u32, Tree>,
    samples: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Tree {
    memory: u64,
    cpu_percent: f64,
    cpu_time: Duration,
}

#[derive(Debug)]
pub(crate) struct FakeProbe {
    world: World,
    epoch: Instant,
    /// Its receiver learns when the probe is dropped.
    _alive: oneshot::Sender<()>,
}

impl World {
    pub(crate) fn put(&self, pid: u32, memory: u64, cpu_percent: f64) {
        let mut numbers = lock(&self.0);
        let tree = numbers.trees.entry(pid).or_default();
        (tree.memory, tree.cpu_percent) = (memory, cpu_percent);
    }

    /// Ends all processes.
    pub(crate) fn end(&self) {
        lock(&self.0).trees.clear();
    }

    pub(crate) fn samples(&self) -> u32 {
        lock(&self.0).samples
    }

    pub(crate) fn probe(&self) -> (Box<dyn SystemProbe>, oneshot::Receiver<()>) {
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

    pub(crate) fn ports(&self) -> ResourceManagerPorts {
        ResourceManagerPorts {
            probe: self.probe().0,
            ..ResourceManagerPorts::default()
        }
    }

    pub(crate) fn manager(&self) -> ResourceManager {
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

pub(crate) fn leader(pid: u32) -> ProcessTree {
    ProcessTree { pid, cgroup: None }
}

pub(crate) fn memory_limit(bytes: u64) -> ResourceLimits {
    ResourceLimits {
        max_memory_bytes: bytes,
        ..ResourceLimits::default()
    }
}

pub(crate) fn policy(action: LimitAction) -> LimitPolicy {
    LimitPolicy {
        action,
        ..LimitPolicy::default()
    }
}

/// Waits for the next round; panics on a limit or battery event.
pub(crate) async fn next_round(events: &mut broadcast::Receiver<ResourceEvent>) {
    let event = events.recv().await.expect("the sampler lives");
    assert!(matches!(event, ResourceEvent::Sampled { .. }), "{event:?}");
}

/// The next event that is not a mere sample.
pub(crate) async fn next_fact(events: &mut broadcast::Receiver<ResourceEvent>) -> ResourceEvent {
    loop {
        match events.recv().await.expect("the sampler lives") {
            ResourceEvent::Sampled { .. } => {}
            fact => return fact,
        }
    }
}

/// A handler that tells what it was called with, and never comes back.
pub(crate) struct StuckHandler(pub(crate) mpsc::UnboundedSender<(LimitAction, LimitViolation)>);

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
