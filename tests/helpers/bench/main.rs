//! Measures a daemon from outside, and prints one JSON object a line: `gladsheim-bench BENCH`.
//!
//! The real binary in a process of its own, services that only pause, the typed client on the socket.
//! `cargo xtask bench` starts this program and sets the lines as tables; `docs/benchmarks.md` says what
//! each figure means. A bench is a file here, a word in [`main`] and a row in xtask. All that one
//! starts ends with it, also when it fails.

mod comeback;
mod figure;
mod floor;
mod footprint;
mod gauge;
mod hall;
mod health;
mod latency;
mod output;
mod process;
mod reload;
mod server;
mod stopwatch;

use anyhow::bail;

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match std::env::args().nth(1).as_deref() {
            Some("latency") => latency::run().await,
            Some("footprint") => footprint::run().await,
            Some("process") => process::run().await,
            Some("comeback") => comeback::run().await,
            Some("output") => output::run().await,
            Some("reload") => reload::run().await,
            Some("health") => health::run().await,
            _ => bail!(
                "usage: gladsheim-bench latency|footprint|process|comeback|output|reload|health"
            ),
        }
    })
}
