//! The whole core against fake processes in virtual time: seeded random commands, crashes, slow exits and
//! failed spawns, checked against what must always hold: [`witness`] and [`world`] say what that is.
//!
//! The registry and the health monitor are the real ones, so policies, back-off and transitions are real;
//! processes are played by [`loader::FakeLoader`]. A failing seed is printed; it replays exactly:
//! `GLADSHEIM_SIM_SEED=… cargo test -p gladsheim-core --test simulator`. `GLADSHEIM_SIM_SEEDS` sets how many
//! seeds are tried.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in a test, a panic is the report"
)]

mod client;
mod definition;
mod dice;
mod errors;
mod loader;
mod manager;
mod witness;
mod world;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
};

/// How many seeds a run tries unless the environment says otherwise: a few seconds; and half a minute in CI.
const SEEDS: u64 = 1_000;
const SEEDS_IN_CI: u64 = 10_000;

#[test]
fn whatever_happens_the_hall_stays_sound() {
    let number = |name| {
        std::env::var(name)
            .ok()
            .map(|value| value.parse::<u64>().unwrap())
    };
    if let Some(seed) = number("GLADSHEIM_SIM_SEED") {
        world::play(seed, true);
        return;
    }
    let usual = std::env::var_os("CI").map_or(SEEDS, |_| SEEDS_IN_CI);
    let seeds = number("GLADSHEIM_SIM_SEEDS").unwrap_or(usual);
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let seed = next.fetch_add(1, Ordering::Relaxed)
                    && seed < seeds
                {
                    let played = catch_unwind(AssertUnwindSafe(|| world::play(seed, false)));
                    assert!(
                        played.is_ok(),
                        "seed {seed} failed: GLADSHEIM_SIM_SEED={seed} replays it"
                    );
                }
            });
        }
    });
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..50 {
        let [first, second] = [(); 2].map(|()| world::play(seed, false));
        assert_eq!(first, second, "seed {seed} has two stories");
    }
}
