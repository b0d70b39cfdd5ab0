//! How soon a service that was killed runs again, beside a bare loop that does the same.

use std::time::Instant;

use anyhow::Context as _;
use gladsheim_proto::v1::{Event, WatchEventsRequest};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tonic::Streaming;

use crate::{figure::Figure, floor, hall::Hall, stopwatch::Rounds};

/// Fewer than the restarts that a hall may have at once: beyond those, they are spread on purpose.
const KILLS: usize = 90;
/// A service comes back at once, as often as it takes.
const RESTLESS: &str = "[health]\nmax_restart_attempts = 0\nrestart_backoff = \"0s\"";

/// Measures from the kill to the new pid.
pub(crate) async fn run() -> anyhow::Result<()> {
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
        bench: "comeback",
        figure: figure.into(),
        services,
        unit,
        value,
        ..Figure::default()
    }
}
