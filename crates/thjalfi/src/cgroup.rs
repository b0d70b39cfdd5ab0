//! Containment by cgroups: one group per service below the hall's own group.
//!
//! A cgroup2 mount without any controller is enough: a group is entered at birth, cannot be left
//! without privileges, is killed whole by `cgroup.kill`, and tells when its last process has ended.
//!
//! Making and removing a group costs more than starting a process. So the group of a run that has
//! ended by itself is kept for the next one, until the service or the hall is gone.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, ErrorKind},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use nix::unistd::{AccessFlags, access};
use tokio::io::{Interest, unix::AsyncFd};

use crate::{
    Signal, SignalTarget, delegation,
    sys::{self, Pidfd},
};

/// Halls of this process without a name of their own.
static UNNAMED: AtomicU32 = AtomicU32::new(0);

/// How often an old group that comes back is removed.
const ATTEMPTS: usize = 3;

/// The hall's group, which exists as long as one of its services' groups does.
#[derive(Debug)]
pub(crate) struct Hall {
    folder: PathBuf,
    /// The lock also keeps making a group and removing the folder apart.
    groups: Mutex<Groups>,
}

#[derive(Debug, Default)]
struct Groups {
    /// How many belong to a run.
    used: usize,
    /// Services whose group exists and is as good as new.
    kept: HashSet<String>,
}

impl Hall {
    /// Finds a writable cgroup2 tree for a hall of this name.
    pub(crate) fn find(name: Option<&str>) -> io::Result<Arc<Self>> {
        let own = own_group(
            &fs::read_to_string("/proc/self/mountinfo")?,
            &fs::read_to_string("/proc/self/cgroup")?,
        )
        .map(delegation::above_the_daemon)
        .ok_or_else(|| io::Error::new(ErrorKind::Unsupported, "no cgroup2 mount"))?;
        // Moving a process needs the right to write here as well.
        access(&own.join("cgroup.procs"), AccessFlags::W_OK)?;
        let folder = own.join(name.map_or_else(unnamed, str::to_owned));
        let made = fs::create_dir(&folder);
        if made
            .as_ref()
            .is_err_and(|error| error.kind() != ErrorKind::AlreadyExists)
        {
            made?;
        }
        // It was only a trial. What an earlier daemon left goes as well, as far as nothing runs in it;
        // what does run stays, and then the folder does.
        for entry in fs::read_dir(&folder)?.flatten() {
            if entry.file_type()?.is_dir() {
                let _ = remove(&entry.path());
            }
        }
        let _ = fs::remove_dir(&folder);
        delegation::delegate(&own);
        let groups = Mutex::default();
        Ok(Arc::new(Self { folder, groups }))
    }

    /// An empty group for a run, and the descriptor by which a child is born into it; whatever still
    /// ran in an old one has been killed.
    pub(crate) async fn open_group(
        self: &Arc<Self>,
        service_name: &str,
    ) -> io::Result<(Group, File)> {
        for _ in 0..ATTEMPTS {
            let mut group = self.make_group(service_name)?;
            if group.usable {
                match File::open(&group.folder) {
                    Ok(folder) => return Ok((group, folder)),
                    // Somebody else has removed what was kept.
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                }
            }
            group.kill_all()?;
            group.gone().await?;
        }
        Err(ErrorKind::ResourceBusy.into())
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Folders of the services' groups that exist.
    pub(crate) fn group_folders(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let folders = entries.flatten().map(|entry| entry.path());
        Ok(folders.filter(|folder| folder.is_dir()).collect())
    }

    /// Removes the folder once it has no group.
    pub(crate) fn remove_if_unused(&self) {
        let _groups = self.lock();
        // It fails where a group is left.
        let _ = fs::remove_dir(&self.folder);
    }

    /// Keeps nothing any more for a service that does not run.
    pub(crate) fn forget(&self, service_name: &str) {
        let mut groups = self.lock();
        if groups.kept.remove(service_name) {
            self.remove_group(&groups, &self.group_folder(service_name));
        }
    }

    fn make_group(self: &Arc<Self>, service_name: &str) -> io::Result<Group> {
        let folder = self.group_folder(service_name);
        let mut groups = self.lock();
        let kept = groups.kept.remove(service_name);
        let usable = kept || {
            if make(&self.folder)? {
                delegation::enable(&self.folder);
            }
            make(&folder)?
        };
        groups.used += 1;
        drop(groups);
        let counts = !kept && has_controllers(&folder);
        Ok(Group {
            hall: Arc::clone(self),
            service_name: service_name.to_owned(),
            folder,
            events: None,
            usable,
            counts,
            empty: false,
        })
    }

    fn group_folder(&self, service_name: &str) -> PathBuf {
        self.folder.join(group_name(service_name))
    }

    /// Where something still runs, both stay for the next daemon to find.
    fn remove_group(&self, groups: &Groups, folder: &Path) {
        if remove(folder).is_ok() && groups.used == 0 && groups.kept.is_empty() {
            let _ = fs::remove_dir(&self.folder);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Groups> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hall {
    fn drop(&mut self) {
        let kept = std::mem::take(&mut self.lock().kept);
        for service_name in kept {
            self.remove_group(&Groups::default(), &self.group_folder(&service_name));
        }
    }
}

/// Name of the folder of a service's group; the kernel's own files never end like this.
pub(crate) fn group_name(service_name: &str) -> String {
    format!("{service_name}.service")
}

/// Whether the folder is new.
pub(crate) fn make(folder: &Path) -> io::Result<bool> {
    match fs::create_dir(folder) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

fn unnamed() -> String {
    let pid = std::process::id();
    match UNNAMED.fetch_add(1, Ordering::Relaxed) {
        0 => format!("gladsheim-{pid}"),
        n => format!("gladsheim-{pid}-{n}"),
    }
}

/// The folder of this process's group in the first cgroup2 mount that shows it.
fn own_group(mountinfo: &str, cgroup: &str) -> Option<PathBuf> {
    let own = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
    mountinfo.lines().find_map(|line| {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, mount_point) = (fields.next()?, fields.next()?);
        let below = Path::new(own).strip_prefix(root).ok()?;
        (filesystem.split(' ').next()? == "cgroup2").then(|| Path::new(mount_point).join(below))
    })
}

/// The group of one run. Dropping it keeps the folder for the next run if it may be used again, and
/// else removes it if no process is left in it.
#[derive(Debug)]
pub(crate) struct Group {
    hall: Arc<Hall>,
    service_name: String,
    folder: PathBuf,
    events: Option<AsyncFd<File>>,
    /// For a run: it was empty in the beginning, and has not been killed. The kernel kills what is
    /// born into a group that was once killed.
    usable: bool,
    /// It has controllers, whose limits and counters are those of one run.
    counts: bool,
    /// All processes that were in it are known to be gone.
    empty: bool,
}

impl Group {
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Kills all members but the leader, which is being killed already; those that are being forked
    /// as well, unless there was no other member yet.
    pub(crate) fn kill(&mut self, leader: Option<u32>) -> io::Result<()> {
        if leader.is_none() && self.is_empty()? {
            return Ok(());
        }
        if self.members()?.iter().all(|pid| Some(*pid) == leader) && !self.has_subgroups()? {
            return Ok(());
        }
        self.kill_all()
    }

    fn kill_all(&mut self) -> io::Result<()> {
        self.usable = false;
        fs::write(self.folder.join("cgroup.kill"), "1")
    }

    /// Sends a signal to each member.
    pub(crate) fn signal(&mut self, signal: Signal) -> io::Result<()> {
        if self.is_empty()? {
            return Ok(());
        }
        let members = self.members()?;
        let opened: Vec<(u32, Pidfd)> = members
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

    /// Members that the kernel has killed for want of memory, see [`oom_kills`].
    pub(crate) fn oom_kills(&self) -> u64 {
        if self.counts {
            oom_kills(&self.folder)
        } else {
            0
        }
    }

    /// Whether no process is left, here and in groups below. It stays so: nobody is born into it any more.
    fn is_empty(&mut self) -> io::Result<bool> {
        if !self.empty && self.events.is_none() {
            let file = self.open_events()?;
            self.empty = !populated(&file)?;
        }
        Ok(self.empty)
    }

    fn open_events(&self) -> io::Result<File> {
        File::open(self.folder.join("cgroup.events"))
    }

    /// Waits until no process is left. Cancel safe.
    pub(crate) async fn gone(&mut self) -> io::Result<()> {
        if self.is_empty()? {
            return Ok(());
        }
        if self.events.is_none() {
            self.events = Some(sys::watch_file(self.open_events()?)?);
        }
        while let Some(events) = &self.events {
            // The kernel reports what changed after the last reading, so clear before reading.
            if !populated(events.get_ref())? {
                self.events = None;
                self.empty = true;
                break;
            }
            events.ready(Interest::PRIORITY).await?.clear_ready();
        }
        Ok(())
    }
}

/// Members of a group that the kernel has killed for want of memory. To be read before the group is
/// removed: nobody else knows. Without the memory controller nobody counts.
pub(crate) fn oom_kills(folder: &Path) -> u64 {
    let events = fs::read_to_string(folder.join("memory.events")).unwrap_or_default();
    let count = |line: &str| line.strip_prefix("oom_kill ")?.parse().ok();
    events.lines().find_map(count).unwrap_or(0)
}

fn has_controllers(folder: &Path) -> bool {
    let controllers = fs::read_to_string(folder.join("cgroup.controllers"));
    controllers.is_ok_and(|controllers| !controllers.trim().is_empty())
}

fn populated(events: &File) -> io::Result<bool> {
    let mut text = [0; 128];
    let length = events.read_at(&mut text, 0)?;
    Ok(!text[..length].starts_with(b"populated 0"))
}

impl Group {
    fn has_subgroups(&self) -> io::Result<bool> {
        // Itself, and its name in the folder above.
        Ok(fs::metadata(&self.folder)?.nlink() > 2)
    }

    /// Whether nothing of this run would be seen in the next one.
    fn is_as_new(&self) -> bool {
        self.usable && self.empty && !self.counts && matches!(self.has_subgroups(), Ok(false))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let as_new = self.is_as_new();
        let mut groups = self.hall.lock();
        groups.used -= 1;
        if as_new {
            groups.kept.insert(std::mem::take(&mut self.service_name));
        } else {
            self.hall.remove_group(&groups, &self.folder);
        }
    }
}

/// Removes a group and the groups that the service has made below.
pub(crate) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir(folder) {
        Err(error) if error.kind() == ErrorKind::ResourceBusy => {}
        other => return other,
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    fs::remove_dir(folder)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{oom_kills, own_group};

    #[test]
    fn oom_kills_are_told_apart_from_other_events() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(oom_kills(folder.path()), 0);
        let events = "low 0\nhigh 3\nmax 9\noom 2\noom_kill 5\noom_group_kill 1\n";
        std::fs::write(folder.path().join("memory.events"), events).unwrap();
        assert_eq!(oom_kills(folder.path()), 5);
    }

    #[test]
    fn the_own_group_is_found_on_hybrid_and_unified_hosts_and_in_containers() {
        let hybrid = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
        let found = own_group(hybrid, "4:memory:/x\n0::/\n").unwrap();
        assert_eq!(found, Path::new("/sys/fs/cgroup/unified"));

        let unified = "24 23 0:22 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw";
        let found = own_group(unified, "0::/user.slice/a\n").unwrap();
        assert_eq!(found, Path::new("/sys/fs/cgroup/user.slice/a"));

        let container = "24 23 0:22 /docker/1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        let found = own_group(container, "0::/docker/1/b\n").unwrap();
        assert_eq!(found, Path::new("/sys/fs/cgroup/b"));
        assert_eq!(own_group(container, "0::/elsewhere\n"), None);
        assert_eq!(own_group("", "0::/\n"), None);
    }
}
