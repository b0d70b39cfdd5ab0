//! What daemon and keeper say to each other: packets of a kind and a key, with descriptors beside them.
//!
//! A keeper may be older than the daemon that it meets, so this is never changed, only added to; a
//! packet of an unknown kind is skipped.
#![expect(
    unsafe_code,
    reason = "descriptors that the kernel has received are owned by nobody yet"
)]

use std::{
    io::{self, IoSlice, IoSliceMut},
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

/// Longest packet in bytes: a kind and a key.
const PACKET: usize = 512;
/// Most descriptors of one packet.
const DESCRIPTORS: usize = 8;

/// What a packet means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// To the keeper: hold these from now on, instead of what has this key.
    Hold,
    /// To the keeper: close what has this key.
    Release,
    /// To the keeper: show all that you hold.
    Fetch,
    /// To the daemon: one of the things that are held.
    Held,
    /// To the daemon: that was all.
    Done,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Hold,
        Self::Release,
        Self::Fetch,
        Self::Held,
        Self::Done,
    ];

    fn letter(self) -> u8 {
        match self {
            Self::Hold => b'H',
            Self::Release => b'R',
            Self::Fetch => b'F',
            Self::Held => b'h',
            Self::Done => b'.',
        }
    }
}

/// One packet as it was received.
#[derive(Debug)]
pub(super) struct Packet {
    /// `None` for one that only a later version knows.
    pub(super) kind: Option<Kind>,
    pub(super) key: Box<[u8]>,
    pub(super) descriptors: Vec<OwnedFd>,
}

/// Sends one packet.
///
/// # Errors
///
/// What the system says; `InvalidInput` for a key that is too long.
pub(super) fn send(
    socket: BorrowedFd<'_>,
    kind: Kind,
    key: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    if key.len() >= PACKET || descriptors.len() > DESCRIPTORS {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let letter = [kind.letter()];
    let parts = [IoSlice::new(&letter), IoSlice::new(key)];
    let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let rights = &rights[..usize::from(!numbers.is_empty())];
    sendmsg::<()>(
        socket.as_raw_fd(),
        &parts,
        rights,
        MsgFlags::MSG_NOSIGNAL,
        None,
    )?;
    Ok(())
}

/// Receives one packet; `None` at the end of the connection.
///
/// # Errors
///
/// What the system says; `WouldBlock` if there is none on a socket that does not wait.
pub(super) fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<Packet>> {
    let mut buffer = [0; PACKET];
    let mut parts = [IoSliceMut::new(&mut buffer)];
    let mut control = nix::cmsg_space!([RawFd; DESCRIPTORS]);
    let message = recvmsg::<()>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut control),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    let mut descriptors = Vec::new();
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = part {
            // SAFETY: the kernel has just opened them for us, and nobody else has taken them.
            descriptors.extend(
                numbers
                    .into_iter()
                    .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }),
            );
        }
    }
    let length = message.bytes;
    Ok(buffer[..length].split_first().map(|(letter, key)| Packet {
        kind: Kind::ALL.into_iter().find(|kind| kind.letter() == *letter),
        key: key.into(),
        descriptors,
    }))
}
