//! The daemon: one hall behind one socket.
//!
//! # Theory of operation
//!
//! [`run`] is the only owner of the daemon's life. Whoever wants it to end (a signal, a client, the
//! embedding command line) cancels `stop`; only `run` acts on that:
//!
//! ```text
//! lock the state folder ─> bind the socket ─> open the hall ─> serve ─> bring up ─> ready
//!                                                                            stop │
//!     give back the lock <─ let calls end <─ stopped <─ stop all services <───────┘
//! ```
//!
//! `stopped` is cancelled once no service runs: streams end, `Shutdown` is answered, the socket
//! disappears, and the server ends when the last call has been answered. For an upgrade only the server
//! ends, and the process executes the program anew; should that fail, a new server takes its place.

use std::{
    future::pending,
    path::Path,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use gladsheim_core::{BringUpProgress, Gladsheim, GladsheimError, thjalfi::raise_descriptor_limit};
use gladsheim_proto::v1;
use tokio::{
    net::UnixListener,
    sync::{Notify, oneshot},
    time::{interval, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    access::AccessControl,
    metrics::{CallCounts, Metrics},
    notify::Notifier,
    reload::{Door, Reloader},
    signal::Signals,
    socket::{Audience, ControlSocket},
    state::StateFolder,
    tls::TlsListener,
    upgrade::{Handover, Program, Upgrader},
};
use crate::hall::{Hall, HallError};

mod access;
mod convert;
mod error;
mod grpc;
mod health;
mod metrics;
mod notify;
mod peer;
mod record;
mod reload;
mod server;
mod signal;
mod socket;
mod state;
pub(crate) mod telemetry;
mod tls;
pub(crate) mod upgrade;
mod watch;

/// How long calls under way may take to end once all services are stopped.
const DRAIN: Duration = Duration::from_secs(2);
/// While services are brought up, the daemon's own supervisor is asked this often for more patience.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a daemon is run.
#[derive(Debug, Default)]
pub(crate) struct DaemonOptions {
    /// Told once the socket answers.
    pub(crate) ready: Option<oneshot::Sender<()>>,
    /// Whether services with `autostart` are started.
    pub(crate) autostart: bool,
    /// Cancelling it shuts down gracefully.
    pub(crate) stop: CancellationToken,
    /// Cancelling it kills what is left during a shutdown.
    pub(crate) kill: CancellationToken,
    /// Whether SIGTERM and SIGINT shut down, and a second one kills.
    pub(crate) handle_signals: bool,
    /// How the daemon logs, unless the log has been taken already.
    pub(crate) log: telemetry::LogOptions,
    /// What an upgrade executes; without it, there is none.
    pub(crate) program: Option<Program>,
    /// What the program before has handed over.
    pub(crate) handover: Option<Handover>,
}

/// Why a daemon could not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DaemonError {
    #[error(transparent)]
    State(#[from] state::StateError),
    #[error(transparent)]
    Socket(#[from] socket::SocketError),
    /// `[access]` names somebody who is not there: the diagnostics, a line each.
    #[error("{0}")]
    Access(HallError),
    #[error("signals cannot be handled: {0}")]
    Signals(#[source] std::io::Error),
    #[error(transparent)]
    Hall(#[from] GladsheimError),
    #[error(transparent)]
    Metrics(#[from] metrics::MetricsError),
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    #[error(transparent)]
    Server(#[from] server::ServerError),
    #[error("the control socket cannot be kept open: {0}")]
    Descriptor(#[source] std::io::Error),
    #[error("the server's task failed: {0}")]
    Task(#[source] tokio::task::JoinError),
}

/// Runs the daemon of `hall` until it is asked to end, and all its services are stopped.
///
/// Cancellation: dropping the future leaves services running, as a killed daemon does.
pub(crate) async fn run(mut hall: Hall, options: DaemonOptions) -> Result<(), DaemonError> {
    let DaemonOptions {
        ready,
        autostart,
        stop,
        kill,
        handle_signals,
        log,
        program,
        handover,
    } = options;
    let began = SystemTime::now();
    telemetry::init(log);
    let tasks = TaskTracker::new();
    let stopped = CancellationToken::new();
    let reload = Arc::new(Notify::new());
    if handle_signals {
        let signals = Signals::listen().map_err(DaemonError::Signals)?;
        if handover.is_some() {
            upgrade::hear_signals().map_err(DaemonError::Signals)?;
        }
        let run = signals.run(stop.clone(), kill.clone(), Arc::clone(&reload));
        tasks.spawn(stopped.clone().run_until_cancelled_owned(run));
    }

    let grants = hall.grants().map_err(DaemonError::Access)?;
    let upgrades = handover.as_ref().map_or(0, |handover| handover.upgrades);
    let events = handover.as_ref().map_or(0, |handover| handover.events);
    let (listener, lock) = handover.map(|it| (it.listener, it.lock)).unzip();
    let state = match lock {
        Some(lock) => StateFolder::inherit(lock),
        None => {
            // Nobody holds a folder that is not there: where the socket cannot be had, none is left behind.
            if !hall.state_dir.exists() {
                socket::ensure_free(&hall.socket).await?;
            }
            StateFolder::open(&hall.state_dir, hall.config.loader.log_dir.as_deref())?
        }
    };
    if let Err(error) = raise_descriptor_limit() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let metrics_listener = match hall.metrics {
        Some(address) => Some(metrics::listen(address).await?),
        None => None,
    };
    // The socket last: whoever finds it there finds a daemon that could start.
    let tls = match &hall.listen {
        Some(listen) => Some(TlsListener::bind(listen).await?),
        None => None,
    };
    let audience = Audience::of(&grants);
    let ControlSocket { listener, file } = match listener {
        Some(listener) => ControlSocket::inherit(listener, &hall.socket, audience)?,
        None => ControlSocket::bind(&hall.socket, audience).await?,
    };
    let access = Arc::new(AccessControl::new(grants));
    let daemon_keys = hall.daemon_keys();
    hall.config.events_before = events;
    let gladsheim = Gladsheim::new(hall.config);
    gladsheim.start().await?;
    let record = record::run(gladsheim.events_since(events), stopped.clone());
    tasks.spawn(record);
    let door = Door {
        access: Arc::clone(&access),
        socket: file.place(),
        identity: tls.as_ref().map(|tls| Arc::clone(&tls.identity)),
    };
    let reloader = Reloader::new(gladsheim.clone(), hall.file.clone(), daemon_keys, door);
    if hall.on_file_change {
        let watch = watch::run(hall.file.clone(), Arc::clone(&reload));
        tasks.spawn(stopped.clone().run_until_cancelled_owned(watch));
    }
    let reloads = reloader.clone().run(reload);
    tasks.spawn(stopped.clone().run_until_cancelled_owned(reloads));
    let daemon = description(&hall.file, &hall.state_dir, &gladsheim, upgrades);
    let calls = CallCounts::default();
    if let Some(listener) = metrics_listener {
        let metrics = Metrics {
            hall: gladsheim.clone(),
            daemon: daemon.clone(),
            calls: calls.clone(),
            began,
        };
        tasks.spawn(metrics::serve(listener, metrics, stopped.clone()));
    }
    let upgrader = Upgrader::new(
        gladsheim.clone(),
        program.clone(),
        hall.state_dir.clone(),
        hall.socket.clone(),
    );
    // Ends with the server, be it for good or for an upgrade.
    let serve = |listener, parted: &CancellationToken| {
        tasks.spawn(server::serve(
            listener,
            tls.clone(),
            grpc::Service {
                hall: gladsheim.clone(),
                daemon: daemon.clone(),
                reloader: reloader.clone(),
                upgrader: upgrader.clone(),
                tasks: tasks.clone(),
                stop: stop.clone(),
                stopped: parted.clone(),
            },
            Arc::clone(&access),
            calls.clone(),
        ))
    };
    let mut parted = stopped.child_token();
    let kept = socket::copy(&listener).map_err(DaemonError::Descriptor)?;
    let mut server = serve(listener, &parted);
    let services = gladsheim.service_names().len();
    tracing::info!(socket = %hall.socket.display(), services, "the hall is open");
    if let Some(ready) = ready {
        // Nobody waits for it any more: no reason not to serve.
        let _ = ready.send(());
    }

    let notifier = Notifier::from_env();
    let mut bring_up = pin!(serve_until_dropped(&gladsheim, autostart, &notifier));
    let ended_early = loop {
        let prepared = tokio::select! {
            biased;
            () = stop.cancelled() => break None,
            ended = &mut server => break Some(ended),
            prepared = upgrader.prepared() => prepared,
            () = &mut bring_up => break None,
        };
        // The answer to the upgrade itself is under way, and no other call may hold it up.
        parted.cancel();
        let _ = timeout(DRAIN, &mut server).await;
        server.abort();
        notifier.reloading();
        let next = socket::copy(&kept).map_err(DaemonError::Descriptor)?;
        let handover = Handover {
            listener: next,
            lock: socket::copy(&state).map_err(DaemonError::Descriptor)?,
            events: prepared.events,
            upgrades: upgrades + 1,
        };
        tracing::info!(program = %prepared.path().display(), "executing it anew");
        let error = prepared.execute(&handover);
        upgrader.failed(&error).await;
        notifier.send("READY=1");
        parted = stopped.child_token();
        let listener = UnixListener::from_std(handover.listener.into());
        server = serve(listener.map_err(DaemonError::Descriptor)?, &parted);
    };
    stop.cancel();
    notifier.send("STOPPING=1");
    let shut_down = shut_down(&gladsheim, &kill).await;
    for stop in convert::slow_stops(&gladsheim) {
        let (service, killed) = (stop.service_name, stop.killed);
        tracing::warn!(service, killed, "took {} ms to stop", stop.took_ms);
    }

    // Before anybody hears of the end, the place is free for the next daemon.
    drop(file);
    drop(state);
    stopped.cancel();
    let served = match ended_early {
        Some(ended) => ended,
        None => match timeout(DRAIN, &mut server).await {
            Ok(ended) => ended,
            Err(_) => {
                tracing::warn!("calls that did not end in time were cut off");
                server.abort();
                Ok(Ok(()))
            }
        },
    };
    tasks.close();
    tasks.wait().await;
    served.map_err(DaemonError::Task)??;
    shut_down?;
    tracing::info!("the hall is closed");
    Ok(())
}

fn description(
    hall_file: &Path,
    state_dir: &Path,
    gladsheim: &Gladsheim,
    upgrades: u32,
) -> v1::Daemon {
    v1::Daemon {
        process_id: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        hall_file: hall_file.display().to_string(),
        state_dir: state_dir.display().to_string(),
        containment: gladsheim.containment().to_owned(),
        upgrades,
    }
}

/// Brings the services up, says that the daemon is ready, and never ends.
async fn serve_until_dropped(gladsheim: &Gladsheim, autostart: bool, notifier: &Notifier) {
    if autostart {
        bring_up(gladsheim, notifier).await;
    }
    notifier.send("READY=1");
    pending().await
}

/// Starts all services with `autostart`. A failure of one is its own, never the daemon's.
async fn bring_up(gladsheim: &Gladsheim, notifier: &Notifier) {
    let mut progress = match gladsheim.bring_up(&[]) {
        Ok(progress) => progress,
        Err(error) => {
            tracing::error!(%error, "the services were not started");
            return;
        }
    };
    let mut patience = interval(PATIENCE);
    loop {
        tokio::select! {
            one = progress.recv() => match one {
                Some(BringUpProgress { service_name, result: Err(error) }) => {
                    tracing::error!(service = service_name, %error, "not started");
                }
                // The bus has told it.
                Some(BringUpProgress { result: Ok(_), .. }) => {}
                None => return,
            },
            _ = patience.tick() => {
                notifier.send(&format!("EXTEND_TIMEOUT_USEC={}", (3 * PATIENCE).as_micros()));
            }
        }
    }
}

/// Stops all services; once `kill` is cancelled, in a hurry.
async fn shut_down(gladsheim: &Gladsheim, kill: &CancellationToken) -> Result<(), GladsheimError> {
    let mut graceful = pin!(gladsheim.shutdown());
    tokio::select! {
        biased;
        done = &mut graceful => return done,
        () = kill.cancelled() => {}
    }
    let (done, ()) = tokio::join!(graceful, gladsheim.kill_all());
    done
}
