//! Processes that belong to one test, however far they have wandered off.

use std::{
    ffi::OsStr,
    fs,
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::Path,
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

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
