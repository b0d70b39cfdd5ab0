//! What it costs the daemon to check a thousand services, and how soon it sees a death.

use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use gladsheim_proto::v1::WatchEventsRequest;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::time::sleep;

use crate::{
    figure::Figure,
    footprint::{self, UNSAMPLED},
    gauge::Supervisor,
    hall::Hall,
    server::{self, Servers},
    stopwatch::Rounds,
};

const SERVICES: usize = 1000;
/// A round of checks has passed by then, connections and streams are open.
const SETTLE: Duration = Duration::from_secs(8);
/// Six rounds of checks: while a stream is kept, every sixth one confirms it.
const WINDOW: Duration = Duration::from_secs(30);
/// As many as roskva's budget lets follow at once.
const DEATHS: usize = 90;
/// A service comes back at once, as often as it takes.
const RESTLESS: &str = "[resources]\nmonitoring_interval = \"0s\"\n\
                        [health]\nmax_restart_attempts = 0\nrestart_backoff = \"0s\"";

/// Measures each kind of check by itself, with sampling off, then deaths.
pub(crate) async fn run() -> anyhow::Result<()> {
    server::raise_descriptor_limit()?;
    let Servers { http, grpc } = server::start()?;
    let process = checks("process", "", [Some(0.1), Some(0.0)]).await?;
    for (kind, health, goal) in [
        (
            "HTTP every 5 s",
            format!("health = {{ http = \"http://{http}/health\" }}\n"),
            2.0,
        ),
        (
            "gRPC Watch",
            format!("health = {{ grpc = \"{grpc}\" }}\n"),
            0.5,
        ),
    ] {
        let anonymous = checks(kind, &health, [Some(goal), None]).await?;
        let each = (anonymous - process).max(0.0) * 1024.0 / SERVICES as f64;
        let name = format!("{kind}: memory for each, beyond a process check");
        figure(SERVICES, name, "KiB", each).print()?;
    }
    deaths().await
}

/// CPU and wake-ups of the daemon; returns its own MiB.
async fn checks(
    kind: &str,
    health: &str,
    [cpu, wake_ups]: [Option<f64>; 2],
) -> anyhow::Result<f64> {
    let hall = Hall::open_with(SERVICES, UNSAMPLED, health).await?;
    sleep(SETTLE).await;
    let supervisor = Supervisor::of(&hall)?;
    let used = footprint::rates(&supervisor, WINDOW).await?;
    let anonymous = supervisor.sizes()?.pss_anonymous;
    let line = |what, unit, value| figure(SERVICES, format!("{kind}: {what}"), unit, value);
    Figure {
        goal: cpu,
        ..line("CPU", "%", used.cpu * 100.0)
    }
    .print()?;
    Figure {
        goal: wake_ups,
        ..line("wake-ups", "1/s", used.wake_ups)
    }
    .print()?;
    hall.shut_down().await?;
    Ok(anonymous)
}

/// From the kill until the event stream tells the crash, and the new process.
async fn deaths() -> anyhow::Result<()> {
    let hall = Hall::open(1, RESTLESS).await?;
    let name = hall.names.first().context("an empty hall")?;
    let mut pid = hall.pid_of(name).await?;
    let request = WatchEventsRequest {
        follow: true,
        service_name: name.clone(),
        ..Default::default()
    };
    let mut events = hall.client.watch_events(request).await?;
    let (mut crashes, mut starts) = (Rounds::default(), Rounds::default());
    for _ in 0..DEATHS {
        let began = Instant::now();
        kill(Pid::from_raw(pid), Signal::SIGKILL)?;
        pid = loop {
            let event = events.message().await?.context("the stream has ended")?;
            match event.process_id.filter(|next| *next != pid) {
                Some(next) => break next,
                None if event.kind == "service.crashed" => crashes.push(began),
                None => {}
            }
        };
        starts.push(began);
    }
    hall.shut_down().await?;
    for (name, rounds) in [
        ("the crash event", crashes),
        ("the new process, back-off 0", starts),
    ] {
        for (quantile, part) in [("median", 0.5), ("p99", 0.99)] {
            let name = format!("death to {name}, {quantile}");
            figure(1, name, "ms", rounds.quantile(part)).print()?;
        }
    }
    Ok(())
}

fn figure(
    services: usize,
    figure: impl Into<Cow<'static, str>>,
    unit: &'static str,
    value: f64,
) -> Figure {
    Figure {
        bench: "health",
        figure: figure.into(),
        services,
        unit,
        value,
        ..Figure::default()
    }
}
