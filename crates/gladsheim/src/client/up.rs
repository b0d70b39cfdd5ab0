//! `up`: the hall, and a window on it.
//!
//! # Theory of operation
//!
//! Whoever runs the daemon, `up` looks at it through the socket like everybody else. Without a daemon it
//! runs one itself, on the main thread; the window has a thread of its own, so that a terminal that is
//! held (Ctrl-S, a full pipe) never holds up the services. The daemon hears the signals; the window only
//! sees that a stop has begun, and its own end, for whatever reason, begins one.

mod board;
mod daemon_log;
mod detach;
mod screen;
mod window;

use std::{process::ExitCode, thread};

use gladsheim_proto::Client;
use tokio::{runtime::Runtime, sync::oneshot};
use tokio_util::sync::CancellationToken;

use self::window::{Mode, Window};
use super::{CliError, check::warn_of, connect::same_hall, load_hall};
use crate::{
    cli::{Global, Up},
    daemon::{self, DaemonOptions, telemetry::LogOptions},
    hall::Hall,
    output::Output,
};

/// `up`
pub(crate) fn up(args: Up, global: &Global, output: Output) -> Result<ExitCode, CliError> {
    let hall = load_hall(global)?;
    warn_of(&hall.warnings);
    let runtime = crate::runtime()?;
    let window = Window::new(&hall, args.names, output);
    match (runtime.block_on(serving(&hall))?, args.detach) {
        (Some(client), false) => runtime.block_on(window.show(client, Mode::Attached)),
        (Some(client), true) => runtime.block_on(window.show(client, Mode::UntilUp)),
        (None, false) => run_here(hall, &runtime, window),
        (None, true) => runtime.block_on(async {
            let client = detach::spawn(&hall).await?;
            window.show(client, Mode::UntilUp).await
        }),
    }
}

/// The daemon that serves this hall already, if there is one.
async fn serving(hall: &Hall) -> Result<Option<Client>, CliError> {
    match Client::connect(&hall.socket).await.map_err(CliError::from) {
        Ok(client) => {
            same_hall(&client, &hall.socket, hall.file.clone()).await?;
            Ok(Some(client))
        }
        Err(CliError::NoDaemon { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Runs the daemon in this process until it is asked to end.
fn run_here(hall: Hall, runtime: &Runtime, window: Window) -> Result<ExitCode, CliError> {
    daemon_log::take(&hall, LogOptions::default().or_environment()?);
    let (ready, is_ready) = oneshot::channel();
    let stop = CancellationToken::new();
    let options = DaemonOptions {
        ready: Some(ready),
        autostart: false,
        stop: stop.clone(),
        kill: CancellationToken::new(),
        handle_signals: true,
        ..DaemonOptions::default()
    };
    let socket = hall.socket.clone();
    let looking = thread::Builder::new()
        .name("window".to_owned())
        .spawn(move || {
            let _stop_with_the_window = stop.clone().drop_guard();
            crate::runtime()?.block_on(async {
                if is_ready.await.is_err() {
                    // The daemon ended before it served; its error says more than the window could.
                    return Ok(ExitCode::SUCCESS);
                }
                let client = Client::connect(&socket).await?;
                window.show(client, Mode::Foreground(stop)).await
            })
        });
    let looking = looking.map_err(CliError::Runtime)?;
    runtime.block_on(daemon::run(hall, options))?;
    match looking.join() {
        Ok(shown) => shown,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
