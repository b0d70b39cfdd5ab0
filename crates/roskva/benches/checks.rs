//! What a thousand checks cost: prints CPU time, punctuality, restart latency and memory.
//!
//! The monitor has a thread of its own, so that its CPU time is told apart from the server's.
#![expect(clippy::print_stdout, reason = "figures are for a person")]
#![expect(
    clippy::expect_used,
    reason = "a figure that cannot be taken shall say so"
)]

use std::{
    collections::HashMap,
    convert::Infallible,
    fs,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use roskva::{
    BoxError, Cause, EndRequest, ExitReport, HealthCheckStrategy, HealthEvent, HealthMonitor,
    HealthMonitorConfig, HealthStatus, MonitorOptions, MonitorPorts, RestartHandler,
};
use tokio::{net::TcpListener, runtime::Builder, sync::broadcast::error::RecvError};
use tokio_util::task::TaskTracker;

const SERVICES: usize = 1000;
const INTERVAL: Duration = Duration::from_secs(5);
const MEASURED: Duration = Duration::from_secs(20);

fn main() {
    let (sender, address) = mpsc::channel();
    thread::spawn(move || runtime().block_on(serve(sender)));
    let address = address.recv().expect("the server listens");
    runtime().block_on(async {
        memory().await;
        restart().await;
        http(&address).await;
    });
}

fn runtime() -> tokio::runtime::Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

async fn serve(ready: mpsc::Sender<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("bound").to_string();
    ready.send(address).expect("the bench waits");
    let tasks = TaskTracker::new();
    loop {
        let (stream, _) = listener.accept().await.expect("accepts");
        tasks.spawn(
            http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)),
        );
    }
}

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("ok")))
}

/// CPU time of this thread.
fn cpu_time() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("schedstat");
    let nanos = text.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanos.expect("a number"))
}

fn resident_bytes() -> usize {
    let text = fs::read_to_string("/proc/self/statm").expect("statm");
    let pages = text
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("a number") * 4096
}

async fn memory() {
    const COUNT: usize = 10_000;
    let monitor = HealthMonitor::new(HealthMonitorConfig::default());
    let before = resident_bytes();
    for number in 0..COUNT {
        let name = format!("s{number}");
        let started = monitor.start_monitoring(&name, HealthCheckStrategy::Process);
        started.await.expect("starts");
    }
    let each = resident_bytes().saturating_sub(before) / COUNT;
    println!("memory per monitored service: {each} bytes");
}

struct Told(mpsc::Sender<Instant>);

#[async_trait]
impl RestartHandler for Told {
    async fn restart(&self, _: &str, _: u32) -> Result<(), BoxError> {
        Ok(self.0.send(Instant::now())?)
    }

    async fn end_run(&self, _: &str, _: EndRequest) -> Result<(), BoxError> {
        Ok(())
    }
}

async fn restart() {
    let (sender, told) = mpsc::channel();
    let ports = MonitorPorts {
        restart: Some(Arc::new(Told(sender))),
        ..MonitorPorts::default()
    };
    let monitor = HealthMonitor::with_ports(HealthMonitorConfig::default(), ports);
    let mut events = monitor.subscribe();
    let mut options = MonitorOptions::default();
    options.restart.backoff = Duration::ZERO;
    options.restart.max_attempts = 0;
    let mut event_delays = Vec::new();
    let mut restart_delays = Vec::new();
    for number in 0..90 {
        let name = format!("s{number}");
        monitor
            .start_monitoring_with(&name, options.clone())
            .await
            .expect("starts");
        let died = Instant::now();
        monitor.report_exit(
            &name,
            ExitReport {
                exit_code: Some(1),
                signal: None,
                cause: Cause::Exit,
                uptime: Duration::ZERO,
            },
        );
        while !matches!(
            events.recv().await.expect("an event"),
            HealthEvent::Crashed(_)
        ) {}
        event_delays.push(died.elapsed());
        let restarted = loop {
            match told.try_recv() {
                Ok(at) => break at,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        restart_delays.push(restarted - died);
    }
    println!(
        "report of a death to its event: {}",
        percentiles(event_delays)
    );
    println!(
        "report of a death to the restart, back-off 0: {}",
        percentiles(restart_delays)
    );
}

async fn http(address: &str) {
    let monitor = HealthMonitor::new(HealthMonitorConfig {
        check_interval: INTERVAL,
        ..HealthMonitorConfig::default()
    });
    let mut events = monitor.subscribe();
    for number in 0..SERVICES {
        let url = format!("http://{address}/health");
        let strategy = HealthCheckStrategy::Http {
            url,
            timeout: INTERVAL,
        };
        monitor
            .start_monitoring(&format!("s{number}"), strategy)
            .await
            .expect("starts");
    }
    // One round to open the connections; then it counts.
    tokio::time::sleep(INTERVAL).await;
    let (begin, cpu) = (Instant::now(), cpu_time());
    let mut due = HashMap::new();
    let mut lateness = Vec::new();
    while begin.elapsed() < MEASURED {
        match events.recv().await {
            Ok(HealthEvent::Checked(health)) => {
                assert_eq!(health.status, HealthStatus::Healthy, "{}", health.message);
                let planned = due.insert(health.service_name, health.next_check);
                lateness.extend(
                    planned.map(|at| health.last_check.duration_since(at).unwrap_or_default()),
                );
            }
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => unreachable!("the monitor lives"),
        }
    }
    let used = cpu_time() - cpu;
    let percent = used.as_secs_f64() / begin.elapsed().as_secs_f64() * 100.0;
    let checks = lateness.len();
    println!(
        "{SERVICES} services by HTTP every {INTERVAL:?}: {percent:.2} % of one core, {:?} a check",
        used / u32::try_from(checks.max(1)).expect("few")
    );
    println!(
        "lateness of the answer against the schedule, {checks} checks: {}",
        percentiles(lateness)
    );
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |part: usize| {
        times
            .get(times.len().saturating_sub(1) * part / 100)
            .copied()
            .unwrap_or_default()
    };
    format!("p50 {:?}, p99 {:?}, worst {:?}", at(50), at(99), at(100))
}
