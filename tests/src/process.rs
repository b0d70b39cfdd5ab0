//! Processes that belong to one test, however far they have wandered off.

use std::{
    ffi::OsStr,
    fs,
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::Path,
};

use nix::sys::signal::Signal as NamedSignal;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with,
        sockopt::socket_peercred,
    },
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

/// Name of the environment variable that marks all processes of one daemon under test.
pub(crate) const MARKER: &str = "GLADSHEIM_TEST";

/// A process that was found by its marker or its working folder.
#[derive(Debug)]
pub struct Process {
    /// Its pid.
    pub pid: u32,
    /// Its command line.
    pub command: String,
    handle: OwnedFd,
}

impl Process {
    /// Sends SIGKILL to exactly this process; one that has ended already is fine.
    pub fn kill(&self) {
        let _ = pidfd_send_signal(&self.handle, Signal::KILL);
    }

    /// Sends a signal to exactly this process, which has not ended.
    pub fn signal(&self, signal: NamedSignal) {
        let signal = Signal::from_named_raw(signal as i32).expect("it is the same");
        pidfd_send_signal(&self.handle, signal).expect("it has not ended");
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        let mut ends = [PollFd::new(&self.handle, PollFlags::IN)];
        poll(&mut ends, Some(&Timespec::default())).is_ok_and(|ended| ended > 0)
    }

    /// How many descriptors it has open, as far as we may know.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid)).map_or(0, Iterator::count)
    }
}

/// The keeper that listens at this socket, if one does.
pub(crate) fn keeper(socket: &Path) -> Option<Process> {
    let flags = SocketFlags::CLOEXEC;
    let client = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).ok()?;
    connect(&client, &SocketAddrUnix::new(socket).ok()?).ok()?;
    let pid = socket_peercred(&client).ok()?.pid;
    // As long as it has the connection, the number is its own.
    Some(Process {
        pid: u32::try_from(pid.as_raw_nonzero().get()).ok()?,
        command: command(&Path::new("/proc").join(pid.as_raw_nonzero().to_string())),
        handle: pidfd_open(pid, PidfdFlags::empty()).ok()?,
    })
}

/// All living processes that carry `marker` or whose working folder is `folder` or lies in it.
///
/// Some programs (nginx) overwrite their environment, others change their folder; hardly any does both.
pub(crate) fn processes(marker: &str, folder: &Path) -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("/proc is mounted");
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| belonging(pid, marker, folder))
        .collect()
}

fn belonging(pid: u32, marker: &str, folder: &Path) -> Option<Process> {
    // First the handle, then the look: what is looked at is what the handle holds, or it is gone.
    let handle = pidfd_open(
        Pid::from_raw(i32::try_from(pid).ok()?)?,
        PidfdFlags::empty(),
    )
    .ok()?;
    let proc = Path::new("/proc").join(pid.to_string());
    let environment = fs::read(proc.join("environ")).unwrap_or_default();
    let marked = environment.split(|byte| *byte == 0).any(|variable| {
        variable
            .strip_prefix(MARKER.as_bytes())
            .is_some_and(|rest| rest.strip_prefix(b"=") == Some(marker.as_bytes()))
    });
    let within = fs::read_link(proc.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
    // A zombie has neither.
    (marked || within).then(|| Process {
        pid,
        command: command(&proc),
        handle,
    })
}

fn command(proc: &Path) -> String {
    let line = fs::read(proc.join("cmdline")).unwrap_or_default();
    let words = line
        .split(|byte| *byte == 0)
        .map(|word| OsStr::from_bytes(word).to_string_lossy());
    words.collect::<Vec<_>>().join(" ").trim_end().to_owned()
}
