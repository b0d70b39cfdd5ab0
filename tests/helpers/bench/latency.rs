//! The specification's latency table, as a client on the socket sees it.

use std::{future::Future, time::Instant};

use gladsheim_proto::v1::{
    GetHealthRequest, GetResourceUsageRequest, GetServiceStatusRequest, ListServicesRequest,
    StartServiceRequest, StopServiceRequest,
};
use serde::Serialize;

use crate::{figure, hall::Hall, stopwatch::Rounds};

/// Rounds of what starts or ends a process, of what answers with all services, and of all else.
const LIFECYCLE: usize = 100;
const LISTS: usize = 200;
const READS: usize = 1000;

/// One operation. Its target and maximum are the specification's, for the slowest of a hundred calls.
#[derive(Debug, Serialize)]
struct Line {
    bench: &'static str,
    operation: &'static str,
    services: usize,
    target_ms: f64,
    max_ms: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// Measures with 1, 100 and 1,000 services.
pub(crate) async fn run() -> anyhow::Result<()> {
    for services in [1, 100, 1000] {
        let hall = Hall::open(services, "").await?;
        measure(&hall).await?;
        hall.shut_down().await?;
    }
    Ok(())
}

async fn measure(hall: &Hall) -> anyhow::Result<()> {
    let client = &hall.client;
    let name = |round: usize| hall.names[round % hall.names.len()].clone();
    let print = |operation, (target_ms, max_ms), rounds: &Rounds| {
        figure::print(&Line {
            bench: "latency",
            operation,
            services: hall.names.len(),
            target_ms,
            max_ms,
            p50_ms: rounds.median(),
            p99_ms: rounds.quantile(0.99),
        })
    };

    let (mut starts, mut stops) = (Rounds::default(), Rounds::default());
    for round in 0..LIFECYCLE {
        let stop = StopServiceRequest {
            service_name: name(round),
            ..Default::default()
        };
        let start = StartServiceRequest {
            service_name: name(round),
            ..Default::default()
        };
        let began = Instant::now();
        client.stop_service(stop).await?;
        stops.push(began);
        let began = Instant::now();
        client.start_service(start).await?;
        starts.push(began);
    }
    print("start_service", (500.0, 1000.0), &starts)?;
    print("stop_service", (100.0, 500.0), &stops)?;

    let rounds = repeat(READS, |round| {
        client.get_service_status(GetServiceStatusRequest {
            service_name: name(round),
        })
    });
    print("get_service_status", (10.0, 20.0), &rounds.await?)?;
    let rounds = repeat(LISTS, |_| {
        client.list_services(ListServicesRequest::default())
    });
    print("list_services", (20.0, 50.0), &rounds.await?)?;
    let rounds = repeat(READS, |round| {
        client.get_health(GetHealthRequest {
            service_name: name(round),
        })
    });
    print("get_health", (10.0, 20.0), &rounds.await?)?;
    let rounds = repeat(READS, |round| {
        client.get_resource_usage(GetResourceUsageRequest {
            service_name: name(round),
        })
    });
    print("get_resource_usage", (10.0, 20.0), &rounds.await?)
}

async fn repeat<T, E, F>(count: usize, call: impl Fn(usize) -> F) -> anyhow::Result<Rounds>
where
    F: Future<Output = Result<T, E>>,
    E: std::error::Error + Send + Sync + 'static,
{
    let mut rounds = Rounds::default();
    for round in 0..count {
        let began = Instant::now();
        call(round).await?;
        rounds.push(began);
    }
    Ok(rounds)
}
