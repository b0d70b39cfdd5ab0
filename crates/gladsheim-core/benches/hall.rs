//! What the hall itself costs: events through the bus, and memory for each service: `cargo bench -p gladsheim-core`.

#![expect(
    clippy::print_stdout,
    reason = "figures on standard output are its purpose"
)]
#![expect(clippy::expect_used, reason = "a bench that cannot run should say so")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use byggvir::{ResourceEvent, mock::MockResourceManagerApi};
use gladsheim_core::{Gladsheim, GladsheimConfig, Servants, ServiceDefinition};
use roskva::mock::MockHealthMonitorApi;
use skirnir::{ServiceMetadata, ServiceRegistry};
use thjalfi::mock::MockServiceLoaderApi;
use tokio::{
    sync::broadcast,
    task::{JoinSet, yield_now},
};

const SERVICES: usize = 1_000;
const BUDGET: Duration = Duration::from_millis(500);
/// Events that are sent at once; the servant's stream and the bus hold more.
const BATCH: usize = 256;

/// Bytes and blocks that are allocated at present.
static BYTES: AtomicUsize = AtomicUsize::new(0);
static BLOCKS: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(
    unsafe_code,
    reason = "an allocator is unsafe; this one counts and passes on"
)]
// SAFETY: every call is passed on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        BLOCKS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        BLOCKS.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(block, layout) }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!(
        "{:>17}  {:>15}  {:>16}",
        "memory of", "bytes a service", "blocks a service"
    );
    let before = allocated();
    let registry = ServiceRegistry::new();
    for n in 0..SERVICES {
        registry
            .register_service(name(n), ServiceMetadata::default())
            .expect("names differ");
    }
    memory("registry", before);
    drop(registry);

    let (events, _) = broadcast::channel(2 * BATCH);
    let before = allocated();
    let hall = open(SERVICES, &events).await;
    memory("registry and core", before);
    drop(hall);

    println!(
        "\n{:>9}  {:>10}  {:>12}",
        "observers", "events/s", "deliveries/s"
    );
    for observers in [1, 10, 100] {
        let rate = rate(observers).await;
        let deliveries = rate * f64::from(observers);
        println!("{observers:>9}  {rate:>10.0}  {deliveries:>12.0}");
    }
}

fn name(number: usize) -> String {
    format!("svc-{number:05}")
}

fn allocated() -> [usize; 2] {
    [&BYTES, &BLOCKS].map(|count| count.load(Ordering::Relaxed))
}

/// Prints what has been allocated since, for each service.
fn memory(what: &str, before: [usize; 2]) {
    let now = allocated();
    let [bytes, blocks] =
        [0, 1].map(|at| now[at].saturating_sub(before[at]) as f64 / SERVICES as f64);
    println!("{what:>17}  {bytes:>15.0}  {blocks:>16.1}");
}

/// An open hall whose servants do nothing but tell `events`.
async fn open(services: usize, events: &broadcast::Sender<ResourceEvent>) -> Gladsheim {
    let services = (0..services).map(|n| ServiceDefinition::new(name(n), "/bin/true"));
    let config = GladsheimConfig {
        services: services.collect(),
        ..GladsheimConfig::default()
    };
    let mut thjalfi = MockServiceLoaderApi::new();
    thjalfi
        .expect_subscribe()
        .returning(|| broadcast::channel(1).1);
    let mut byggvir = MockResourceManagerApi::new();
    byggvir
        .expect_set_resource_limits()
        .returning(|_, _| Ok(()));
    byggvir.expect_set_limit_policy().returning(|_, _| ());
    byggvir.expect_start_monitoring().returning(|| ());
    let told = events.clone();
    byggvir
        .expect_subscribe()
        .returning(move || told.subscribe());
    let mut roskva = MockHealthMonitorApi::new();
    roskva
        .expect_subscribe()
        .returning(|| broadcast::channel(1).1);
    let hall = Gladsheim::with_servants(config, |_| Servants {
        thjalfi: Arc::new(thjalfi),
        byggvir: Arc::new(byggvir),
        roskva: Arc::new(roskva),
        skirnir: Arc::new(ServiceRegistry::new()),
    });
    hall.start().await.expect("it opens");
    // Lets the actors begin.
    for _ in 0..16 {
        yield_now().await;
    }
    hall
}

/// Events a second from a servant's stream through the pump and the bus to all observers, each of which sees
/// every one.
async fn rate(observers: u32) -> f64 {
    let (events, _) = broadcast::channel(2 * BATCH);
    let hall = open(0, &events).await;
    let seen = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..observers {
        let (mut observed, seen) = (hall.events_since(0), Arc::clone(&seen));
        tasks.spawn(async move {
            while observed.next().await.is_some() {
                seen.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let start = Instant::now();
    let mut sent = 0;
    while start.elapsed() < BUDGET {
        for _ in 0..BATCH {
            events
                .send(ResourceEvent::BatteryLow { percent: 5 })
                .expect("the pump listens");
        }
        sent += BATCH;
        while seen.load(Ordering::Relaxed) < sent * observers as usize {
            yield_now().await;
        }
    }
    sent as f64 / start.elapsed().as_secs_f64()
}
