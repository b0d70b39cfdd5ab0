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
    bare();
    for containment in [Containment::Cgroup, Containment::Session] {
        let names: Vec<String> = (0..TOGETHER).map(|index| format!("s{index}")).collect();
        let sleep = std::path::PathBuf::from("/bin/sleep");
        let loader = ServiceLoader::new(ServiceLoaderConfig {
            service_paths: names
                .iter()
                .map(|name| (name.clone(), sleep.clone()))
                .collect::<HashMap<_, _>>(),
            containment,
            ..ServiceLoaderConfig::default()
        });
        println!("{}:", loader.containment());
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
fn bare() {
    let mut taken = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let mut child = Command::new("/bin/sleep")
            .arg("1000")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        taken.push(begun.elapsed());
        child.kill().expect("is killed");
        child.wait().expect("is reaped");
    }
    print("bare spawn", taken);
}

async fn one(loader: &ServiceLoader) {
    let (mut starts, mut kills, mut restarts) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
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
    print("start", starts);
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

fn print(what: &str, mut taken: Vec<Duration>) {
    taken.sort();
    let mean = taken.iter().sum::<Duration>() / taken.len() as u32;
    let (median, p99) = (taken[taken.len() / 2], taken[taken.len() * 99 / 100]);
    println!("  {what}: mean {mean:.1?}, median {median:.1?}, p99 {p99:.1?}");
}
