//! Who is at the other end of a connection, as the kernel or a certificate tells it.
#![expect(
    unsafe_code,
    reason = "the groups of a socket's peer are read by a system call only"
)]

use std::{
    fmt, io, mem,
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd},
};

use nix::{libc, unistd::getgroups};
use tokio::net::UnixStream;

/// A caller. What is known was true when the connection was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Peer {
    /// A process of this machine.
    Local(Credentials),
    /// The holder of a certificate that our authority has signed.
    Remote(Certified),
}

/// Of a process, at the time when it connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) uid: u32,
    /// `None` where its pid means nothing to us: it lives in another pid namespace.
    pub(super) pid: Option<i32>,
    /// The effective group first, then the supplementary ones.
    pub(super) groups: Vec<u32>,
}

/// Of a client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certified {
    pub(super) address: SocketAddr,
    /// Common name and alternative names.
    pub(super) names: Vec<String>,
}

impl Credentials {
    /// Of the process that has connected to our socket.
    pub(super) fn of(connection: &UnixStream) -> io::Result<Self> {
        let peer = connection.peer_cred()?;
        let mut groups = vec![peer.gid()];
        groups.extend(supplementary_groups(connection)?);
        Ok(Self {
            uid: peer.uid(),
            pid: peer.pid().filter(|pid| *pid > 0),
            groups,
        })
    }
}

/// The peer's supplementary groups; none where the kernel does not tell (before Linux 4.13).
fn supplementary_groups(connection: &impl AsFd) -> io::Result<Vec<u32>> {
    let mut groups = vec![0_u32; 32];
    loop {
        let size = groups.len() * mem::size_of::<u32>();
        let mut length = libc::socklen_t::try_from(size).map_err(io::Error::other)?;
        // SAFETY: the buffer is ours, `length` says how many bytes it has, and the kernel writes no more.
        let result = unsafe {
            libc::getsockopt(
                connection.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        let needed = length as usize / mem::size_of::<u32>();
        if result == 0 {
            groups.truncate(needed);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::ERANGE) if needed > groups.len() => groups.resize(needed, 0),
            Some(libc::ENOPROTOOPT) => return Ok(Vec::new()),
            _ => return Err(error),
        }
    }
}

/// Whether this process may give a file to a group.
pub(super) fn is_own_group(gid: u32) -> bool {
    let supplementary = getgroups().unwrap_or_default();
    nix::unistd::geteuid().is_root()
        || nix::unistd::getegid().as_raw() == gid
        || supplementary.iter().any(|own| own.as_raw() == gid)
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(Credentials { uid, .. }) => write!(f, "uid {uid}"),
            Self::Remote(Certified { names, address }) if names.is_empty() => {
                write!(f, "a certificate without a name, from {address}")
            }
            Self::Remote(Certified { names, .. }) => {
                write!(f, "the certificate of {}", names.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::unistd::{getegid, geteuid};

    use super::*;

    #[tokio::test]
    async fn a_process_that_talks_to_itself_sees_its_own_user_pid_and_groups() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let found = Credentials::of(&ours).unwrap();
        assert_eq!(found.uid, geteuid().as_raw());
        assert_eq!(found.pid, i32::try_from(std::process::id()).ok());
        let mut groups = vec![getegid().as_raw()];
        groups.extend(getgroups().unwrap().iter().map(|group| group.as_raw()));
        assert_eq!(found.groups, groups);
    }
}
