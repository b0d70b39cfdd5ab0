//! How fast processes come and go, beside a bare loop that does the same in the same run.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::future::try_join_all;
use gladsheim_proto::v1::{Event, StopServiceRequest, WatchEventsRequest};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tonic::Streaming;

use crate::{
    figure::Figure,
    floor,
    gauge::Supervisor,
    hall::Hall,
    stopwatch::{Rounds, milliseconds},
};

const KILLS: usize = 200;
/// A service comes back at once, as often as it takes.
const RESTLESS: &str = "[health]\nmax_restart_attempts = 0\nrestart_backoff = \"0s\"";

/// Measures bring-up, stop and return.
pub(crate) async fn run() -> anyhow::Result<()> {
    bring_up().await?;
    stop_hundred().await?;
    kill_to_new_pid().await
}

async fn bring_up() -> anyhow::Result<()> {
    for services in [1, 100, 1000] {
        let floor = floor::bring_up(services)?;
        let hall = Hall::open(services, "").await?;
        let cpu = Supervisor::of(&hall)?.counters()?.cpu;
        let first = milliseconds(hall.answering);
        figure(services, "daemon's first answer", "ms", first).print()?;
        let goal = 2.0;
        beside(services, "bring-up of all", hall.bring_up, floor, goal)?;
        figure(services, "bring-up, CPU of the daemon", "ms", cpu * 1e3).print()?;
        let slowest = milliseconds(hall.slowest_answer);
        let figure_of_slowest = figure(services, "slowest answer meanwhile", "ms", slowest);
        Figure {
            goal: Some(20.0),
            ..figure_of_slowest
        }
        .print()?;
        let floor = floor::stop(services)?;
        let shut_down = hall.shut_down().await?;
        let time = milliseconds(shut_down);
        figure(services, "shutdown of all", "ms", time).print()?;
        figure(services, "  bare loop", "ms", milliseconds(floor)).print()?;
    }
    Ok(())
}

/// With the ratio to the floor, for which there is a goal.
fn beside(
    services: usize,
    name: &'static str,
    measured: Duration,
    floor: Duration,
    goal: f64,
) -> anyhow::Result<()> {
    let (measured, floor) = (milliseconds(measured), milliseconds(floor));
    figure(services, name, "ms", measured).print()?;
    figure(services, "  bare loop", "ms", floor).print()?;
    // A single start would be measured against the start of the daemon itself.
    let goal = (services > 1).then_some(goal);
    Figure {
        goal,
        ..figure(services, "  ratio", "x", measured / floor)
    }
    .print()
}

async fn stop_hundred() -> anyhow::Result<()> {
    let hall = Hall::open(100, "").await?;
    let stops = hall.names.iter().map(|name| {
        hall.client.stop_service(StopServiceRequest {
            service_name: name.clone(),
            ..Default::default()
        })
    });
    let began = Instant::now();
    try_join_all(stops).await?;
    Figure {
        goal: Some(25.0),
        ..figure(
            100,
            "stop of 100, one call each",
            "ms",
            milliseconds(began.elapsed()),
        )
    }
    .print()?;
    hall.shut_down().await?;
    let floor = milliseconds(floor::stop(100)?);
    figure(100, "  bare loop", "ms", floor).print()
}

async fn kill_to_new_pid() -> anyhow::Result<()> {
    for services in [1, 1000] {
        let hall = Hall::open(services, RESTLESS).await?;
        let rounds = returns(&hall).await?;
        let goal = Some(0.5);
        Figure {
            goal,
            ..figure(
                services,
                "SIGKILL to new pid, median",
                "ms",
                rounds.median(),
            )
        }
        .print()?;
        let p95 = rounds.quantile(0.95);
        figure(services, "SIGKILL to new pid, p95", "ms", p95).print()?;
        hall.shut_down().await?;
    }
    let floor = floor::replace(KILLS)?.median();
    figure(1, "  bare loop, median", "ms", floor).print()
}

/// From the kill until the event stream tells the new pid.
async fn returns(hall: &Hall) -> anyhow::Result<Rounds> {
    let name = hall.names.first().context("an empty hall")?;
    let mut pid = hall.pid_of(name).await?;
    let request = WatchEventsRequest {
        follow: true,
        service_name: name.clone(),
        ..Default::default()
    };
    let mut events = hall.client.watch_events(request).await?;
    let mut rounds = Rounds::default();
    for _ in 0..KILLS {
        let began = Instant::now();
        kill(Pid::from_raw(pid), Signal::SIGKILL)?;
        pid = next_pid(&mut events, pid).await?;
        rounds.push(began);
    }
    Ok(rounds)
}

/// The pid that the next start tells; at first, that of the present run may still be told.
async fn next_pid(events: &mut Streaming<Event>, present: i32) -> anyhow::Result<i32> {
    loop {
        let event = events.message().await?.context("the stream has ended")?;
        if let Some(pid) = event.process_id.filter(|pid| *pid != present) {
            return Ok(pid);
        }
    }
}

fn figure(services: usize, figure: &'static str, unit: &'static str, value: f64) -> Figure {
    Figure {
        bench: "process",
        figure: figure.into(),
        services,
        unit,
        value,
        ..Figure::default()
    }
}
