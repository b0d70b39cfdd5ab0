//! The battery on the sampling task, in virtual time.

use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use super::*;
use crate::{
    Platform, ResourceEvent, ResourceManager, ResourceManagerConfig, ResourceManagerPorts, lock,
    mock::{MockBatteryHandler, MockBatterySource},
    world::{World, next_fact, next_round},
};

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
    let mut handler = MockBatteryHandler::new();
    let (sender, mut asked) = mpsc::unbounded_channel();
    let tell = sender.clone();
    handler
        .expect_low()
        .returning(move |_| tell.send("low").expect("the test listens"));
    handler
        .expect_ok()
        .returning(move |_| sender.send("ok").expect("the test listens"));
    let ports = ResourceManagerPorts {
        battery: Arc::new(battery),
        battery_handler: Some(Arc::new(handler)),
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
    assert_eq!(asked.recv().await, Some("low"));
    assert_eq!(asked.recv().await, Some("ok"));
    assert!(asked.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn battery_is_watched_where_nothing_is_sampled() {
    let world = World::default();
    let mut levels = [80, 10].into_iter();
    let mut battery = MockBatterySource::new();
    battery.expect_read().returning(move || {
        Ok(levels.next().map(|percent| BatteryReading {
            percent,
            discharging: true,
        }))
    });
    let config = ResourceManagerConfig {
        monitoring_interval: Duration::ZERO,
        ..alfheim()
    };
    let ports = ResourceManagerPorts {
        battery: Arc::new(battery),
        ..world.ports()
    };
    let manager = ResourceManager::with_ports(config, ports);
    let mut events = manager.subscribe();
    assert!(!manager.on_battery());
    let start = tokio::time::Instant::now();
    manager.start_monitoring().await;
    let fact = events.recv().await.expect("the task lives");
    assert!(
        matches!(fact, ResourceEvent::BatteryLow { percent: 10 }),
        "{fact:?}"
    );
    assert_eq!(start.elapsed().as_secs(), 30);
    assert!(manager.on_battery());
    // Taken out.
    let fact = events.recv().await.expect("the task lives");
    assert!(matches!(fact, ResourceEvent::BatteryOk { .. }), "{fact:?}");
    assert!(!manager.on_battery());
    assert_eq!(world.samples(), 0);
    manager.stop_monitoring().await;
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
