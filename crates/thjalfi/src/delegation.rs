//! Hands the controllers of the daemon's own group down, so that others can set limits on services.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use crate::cgroup::make;

/// What limits and usage of a service need, where the host has it.
const CONTROLLERS: [&str; 4] = ["cpu", "io", "memory", "pids"];
/// The daemon's own group, beside its halls.
const DAEMON: &str = "gladsheim.daemon";

/// A daemon that has moved, see [`delegate`], still has its halls in the group that it was given.
pub(crate) fn above_the_daemon(own: PathBuf) -> PathBuf {
    match own.parent() {
        Some(above) if own.ends_with(DAEMON) => above.to_owned(),
        Some(_) | None => own,
    }
}

/// Hands the controllers of the own group down to the halls in it, as far as that is allowed.
///
/// A group with processes of its own cannot do that; were it tried, it could become one of threads,
/// and no process could be born below. If there is no other process than this one, which is what
/// `Delegate=yes` and containers give us, it moves into a group below.
pub(crate) fn delegate(own: &Path) {
    if controllers(own).next().is_none() {
        return;
    }
    // Only the root of all groups has none, and only that may have both.
    let is_root = !own.join("cgroup.type").exists();
    let handed_down = if is_root { Ok(()) } else { make_room(own) };
    match handed_down {
        Ok(()) => enable(own),
        Err(error) => {
            tracing::info!(group = %own.display(), %error, "the kernel will hold no limits");
        }
    }
}

/// Moves this process out of its group, if nobody else is in it.
fn make_room(own: &Path) -> io::Result<()> {
    let pid = std::process::id().to_string();
    let procs = fs::read_to_string(own.join("cgroup.procs"))?;
    if procs.is_empty() {
        return Ok(());
    }
    if procs.trim() != pid {
        let message = "other processes are in the daemon's group";
        return Err(io::Error::new(ErrorKind::ResourceBusy, message));
    }
    let daemon = own.join(DAEMON);
    make(&daemon)?;
    fs::write(daemon.join("cgroup.procs"), pid)
}

/// Gives the controllers that there are to the groups below.
pub(crate) fn enable(group: &Path) {
    for controller in controllers(group) {
        let control = group.join("cgroup.subtree_control");
        if let Err(error) = fs::write(control, format!("+{controller}")) {
            tracing::info!(%error, controller, group = %group.display(), "not handed down");
        }
    }
}

/// Those that we can use and the group has.
fn controllers(group: &Path) -> impl Iterator<Item = &'static str> {
    let available = fs::read_to_string(group.join("cgroup.controllers")).unwrap_or_default();
    CONTROLLERS
        .into_iter()
        .filter(move |ours| available.split_ascii_whitespace().any(|has| has == *ours))
}
