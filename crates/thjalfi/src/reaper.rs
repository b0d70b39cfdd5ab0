//! Reaps orphans that this process inherited as subreaper or as PID 1.
//!
//! Never `waitpid(-1)`: other parts of the program may have children of their own, which they wait
//! for. Those are in the program's own session, where no service and nothing below one is. So a child
//! is reaped here if it is in another session and is no leader of ours. A program that embeds this
//! crate and starts children in sessions of their own should do that through the loader.

use std::{collections::BTreeSet, io};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    procfs,
    session::{LEADERS, own_session},
    sys,
};

/// How often a child in front is waited for.
const PATIENCE: usize = 8;

/// Runs until cancelled.
pub(crate) async fn run(mut children: Signal, cancel: CancellationToken) {
    loop {
        if let Err(error) = reap().await {
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

/// Whether the program that has executed this one has left children that are nobody's here.
pub(crate) fn has_inherited_children() -> io::Result<bool> {
    let children = procfs::children(std::process::id())?;
    let is_nobodys = |pid: &u32| {
        let session = procfs::stat(*pid).map_or(0, |stat| stat.session);
        !LEADERS.contains(*pid) && session != own_session()
    };
    Ok(children.iter().any(is_nobodys))
}

/// A child of somebody else in front hides the strangers behind it. Mostly it is a leader, whose
/// supervisor takes it away in a moment; else all children are looked at.
async fn reap() -> io::Result<()> {
    for _ in 0..PATIENCE {
        if reap_in_front()? {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
    let children = procfs::children(std::process::id())?;
    LEADERS.with(|leaders| {
        for pid in children
            .into_iter()
            .filter(|pid| is_stranger(*pid, leaders))
        {
            sys::reap_child(pid)?;
        }
        Ok(())
    })
}

/// Whether no ended child is left.
fn reap_in_front() -> io::Result<bool> {
    loop {
        let reaped = LEADERS.with(|leaders| match sys::peek_ended_child()? {
            None => Ok(None),
            Some(pid) if is_stranger(pid, leaders) => sys::reap_child(pid).map(Some),
            Some(_) => Ok(Some(false)),
        });
        match reaped {
            Ok(None) => return Ok(true),
            Ok(Some(true)) => {}
            Ok(Some(false)) => return Ok(false),
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => return Ok(true),
            Err(error) => return Err(error),
        }
    }
}

fn is_stranger(pid: u32, leaders: &BTreeSet<u32>) -> bool {
    let stat = (!leaders.contains(&pid))
        .then(|| procfs::stat(pid))
        .flatten();
    stat.is_some_and(|stat| stat.zombie && stat.session != own_session())
}
