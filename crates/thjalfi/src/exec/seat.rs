//! Low descriptor numbers, where a child finds what it inherits.
//!
//! A child with a copy of all our descriptors closes them one by one in `exec`, which with a thousand
//! services takes longer than the rest of its start. So it shares our table at first, and then takes a
//! copy of the beginning alone, where meanwhile lies what it needs.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    sync::{Mutex, MutexGuard, OnceLock},
};

use nix::{fcntl::OFlag, unistd::dup3};

use crate::sys;

/// Standard output and error, and the program itself.
const SEATS: usize = 3;

/// They hold `/dev/null` while nobody is born.
struct Seats {
    null: OwnedFd,
    seats: [OwnedFd; SEATS],
}

/// The seats, of one birth at a time. Dropping it clears them.
pub(super) struct Seated {
    seats: MutexGuard<'static, Seats>,
    taken: usize,
}

impl Seated {
    /// `None` where another thread uses them, and where a child cannot copy a part of the table.
    pub(super) fn take() -> Option<Self> {
        static ALL: OnceLock<Option<Mutex<Seats>>> = OnceLock::new();
        let all = ALL
            .get_or_init(|| Some(Mutex::new(reserve().ok()?)))
            .as_ref()?;
        let seats = all.try_lock().ok()?;
        Some(Self { seats, taken: 0 })
    }

    /// Lays a copy into the next seat.
    pub(super) fn put(&mut self, fd: BorrowedFd<'_>) -> io::Result<RawFd> {
        let seat = self.seats.seats.get_mut(self.taken);
        let seat = seat.ok_or_else(|| io::Error::other("more than a child inherits"))?;
        dup3(fd, seat, OFlag::O_CLOEXEC)?;
        self.taken += 1;
        Ok(seat.as_raw_fd())
    }

    /// Standard input.
    pub(super) fn null(&self) -> RawFd {
        self.seats.null.as_raw_fd()
    }

    /// The first number of which a child needs no copy.
    pub(super) fn beyond(&self) -> usize {
        let seats = self.seats.seats.iter().map(AsRawFd::as_raw_fd);
        let last = seats.fold(self.null(), i32::max);
        usize::try_from(last).map_or(usize::MAX, |last| last + 1)
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        let Seats { null, seats } = &mut *self.seats;
        for seat in &mut seats[..self.taken] {
            if let Err(error) = dup3(null.as_fd(), seat, OFlag::O_CLOEXEC) {
                tracing::warn!(%error, "the end of a service's output will not be seen");
            }
        }
    }
}

fn reserve() -> io::Result<Seats> {
    sys::close_nothing()?;
    let null = File::options().read(true).write(true).open("/dev/null");
    let null: OwnedFd = null?.into();
    let seats = [null.try_clone()?, null.try_clone()?, null.try_clone()?];
    Ok(Seats { null, seats })
}
