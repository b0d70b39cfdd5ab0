//! One story: a hall made by chance, clients that ask for anything at any time, and what must hold.

use std::{sync::Arc, time::Duration};

use gladsheim_core::{
    Dependency, DependencyCondition, Gladsheim, GladsheimConfig, GroupStrategy, RestartGroup,
    Servants, ServiceDefinition, StartOverrides, StopOptions, WaitCondition,
};
use roskva::{HealthMonitor, HealthMonitorConfig, MonitorPorts, RestartMode};
use skirnir::{ServiceRegistry, ServiceState};
use thjalfi::Readiness;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{dice::Dice, errors::Errors, loader::FakeLoader, manager::manager};

/// Nothing waits longer; in virtual time it costs nothing.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

/// Plays the story of a seed and panics where something does not hold.
pub(crate) fn play(seed: u64) {
    let errors = Errors::default();
    tracing::subscriber::with_default(errors.clone(), || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(story(Dice::new(seed)));
    });
    assert_eq!(errors.all(), Vec::<String>::new(), "the hall logged errors");
}

async fn story(dice: Dice) {
    let services: Vec<_> = (0..2 + dice.below(4)).map(|n| service(n, &dice)).collect();
    let names: Vec<String> = services
        .iter()
        .map(|service| service.name.clone())
        .collect();
    let loader = FakeLoader::new(dice.clone());
    let playing = loader.clone();
    let config = GladsheimConfig {
        services: services.clone(),
        ..GladsheimConfig::default()
    };
    let hall = Gladsheim::with_servants(config, |ports| Servants {
        thjalfi: Arc::new(playing),
        byggvir: Arc::new(manager()),
        roskva: Arc::new(HealthMonitor::with_ports(
            HealthMonitorConfig::default(),
            MonitorPorts {
                restart: Some(ports.restart),
                ..MonitorPorts::default()
            },
        )),
        skirnir: Arc::new(ServiceRegistry::new()),
    });
    hall.start().await.unwrap();
    if dice.chance(50) {
        let mut progress = hall.bring_up(&[]).unwrap();
        let told = async { while progress.recv().await.is_some() {} };
        timeout(FOR_EVER, told)
            .await
            .expect("a bring-up never ends");
    }

    let mut clients = JoinSet::new();
    for _ in 0..3 {
        clients.spawn(client(hall.clone(), services.clone(), dice.clone()));
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }

    quiesce(&hall, &loader, &names).await;
    timeout(FOR_EVER, hall.shutdown())
        .await
        .expect("a shutdown never ends")
        .unwrap();
    for name in &names {
        // The one way to outlive a shutdown: a process that refuses to stop in a hall that does not kill.
        if !loader.lives(name) {
            let started = count(&hall, "service.started", name);
            assert_eq!(
                started,
                count(&hall, "service.exited", name),
                "{name}: one end for each start"
            );
        }
    }
}

fn service(number: u64, dice: &Dice) -> ServiceDefinition {
    let mut service = ServiceDefinition::new(format!("s{number}"), "/fake");
    for earlier in 0..number {
        if dice.chance(30) {
            service.depends_on.push(Dependency {
                service_name: format!("s{earlier}"),
                // Not `Completed`: of a service that runs for ever, it rightly never holds.
                condition: DependencyCondition::ALL[dice.below(3) as usize],
                required: dice.chance(70),
            });
        }
    }
    if dice.chance(40) {
        service.restart_group = Some(RestartGroup {
            name: format!("g{}", dice.below(2)),
            strategy: GroupStrategy::ALL[dice.below(3) as usize],
        });
    }
    service.ready_by_health = dice.chance(20);
    if dice.chance(40) {
        service.start.readiness = Readiness::Notify;
    }
    let restart = &mut service.monitor.restart;
    restart.mode = [
        RestartMode::Always,
        RestartMode::OnFailure,
        RestartMode::Never,
    ][dice.below(3) as usize];
    restart.max_attempts = dice.below(5) as u32;
    service
}

/// The services as a person might have changed them: all are still there, and one may come or go.
fn changed(services: &[ServiceDefinition], dice: &Dice) -> Vec<ServiceDefinition> {
    let mut changed = services.to_vec();
    for service in &mut changed {
        match dice.below(6) {
            0 => service.start.args = vec![dice.below(3).to_string()],
            1 => service.monitor.restart.max_attempts = dice.below(5) as u32,
            2 => service.depends_on.clear(),
            3 => service.restart_group = None,
            _ => {}
        }
    }
    if dice.chance(50) {
        changed.push(ServiceDefinition::new("guest", "/fake"));
    }
    if dice.chance(50) {
        changed.reverse();
    }
    changed
}

/// Asks for anything, at any time, and gets an answer to everything.
async fn client(hall: Gladsheim, services: Vec<ServiceDefinition>, dice: Dice) {
    for _ in 0..12 {
        let pause = if dice.chance(50) {
            dice.millis(5)
        } else {
            dice.millis(20_000)
        };
        sleep(pause).await;
        let name = &services[dice.below(services.len() as u64) as usize].name;
        let what = dice.below(10);
        let force = StopOptions {
            force: dice.chance(50),
            ..StopOptions::default()
        };
        // Whether it is granted does not matter here, but an answer must come.
        let answered = timeout(FOR_EVER, async {
            match what {
                0..=2 => hall
                    .start_service(name, StartOverrides::default())
                    .await
                    .map(drop),
                3 | 4 => hall.stop_service(name, force).await.map(drop),
                5 => hall.force_kill_service(name).await.map(drop),
                6 => hall.restart_service(name).await.map(drop),
                7 => hall.reset_service(name).await,
                8 => hall.reload(changed(&services, &dice)).await.map(drop),
                // Waiting ends by itself only if somebody brings it about: a person gives up.
                _ => {
                    let waiting = hall.wait_for(name, WaitCondition::Ready);
                    timeout(dice.millis(30_000), waiting)
                        .await
                        .map_or(Ok(()), |end| end.map(drop))
                }
            }
        })
        .await;
        assert!(
            answered.is_ok(),
            "command {what} for {name} is never answered"
        );
        check_now(&hall, name);
    }
}

/// What holds at every moment.
fn check_now(hall: &Gladsheim, name: &str) {
    let status = hall.get_service_status(name).unwrap();
    let runs = status.process_id != 0;
    let may_run = match status.state {
        ServiceState::Running => Some(true),
        ServiceState::Stopped | ServiceState::Crashed | ServiceState::Failed => Some(false),
        ServiceState::Unknown
        | ServiceState::Starting
        | ServiceState::Stopping
        | ServiceState::Restarting => None,
    };
    assert!(may_run.is_none_or(|may| may == runs), "{name}: {status:?}");
    assert!(
        status.ready <= runs,
        "{name} is ready without a process: {status:?}"
    );
}

/// Left alone, everything comes to rest: registry, processes and wishes agree.
async fn quiesce(hall: &Gladsheim, loader: &FakeLoader, names: &[String]) {
    sleep(Duration::from_secs(3600)).await;
    for name in names {
        timeout(FOR_EVER, arrives(hall, name))
            .await
            .unwrap_or_else(|_| panic!("{name} never arrives"));
        check_now(hall, name);
        let status = hall.get_service_status(name).unwrap();
        assert_eq!(
            status.process_id != 0,
            loader.lives(name),
            "{name}: {status:?}"
        );
    }
}

/// Whoever is on the way somewhere arrives, or begins anew.
async fn arrives(hall: &Gladsheim, name: &str) {
    let before = hall.get_service_status(name).unwrap();
    loop {
        let now = hall.get_service_status(name).unwrap();
        let rests = match now.state {
            ServiceState::Running
            | ServiceState::Stopped
            | ServiceState::Crashed
            | ServiceState::Failed => true,
            ServiceState::Unknown
            | ServiceState::Starting
            | ServiceState::Stopping
            | ServiceState::Restarting => false,
        };
        if rests || now.generation != before.generation {
            return;
        }
        sleep(Duration::from_secs(10)).await;
    }
}

fn count(hall: &Gladsheim, kind: &str, name: &str) -> usize {
    let mut events = hall.events_since(0);
    std::iter::from_fn(|| events.try_next())
        .filter(|event| event.kind.name() == kind && event.kind.service_name() == Some(name))
        .count()
}
