//! Two hundred rounds of accidents: services and the daemon are killed, the hall file is read anew. After
//! each, every service runs once, nothing else does, and each line that was written is in the log. (Only
//! of a run that was born in the daemon's very last moment, told to nobody, what it said may be gone.)
//!
//! `GLADSHEIM_ROUNDS` sets their number. The seed is printed, and `GLADSHEIM_ROUNDS_SEED` sets it: the
//! same accidents in the same order.

use std::{
    env,
    fmt::Display,
    str::FromStr,
    time::{SystemTime, UNIX_EPOCH},
};

use fastrand::Rng;
use gladsheim_proto::{
    Client,
    v1::{
        ReloadRequest, RestartServiceRequest, ShutdownRequest, StartServiceRequest,
        StopServiceRequest,
    },
};

use self::world::{UNDER_WAY, World};

mod record;
mod world;

const ROUNDS: u32 = 200;

/// What may happen in a round.
#[derive(Debug, Clone, Copy)]
enum Accident {
    /// Some services at once.
    Services,
    Daemon,
    /// A service, and at once the daemon.
    ServiceThenDaemon,
    /// A service while there is no daemon.
    DaemonThenService,
    /// The daemon, while it stops a service.
    DaemonInStop,
    /// The daemon, while it starts a service anew.
    DaemonInRestart,
    /// The hall file says what it said.
    Reload,
    /// The hall file has another argument for a service.
    Change,
    StopAndStart,
    Restart,
}

const ACCIDENTS: [Accident; 10] = [
    Accident::Services,
    Accident::Daemon,
    Accident::ServiceThenDaemon,
    Accident::DaemonThenService,
    Accident::DaemonInStop,
    Accident::DaemonInRestart,
    Accident::Reload,
    Accident::Change,
    Accident::StopAndStart,
    Accident::Restart,
];

#[tokio::test]
async fn two_hundred_rounds_of_accidents_lose_nothing_and_leave_nothing() {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = setting("GLADSHEIM_ROUNDS_SEED", u64::from(clock.subsec_nanos()));
    let rounds = setting("GLADSHEIM_ROUNDS", ROUNDS);
    println!("GLADSHEIM_ROUNDS_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let mut world = World::new();
    world.settle().await;
    for round in 1..=rounds {
        let accident = ACCIDENTS[rng.usize(..ACCIDENTS.len())];
        let name = UNDER_WAY[rng.usize(..UNDER_WAY.len())];
        println!("round {round}: {accident:?} {name}");
        happen(accident, name, &mut world, &mut rng).await;
        world.settle().await;
    }
    let client = world.client().await;
    client.shutdown(ShutdownRequest::default()).await.unwrap();
    world.assert_ended();
}

async fn happen(accident: Accident, name: &str, world: &mut World, rng: &mut Rng) {
    let client = world.client().await;
    match accident {
        Accident::Services => {
            let count = rng.usize(1..=3);
            let names = (0..count).map(|_| UNDER_WAY[rng.usize(..UNDER_WAY.len())]);
            names.for_each(|name| world.kill(name));
        }
        Accident::Daemon => {
            world.kill_daemon();
            world.start_daemon();
        }
        Accident::ServiceThenDaemon => {
            world.kill(name);
            world.kill_daemon();
            world.start_daemon();
        }
        Accident::DaemonThenService => {
            world.kill_daemon();
            world.kill(name);
            world.start_daemon();
        }
        Accident::DaemonInStop => {
            let stopped = client.stop_service(stop(name));
            killed_meanwhile(stopped, world, rng).await;
            start(&world.client().await, name).await;
        }
        Accident::DaemonInRestart => {
            let restarted = client.restart_service(restart(name));
            killed_meanwhile(restarted, world, rng).await;
            start(&world.client().await, name).await;
        }
        Accident::Reload => {
            client.reload(ReloadRequest::default()).await.unwrap();
        }
        Accident::Change => {
            world.change(name);
            client.reload(ReloadRequest::default()).await.unwrap();
        }
        Accident::StopAndStart => {
            // It may just have ended by itself.
            let _ = client.stop_service(stop(name)).await;
            start(&client, name).await;
        }
        Accident::Restart => {
            client.restart_service(restart(name)).await.unwrap();
        }
    }
}

/// Kills the daemon some time after a request was sent to it, and starts the next one.
async fn killed_meanwhile<T>(request: impl Future<Output = T>, world: &mut World, rng: &mut Rng) {
    let some_time = std::time::Duration::from_micros(rng.u64(..3000));
    // Whether it was carried out is part of the accident.
    let _ = tokio::time::timeout(some_time, request).await;
    world.kill_daemon();
    world.start_daemon();
}

fn stop(name: &str) -> StopServiceRequest {
    StopServiceRequest {
        service_name: name.to_owned(),
        ..Default::default()
    }
}

fn restart(name: &str) -> RestartServiceRequest {
    RestartServiceRequest {
        service_name: name.to_owned(),
    }
}

/// It may run already.
async fn start(client: &Client, name: &str) {
    let request = StartServiceRequest {
        service_name: name.to_owned(),
        ..Default::default()
    };
    if let Err(status) = client.start_service(request).await {
        assert_eq!(status.code(), tonic::Code::AlreadyExists, "{status}");
    }
}

fn setting<T: FromStr + Display>(name: &str, default: T) -> T {
    match env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => default,
    }
}
