//! A hall file with one change: how long it takes, and whom it touches.

use std::time::Instant;

use gladsheim_proto::v1::{ListServicesRequest, ReloadRequest};

use crate::{figure::Figure, footprint::UNSAMPLED, hall::Hall};

const HALLS: [usize; 3] = [10, 100, 1000];

/// Measures a plan, the reload, and one without a change.
pub(crate) async fn run() -> anyhow::Result<()> {
    for services in HALLS {
        let hall = Hall::open(services, UNSAMPLED).await?;
        let figure = |figure: &'static str, unit, value| Figure {
            bench: "reload",
            figure: figure.into(),
            services,
            unit,
            value,
            ..Figure::default()
        };
        let before = pids(&hall).await?;
        hall.change_one(UNSAMPLED);
        for (name, dry_run) in [
            ("plan, one change", true),
            ("reload, one change", false),
            ("reload, no change", false),
        ] {
            let began = Instant::now();
            hall.client.reload(ReloadRequest { dry_run }).await?;
            figure(name, "ms", began.elapsed().as_secs_f64() * 1e3).print()?;
        }
        let after = pids(&hall).await?;
        let touched = before.iter().zip(&after).filter(|(old, new)| old != new);
        let touched = touched.count() as f64;
        Figure {
            goal: Some(1.0),
            ..figure("processes touched", "", touched)
        }
        .print()?;
        hall.shut_down().await?;
    }
    Ok(())
}

/// Pids of the services, in the order of the hall file.
async fn pids(hall: &Hall) -> anyhow::Result<Vec<i32>> {
    let answer = hall.client.list_services(ListServicesRequest::default());
    let services = answer.await?.services.into_iter();
    Ok(services.map(|service| service.process_id).collect())
}
