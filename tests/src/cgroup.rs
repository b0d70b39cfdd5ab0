//! The cgroup that a hall has made: a daemon that was killed leaves it behind.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// Removes the folder of a hall in which nothing runs any more; bounded, for a drop must not hang.
pub(crate) fn remove_of(hall_file: &Path) {
    for folder in folders(hall_file) {
        for _ in 0..100 {
            if remove(&folder) {
                break;
            }
            // A process that was killed is still in its group for a moment.
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Where it may lie: below our own group, in each cgroup2 mount.
fn folders(hall_file: &Path) -> Vec<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"));
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounts = mounts.lines().filter(|line| line.contains(" - cgroup2 "));
    mounts
        .filter_map(|line| line.split(' ').nth(4))
        .map(|mount| {
            let group = Path::new(mount).join(own.unwrap_or_default());
            group.join(format!("gladsheim-{:08x}", hash(hall_file)))
        })
        .collect()
}

/// FNV-1a of the canonical path, part of the names that the daemon gives.
fn hash(hall_file: &Path) -> u32 {
    let file = fs::canonicalize(hall_file).unwrap_or_else(|_| hall_file.to_owned());
    let bytes = file.as_os_str().as_encoded_bytes().iter();
    bytes.fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

/// Whether it is gone.
fn remove(folder: &Path) -> bool {
    for below in fs::read_dir(folder).into_iter().flatten().flatten() {
        if below.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&below.path());
        }
    }
    match fs::remove_dir(folder) {
        Ok(()) => true,
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}
