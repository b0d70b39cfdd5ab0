//! The keeper's own side: all that its process does.

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

use nix::sys::{
    signal::SigSet,
    socket::{Backlog, listen},
};

use super::protocol::{Kind, Packet, receive, send};
use crate::{limits::raise_descriptor_limit, sys};

/// Descriptors that are left free for connections.
const SPARE: RawFd = 16;

/// Runs the keeper in this process, whose descriptor 3 is the socket on which it is found: what
/// [`KeeperConfig::program`](crate::KeeperConfig) has to do. Returns once its daemon has gone and nothing is held.
///
/// Blocks, needs no runtime, and hears no signal but SIGKILL.
///
/// # Errors
///
/// If descriptor 3 is no listening socket.
pub fn run_keeper() -> io::Result<()> {
    SigSet::all().thread_block()?;
    let listener = sys::passed_socket()?;
    let limit = raise_descriptor_limit()?;
    // Again: who connects is told who listens.
    listen(&listener, Backlog::MAXCONN)?;
    serve(&listener, RawFd::try_from(limit).unwrap_or(RawFd::MAX))
}

/// One daemon after another: the next one waits until the last packet of the one before was read.
fn serve(listener: &OwnedFd, limit: RawFd) -> io::Result<()> {
    let mut held = BTreeMap::new();
    loop {
        let connection = match sys::accept(listener.as_fd()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            connection => connection?,
        };
        // A connection that fails has ended.
        while let Ok(Some(packet)) = receive(connection.as_fd()) {
            if attend(connection.as_fd(), packet, &mut held, limit).is_err() {
                break;
            }
        }
        if held.is_empty() {
            return Ok(());
        }
    }
}

fn attend(
    daemon: BorrowedFd<'_>,
    packet: Packet,
    held: &mut BTreeMap<Box<[u8]>, Vec<OwnedFd>>,
    limit: RawFd,
) -> io::Result<()> {
    let Packet {
        kind,
        key,
        mut descriptors,
    } = packet;
    match kind {
        Some(Kind::Hold) => {
            descriptors.retain(|fd| fd.as_raw_fd() < limit - SPARE);
            held.insert(key, descriptors);
        }
        Some(Kind::Release) => drop(held.remove(&key)),
        Some(Kind::Fetch) => {
            for (key, descriptors) in &*held {
                let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
                send(daemon, Kind::Held, key, &descriptors)?;
            }
            send(daemon, Kind::Done, &[], &[])?;
        }
        Some(Kind::Held | Kind::Done) | None => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{io::Read, os::unix::net::UnixStream, thread};

    use nix::sys::socket::{
        AddressFamily, SockFlag, SockType, UnixAddr, bind, connect, getsockname, socket,
    };

    use super::*;

    fn new_socket() -> OwnedFd {
        let flags = SockFlag::SOCK_CLOEXEC;
        socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap()
    }

    #[test]
    fn what_one_daemon_gives_the_next_one_gets_until_it_is_released() {
        let listener = new_socket();
        bind(listener.as_raw_fd(), &UnixAddr::new_unnamed()).unwrap();
        let address: UnixAddr = getsockname(listener.as_raw_fd()).unwrap();
        listen(&listener, Backlog::MAXCONN).unwrap();
        let keeper = thread::spawn(move || serve(&listener, RawFd::MAX));
        let daemon = || {
            let socket = new_socket();
            connect(socket.as_raw_fd(), &address).unwrap();
            socket
        };
        let (kept, mut reader) = UnixStream::pair().unwrap();

        let first = daemon();
        let descriptors = [kept.as_fd()];
        send(first.as_fd(), Kind::Hold, b"run thor 1", &descriptors).unwrap();
        send(first.as_fd(), Kind::Hold, b"run loki 2", &[]).unwrap();
        send(first.as_fd(), Kind::Release, b"run loki 2", &[]).unwrap();
        drop((first, kept));

        let second = daemon();
        send(second.as_fd(), Kind::Fetch, &[], &[]).unwrap();
        let held = receive(second.as_fd()).unwrap().unwrap();
        assert_eq!(
            (held.kind, &*held.key),
            (Some(Kind::Held), &b"run thor 1"[..])
        );
        assert_eq!(held.descriptors.len(), 1);
        let done = receive(second.as_fd()).unwrap().unwrap();
        assert_eq!(done.kind, Some(Kind::Done));
        drop(held);
        send(second.as_fd(), Kind::Release, b"run thor 1", &[]).unwrap();
        // The keeper's was the last one.
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
        drop(second);

        keeper.join().unwrap().unwrap();
    }
}
