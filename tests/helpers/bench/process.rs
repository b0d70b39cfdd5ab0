//! How fast processes come and go, beside a bare loop that does the same in the same run.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use gladsheim_proto::v1::StopServiceRequest;

use crate::{figure::Figure, floor, gauge::Supervisor, hall::Hall, stopwatch::milliseconds};

/// Measures bring-up and stop.
pub(crate) async fn run() -> anyhow::Result<()> {
    bring_up().await?;
    stop_hundred().await
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
