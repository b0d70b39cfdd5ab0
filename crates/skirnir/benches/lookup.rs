//! What a look into the registry costs, alone and with a writer at full speed: `cargo bench -p skirnir`.

#![expect(
    clippy::print_stdout,
    reason = "figures on standard output are its purpose"
)]
#![expect(clippy::expect_used, reason = "a bench that cannot run should say so")]

use std::{
    hint::black_box,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use skirnir::{ServiceMetadata, ServiceRegistry, ServiceState};

const BUDGET: Duration = Duration::from_millis(500);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, calls, what, services, times, ..] = &arguments[..]
        && calls == "calls"
    {
        return calls_only(what, services, times);
    }
    println!(
        "{:>8}  {:>16}  {:>14}  {:>16}  {:>12}",
        "services", "writer", "get_service ns", "list_services ns", "writes/s"
    );
    for services in [10, 1_000, 10_000] {
        let names: Vec<String> = (0..services).map(|n| format!("svc-{n:05}")).collect();
        let registry = ServiceRegistry::new();
        for name in &names {
            let metadata = ServiceMetadata {
                state: ServiceState::Running,
                ..ServiceMetadata::default()
            };
            registry
                .register_service(name.clone(), metadata)
                .expect("names differ");
        }
        row(services, "none", &measure(&registry, &names), None);
        let one = &names[services / 2..=services / 2];
        for (label, written) in [("one service", one), ("every service", &names)] {
            let (figures, writes) = measure_beside_writer(&registry, &names, written);
            row(services, label, &figures, Some(writes));
        }
    }
}

/// Nothing but so many calls, for whoever counts instructions.
fn calls_only(what: &str, services: &str, times: &str) {
    let services = services.parse().expect("a number of services");
    let registry = ServiceRegistry::new();
    let names: Vec<String> = (0..services).map(|n| format!("svc-{n:05}")).collect();
    for name in &names {
        registry
            .register_service(name.clone(), ServiceMetadata::default())
            .expect("names differ");
    }
    for _ in 0..times.parse().expect("a number of calls") {
        match what {
            "list_services" => drop(black_box(registry.list_services())),
            _ => drop(black_box(registry.get_service(&names[services / 2]))),
        }
    }
}

struct Figures {
    get: f64,
    list: f64,
}

fn row(services: usize, writer: &str, figures: &Figures, writes: Option<f64>) {
    let writes = writes.map_or_else(|| "-".to_owned(), |writes| format!("{writes:.0}"));
    println!(
        "{services:>8}  {writer:>16}  {:>14.0}  {:>16.0}  {writes:>12}",
        figures.get, figures.list
    );
}

fn measure(registry: &ServiceRegistry, names: &[String]) -> Figures {
    let mut turn = names.iter().cycle();
    Figures {
        get: nanoseconds(|| {
            let name = turn.next().map_or("", String::as_str);
            black_box(registry.get_service(name));
        }),
        list: nanoseconds(|| {
            black_box(registry.list_services());
        }),
    }
}

/// The same, while another thread moves the `written` services in turn from state to state.
fn measure_beside_writer(
    registry: &ServiceRegistry,
    names: &[String],
    written: &[String],
) -> (Figures, f64) {
    let (busy, writes) = (AtomicBool::new(true), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut turn = written.iter().cycle();
            while busy.load(Ordering::Relaxed) {
                let name = turn.next().map_or("", String::as_str);
                for state in [ServiceState::Stopping, ServiceState::Running] {
                    registry.update_state(name, state).expect("is legal");
                    writes.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let start = Instant::now();
        let figures = measure(registry, names);
        let rate = writes.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64();
        busy.store(false, Ordering::Relaxed);
        (figures, rate)
    })
}

/// Mean time of a call, over half a second of calls.
fn nanoseconds(mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut calls = 0_u32;
    while start.elapsed() < BUDGET {
        for _ in 0..16 {
            call();
        }
        calls += 16;
    }
    start.elapsed().as_nanos() as f64 / f64::from(calls)
}
