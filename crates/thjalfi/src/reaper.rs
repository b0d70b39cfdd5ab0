//! Reaps orphans that this process inherited as subreaper or as PID 1.
//!
//! Never `waitpid(-1)`: other parts of the program may have children of their own, which they wait
//! for. Those are in the program's own session, where no service and nothing below one is. So a child
//! is reaped here if it is in another session and is no leader of ours. A program that embeds this
//! crate and starts children in sessions of their own should do that through the loader.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    procfs,
    session::{LEADERS, own_session},
    sys,
};

/// Runs until cancelled.
pub(crate) async fn run(mut children: Signal, cancel: CancellationToken) {
    loop {
        if let Err(error) = reap_strangers() {
            tracing::warn!(%error, "orphans could not be reaped");
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            received = children.recv() => if received.is_none() { return },
        }
    }
}

/// Registers for SIGCHLD; from then on none is missed.
pub(crate) fn children() -> io::Result<Signal> {
    signal(SignalKind::child())
}

fn reap_strangers() -> io::Result<()> {
    let own = std::process::id();
    let own_session = own_session();
    LEADERS.with(|leaders| {
        let stranger = |pid: u32| {
            let stat = (!leaders.contains(&pid))
                .then(|| procfs::stat(pid))
                .flatten();
            stat.is_some_and(|stat| stat.zombie && stat.session != own_session)
        };
        // The cheap way, as long as strangers come first.
        loop {
            match sys::peek_ended_child() {
                Ok(Some(pid)) if stranger(pid) => drop(sys::reap_child(pid)?),
                Ok(Some(_)) => break,
                Ok(None) => return Ok(()),
                Err(error) if error.raw_os_error() == Some(libc::ECHILD) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        for pid in procfs::children(own)?
            .into_iter()
            .filter(|pid| stranger(*pid))
        {
            sys::reap_child(pid)?;
        }
        Ok(())
    })
}
