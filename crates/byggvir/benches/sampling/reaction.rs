//! How soon a crossed limit is told and acted upon, and what the manager keeps per service.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use byggvir::{
    LimitAction, LimitHandler, LimitPolicy, LimitViolation, ProcessTree, ResourceEvent,
    ResourceLimits, ResourceManager, ResourceManagerConfig, ResourceManagerPorts,
};
use tokio::{runtime::Runtime, sync::mpsc};

use crate::burden::{Burden, SIZE, pages};

/// A handler that only says when it was called.
struct Clock(mpsc::UnboundedSender<Instant>);

#[async_trait]
impl LimitHandler for Clock {
    async fn restart(&self, _: LimitViolation) {
        self.stop_now();
    }

    async fn stop(&self, _: LimitViolation) {
        self.stop_now();
    }
}

impl Clock {
    fn stop_now(&self) {
        // Nobody waits for it any more.
        let _ = self.0.send(Instant::now());
    }
}

pub(crate) fn report() -> io::Result<()> {
    let runtime = Runtime::new()?;
    println!(
        "\ninterval  from the limit to the event  to the action  (two samples in a row are needed)"
    );
    for millis in [1000, 100] {
        let (event, action) = runtime.block_on(reaction(Duration::from_millis(millis)))?;
        println!(
            "{millis:5} ms  {:>24.0} ms  {:>10.0} ms",
            1e3 * event,
            1e3 * action
        );
    }
    let bytes = runtime.block_on(memory_per_service(1000))?;
    println!(
        "\nmemory of byggvir per service (1,000 processes, descriptors kept open): {bytes} bytes"
    );
    Ok(())
}

/// Seconds from the moment in which a process has exceeded its limit.
async fn reaction(interval: Duration) -> io::Result<(f64, f64)> {
    let (sender, mut actions) = mpsc::unbounded_channel();
    let config = ResourceManagerConfig {
        monitoring_interval: interval,
        ..ResourceManagerConfig::default()
    };
    let ports = ResourceManagerPorts {
        limit_handler: Some(Arc::new(Clock(sender))),
        ..ResourceManagerPorts::default()
    };
    let manager = ResourceManager::with_ports(config, ports);
    let limits = ResourceLimits {
        max_memory_bytes: SIZE as u64 / 2,
        ..ResourceLimits::default()
    };
    manager
        .set_resource_limits("hungry", limits)
        .map_err(io::Error::other)?;
    let policy = LimitPolicy {
        action: LimitAction::Stop,
        ..LimitPolicy::default()
    };
    manager.set_limit_policy("hungry", policy);
    let mut burden = Burden::start("memory")?;
    manager.track_service("hungry", tree(burden.pid()));
    let mut events = manager.subscribe();
    manager.start_monitoring().await;
    events.recv().await.map_err(io::Error::other)?;
    burden.go()?;
    let crossed = Instant::now();
    let told = loop {
        if let ResourceEvent::LimitExceeded(_) = events.recv().await.map_err(io::Error::other)? {
            break Instant::now();
        }
    };
    let acted = actions.recv().await.ok_or(io::ErrorKind::BrokenPipe)?;
    manager.stop_monitoring().await;
    Ok((
        (told - crossed).as_secs_f64(),
        (acted - crossed).as_secs_f64(),
    ))
}

/// Growth of this process, by its anonymous pages.
async fn memory_per_service(count: usize) -> io::Result<u64> {
    let services = crate::Services::start(count)?;
    let manager = ResourceManager::new(ResourceManagerConfig::default());
    let mut events = manager.subscribe();
    let before = pages("self", "Anonymous:")?;
    for child in &services.children {
        manager.track_service(&format!("service-{}", child.id()), tree(child.id()));
    }
    manager.start_monitoring().await;
    for _ in 0..2 {
        events.recv().await.map_err(io::Error::other)?;
    }
    let grown = pages("self", "Anonymous:")?.saturating_sub(before);
    manager.stop_monitoring().await;
    Ok(grown / count as u64)
}

fn tree(pid: u32) -> ProcessTree {
    ProcessTree { pid, cgroup: None }
}
