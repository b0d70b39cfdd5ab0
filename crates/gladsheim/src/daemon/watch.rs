//! Notices that the hall file has changed.

use std::{
    fs, io,
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::{net::unix::pipe::Receiver, sync::Notify, time::sleep};

/// Editors and deployments write in several steps: so long after the last one, it is read.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// How often that is waited for at most.
const LONGEST: u32 = 25;

/// Notifies `changed` whenever `file` was written or replaced. Runs until dropped, or until it cannot be watched.
pub(super) async fn run(file: PathBuf, changed: Arc<Notify>) {
    if let Err(error) = watch(&file, &changed).await {
        tracing::error!(%error, "{} is not watched: it is reloaded on request only", file.display());
    }
}

async fn watch(file: &Path, changed: &Notify) -> io::Result<()> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    // The folder, since the file itself may be replaced by another one.
    let folder = file.parent().unwrap_or(Path::new("/"));
    inotify.add_watch(
        folder,
        AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO,
    )?;
    // To us, it is a pipe whose bytes say no more than that something has changed in the folder.
    let events = Receiver::from_owned_fd_unchecked(inotify.as_fd().try_clone_to_owned()?)?;
    let mut last = Stamp::of(file);
    loop {
        events.readable().await?;
        drain(&events)?;
        if Stamp::of(file) != last {
            last = settled(file).await;
            drain(&events)?;
            changed.notify_one();
        }
    }
}

/// Waits until nobody has written for a while; a file that goes on changing is read now and then all the same.
async fn settled(file: &Path) -> Option<Stamp> {
    let mut stamp = Stamp::of(file);
    for _ in 0..LONGEST {
        sleep(DEBOUNCE).await;
        let now = Stamp::of(file);
        if now == stamp {
            break;
        }
        stamp = now;
    }
    stamp
}

/// Reads whatever there is.
fn drain(events: &Receiver) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match events.try_read(&mut buffer) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// What differs after a file was written or replaced.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    /// `None` while there is no such file.
    fn of(file: &Path) -> Option<Self> {
        let metadata = fs::metadata(file).ok()?;
        Some(Self {
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_is_written_or_replaced_is_noticed_and_its_neighbours_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hall.toml");
        fs::write(&file, "").unwrap();
        let changed = Arc::new(Notify::new());
        let watching = run(file.clone(), Arc::clone(&changed));
        let writing = async {
            // The watch is polled first, so it is there.
            fs::write(folder.path().join("other.toml"), "").unwrap();
            let idle = tokio::time::timeout(2 * DEBOUNCE, changed.notified()).await;
            assert!(idle.is_err(), "a neighbour was written");
            fs::write(&file, "x").unwrap();
            changed.notified().await;
            fs::rename(folder.path().join("other.toml"), &file).unwrap();
            changed.notified().await;
        };
        tokio::select! {
            biased;
            () = watching => panic!("the watch ended"),
            () = writing => {}
        }
    }
}
