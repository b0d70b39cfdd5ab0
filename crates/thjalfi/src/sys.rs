//! The few system calls on processes that neither `std` nor `nix` offers.
#![expect(
    unsafe_code,
    reason = "pidfds and their exit statuses are reached by system calls only"
)]

use std::{
    fs::File,
    io, mem,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::process::ExitStatusExt,
    },
    process::ExitStatus,
    sync::Arc,
};

use tokio::io::{Interest, unix::AsyncFd};

use crate::{Signal, SignalTarget, socket::FIRST};

/// A descriptor that means one process for ever, whatever becomes of its number.
#[derive(Debug)]
pub(crate) struct Pidfd(OwnedFd);

impl Pidfd {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Opens the process that has this number now; the caller verifies which one that is.
    pub(crate) fn open(pid: u32) -> io::Result<Self> {
        // SAFETY: pidfd_open takes two integers and returns a new descriptor that nobody else owns.
        unsafe {
            let fd = libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0);
            let fd = RawFd::try_from(check(fd)?).map_err(io::Error::other)?;
            Ok(Self(OwnedFd::from_raw_fd(fd)))
        }
    }

    /// Reaps the process if it is our child and has ended; with `block`, waits for that.
    pub(crate) fn reap(&self, block: bool) -> io::Result<Option<ExitStatus>> {
        let flags = libc::WEXITED | if block { 0 } else { libc::WNOHANG };
        loop {
            match wait(libc::P_PIDFD, self.0.as_raw_fd() as libc::id_t, flags) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other.map(|ended| ended.map(|(_, status)| status)),
            }
        }
    }
}

/// `struct pidfd_info` of the kernel, in its first size.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

/// `_IOWR(0xFF, 11, struct pidfd_info)`
const PIDFD_GET_INFO: u32 = 0xC000_FF0B | (mem::size_of::<PidfdInfo>() as u32) << 16;
const PIDFD_INFO_EXIT: u64 = 1 << 3;

impl Pidfd {
    /// How the process ended, if that is known here: once its parent has reaped it, and from Linux
    /// 6.15 on.
    pub(crate) fn exit_status(&self) -> Option<ExitStatus> {
        let mut info = PidfdInfo {
            mask: PIDFD_INFO_EXIT,
            ..PidfdInfo::default()
        };
        // SAFETY: the descriptor is open, and the kernel writes at most as much as the number says.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), PIDFD_GET_INFO as _, &raw mut info) };
        (result == 0 && info.mask & PIDFD_INFO_EXIT != 0)
            .then(|| ExitStatus::from_raw(info.exit_code))
    }
}

impl SignalTarget for Pidfd {
    fn signal(&self, signal: Signal) -> io::Result<()> {
        // SAFETY: the descriptor is open, and a null siginfo is allowed.
        let result = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.0.as_raw_fd(),
                signal.as_raw(),
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        check(result).map(drop)
    }
}

impl AsRawFd for Pidfd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for Pidfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The first socket that was passed to this process, which the caller owns from now on.
pub(crate) fn passed_socket() -> io::Result<OwnedFd> {
    // SAFETY: integers only; it fails if nothing is open there.
    check(unsafe { libc::fcntl(FIRST, libc::F_SETFD, libc::FD_CLOEXEC) }.into())?;
    // SAFETY: it is open, and in a process that was started with it nobody else has taken it.
    Ok(unsafe { OwnedFd::from_raw_fd(FIRST) })
}

/// Waits for the next connection.
pub(crate) fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let (any, length) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: no address is asked for, and the call returns a new descriptor that nobody else owns.
    unsafe {
        let fd = libc::accept4(listener.as_raw_fd(), any, length, libc::SOCK_CLOEXEC);
        check(fd.into())?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// A copy whose number is not below `lowest`.
pub(crate) fn copy_above(fd: BorrowedFd<'_>, lowest: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the descriptor is open, and the call returns a new one that nobody else owns.
    unsafe {
        let copy = libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, lowest);
        check(copy.into())?;
        Ok(OwnedFd::from_raw_fd(copy))
    }
}

/// Tells whether this kernel has `close_range`: no descriptor has the number that it is asked to close.
pub(crate) fn close_nothing() -> io::Result<()> {
    // SAFETY: integers only.
    let result = unsafe { libc::syscall(libc::SYS_close_range, u32::MAX, u32::MAX, 0) };
    check(result).map(drop)
}

/// Becomes readable when the process has ended.
pub(crate) fn watch_process(pidfd: Arc<Pidfd>) -> io::Result<AsyncFd<Arc<Pidfd>>> {
    // SAFETY: a `Pidfd` keeps its one descriptor open as long as it lives.
    Ok(unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE)? })
}

/// Both directions of a socket that does not wait.
pub(crate) fn watch_socket(socket: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` keeps its one descriptor open as long as it lives.
    Ok(unsafe { AsyncFd::register(socket)? })
}

/// Has priority events when the content of a kernel file changes.
pub(crate) fn watch_file(file: File) -> io::Result<AsyncFd<File>> {
    // SAFETY: a `File` keeps its one descriptor open as long as it lives.
    Ok(unsafe { AsyncFd::register_with_interest(file, Interest::PRIORITY)? })
}

/// Looks at some child that has ended, without reaping it.
pub(crate) fn peek_ended_child() -> io::Result<Option<u32>> {
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    Ok(wait(libc::P_ALL, 0, flags)?.map(|(pid, _)| pid))
}

/// Reaps the child with this number if it has ended.
pub(crate) fn reap_child(pid: u32) -> io::Result<bool> {
    Ok(wait(libc::P_PID, pid, libc::WEXITED | libc::WNOHANG)?.is_some())
}

/// Makes orphans below this process its children, and not those of PID 1.
pub(crate) fn become_subreaper() -> io::Result<()> {
    // SAFETY: prctl with integers only.
    let result = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    check(result.into()).map(drop)
}

fn wait(
    kind: libc::idtype_t,
    id: libc::id_t,
    flags: libc::c_int,
) -> io::Result<Option<(u32, ExitStatus)>> {
    // SAFETY: an all-zero siginfo_t is valid, waitid writes to it, and the fields that are read are
    // those that waitid fills in.
    unsafe {
        let mut info: libc::siginfo_t = mem::zeroed();
        check(libc::waitid(kind, id, &raw mut info, flags).into())?;
        let raw = match info.si_code {
            _ if info.si_pid() == 0 => return Ok(None),
            libc::CLD_EXITED => info.si_status() << 8,
            libc::CLD_DUMPED => info.si_status() | 0x80,
            _ => info.si_status(),
        };
        Ok(Some((info.si_pid() as u32, ExitStatus::from_raw(raw))))
    }
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
