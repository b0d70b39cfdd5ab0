//! Signals to the daemon: the first request to end is a graceful one, the second is in a hurry.

use std::{io, sync::Arc};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
};
use tokio_util::sync::CancellationToken;

/// The signals that the daemon hears.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// From here on they no longer end the process. Needs a runtime.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Cancels `stop` at the first SIGTERM or SIGINT and `kill` at the next one; SIGHUP asks for a `reload`.
    /// Runs until dropped.
    pub(super) async fn run(
        mut self,
        stop: CancellationToken,
        kill: CancellationToken,
        reload: Arc<Notify>,
    ) {
        loop {
            tokio::select! {
                Some(()) = self.terminate.recv() => {}
                Some(()) = self.interrupt.recv() => {}
                Some(()) = self.hangup.recv() => {
                    tracing::info!("SIGHUP: reading the hall file again");
                    reload.notify_one();
                    continue;
                }
            }
            if stop.is_cancelled() {
                tracing::warn!("asked to end for the second time: killing what is left");
                kill.cancel();
            } else {
                tracing::info!("asked to end: stopping all services");
                stop.cancel();
            }
        }
    }
}
