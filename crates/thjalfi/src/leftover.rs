//! What earlier daemons of a hall have left running, and nobody has adopted.

use std::{collections::HashSet, io, path::PathBuf, sync::Arc};

use tokio::io::Interest;

use crate::{
    Signal, SignalTarget,
    cgroup::Hall,
    group::FoundGroup,
    procfs, session,
    sys::{self, Pidfd},
};

/// Kills all groups of the hall but the `held` ones.
pub(crate) async fn end_groups(hall: &Arc<Hall>, held: &HashSet<PathBuf>) -> io::Result<()> {
    let mut left: Vec<_> = hall.group_folders()?;
    left.retain(|folder| !held.contains(folder));
    let mut groups: Vec<_> = left
        .iter()
        .map(|folder| FoundGroup::new(folder, Some(hall)))
        .collect();
    for group in &groups {
        group.kill()?;
    }
    for group in &mut groups {
        group.gone().await?;
    }
    Ok(())
}

/// Kills all that carries a mark of the hall but the runs with a `held` one.
pub(crate) async fn end_marked(hall: &str, held: &HashSet<String>) -> io::Result<()> {
    let prefix = format!("{hall}/");
    let own = format!("{prefix}{}", session::own_mark());
    let family = ancestors();
    loop {
        let mut killed = Vec::new();
        for pid in procfs::processes()? {
            let Some(before) = procfs::stat(pid).filter(|stat| !stat.zombie) else {
                continue;
            };
            let left = |mark: String| {
                mark.starts_with(&prefix) && !mark.starts_with(&own) && !held.contains(&mark)
            };
            if !family.contains(&pid)
                && procfs::environment_value(pid, session::MARK).is_some_and(left)
                && let Ok(process) = Pidfd::open(pid)
                // Only what did not end between the look and the opening is what was looked at.
                && procfs::stat(pid).is_some_and(|now| now.start == before.start && !now.zombie)
            {
                process.signal(Signal::Kill)?;
                killed.push(sys::watch_process(Arc::new(process))?);
            }
        }
        if killed.is_empty() {
            return Ok(());
        }
        for process in killed {
            process.ready(Interest::READABLE).await?.retain_ready();
        }
    }
}

/// This process and those above it, which may carry a mark where a service has started this hall.
fn ancestors() -> HashSet<u32> {
    let mut family = HashSet::new();
    let mut pid = std::process::id();
    while pid > 0 && family.insert(pid) {
        pid = procfs::stat(pid).map_or(0, |stat| stat.parent);
    }
    family
}
