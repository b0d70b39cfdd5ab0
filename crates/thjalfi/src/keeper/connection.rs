//! Finding a keeper, or starting one.

use std::{
    collections::HashMap,
    ffi::CString,
    fs::{self, File},
    io::{self, ErrorKind},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use nix::sys::{
    socket::{
        AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, getsockopt, listen,
        socket, sockopt::PeerCredentials,
    },
    stat::{Mode, fchmod},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::timeout,
};

use super::{
    Descriptor, Key,
    protocol::{Kind, receive, send},
};
use crate::{
    KeeperConfig, Signal, SignalTarget,
    exec::{self, Plan},
    session::{self, LEADERS},
    socket::FIRST,
    sys::{self, Pidfd},
};

/// How long a keeper may take to show what it holds, and to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection to a living keeper.
#[derive(Debug)]
pub(super) struct Connection {
    socket: AsyncFd<OwnedFd>,
    pid: u32,
    process: Arc<Pidfd>,
}

impl Connection {
    /// The keeper that an earlier daemon has left, and what it holds.
    pub(super) async fn find(config: &KeeperConfig) -> (Option<Self>, HashMap<Key, Vec<OwnedFd>>) {
        let found = match Address::of(&config.socket).and_then(|address| address.connect()) {
            // Nobody has left one.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::ConnectionRefused
                ) =>
            {
                return (None, HashMap::new());
            }
            Err(error) => Err(error),
            Ok(socket) => Self::fetch(socket).await,
        };
        match found {
            Ok((connection, found)) => (Some(connection), found),
            Err(error) => {
                tracing::warn!(%error, "what the keeper holds cannot be had");
                (None, HashMap::new())
            }
        }
    }

    async fn fetch(socket: OwnedFd) -> io::Result<(Self, HashMap<Key, Vec<OwnedFd>>)> {
        let peer = getsockopt(&socket, PeerCredentials)?;
        let pid = u32::try_from(peer.pid()).map_err(io::Error::other)?;
        let connection = Self::new(socket, pid, Pidfd::open(pid)?)?;
        LEADERS.adopt(pid);
        let found = timeout(PATIENCE, connection.ask_for_all()).await;
        match found.map_err(io::Error::from).flatten() {
            Ok(found) => Ok((connection, found)),
            Err(error) => {
                connection.end().await;
                Err(error)
            }
        }
    }

    async fn ask_for_all(&self) -> io::Result<HashMap<Key, Vec<OwnedFd>>> {
        self.send(Kind::Fetch, &[], &[]).await?;
        let mut all = HashMap::new();
        loop {
            let packet = self
                .socket
                .async_io(Interest::READABLE, |socket| receive(socket.as_fd()))
                .await?
                .ok_or(ErrorKind::UnexpectedEof)?;
            match packet.kind {
                Some(Kind::Held) => {
                    let key = String::from_utf8_lossy(&packet.key).parse();
                    let mut descriptors = packet.descriptors;
                    // The FIFOs have names.
                    descriptors.truncate(1);
                    all.extend(key.map(|key| (key, descriptors)));
                }
                Some(Kind::Done) => return Ok(all),
                Some(Kind::Hold | Kind::Release | Kind::Fetch) | None => {}
            }
        }
    }

    /// Starts a keeper; whoever had its place is not found any more.
    pub(super) fn start(config: &KeeperConfig) -> io::Result<Self> {
        let address = Address::of(&config.socket)?;
        let listener = address.listen()?;
        let socket = address.connect()?;
        let (pid, process) = execute(config, &listener)?;
        Self::new(socket, pid, process)
    }

    fn new(socket: OwnedFd, pid: u32, process: Pidfd) -> io::Result<Self> {
        Ok(Self {
            socket: sys::watch_socket(socket)?,
            pid,
            process: Arc::new(process),
        })
    }

    /// Has something held, or released.
    pub(super) async fn tell(&self, key: &Key, held: Option<&[Descriptor]>) -> io::Result<()> {
        let key = key.to_string();
        match held {
            Some(held) => {
                let held: Vec<_> = held.iter().map(|fd| fd.as_fd()).collect();
                self.send(Kind::Hold, key.as_bytes(), &held).await
            }
            None => self.send(Kind::Release, key.as_bytes(), &[]).await,
        }
    }

    async fn send(&self, kind: Kind, key: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let send = |socket: &OwnedFd| send(socket.as_fd(), kind, key, descriptors);
        timeout(PATIENCE, self.socket.async_io(Interest::WRITABLE, send)).await?
    }

    /// Waits until it no longer answers.
    pub(super) async fn lost(&self) {
        let receive = |socket: &OwnedFd| receive(socket.as_fd());
        // Unasked it says nothing that matters.
        while let Ok(Some(_)) = self.socket.async_io(Interest::READABLE, receive).await {}
    }

    /// Sees to the end of one that is of no use any more.
    pub(super) async fn end(self) {
        // It has ended by itself if this fails.
        let _ = self.process.signal(Signal::Kill);
        self.ended().await;
    }

    /// Leaves it alone; where it holds nothing, awaits its end and removes its socket.
    pub(super) async fn part(self, holds_nothing: bool, config: &KeeperConfig) {
        if holds_nothing {
            // Already gone, or of use to nobody.
            let _ = fs::remove_file(&config.socket);
            self.ended().await;
        }
    }

    async fn ended(self) {
        let Self {
            socket,
            pid,
            process,
        } = self;
        drop(socket);
        if let Ok(watched) = sys::watch_process(Arc::clone(&process)) {
            // One that does not end is no reason to wait for ever.
            let _ = timeout(PATIENCE, watched.readable()).await;
        }
        // It is no child of ours where an earlier daemon has started it.
        let _ = process.reap(false);
        LEADERS.forget(pid);
    }
}

/// Where a keeper is found; the folder is open, as its path may be too long for an address.
struct Address {
    _folder: File,
    path: PathBuf,
}

impl Address {
    fn of(path: &Path) -> io::Result<Self> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(ErrorKind::InvalidInput.into());
        };
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let folder = File::options()
            .read(true)
            .custom_flags(flags)
            .open(folder)?;
        let path = Path::new("/proc/self/fd")
            .join(folder.as_raw_fd().to_string())
            .join(name);
        Ok(Self {
            _folder: folder,
            path,
        })
    }

    fn connect(&self) -> io::Result<OwnedFd> {
        let socket = new_socket(SockFlag::SOCK_NONBLOCK)?;
        connect(socket.as_raw_fd(), &UnixAddr::new(&self.path)?)?;
        Ok(socket)
    }

    /// Nobody but the own user may connect, from its first moment on.
    fn listen(&self) -> io::Result<OwnedFd> {
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != ErrorKind::NotFound
        {
            return Err(error);
        }
        let socket = new_socket(SockFlag::empty())?;
        fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
        bind(socket.as_raw_fd(), &UnixAddr::new(&self.path)?)?;
        listen(&socket, Backlog::MAXCONN)?;
        Ok(socket)
    }
}

fn new_socket(flags: SockFlag) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | flags;
    Ok(socket(
        AddressFamily::Unix,
        SockType::SeqPacket,
        flags,
        None,
    )?)
}

/// Of the environment it gets no more than what tells whose it is, where this daemon is a service itself.
fn execute(config: &KeeperConfig, listener: &OwnedFd) -> io::Result<(u32, Pidfd)> {
    let listener = sys::copy_above(listener.as_fd(), FIRST + 1)?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    let mark = std::env::var(session::MARK).ok();
    let mark = mark.map(|mark| format!("{}={mark}", session::MARK));
    let plan = Plan {
        program: CString::new(config.program.as_os_str().as_bytes())?,
        executable: None,
        args: strings(&config.args)?,
        env: strings(mark.as_slice())?,
        stdio: [null.as_fd(), null.as_fd(), null.as_fd()],
        sockets: vec![listener.as_fd()],
        cgroup: None,
        working_dir: Some(c"/".to_owned()),
        umask: None,
        nice: None,
        oom_score_adj: None,
        rlimits: Vec::new(),
        identity: None,
        capabilities: None,
        no_new_privs: false,
    };
    LEADERS
        .start(|| exec::run(&plan))
        .map_err(|(_, error)| error)
}

fn strings(texts: &[String]) -> io::Result<Vec<CString>> {
    let texts = texts.iter().map(|text| CString::new(text.as_bytes()));
    Ok(texts.collect::<Result<_, _>>()?)
}
