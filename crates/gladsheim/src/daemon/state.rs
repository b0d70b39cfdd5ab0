//! The state folder, and the lock that keeps it to one daemon.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

/// A state folder that is ours; given back when dropped, or when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct StateFolder {
    /// Its lock lasts as long as the descriptor, which no service inherits.
    lock: File,
}

/// Why a state folder cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    #[error(
        "cannot use the state folder {}: {source}; name another one with `state_dir` in the hall file",
        path.display()
    )]
    Unusable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "another daemon ({holder}) holds the state folder {}; end it with `gladsheim shutdown`, or \
         name another folder with `state_dir` in the hall file",
        path.display()
    )]
    Held { path: PathBuf, holder: String },
}

impl StateFolder {
    /// Creates the folder and the one for `logs` (mode 0700) where they are missing, and locks it.
    pub(super) fn open(path: &Path, logs: Option<&Path>) -> Result<Self, StateError> {
        let unusable = |source| StateError::Unusable {
            path: path.to_path_buf(),
            source,
        };
        let mut private = DirBuilder::new();
        private.recursive(true).mode(0o700);
        for folder in std::iter::once(path).chain(logs) {
            private.create(folder).map_err(unusable)?;
        }
        // The file stays when we end: a lock on a file that is being removed is a lock on nothing.
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StateError::Held {
                    path: path.to_path_buf(),
                    holder: holder(&mut lock),
                });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(unusable)?;
        Ok(Self { lock })
    }
}

impl StateFolder {
    /// The folder of the program that this process has executed before, with its lock.
    pub(super) fn inherit(lock: OwnedFd) -> Self {
        Self { lock: lock.into() }
    }
}

impl AsFd for StateFolder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }
}

/// The pid that the lock's holder has written into it.
fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    match lock.read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => format!("pid {}", text.trim()),
        // It is just being written, or it is no text: the refusal matters more.
        Ok(_) | Err(_) => "pid not known yet".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_second_daemon_is_refused_and_told_the_first_ones_pid() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/state");

        let logs = path.join("logs");
        let first = StateFolder::open(&path, Some(&logs)).unwrap();
        for folder in [&path, &logs] {
            let mode = folder.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }

        let refusal = StateFolder::open(&path, None).unwrap_err().to_string();
        assert!(
            refusal.contains(&format!("(pid {})", std::process::id())),
            "{refusal}"
        );

        drop(first);
        StateFolder::open(&path, None).unwrap();
    }

    #[test]
    fn an_unusable_folder_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refusal = StateFolder::open(file.path(), None)
            .unwrap_err()
            .to_string();
        assert!(
            refusal.contains(&file.path().display().to_string()),
            "{refusal}"
        );
    }
}
