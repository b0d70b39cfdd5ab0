//! A process that an earlier daemon has started: held by a pidfd alone, since it is not our child.

use std::{
    io,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::Arc,
};

use async_trait::async_trait;
use tokio::io::unix::AsyncFd;

use crate::{
    ChildProcess, Descriptor, ProcessIdentity, Signal, SignalTarget,
    adopt::boot_id,
    cgroup::{Hall, oom_kills},
    group::FoundGroup,
    procfs,
    session::{LEADERS, Session},
    sys::{self, Pidfd},
};

/// The tree of a run that was taken over.
#[derive(Debug)]
pub(crate) struct AdoptedChild {
    pid: u32,
    start_ticks: u64,
    /// `None` if it had ended and was reaped before anybody looked.
    leader: Option<AsyncFd<Arc<Pidfd>>>,
    tree: Tree,
}

#[derive(Debug)]
enum Tree {
    Group(FoundGroup),
    Session(Session),
    /// Nothing can be left of it.
    Gone,
}

impl AdoptedChild {
    /// Fails only where there is no telling whether the leader lives. A pidfd that was kept tells.
    pub(crate) fn new(
        service_name: &str,
        identity: &ProcessIdentity,
        kept: Option<Pidfd>,
        hall: Option<&Arc<Hall>>,
    ) -> io::Result<Self> {
        let this_boot = identity.boot_id == boot_id()?;
        let leader = match kept {
            _ if !this_boot => None,
            Some(kept) => Some(kept),
            None => open(identity)?,
        };
        let leader = leader.map(Arc::new).map(sys::watch_process).transpose()?;
        if leader.is_some() {
            LEADERS.adopt(identity.pid);
        }
        let group = |folder: &Path| FoundGroup::open(folder, service_name, hall);
        let tree = match (&identity.cgroup, &identity.mark) {
            _ if !this_boot => Tree::Gone,
            (Some(folder), _) => group(folder).map_or(Tree::Gone, Tree::Group),
            (None, Some(mark)) => Tree::Session(Session::adopted(
                identity.pid,
                mark.clone(),
                identity.start_ticks,
            )),
            (None, None) => Tree::Gone,
        };
        Ok(Self {
            pid: identity.pid,
            start_ticks: identity.start_ticks,
            leader,
            tree,
        })
    }
}

/// How a process has ended. It is told by the one or the other, before and after its parent has
/// reaped it; and the parent may do so between two questions.
pub(crate) fn status(process: &Pidfd, pid: u32, start_ticks: u64) -> io::Result<ExitStatus> {
    // A daemon that has executed itself anew is still the parent.
    if let Ok(Some(status)) = process.reap(false) {
        return Ok(status);
    }
    process
        .exit_status()
        .or_else(|| procfs::zombie_status(pid, start_ticks).map(ExitStatus::from_raw))
        .or_else(|| process.exit_status())
        .ok_or_else(|| io::Error::other("the kernel does not tell it"))
}

/// The process that is meant, if it lives or was not reaped yet.
fn open(identity: &ProcessIdentity) -> io::Result<Option<Pidfd>> {
    let pidfd = match Pidfd::open(identity.pid) {
        Ok(pidfd) => pidfd,
        // The number is no process's, or that of a thread.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ESRCH | libc::EINVAL)) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    // Looked at after the opening: if this is the one, the pidfd means it too.
    let same = |stat: procfs::Stat| stat.start == identity.start_ticks;
    Ok(procfs::stat(identity.pid)
        .is_some_and(same)
        .then_some(pidfd))
}

/// Where signals for a process go that has ended.
#[derive(Debug)]
struct Nobody;

impl SignalTarget for Nobody {
    fn signal(&self, _: Signal) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(libc::ESRCH))
    }
}

#[async_trait]
impl ChildProcess for AdoptedChild {
    fn pid(&self) -> u32 {
        self.pid
    }

    fn leader(&self) -> Arc<dyn SignalTarget> {
        match &self.leader {
            Some(leader) => Arc::clone(leader.get_ref()) as Arc<dyn SignalTarget>,
            None => Arc::new(Nobody),
        }
    }

    fn pidfd(&self) -> Option<Descriptor> {
        let leader = self.leader.as_ref()?;
        Some(Arc::clone(leader.get_ref()) as Descriptor)
    }

    fn cgroup(&self) -> Option<PathBuf> {
        match &self.tree {
            Tree::Group(group) => Some(group.folder().to_owned()),
            Tree::Session(_) | Tree::Gone => None,
        }
    }

    fn mark(&self) -> Option<String> {
        match &self.tree {
            Tree::Session(session) => Some(session.mark().to_owned()),
            Tree::Group(_) | Tree::Gone => None,
        }
    }

    async fn wait(&mut self) -> io::Result<ExitStatus> {
        let Some(leader) = &self.leader else {
            return Err(io::Error::other("it ended while nobody looked"));
        };
        leader.readable().await?.retain_ready();
        LEADERS.may_be_reaped().await;
        LEADERS.forget(self.pid);
        status(leader.get_ref(), self.pid, self.start_ticks)
    }

    fn signal_tree(&mut self, signal: Signal) -> io::Result<()> {
        match &self.tree {
            Tree::Group(group) => group.signal(signal),
            Tree::Session(session) => session.signal(signal),
            Tree::Gone => Ok(()),
        }
    }

    fn kill_tree(&mut self) -> io::Result<()> {
        // It may have ended just now.
        let _ = self.leader().signal(Signal::Kill);
        match &mut self.tree {
            Tree::Group(group) => group.kill(),
            Tree::Session(session) => {
                session.kill();
                Ok(())
            }
            Tree::Gone => Ok(()),
        }
    }

    async fn tree_gone(&mut self) -> io::Result<Vec<u32>> {
        match &mut self.tree {
            Tree::Group(group) => group.gone().await.map(|()| Vec::new()),
            Tree::Session(session) => session.gone().await,
            Tree::Gone => Ok(Vec::new()),
        }
    }

    fn oom_kills(&self) -> u64 {
        self.cgroup().map_or(0, |folder| oom_kills(&folder))
    }
}

impl Drop for AdoptedChild {
    fn drop(&mut self) {
        LEADERS.forget(self.pid);
    }
}
