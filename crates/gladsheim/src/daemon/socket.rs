//! The control socket: never open to more than it should be, not even for a moment; never stolen from a living daemon.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, ErrorKind},
    os::{
        fd::{AsFd, AsRawFd as _, OwnedFd},
        unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _},
    },
    path::{Path, PathBuf},
};

use tokio::net::{UnixListener, UnixStream};

pub(super) use self::audience::Audience;

mod audience;

/// Longest path that fits into a socket address, without its final zero.
const LONGEST_PATH: usize = 107;

/// A listening socket at a path.
#[derive(Debug)]
pub(super) struct ControlSocket {
    pub(super) listener: UnixListener,
    pub(super) file: SocketFile,
}

/// The file of a socket of ours; removed when dropped, if it is still ours.
#[derive(Debug)]
pub(super) struct SocketFile(SocketPlace);

/// Where a socket of ours is.
#[derive(Debug, Clone)]
pub(super) struct SocketPlace {
    path: PathBuf,
    /// Device and inode: whether what is at the path is still ours.
    identity: (u64, u64),
}

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    #[error(
        "the socket path {} is longer than {LONGEST_PATH} bytes; name a shorter one with `socket` in the hall file",
        path.display()
    )]
    TooLong { path: PathBuf },
    #[error(
        "another daemon answers at the socket {}; name another one with `socket` in the hall file",
        path.display()
    )]
    InUse { path: PathBuf },
    #[error("{} exists and is no socket; remove it, or name another `socket` in the hall file", path.display())]
    NoSocket { path: PathBuf },
    #[error("cannot create the socket {}: {source}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl ControlSocket {
    /// Listens at `path`, in place of a socket that a killed daemon has left there.
    ///
    /// Needs a runtime. The caller holds the lock of its state folder: two daemons of one hall never
    /// come here at once.
    pub(super) async fn bind(path: &Path, audience: Audience) -> Result<Self, SocketError> {
        ensure_free(path).await?;
        bind_privately(path, audience).map_err(|source| SocketError::io(path, source))
    }
}

impl ControlSocket {
    /// The socket of the program that this process has executed before. Needs a runtime.
    pub(super) fn inherit(
        listener: OwnedFd,
        path: &Path,
        audience: Audience,
    ) -> Result<Self, SocketError> {
        let failed = |source| SocketError::io(path, source);
        let found = path.symlink_metadata().map_err(failed)?;
        let place = SocketPlace {
            path: path.to_path_buf(),
            identity: (found.dev(), found.ino()),
        };
        place.open_to(audience).map_err(failed)?;
        Ok(Self {
            listener: UnixListener::from_std(listener.into()).map_err(failed)?,
            file: SocketFile(place),
        })
    }
}

impl SocketFile {
    /// Its place, which does not remove it.
    pub(super) fn place(&self) -> SocketPlace {
        self.0.clone()
    }
}

impl SocketPlace {
    /// Lets in others than before; nothing if the socket is not ours any more.
    pub(super) fn open_to(&self, audience: Audience) -> io::Result<()> {
        if !self.is_ours() {
            return Ok(());
        }
        audience.open_folder(folder_of(&self.path), false)?;
        audience.apply(&self.path)
    }

    fn is_ours(&self) -> bool {
        self.path
            .symlink_metadata()
            .is_ok_and(|found| (found.dev(), found.ino()) == self.identity)
    }
}

impl SocketError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_path_buf(),
            source,
        }
    }
}

/// Another descriptor of the same socket or lock, which no program inherits.
pub(super) fn copy(fd: &impl AsFd) -> io::Result<OwnedFd> {
    fd.as_fd().try_clone_to_owned()
}

/// Whether a socket may be put at `path`: nothing is there, or what a killed daemon has left.
pub(super) async fn ensure_free(path: &Path) -> Result<(), SocketError> {
    let own_path = || path.to_path_buf();
    if path.as_os_str().len() > LONGEST_PATH {
        return Err(SocketError::TooLong { path: own_path() });
    }
    match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(SocketError::io(path, error)),
        Ok(found) if !found.file_type().is_socket() => {
            Err(SocketError::NoSocket { path: own_path() })
        }
        // Of another hall, perhaps, which names the same socket: only a refused connection proves
        // that nobody listens any more.
        Ok(_) => match UnixStream::connect(path).await {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
            Ok(_) | Err(_) => Err(SocketError::InUse { path: own_path() }),
        },
    }
}

/// Binds in a folder that only we may enter, and moves the socket to its place once its mode is right.
///
/// The umask would do it too, but it belongs to the whole process.
fn bind_privately(path: &Path, audience: Audience) -> io::Result<ControlSocket> {
    let parent = folder_of(path);
    let is_new = !parent.exists();
    let mut private = DirBuilder::new();
    private.mode(0o700).recursive(true).create(parent)?;
    audience.open_folder(parent, is_new)?;

    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let cradle = parent.join(format!(".{name}.{}", std::process::id()));
    private.recursive(false);
    match private.create(&cradle) {
        // Left by one that was killed right here and had our pid: in a container pids come again.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs::remove_dir_all(&cradle)?;
            private.create(&cradle)?;
        }
        created => created?,
    }
    let bound = bind_in(&cradle, path, audience);
    let removed = fs::remove_dir(&cradle);
    let socket = bound?;
    removed?;
    Ok(socket)
}

fn folder_of(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    parent.unwrap_or(Path::new("."))
}

fn bind_in(cradle: &Path, path: &Path, audience: Audience) -> io::Result<ControlSocket> {
    let folder = File::open(cradle)?;
    // By descriptor, because the path with the cradle in it may be too long for a socket address.
    let listener = UnixListener::bind(format!("/proc/self/fd/{}/socket", folder.as_raw_fd()))?;
    let newborn = cradle.join("socket");
    let placed = audience
        .apply(&newborn)
        .and_then(|()| newborn.symlink_metadata())
        .and_then(|found| fs::rename(&newborn, path).map(|()| (found.dev(), found.ino())));
    match placed {
        Ok(identity) => Ok(ControlSocket {
            listener,
            file: SocketFile(SocketPlace {
                path: path.to_path_buf(),
                identity,
            }),
        }),
        Err(error) => {
            fs::remove_file(&newborn)?;
            Err(error)
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let SocketPlace { path, .. } = &self.0;
        if self.0.is_ours()
            && let Err(error) = fs::remove_file(path)
        {
            tracing::warn!(path = %path.display(), %error, "the control socket could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::PermissionsExt as _, net::UnixListener as StdListener};

    use super::*;

    fn entries(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[tokio::test]
    async fn the_socket_is_private_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/hall.sock");

        let socket = ControlSocket::bind(&path, Audience::Owner).await.unwrap();
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        UnixStream::connect(&path).await.unwrap();
        assert_eq!(entries(path.parent().unwrap()), 1);

        drop(socket.file);
        assert_eq!(entries(path.parent().unwrap()), 0);
    }

    #[tokio::test]
    async fn the_mode_follows_the_audience() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hall.sock");
        let socket = ControlSocket::bind(&path, Audience::Everybody)
            .await
            .unwrap();
        let mode = || path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o666);
        let own = nix::unistd::getegid().as_raw();
        for (audience, expected) in [(Audience::Group(own), 0o660), (Audience::Owner, 0o600)] {
            socket.file.place().open_to(audience).unwrap();
            assert_eq!(mode(), expected);
        }
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hall.sock");
        let other = StdListener::bind(&path).unwrap();

        let refusal = ControlSocket::bind(&path, Audience::Owner)
            .await
            .unwrap_err();
        assert!(matches!(refusal, SocketError::InUse { .. }), "{refusal}");

        drop(other);
        ControlSocket::bind(&path, Audience::Owner).await.unwrap();
        UnixStream::connect(&path).await.unwrap_err();
    }

    #[tokio::test]
    async fn another_file_at_the_path_is_left_alone() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refusal = ControlSocket::bind(file.path(), Audience::Owner)
            .await
            .unwrap_err();
        assert!(matches!(refusal, SocketError::NoSocket { .. }), "{refusal}");
        assert!(file.path().exists());
    }

    #[tokio::test]
    async fn a_path_as_long_as_an_address_allows_works_and_a_longer_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let room = LONGEST_PATH - folder.path().as_os_str().len() - 1;

        let longest = folder.path().join("s".repeat(room));
        ControlSocket::bind(&longest, Audience::Owner)
            .await
            .unwrap();
        let longer = folder.path().join("s".repeat(room + 1));
        let refusal = ControlSocket::bind(&longer, Audience::Owner)
            .await
            .unwrap_err();
        assert!(matches!(refusal, SocketError::TooLong { .. }), "{refusal}");
    }

    #[tokio::test]
    async fn a_socket_that_was_replaced_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hall.sock");
        let socket = ControlSocket::bind(&path, Audience::Owner).await.unwrap();

        fs::remove_file(&path).unwrap();
        let _other = StdListener::bind(&path).unwrap();
        drop(socket.file);
        assert!(path.exists());
    }
}
