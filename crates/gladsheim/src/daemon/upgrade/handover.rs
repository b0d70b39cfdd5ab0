//! What one program of the daemon hands over to the next one: open descriptors, by their numbers.
#![expect(
    unsafe_code,
    reason = "descriptors that were inherited by number are owned by nobody yet"
)]

use std::{
    convert::Infallible,
    ffi::CString,
    io,
    os::{
        fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
        unix::ffi::OsStrExt as _,
    },
    str::FromStr,
};

use gladsheim_core::thjalfi::{raise_descriptor_limit, restore_descriptor_limit};
use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::signal::SigSet,
    unistd::execv,
};

use super::Program;

/// What goes along.
#[derive(Debug)]
pub(crate) struct Handover {
    /// The control socket.
    pub(crate) listener: OwnedFd,
    /// The lock of the state folder.
    pub(crate) lock: OwnedFd,
    /// Number of the last event.
    pub(crate) events: u64,
    /// How often it was done, this time included.
    pub(crate) upgrades: u32,
}

/// The same as it stands in a command line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbers {
    listener: RawFd,
    lock: RawFd,
    events: u64,
    upgrades: u32,
}

impl FromStr for Numbers {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers: Option<Vec<u64>> = text.split(',').map(|part| part.parse().ok()).collect();
        let Some([listener, lock, events, upgrades]) = numbers.as_deref() else {
            return Err("four numbers are expected");
        };
        let descriptor = |number| RawFd::try_from(number).map_err(|_| "no descriptor");
        Ok(Self {
            listener: descriptor(*listener)?,
            lock: descriptor(*lock)?,
            events: *events,
            upgrades: u32::try_from(*upgrades).map_err(|_| "too many")?,
        })
    }
}

impl Numbers {
    /// Takes the descriptors over. Once only, before anything else is opened.
    ///
    /// # Errors
    ///
    /// If they are not open.
    pub(crate) fn take(self) -> io::Result<Handover> {
        Ok(Handover {
            listener: inherit(self.listener)?,
            lock: inherit(self.lock)?,
            events: self.events,
            upgrades: self.upgrades,
        })
    }
}

fn inherit(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the fcntl below is all that is done with it, and fails if it is not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    // SAFETY: it is open, and the program before has left it to this one, where nobody else has taken it yet.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

impl Handover {
    /// Executes the program in place of this one. Signals to the daemon wait until that hears them.
    ///
    /// # Errors
    ///
    /// If it cannot be executed; everything is as before then.
    pub(super) fn execute(&self, program: &Program) -> io::Result<Infallible> {
        let text = format!(
            "{},{},{},{}",
            self.listener.as_raw_fd(),
            self.lock.as_raw_fd(),
            self.events,
            self.upgrades,
        );
        let path = CString::new(program.path().as_os_str().as_bytes())?;
        let arguments = program.arguments(&text);
        let arguments = arguments.map(|argument| CString::new(argument.as_bytes()));
        let arguments = arguments.collect::<Result<Vec<_>, _>>()?;
        let before = SigSet::all().thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK)?;
        let executed = self
            .keep_open(FdFlag::empty())
            .and_then(|()| restore_descriptor_limit())
            .and_then(|()| Ok(execv(&path, &arguments)?));
        self.keep_open(FdFlag::FD_CLOEXEC)?;
        raise_descriptor_limit()?;
        before.thread_set_mask()?;
        executed
    }

    fn keep_open(&self, flags: FdFlag) -> io::Result<()> {
        for fd in [self.listener.as_fd(), self.lock.as_fd()] {
            fcntl(fd, FcntlArg::F_SETFD(flags))?;
        }
        Ok(())
    }
}

/// Signals that the program before has blocked are heard again.
pub(crate) fn hear_signals() -> io::Result<()> {
    Ok(SigSet::all().thread_unblock()?)
}

#[cfg(test)]
mod tests {
    use super::Numbers;

    #[test]
    fn a_handover_is_four_numbers() {
        let numbers: Numbers = "5,6,12345678901,2".parse().unwrap();
        assert_eq!((numbers.listener, numbers.upgrades), (5, 2));
        for text in ["", "5,6,7", "5,6,7,8,9", "a,6,7,8", "-1,6,7,8"] {
            text.parse::<Numbers>().unwrap_err();
        }
    }
}
