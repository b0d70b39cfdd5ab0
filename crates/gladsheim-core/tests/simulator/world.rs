//! One story: a hall made by chance, clients that ask for anything at any time, and what must hold.

use std::{sync::Arc, time::Duration};

use gladsheim_core::{
    Gladsheim, GladsheimConfig, GladsheimError, GroupStrategy, HallPorts, Servants, StartOverrides,
    StopOptions,
};
use roskva::{HealthMonitor, HealthMonitorConfig, MonitorPorts};
use skirnir::{Cause, ServiceRegistry, ServiceState};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    client::{Client, FOR_EVER, check_now},
    definition::{describe, service},
    dice::Dice,
    errors::Errors,
    loader::FakeLoader,
    manager::manager,
    witness::{self, tell_of},
};

/// Plays the story of a seed and panics where something does not hold; returns the story's digest.
pub(crate) fn play(seed: u64, tell: bool) -> u64 {
    // The jitter of the restart policy.
    fastrand::seed(seed);
    let errors = Errors::default();
    let digest = tracing::subscriber::with_default(errors.clone(), || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(story(Dice::new(seed), tell))
    });
    assert_eq!(errors.all(), Vec::<String>::new(), "the hall logged errors");
    digest
}

async fn story(dice: Dice, tell: bool) -> u64 {
    let strategy = GroupStrategy::ALL[dice.below(3) as usize];
    let services: Vec<_> = (0..2 + dice.below(4))
        .map(|number| service(number, strategy, &dice))
        .collect();
    if tell {
        services
            .iter()
            .for_each(|service| tell_of(&describe(service)));
    }
    let loader = FakeLoader::new(dice.clone());
    let registry = Arc::new(ServiceRegistry::new());
    let config = GladsheimConfig {
        services: services.clone(),
        ..GladsheimConfig::default()
    };
    let (hall, ports) = hall(config, &loader, &registry);
    let watching = witness::watch(hall.events_since(0), registry, tell);
    let mut witness = JoinSet::new();
    witness.spawn(watching);
    hall.start().await.unwrap();
    if dice.chance(50) {
        let mut progress = hall.bring_up(&[]).unwrap();
        let told = async { while progress.recv().await.is_some() {} };
        timeout(FOR_EVER, told)
            .await
            .expect("a bring-up never ends");
    }

    let client = Client {
        hall,
        ports,
        loader,
        services,
        dice,
    };
    let mut clients = JoinSet::new();
    for _ in 0..3 {
        clients.spawn(client.clone().run());
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    quiesce(&client).await;
    for _ in 0..3 {
        one_alone(&client).await;
    }
    timeout(FOR_EVER, client.hall.shutdown())
        .await
        .expect("a shutdown never ends")
        .unwrap();
    // Ends the bus, and with it the witness.
    let Client { hall, loader, .. } = client;
    drop(hall);
    let testimony = witness.join_next().await.unwrap().unwrap();
    for (name, life) in testimony.services {
        // The one way to outlive a shutdown: a process that refuses to stop in a hall that does not kill.
        let lives = u64::from(loader.lives(&name));
        assert_eq!(
            life.started,
            life.exited + lives,
            "{name}: one end for each start"
        );
    }
    testimony.digest
}

fn hall(
    config: GladsheimConfig,
    loader: &FakeLoader,
    registry: &Arc<ServiceRegistry>,
) -> (Gladsheim, HallPorts) {
    let mut kept = None;
    let hall = Gladsheim::with_servants(config, |ports| {
        kept = Some(ports.clone());
        Servants {
            thjalfi: Arc::new(loader.clone()),
            byggvir: Arc::new(manager()),
            roskva: Arc::new(HealthMonitor::with_ports(
                HealthMonitorConfig::default(),
                MonitorPorts {
                    restart: Some(ports.restart),
                    ..MonitorPorts::default()
                },
            )),
            skirnir: Arc::clone(registry) as _,
        }
    });
    (hall, kept.unwrap())
}

/// Left alone, everything comes to rest: registry, processes and wishes agree.
async fn quiesce(client: &Client) {
    sleep(Duration::from_secs(120)).await;
    for service in &client.services {
        let name = &service.name;
        timeout(FOR_EVER, arrives(&client.hall, name))
            .await
            .unwrap_or_else(|_| panic!("{name} never arrives"));
        check_now(&client.hall, name);
        let status = client.hall.get_service_status(name).unwrap();
        assert_eq!(
            status.process_id != 0,
            client.loader.lives(name),
            "{name}: {status:?}"
        );
    }
}

/// Whoever is on the way somewhere arrives, or begins anew.
async fn arrives(hall: &Gladsheim, name: &str) {
    let before = hall.get_service_status(name).unwrap();
    loop {
        let now = hall.get_service_status(name).unwrap();
        if rests(now.state) || now.generation != before.generation {
            return;
        }
        sleep(Duration::from_secs(10)).await;
    }
}

fn rests(state: ServiceState) -> bool {
    match state {
        ServiceState::Running
        | ServiceState::Stopped
        | ServiceState::Crashed
        | ServiceState::Failed => true,
        ServiceState::Unknown
        | ServiceState::Starting
        | ServiceState::Stopping
        | ServiceState::Restarting => false,
    }
}

/// One command to a hall that nobody else asks for anything: the service is then what was wished, or has failed.
async fn one_alone(client: &Client) {
    let (hall, dice) = (&client.hall, &client.dice);
    let name = client.any();
    let before = hall.get_service_status(name).unwrap();
    let wanted_up = dice.chance(50);
    let outcome = timeout(FOR_EVER, async {
        if wanted_up {
            hall.start_service(name, StartOverrides::default()).await
        } else {
            let force = StopOptions {
                force: true,
                ..StopOptions::default()
            };
            hall.stop_service(name, force).await
        }
    })
    .await
    .expect("a command is never answered");
    match (wanted_up, outcome) {
        (true, Ok(_)) => {
            sleep(Duration::from_secs(120)).await;
            timeout(FOR_EVER, arrives(hall, name)).await.unwrap();
            let after = hall.get_service_status(name).unwrap();
            assert!(after.generation > before.generation, "{name}: {after:?}");
            // It is up, or comes up again, or has ended by itself: nobody has stopped it but its group.
            let grouped = hall.definition(name).unwrap().restart_group.is_some();
            if after.state == ServiceState::Stopped && !grouped {
                assert_eq!(after.cause, Some(Cause::Exit), "{name}: {after:?}");
            }
        }
        (false, Ok(after)) => {
            let is_down = after.state == ServiceState::Stopped && after.process_id == 0;
            assert!(is_down && !client.loader.lives(name), "{name}: {after:?}");
            // Whoever needs it was stopped before, so nobody starts it; a group starts what it has held.
            sleep(dice.millis(100_000)).await;
            let later = hall.get_service_status(name).unwrap();
            assert_eq!(
                (later.state, later.generation),
                (ServiceState::Stopped, after.generation),
                "{name} came back: {later:?}"
            );
        }
        (true, Err(GladsheimError::AlreadyRunning(_))) => {
            let down = ServiceState::Stopped;
            assert_ne!(before.state, down, "{name}: {before:?}");
        }
        // It, or what it needs, could not be started, would not stop, or has just ended by itself.
        (_, Err(_)) => {}
    }
    check_now(hall, name);
}
