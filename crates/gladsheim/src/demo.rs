//! The programs of the demo hall: one multi-call program, so that one `cargo run` builds and runs it all.
//!
//! `gladsheim demo thor` and its siblings are what `examples/demo/gladsheim.toml` runs. They do what
//! services do, well and badly: they listen, are healthy, crash, eat memory, and end when asked to.

use std::{
    future::Future,
    io::{self, Write as _},
    net::SocketAddr,
    process::ExitCode,
    time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};

mod fenrir;
mod freki;
mod loki;
mod thor;

/// Arguments of `gladsheim demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    #[command(subcommand)]
    program: Program,
}

/// The cast.
#[derive(Debug, clap::Subcommand)]
enum Program {
    /// A web service: answers GET /health.
    Thor {
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:21081")]
        listen: SocketAddr,
    },
    /// A gRPC service: answers grpc.health.v1.
    Freki {
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:21051")]
        listen: SocketAddr,
    },
    /// Crashes now and then.
    Loki {
        /// Shortest time in seconds until it crashes.
        #[arg(long, default_value_t = 8)]
        min_secs: u64,
        /// Longest time in seconds until it crashes.
        #[arg(long, default_value_t = 15)]
        max_secs: u64,
    },
    /// Eats memory without end.
    Fenrir {
        /// Appetite in MiB a second.
        #[arg(long, default_value_t = 4)]
        mib_per_sec: usize,
    },
}

/// Runs one of the programs until it is asked to end, or ends by itself. Brings its own runtime.
pub(crate) fn run(args: &DemoArgs) -> ExitCode {
    let played = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| {
            runtime.block_on(async {
                match &args.program {
                    Program::Thor { listen } => thor::run(*listen).await,
                    Program::Freki { listen } => freki::run(*listen).await,
                    Program::Loki { min_secs, max_secs } => loki::run(*min_secs..=*max_secs).await,
                    Program::Fenrir { mib_per_sec } => fenrir::run(*mib_per_sec).await,
                }
            })
        });
    match played {
        Ok(code) => code,
        Err(error) => {
            say(&format!("cannot go on: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// One line on standard output, at once.
fn say(line: &str) {
    let mut output = io::stdout().lock();
    // Nobody is left who would read it: that ends no service.
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}

/// From the call on, SIGTERM and SIGINT no longer end the process; the future ends at the first of them.
fn asked_to_end() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
