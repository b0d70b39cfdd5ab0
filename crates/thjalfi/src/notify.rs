//! The server side of `sd_notify`: services tell of themselves through one socket per loader.
//!
//! The kernel tells which process a message comes from. What comes from outside of every service's
//! tree is ignored. A process is looked up when its message is read: one that sends and ends at once
//! may be gone by then, unless it is the leader itself.

use std::{
    collections::HashMap,
    fs,
    io::{self, IoSliceMut},
    os::fd::{AsRawFd, OwnedFd},
    os::unix::net::UnixDatagram as StdDatagram,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use nix::{
    cmsg_space,
    sys::socket::{
        AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr,
        UnixCredentials, bind, getsockname, recvmsg, setsockopt, socket, sockopt::PassCred,
    },
};
use tokio::{io::Interest, net::UnixDatagram, sync::mpsc};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{Descriptor, procfs, session::LEADERS};

/// The variable that names the socket.
pub(crate) const VARIABLE: &str = "NOTIFY_SOCKET";
/// Longest message in bytes; what is longer is cut.
const MESSAGE: usize = 4096;
/// Notices that wait for their supervisor; what comes on top is dropped.
const QUEUE: usize = 64;

/// What a service said of itself by the `sd_notify` protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// `READY=1`
    Ready,
    /// `RELOADING=1`
    Reloading,
    /// `STOPPING=1`
    Stopping,
    /// `WATCHDOG=1`: it is alive.
    Watchdog,
    /// `WATCHDOG=trigger`: it wants to be treated as if it were not.
    WatchdogTrigger,
    /// `STATUS=…`: a line for people.
    Status(String),
    /// `MAINPID=…`: which of its processes is the main one. If it is one of them, it is the leader from then on.
    MainPid(u32),
    /// `EXTEND_TIMEOUT_USEC=…`: it needs at least this long from now on, to start or to stop.
    ExtendTimeout(Duration),
}

/// The socket, made when the first service needs it, and who listens to whom.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    /// Name of the hall, so that its next daemon has the same address.
    hall: Option<String>,
    socket: OnceLock<(String, Arc<UnixDatagram>)>,
    listeners: Arc<Listeners>,
    receiver: OnceLock<DropGuard>,
}

#[derive(Debug, Default)]
struct Listeners {
    by_leader: Mutex<HashMap<u32, Listener>>,
    /// Held while a message is on its way from the socket to its listener.
    receiving: Mutex<()>,
}

#[derive(Debug)]
struct Listener {
    notices: mpsc::Sender<Notice>,
    /// What came before the supervisor did.
    early: Option<mpsc::Receiver<Notice>>,
    cgroup: Option<PathBuf>,
    /// Earlier leaders, which may send as well.
    earlier: Vec<u32>,
}

impl Notifier {
    pub(crate) fn new(hall: Option<String>) -> Self {
        Self {
            hall,
            ..Self::default()
        }
    }

    /// The socket's address, as services are told; from now on it is read.
    pub(crate) fn address(&self, tasks: &TaskTracker) -> io::Result<String> {
        let address = self.find_address()?;
        self.read(tasks);
        Ok(address)
    }

    /// The same, of a socket that is not read yet.
    pub(crate) fn find_address(&self) -> io::Result<String> {
        if self.socket.get().is_none() {
            // Of two that come here at once, one takes its socket back.
            let _ = self.socket.set(open_socket(self.hall.as_deref())?);
        }
        let address = self.socket.get().map(|(address, _)| address.clone());
        address.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Reads the socket, if there is one.
    pub(crate) fn read(&self, tasks: &TaskTracker) {
        let Some((_, socket)) = self.socket.get() else {
            return;
        };
        self.receiver.get_or_init(|| {
            let cancel = CancellationToken::new();
            let listeners = Arc::clone(&self.listeners);
            tasks.spawn(receive(Arc::clone(socket), listeners, cancel.clone()));
            cancel.drop_guard()
        });
    }

    /// Goes on with a socket that an earlier program had open, and with what lies in it.
    pub(crate) fn resume(&self, socket: OwnedFd) -> io::Result<()> {
        // Nobody has asked for one before.
        let _ = self.socket.set(adopt_socket(socket)?);
        Ok(())
    }

    pub(crate) fn descriptor(&self) -> Option<Descriptor> {
        let (_, socket) = self.socket.get()?;
        Some(Arc::clone(socket) as Descriptor)
    }

    /// The notices of a leader's tree, those that came before this call as well.
    pub(crate) fn listen(&self, leader: u32, cgroup: Option<PathBuf>) -> mpsc::Receiver<Notice> {
        let mut listeners = self.listeners.lock();
        let listener = listeners.entry(leader).or_insert_with(Listener::new);
        listener.cgroup = cgroup;
        match listener.early.take() {
            Some(early) => early,
            None => {
                // A leftover of an earlier process with this number.
                let (notices, received) = mpsc::channel(QUEUE);
                listener.notices = notices;
                received
            }
        }
    }

    /// Delivers what was sent up to now.
    pub(crate) fn catch_up(&self) {
        if let Some((_, socket)) = self.socket.get() {
            // An error shows again in the next reading.
            while self.listeners.receive(socket).is_ok() {}
        }
    }

    /// A process of the tree is the leader from now on.
    pub(crate) fn lead(&self, before: u32, leader: u32) {
        let mut listeners = self.listeners.lock();
        if let Some(mut listener) = listeners.remove(&before) {
            listener.earlier.push(before);
            listener.earlier.retain(|pid| *pid != leader);
            listeners.insert(leader, listener);
        }
    }

    /// An earlier leader has ended, and its number may mean another process.
    pub(crate) fn forget_earlier(&self, leader: u32, before: u32) {
        if let Some(listener) = self.listeners.lock().get_mut(&leader) {
            listener.earlier.retain(|pid| *pid != before);
        }
    }

    pub(crate) fn forget(&self, leader: u32) {
        self.listeners.lock().remove(&leader);
    }
}

impl Listener {
    fn new() -> Self {
        let (notices, early) = mpsc::channel(QUEUE);
        Self {
            notices,
            early: Some(early),
            cgroup: None,
            earlier: Vec::new(),
        }
    }
}

impl Listeners {
    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Listener>> {
        self.by_leader
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one message and delivers it.
    fn receive(&self, socket: &UnixDatagram) -> io::Result<()> {
        let _receiving = self
            .receiving
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((sender, text)) = receive_one(socket)? {
            self.deliver(sender, &text);
        }
        Ok(())
    }

    fn deliver(&self, sender: u32, text: &str) {
        let leader = leader_of(sender)
            .or_else(|| self.leader_by_cgroup(sender))
            // One that has just been reaped.
            .unwrap_or(sender);
        let mut listeners = self.lock();
        let now = listeners
            .iter()
            .find(|(_, listener)| listener.earlier.contains(&leader))
            .map(|(now, _)| *now);
        let leader = now.unwrap_or(leader);
        if !LEADERS.contains(leader) && !listeners.contains_key(&leader) {
            tracing::debug!(sender, "a notification from outside of every service");
            return;
        }
        let listener = listeners.entry(leader).or_insert_with(Listener::new);
        for notice in parse(text) {
            if let Err(error) = listener.notices.try_send(notice) {
                tracing::warn!(sender, %error, "a notification is dropped");
            }
        }
    }

    fn leader_by_cgroup(&self, pid: u32) -> Option<u32> {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let group = Path::new(text.lines().find_map(|line| line.strip_prefix("0::/"))?);
        let listeners = self.lock();
        // The hall's group and the service's, at least, of which one may be below the other's.
        group
            .ancestors()
            .filter(|group| group.components().count() >= 2)
            .find_map(|group| {
                let of_group = |listener: &Listener| {
                    listener
                        .cgroup
                        .as_ref()
                        .is_some_and(|folder| folder.ends_with(group))
                };
                listeners
                    .iter()
                    .find(|(_, listener)| of_group(listener))
                    .map(|(leader, _)| *leader)
            })
    }
}

/// The leader among a process's session and ancestors.
fn leader_of(pid: u32) -> Option<u32> {
    let own = std::process::id();
    LEADERS.with(|leaders| {
        let mut pid = pid;
        while pid > 1 && pid != own {
            if leaders.contains(&pid) {
                return Some(pid);
            }
            let stat = procfs::stat(pid)?;
            if leaders.contains(&stat.session) {
                return Some(stat.session);
            }
            pid = stat.parent;
        }
        None
    })
}

/// A socket with the hall's name or, where that is taken, one that the kernel picks; gone with the socket.
fn open_socket(hall: Option<&str>) -> io::Result<(String, Arc<UnixDatagram>)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket: OwnedFd = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
    setsockopt(&socket, PassCred, &true)?;
    let named = hall.map(|hall| {
        let name = format!("{hall}/notify");
        bind(
            socket.as_raw_fd(),
            &UnixAddr::new_abstract(name.as_bytes())?,
        )
    });
    if !matches!(named, Some(Ok(()))) {
        bind(socket.as_raw_fd(), &UnixAddr::new_unnamed())?;
    }
    adopt_socket(socket)
}

fn adopt_socket(socket: OwnedFd) -> io::Result<(String, Arc<UnixDatagram>)> {
    let bound: UnixAddr = getsockname(socket.as_raw_fd())?;
    let name = bound.as_abstract().unwrap_or_default();
    let address = format!("@{}", String::from_utf8_lossy(name));
    let socket = UnixDatagram::from_std(StdDatagram::from(socket))?;
    Ok((address, Arc::new(socket)))
}

async fn receive(socket: Arc<UnixDatagram>, listeners: Arc<Listeners>, cancel: CancellationToken) {
    loop {
        let received = tokio::select! {
            () = cancel.cancelled() => return,
            received = socket.async_io(Interest::READABLE, || listeners.receive(&socket)) => received,
        };
        if let Err(error) = received {
            tracing::warn!(%error, "notifications can no longer be received");
            return;
        }
    }
}

fn receive_one(socket: &UnixDatagram) -> io::Result<Option<(u32, String)>> {
    let mut buffer = [0; MESSAGE];
    let mut parts = [IoSliceMut::new(&mut buffer)];
    // Room for nothing but the sender: descriptors that come along are closed by the kernel.
    let mut control = cmsg_space!(UnixCredentials);
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
    let length = message.bytes;
    let sender = message.cmsgs()?.find_map(|part| match part {
        ControlMessageOwned::ScmCredentials(sender) => u32::try_from(sender.pid()).ok(),
        // What the kernel may add besides is not asked for.
        _ => None,
    });
    Ok(sender.map(|sender| {
        (
            sender,
            String::from_utf8_lossy(&buffer[..length]).into_owned(),
        )
    }))
}

fn parse(text: &str) -> impl Iterator<Item = Notice> {
    text.lines().filter_map(|line| match line.split_once('=')? {
        ("READY", "1") => Some(Notice::Ready),
        ("RELOADING", "1") => Some(Notice::Reloading),
        ("STOPPING", "1") => Some(Notice::Stopping),
        ("WATCHDOG", "1") => Some(Notice::Watchdog),
        ("WATCHDOG", "trigger") => Some(Notice::WatchdogTrigger),
        ("STATUS", status) => Some(Notice::Status(status.to_owned())),
        ("MAINPID", pid) => Some(Notice::MainPid(pid.parse().ok()?)),
        ("EXTEND_TIMEOUT_USEC", micros) => Some(Notice::ExtendTimeout(Duration::from_micros(
            micros.parse().ok()?,
        ))),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Notice, parse};

    #[test]
    fn what_is_known_is_understood_and_the_rest_is_skipped() {
        let text = "READY=1\nSTATUS=a = b\nX_MINE=1\nnonsense\nMAINPID=7\nMAINPID=x\nREADY=0\n\
                    EXTEND_TIMEOUT_USEC=1500000\nSTOPPING=1\nRELOADING=1\nWATCHDOG=1\n\
                    WATCHDOG=trigger\nWATCHDOG=0";
        let expected = [
            Notice::Ready,
            Notice::Status("a = b".to_owned()),
            Notice::MainPid(7),
            Notice::ExtendTimeout(Duration::from_millis(1500)),
            Notice::Stopping,
            Notice::Reloading,
            Notice::Watchdog,
            Notice::WatchdogTrigger,
        ];
        assert!(parse(text).eq(expected));
    }
}
