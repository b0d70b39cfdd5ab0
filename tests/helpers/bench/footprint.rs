//! What the daemon costs while nothing happens.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::{
    figure::Figure,
    gauge::{Counters, Supervisor},
    hall::Hall,
};

/// Until caches have been filled and idle threads have ended.
const SETTLE: Duration = Duration::from_secs(3);
const WINDOW: Duration = Duration::from_secs(10);
/// `monitoring_interval = "0s"`.
pub(crate) const UNSAMPLED: &str = "[resources]\nmonitoring_interval = \"0s\"";

/// Services, and the most MiB of PSS that we allow ourselves with them.
const HALLS: [(usize, f64); 3] = [(10, 3.0), (100, 4.0), (1000, 12.0)];

/// Measures with 10, 100 and 1,000 services, with sampling each second and without.
pub(crate) async fn run() -> anyhow::Result<()> {
    for (services, most) in HALLS {
        let hall = Hall::open(services, "").await?;
        let figure = |figure: &'static str, unit, value| Figure {
            bench: "footprint",
            figure: figure.into(),
            services,
            unit,
            value,
            ..Figure::default()
        };
        sleep(SETTLE).await;
        let supervisor = Supervisor::of(&hall)?;
        let idle = rates(&supervisor, WINDOW).await?;
        let sizes = supervisor.sizes()?;
        let spec = |(target, max), figure| Figure {
            target: Some(target),
            max: Some(max),
            ..figure
        };
        let goal = |goal, figure| Figure {
            goal: Some(goal),
            ..figure
        };
        let pss = goal(most, figure("memory (PSS)", "MiB", sizes.pss));
        spec((50.0, 100.0), pss).print()?;
        figure("of it anonymous", "MiB", sizes.pss_anonymous).print()?;
        figure("memory (RSS)", "MiB", sizes.rss).print()?;
        let cpu = goal(0.5, figure("idle CPU", "%", idle.cpu * 100.0));
        spec((1.0, 2.0), cpu).print()?;
        figure("wake-ups", "1/s", idle.wake_ups).print()?;
        figure("preemptions", "1/s", idle.preemptions).print()?;
        figure("processes", "", sizes.processes as f64).print()?;
        figure("threads", "", sizes.threads as f64).print()?;
        figure("descriptors", "", sizes.descriptors as f64).print()?;
        hall.shut_down().await?;

        let hall = Hall::open(services, UNSAMPLED).await?;
        sleep(SETTLE).await;
        let idle = rates(&Supervisor::of(&hall)?, WINDOW).await?;
        figure("idle CPU, no sampling", "%", idle.cpu * 100.0).print()?;
        goal(0.0, figure("wake-ups, no sampling", "1/s", idle.wake_ups)).print()?;
        hall.shut_down().await?;
    }
    Ok(())
}

/// What it used a second, over a while in which nobody asked for anything.
pub(crate) async fn rates(supervisor: &Supervisor, window: Duration) -> anyhow::Result<Counters> {
    let (before, began) = (supervisor.counters()?, Instant::now());
    sleep(window).await;
    let (after, seconds) = (supervisor.counters()?, began.elapsed().as_secs_f64());
    // A thread that has ended takes its counts along.
    let rate = |after: f64, before: f64| ((after - before) / seconds).max(0.0);
    Ok(Counters {
        cpu: rate(after.cpu, before.cpu),
        wake_ups: rate(after.wake_ups, before.wake_ups),
        preemptions: rate(after.preemptions, before.preemptions),
    })
}
