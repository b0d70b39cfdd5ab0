//! Sockets that the loader opens for a service and keeps open over its runs.
//!
//! A service takes them over by the `LISTEN_FDS` protocol. While it is being restarted, the kernel
//! queues what its clients send, and nobody is refused.

use std::{
    collections::HashMap,
    fmt, fs,
    io::{self, ErrorKind},
    net::{SocketAddr, TcpListener, UdpSocket},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    Descriptor,
    error::{SpawnError, Stage},
    keeper::{Keeper, Key},
    sys,
};

/// Number of the first socket in a service, as the protocol has it.
pub(crate) const FIRST: i32 = 3;

/// Where a service's socket listens, or receives.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SocketAddress {
    /// A TCP socket that listens, `tcp:127.0.0.1:8081`.
    Tcp(SocketAddr),
    /// A UDP socket, `udp:127.0.0.1:8081`.
    Udp(SocketAddr),
    /// A unix stream socket that listens, `unix:/run/thor.sock`.
    Unix(PathBuf),
}

impl FromStr for SocketAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = match text.split_once(':') {
            Some(("tcp", address)) => address.parse().ok().map(Self::Tcp),
            Some(("udp", address)) => address.parse().ok().map(Self::Udp),
            Some(("unix", path)) if !path.is_empty() => Some(Self::Unix(path.into())),
            Some(_) | None => None,
        };
        parsed.ok_or_else(|| {
            format!("expected \"tcp:127.0.0.1:8081\", \"udp:…\" or \"unix:PATH\", found {text:?}")
        })
    }
}

impl fmt::Display for SocketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp:{address}"),
            Self::Udp(address) => write!(f, "udp:{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl SocketAddress {
    fn open(&self) -> io::Result<OwnedFd> {
        Ok(match self {
            Self::Tcp(address) => TcpListener::bind(address)?.into(),
            Self::Udp(address) => UdpSocket::bind(address)?.into(),
            Self::Unix(path) => listen(path)?.into(),
        })
    }
}

/// A file that an earlier daemon has left is no obstacle.
fn listen(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_dead(path) => {
            fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}

fn is_dead(path: &Path) -> bool {
    UnixStream::connect(path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// An open socket. Dropping it removes the file of a unix socket.
#[derive(Debug)]
pub(crate) struct Socket {
    address: SocketAddress,
    fd: OwnedFd,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let SocketAddress::Unix(path) = &self.address {
            // Somebody may have removed it before.
            let _ = fs::remove_file(path);
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The sockets of all services.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    all: Mutex<HashMap<String, Vec<Arc<Socket>>>>,
    keeper: Keeper,
}

impl Sockets {
    pub(crate) fn new(keeper: Keeper) -> Self {
        Self {
            keeper,
            all: Mutex::default(),
        }
    }

    /// Goes on with those that an earlier daemon has opened.
    pub(crate) fn resume(&self) {
        let mut all = self.lock();
        for (service_name, address, fd) in self.keeper.take_sockets() {
            let socket = Arc::new(Socket { address, fd });
            self.keep(&service_name, &socket);
            all.entry(service_name).or_default().push(socket);
        }
    }

    /// Closes those of all other services.
    pub(crate) fn retain(&self, is_known: impl Fn(&str) -> bool) {
        let gone: Vec<_> = self
            .lock()
            .keys()
            .filter(|name| !is_known(name))
            .cloned()
            .collect();
        gone.iter().for_each(|name| self.forget(name));
    }

    fn keep(&self, service_name: &str, socket: &Arc<Socket>) {
        let key = key(service_name, socket);
        self.keeper
            .hold(key, vec![Arc::clone(socket) as Descriptor]);
    }

    fn release<'a>(&self, service_name: &str, sockets: impl IntoIterator<Item = &'a Arc<Socket>>) {
        for socket in sockets {
            self.keeper.release(key(service_name, socket));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Arc<Socket>>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies of a service's sockets for its next run, in the order of the addresses. What is open
    /// already stays as it is; what is not asked for any more is closed.
    pub(crate) fn open(
        &self,
        service_name: &str,
        addresses: &[SocketAddress],
    ) -> Result<Vec<OwnedFd>, SpawnError> {
        if addresses.is_empty() {
            self.forget(service_name);
            return Ok(Vec::new());
        }
        let mut all = self.lock();
        let before = all.get(service_name).map(Vec::as_slice).unwrap_or_default();
        let socket = |address: &SocketAddress| {
            if let Some(open) = before.iter().find(|open| open.address == *address) {
                return Ok(Arc::clone(open));
            }
            let fd = address.open()?;
            let address = address.clone();
            Ok(Arc::new(Socket { address, fd }))
        };
        let beyond = beyond(addresses);
        let mut copies = Vec::new();
        let mut sockets = Vec::new();
        for address in addresses {
            let opened = socket(address).and_then(|socket| {
                copies.push(sys::copy_above(socket.fd.as_fd(), beyond)?);
                sockets.push(socket);
                Ok(())
            });
            opened.map_err(|error| SpawnError::new(Stage::Socket, address.to_string(), error))?;
        }
        let are_kept = |kept: &[Arc<Socket>], socket: &&Arc<Socket>| {
            kept.iter().any(|kept| Arc::ptr_eq(kept, socket))
        };
        let gone = before.iter().filter(|socket| !are_kept(&sockets, socket));
        self.release(service_name, gone);
        for new in sockets.iter().filter(|socket| !are_kept(before, socket)) {
            self.keep(service_name, new);
        }
        all.insert(service_name.to_owned(), sockets);
        Ok(copies)
    }

    /// Closes those of a service; a running one keeps its own copies.
    pub(crate) fn forget(&self, service_name: &str) {
        let gone = self.lock().remove(service_name);
        self.release(service_name, gone.iter().flatten());
    }
}

fn key(service_name: &str, socket: &Socket) -> Key {
    Key::Socket {
        service_name: service_name.to_owned(),
        address: socket.address.clone(),
    }
}

/// The lowest number that no socket gets in the child.
pub(crate) fn beyond(addresses: &[SocketAddress]) -> i32 {
    i32::try_from(addresses.len()).map_or(i32::MAX, |count| FIRST.saturating_add(count))
}

/// What the protocol tells a service beside its own pid, which only the child knows.
pub(crate) fn variables(addresses: &[SocketAddress]) -> [(String, String); 2] {
    // Names are told apart by colons.
    let names = addresses
        .iter()
        .map(|address| address.to_string().replace(':', "-"));
    [
        ("LISTEN_FDS".to_owned(), addresses.len().to_string()),
        (
            "LISTEN_FDNAMES".to_owned(),
            names.collect::<Vec<_>>().join(":"),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::{SocketAddress, variables};

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for text in ["tcp:127.0.0.1:80", "udp:[::1]:53", "unix:/run/thor.sock"] {
            let address: SocketAddress = text.parse().expect("is one");
            assert_eq!(address.to_string(), text);
        }
        for text in ["8080", "tcp:localhost", "unix:", "http://thor"] {
            text.parse::<SocketAddress>().expect_err(text);
        }
    }

    #[test]
    fn names_hold_no_colon_of_their_own() {
        let addresses = ["tcp:127.0.0.1:80", "unix:/a"].map(|text| text.parse().expect("is one"));
        let [count, names] = variables(&addresses);
        assert_eq!(count.1, "2");
        assert_eq!(names.1, "tcp-127.0.0.1-80:unix-/a");
    }
}
