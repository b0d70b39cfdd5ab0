//! The group of a run that an earlier daemon has made.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::io::{Interest, unix::AsyncFd};

use crate::{
    Signal, SignalTarget,
    cgroup::{self, Hall},
    sys::{self, Pidfd},
};

/// Dropping it removes the folder if no process is left in it.
#[derive(Debug)]
pub(crate) struct FoundGroup {
    folder: PathBuf,
    events: Option<AsyncFd<File>>,
    /// Of which the group is one.
    hall: Option<Arc<Hall>>,
}

impl FoundGroup {
    /// `None` if the group is gone, or is none of a service of this name.
    pub(crate) fn open(
        folder: &Path,
        service_name: &str,
        hall: Option<&Arc<Hall>>,
    ) -> Option<Self> {
        let ours = folder.file_name()? == cgroup::group_name(service_name).as_str();
        (ours && folder.join("cgroup.procs").exists()).then(|| Self::new(folder, hall))
    }

    pub(crate) fn new(folder: &Path, hall: Option<&Arc<Hall>>) -> Self {
        Self {
            folder: folder.to_owned(),
            events: None,
            hall: hall
                .filter(|hall| folder.parent() == Some(hall.folder()))
                .cloned(),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Kills all members, those that are being forked as well.
    pub(crate) fn kill(&self) -> io::Result<()> {
        fs::write(self.folder.join("cgroup.kill"), "1")
    }

    /// Sends a signal to each member.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        let opened: Vec<(u32, Pidfd)> = self
            .members()?
            .into_iter()
            .filter_map(|pid| Some((pid, Pidfd::open(pid).ok()?)))
            .collect();
        // A number that is still listed belonged to a member when its pidfd was opened, too.
        let still = self.members()?;
        for (_, member) in opened.iter().filter(|(pid, _)| still.contains(pid)) {
            match member.signal(signal) {
                Err(error) if error.raw_os_error() != Some(libc::ESRCH) => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn members(&self) -> io::Result<Vec<u32>> {
        let text = fs::read_to_string(self.folder.join("cgroup.procs"))?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Waits until no process is left. Cancel safe.
    pub(crate) async fn gone(&mut self) -> io::Result<()> {
        if self.events.is_none() {
            let file = File::open(self.folder.join("cgroup.events"))?;
            if !populated(&file)? {
                return Ok(());
            }
            self.events = Some(sys::watch_file(file)?);
        }
        while let Some(events) = &self.events {
            // The kernel reports what changed after the last reading, so clear before reading.
            if !populated(events.get_ref())? {
                self.events = None;
                break;
            }
            events.ready(Interest::PRIORITY).await?.clear_ready();
        }
        Ok(())
    }
}

fn populated(events: &File) -> io::Result<bool> {
    let mut text = [0; 128];
    let length = events.read_at(&mut text, 0)?;
    Ok(!text[..length].starts_with(b"populated 0"))
}

impl Drop for FoundGroup {
    fn drop(&mut self) {
        // Where something still runs, both stay for the next daemon to find.
        let removed = cgroup::remove(&self.folder).is_ok();
        if let Some(hall) = self.hall.as_ref().filter(|_| removed) {
            hall.remove_if_unused();
        }
    }
}
