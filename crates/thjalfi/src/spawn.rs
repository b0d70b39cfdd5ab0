//! The ports through which processes are started and held: what to start, who starts it, what runs.

use std::{
    fmt, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::Arc,
};

use async_trait::async_trait;

use crate::{
    Descriptor, ProcessIdentity, Signal, SignalTarget, StartOptions, error::SpawnError,
    identity::Identity,
};

/// All that is needed to start one process.
#[derive(Debug)]
pub struct SpawnSpec {
    /// Name of the service; also of its cgroup.
    pub service_name: String,
    /// Program to execute: a path with a slash, or a bare name to be looked up in `PATH`.
    pub program: PathBuf,
    /// The authorised file itself, executed instead of whatever stands at `program` by then.
    pub executable: Option<OwnedFd>,
    /// Arguments, without the program's name.
    pub args: Vec<String>,
    /// How to run it. Arguments, commands and readiness in it are the loader's business.
    pub options: Arc<StartOptions>,
    /// Whom to run it as, resolved from the options; `None` is the daemon's own user.
    pub identity: Option<Identity>,
    /// Environment variables that the loader adds by itself.
    pub extra_env: Vec<(String, String)>,
    /// Passed on as the descriptors from 3; each has a number above all of those.
    pub sockets: Vec<OwnedFd>,
    /// Standard output and error; `/dev/null` without them.
    pub output: Option<(OwnedFd, OwnedFd)>,
}

/// Starts processes.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait ProcessSpawner: Send + Sync + 'static {
    /// Starts a process and returns once `exec` has succeeded.
    ///
    /// Whatever an earlier daemon left running under the name is ended first.
    /// Cancellation: nothing is started after the future was dropped.
    ///
    /// # Errors
    ///
    /// The stage that failed; no process is left then.
    async fn spawn(&self, spec: SpawnSpec) -> Result<Box<dyn ChildProcess>, SpawnError>;

    /// Takes over the process tree of a run that an earlier daemon has started; a pidfd of its leader may have
    /// been kept. A leader that ended without that is a child whose status is not known; nobody else with its
    /// number is ever touched.
    ///
    /// # Errors
    ///
    /// If there is no telling whether it lives; nothing was done then.
    async fn adopt(
        &self,
        service_name: &str,
        identity: &ProcessIdentity,
        pidfd: Option<OwnedFd>,
    ) -> io::Result<Box<dyn ChildProcess>>;

    /// Kills whatever earlier daemons of this hall have left running and nobody has adopted, and waits
    /// for its end.
    ///
    /// # Errors
    ///
    /// If it could not be found or killed.
    async fn end_leftovers(&self) -> io::Result<()>;

    /// Gives back what is kept between the runs of a service, which is gone for good.
    fn forget(&self, service_name: &str);

    /// How its process trees are held together: `cgroup` or `session`.
    fn containment(&self) -> &'static str;
}

/// A started process, the leader, and the tree below it.
///
/// Dropping it leaves the processes running.
#[async_trait]
pub trait ChildProcess: fmt::Debug + Send + 'static {
    /// Process id of the leader.
    fn pid(&self) -> u32;

    /// Where signals for the leader go.
    fn leader(&self) -> Arc<dyn SignalTarget>;

    /// What means the leader even after its end, for somebody else to keep.
    fn pidfd(&self) -> Option<Descriptor> {
        None
    }

    /// Folder of the cgroup that holds the tree, where there is one.
    fn cgroup(&self) -> Option<PathBuf>;

    /// What marks the processes of the tree, where no cgroup holds them.
    fn mark(&self) -> Option<String> {
        None
    }

    /// Waits for the end of the leader and reaps it. Cancel safe.
    ///
    /// # Errors
    ///
    /// If the kernel does not tell the status; the leader is gone nevertheless.
    async fn wait(&mut self) -> io::Result<ExitStatus>;

    /// Sends a signal to every member of the tree that can be found.
    ///
    /// # Errors
    ///
    /// If members could not be listed or signalled.
    fn signal_tree(&mut self, signal: Signal) -> io::Result<()>;

    /// Sends SIGKILL to the whole tree. What the leader makes meanwhile dies by another call after
    /// [`wait`](Self::wait); only then, nothing escapes [`tree_gone`](Self::tree_gone).
    ///
    /// # Errors
    ///
    /// If the tree could not be killed.
    fn kill_tree(&mut self) -> io::Result<()>;

    /// After the leader's end, waits for the end of its whole tree; the pids of what is nobody's and
    /// could not be attributed to any service are returned. Cancel safe.
    ///
    /// # Errors
    ///
    /// If the tree cannot be watched.
    async fn tree_gone(&mut self) -> io::Result<Vec<u32>>;

    /// Members of the tree that the kernel has killed for want of memory; 0 where nobody counts.
    fn oom_kills(&self) -> u64 {
        0
    }
}

/// The file to execute for a configured path: bare names are looked up in `PATH`.
pub(crate) fn program_path(path: &Path) -> PathBuf {
    if path.as_os_str().as_encoded_bytes().contains(&b'/') {
        return path.to_owned();
    }
    let search = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&search)
        .map(|folder| folder.join(path))
        .find(|candidate| {
            nix::unistd::access(candidate, nix::unistd::AccessFlags::X_OK).is_ok()
                && candidate.is_file()
        })
        .unwrap_or_else(|| path.to_owned())
}
