//! The pipes that carry a service's output: FIFOs where it is kept, nameless ones where it is only looked at.

use std::{
    fs, io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt},
    },
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::stat::Mode,
    unistd::{Gid, Uid, chown, fchown, mkfifo, pipe2},
};
use tokio::net::unix::pipe;

use crate::identity::Identity;

/// Size of the pipes in bytes, where allowed.
const PIPE_SIZE: i32 = 1024 * 1024;

/// The reading end for us and the end for the service.
pub(crate) fn open_fifo(
    path: &Path,
    owner: Option<&Identity>,
) -> io::Result<(pipe::Receiver, OwnedFd)> {
    let make = || mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR);
    let made = match (make(), path.parent()) {
        (Err(Errno::ENOENT), Some(folder)) => {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o750)
                .create(folder)?;
            make()
        }
        (made, _) => made,
    };
    match made {
        Ok(()) => {}
        Err(Errno::EEXIST) if fs::symlink_metadata(path)?.file_type().is_fifo() => {}
        Err(errno) => return Err(errno.into()),
    }
    let options = |write| {
        let mut options = fs::File::options();
        options
            .read(true)
            .write(write)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW);
        options
    };
    // With a writer of its own, this opening does not wait for another one.
    let service: OwnedFd = options(true).open(path)?.into();
    let ours: OwnedFd = options(false).open(path)?.into();
    if let Some(owner) = owner
        && fs::metadata(path)?.uid() != owner.uid
    {
        let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
        chown(path, Some(uid), Some(gid))?;
    }
    // Its writes have to wait, as programs expect of their standard output.
    fcntl(service.as_fd(), FcntlArg::F_SETFL(OFlag::O_RDWR))?;
    // Beyond the limit of an unprivileged user it keeps its size.
    let _ = fcntl(ours.as_fd(), FcntlArg::F_SETPIPE_SZ(PIPE_SIZE));
    Ok((pipe::Receiver::from_owned_fd(ours)?, service))
}

/// The same without a name. A daemon that dies does not end the service, but only a keeper has it read again.
pub(crate) fn open_nameless(owner: Option<&Identity>) -> io::Result<(pipe::Receiver, OwnedFd)> {
    let (ours, _) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    // Opened anew for both directions: the service never meets a SIGPIPE.
    let service: OwnedFd = fs::File::options()
        .read(true)
        .write(true)
        .open(format!("/proc/self/fd/{}", ours.as_raw_fd()))?
        .into();
    if let Some(owner) = owner {
        let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
        fchown(&ours, Some(uid), Some(gid))?;
    }
    Ok((pipe::Receiver::from_owned_fd(ours)?, service))
}
