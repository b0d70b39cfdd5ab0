//! Start, restart and stop latency against a bare `posix_spawn` loop. Run: `cargo bench -p thjalfi`.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench prints its figures and ends at the first failure"
)]

use std::{
    collections::HashMap,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use thjalfi::{Containment, ServiceLoader, ServiceLoaderConfig, Signal, StartOptions};
use tokio_util::task::TaskTracker;

const ROUNDS: usize = 300;
const TOGETHER: usize = 100;

#[tokio::main]
async fn main() {
    let kinds = [Containment::Cgroup, Containment::Session];
    for (containment, captured) in kinds
        .into_iter()
        .flat_map(|kind| [(kind, false), (kind, true)])
    {
        let names: Vec<String> = (0..TOGETHER).map(|index| format!("s{index}")).collect();
        let logs = tempfile::TempDir::new().expect("is made");
        let sleep = std::path::PathBuf::from("/bin/sleep");
        let loader = ServiceLoader::new(ServiceLoaderConfig {
            service_paths: names
                .iter()
                .map(|name| (name.clone(), sleep.clone()))
                .collect::<HashMap<_, _>>(),
            containment,
            log_dir: captured.then(|| logs.path().to_owned()),
            ..ServiceLoaderConfig::default()
        });
        let output = if captured { ", output captured" } else { "" };
        println!("{}{output}:", loader.containment());
        one(&loader).await;
        all(&loader, &names).await;
    }
}

fn options() -> StartOptions {
    StartOptions {
        args: vec!["1000".to_owned()],
        ..StartOptions::default()
    }
}

/// `std` uses `posix_spawn` where nothing stands in its way.
fn bare() -> Duration {
    let begun = Instant::now();
    let mut child = Command::new("/bin/sleep")
        .arg("1000")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let taken = begun.elapsed();
    child.kill().expect("is killed");
    child.wait().expect("is reaped");
    taken
}

/// In turns, so that all see the same machine.
async fn one(loader: &ServiceLoader) {
    let mut floors = Vec::new();
    let (mut starts, mut kills, mut restarts) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floors.push(bare());
        let begun = Instant::now();
        let process = loader.start_service("s0", options()).await.expect("starts");
        starts.push(begun.elapsed());
        let begun = Instant::now();
        process.send_signal(Signal::Kill).expect("is sent");
        process.exited().await;
        loader.start_service("s0", options()).await.expect("starts");
        restarts.push(begun.elapsed());
        let begun = Instant::now();
        loader.force_kill_service("s0").await.expect("is killed");
        kills.push(begun.elapsed());
    }
    let floor = print("bare spawn", floors);
    let start = print("start", starts);
    println!(
        "  start to bare spawn: {:.2} times in the mean, {:.2} in the median",
        start.0 / floor.0,
        start.1 / floor.1
    );
    print("SIGKILL to new pid", restarts);
    print("force kill", kills);
}

async fn all(loader: &ServiceLoader, names: &[String]) {
    let mut taken = Vec::new();
    for _ in 0..5 {
        for name in names {
            loader.start_service(name, options()).await.expect("starts");
        }
        let begun = Instant::now();
        let stops = TaskTracker::new();
        for name in names {
            let (loader, name) = (loader.clone(), name.clone());
            stops.spawn(async move {
                loader
                    .stop_service(&name, Duration::from_secs(10))
                    .await
                    .expect("stops");
            });
        }
        stops.close();
        stops.wait().await;
        taken.push(begun.elapsed());
    }
    print("stop of 100 together", taken);
}

/// Returns mean and median in seconds.
fn print(what: &str, mut taken: Vec<Duration>) -> (f64, f64) {
    taken.sort();
    let mean = taken.iter().sum::<Duration>() / taken.len() as u32;
    let (median, p99) = (taken[taken.len() / 2], taken[taken.len() * 99 / 100]);
    println!("  {what}: mean {mean:.1?}, median {median:.1?}, p99 {p99:.1?}");
    (mean.as_secs_f64(), median.as_secs_f64())
}
