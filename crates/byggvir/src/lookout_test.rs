//! Looks beside the rounds, in virtual time, at folders that stand for the kernel's.

use std::{fs, path::Path};

use tokio::sync::broadcast;

use crate::{
    LimitPolicy, ProcessTree, ResourceEvent, ResourceManager, ResourceManagerConfig,
    ResourceManagerPorts,
    pressure::{PressureFiles, PressureKind, PressureLimits, PressureReading},
    world::{World, next_fact, next_round},
};

const MEMORY: PressureLimits = PressureLimits {
    cpu: 0,
    memory: 20,
    io: 0,
};

fn press(file: &Path, percent: f32) {
    let text = format!(
        "some avg10={percent:.2} avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    );
    fs::write(file, text).expect("is written");
}

/// A manager with one service of this process's own pid, whose cgroup is `folder`.
fn manager(
    folder: &Path,
    config: ResourceManagerConfig,
) -> (ResourceManager, broadcast::Receiver<ResourceEvent>) {
    let world = World::default();
    world.put(std::process::id(), 1 << 20, 0.0);
    let ports = ResourceManagerPorts {
        pressure: std::sync::Arc::new(PressureFiles::at(folder)),
        ..world.ports()
    };
    let manager = ResourceManager::with_ports(config, ports);
    manager.track_service("thor", tree(folder));
    let events = manager.subscribe();
    (manager, events)
}

fn tree(folder: &Path) -> ProcessTree {
    ProcessTree {
        pid: std::process::id(),
        cgroup: Some(folder.to_owned()),
    }
}

fn warning(event: &ResourceEvent) -> Option<&PressureReading> {
    match event {
        ResourceEvent::PressureWarning(reading) => Some(reading),
        _ => None,
    }
}

fn cleared(event: &ResourceEvent) -> Option<&PressureReading> {
    match event {
        ResourceEvent::PressureCleared(reading) => Some(reading),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn pressure_on_the_machine_and_on_a_service_is_told_both_ways() {
    let folder = tempfile::tempdir().expect("is made");
    let config = ResourceManagerConfig {
        pressure: MEMORY,
        ..ResourceManagerConfig::default()
    };
    let (manager, mut events) = manager(folder.path(), config);
    let policy = LimitPolicy {
        pressure: MEMORY,
        ..LimitPolicy::default()
    };
    manager.set_limit_policy("thor", policy);
    manager.start_monitoring().await;
    // No file: no pressure, and no error.
    next_round(&mut events).await;

    press(&folder.path().join("memory"), 50.0);
    let fact = next_fact(&mut events).await;
    let reading = warning(&fact).expect("is a warning");
    assert_eq!(reading.service_name, None);
    assert_eq!(
        (reading.kind, reading.percent),
        (PressureKind::Memory, 50.0)
    );

    press(&folder.path().join("memory.pressure"), 90.0);
    press(&folder.path().join("cpu.pressure"), 90.0);
    let fact = next_fact(&mut events).await;
    let reading = warning(&fact).expect("is a warning");
    assert_eq!(reading.service_name.as_deref(), Some("thor"));
    assert_eq!((reading.percent, reading.limit), (90.0, 20));

    press(&folder.path().join("memory"), 1.0);
    let start = tokio::time::Instant::now();
    let fact = next_fact(&mut events).await;
    let reading = cleared(&fact).expect("is over");
    assert_eq!(reading.service_name, None);
    assert_eq!(start.elapsed().as_secs(), 6, "three looks, 2 s apart");

    manager.run_ended("thor");
    let fact = next_fact(&mut events).await;
    let reading = cleared(&fact).expect("is over");
    assert_eq!(reading.service_name.as_deref(), Some("thor"));
}

#[tokio::test(start_paused = true)]
async fn without_limits_nobody_looks_at_pressure() {
    let folder = tempfile::tempdir().expect("is made");
    for file in ["memory", "memory.pressure", "cpu", "cpu.pressure"] {
        press(&folder.path().join(file), 100.0);
    }
    let (manager, mut events) = manager(folder.path(), ResourceManagerConfig::default());
    manager.start_monitoring().await;
    for _ in 0..5 {
        next_round(&mut events).await;
    }
}

#[tokio::test(start_paused = true)]
async fn kills_that_a_service_survives_are_told_and_those_of_its_end_are_not() {
    let folder = tempfile::tempdir().expect("is made");
    let counts = folder.path().join("memory.events");
    let kill = |count: u32| {
        fs::write(&counts, format!("oom 9\noom_kill {count}\n")).expect("is written");
    };
    kill(3);
    let (manager, mut events) = manager(folder.path(), ResourceManagerConfig::default());
    manager.start_monitoring().await;
    next_round(&mut events).await;
    kill(5);
    match next_fact(&mut events).await {
        ResourceEvent::OomKilled {
            service_name,
            kills,
        } => assert_eq!((service_name.as_str(), kills), ("thor", 2)),
        other => panic!("{other:?}"),
    }
    assert_eq!(manager.oom_kills("thor"), 2);
    next_round(&mut events).await;

    kill(6);
    next_round(&mut events).await;
    // Before the next look, the run has ended: that is the news then.
    manager.run_ended("thor");
    assert_eq!(manager.oom_kills("thor"), 3);
    manager.track_service("thor", tree(folder.path()));
    for _ in 0..3 {
        next_round(&mut events).await;
    }
}
