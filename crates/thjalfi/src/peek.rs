//! Reading a pipe without taking anything out of it, so that what a daemon has read and not yet
//! written down when it is killed is still there for the next one.

use std::{
    cell::RefCell,
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, OwnedFd},
};

use nix::{
    fcntl::{OFlag, SpliceFFlags, splice, tee},
    unistd::pipe2,
};

thread_local! {
    /// One for all services that this thread serves; empty between two calls.
    static SCRATCH: RefCell<Option<Scratch>> = const { RefCell::new(None) };
}

struct Scratch {
    reader: File,
    writer: OwnedFd,
    /// Where bytes go that nobody wants.
    null: File,
}

impl Scratch {
    fn open() -> io::Result<Self> {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        Ok(Self {
            reader: reader.into(),
            writer,
            null: File::options().write(true).open("/dev/null")?,
        })
    }
}

fn with_scratch<T>(run: impl FnOnce(&mut Scratch) -> io::Result<T>) -> io::Result<T> {
    SCRATCH.with_borrow_mut(|scratch| {
        // It is put back only where nothing is left in it.
        let mut open = scratch.take().map_or_else(Scratch::open, Ok)?;
        let result = run(&mut open)?;
        *scratch = Some(open);
        Ok(result)
    })
}

/// Copies the first bytes of a pipe, as many as there is room for and the kernel hands over at once; 0
/// is the end of it.
///
/// # Errors
///
/// `WouldBlock` if there are none yet.
pub(crate) fn peek(pipe: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    with_scratch(|scratch| {
        let flags = SpliceFFlags::SPLICE_F_NONBLOCK;
        match tee(pipe, &scratch.writer, buffer.len(), flags) {
            Ok(length) => {
                scratch.reader.read_exact(&mut buffer[..length])?;
                Ok(Ok(length))
            }
            Err(errno) => Ok(Err(io::Error::from(errno))),
        }
    })?
}

/// Takes so many bytes out of a pipe, which are known to be there.
pub(crate) fn consume(pipe: impl AsFd, mut length: usize) -> io::Result<()> {
    with_scratch(|scratch| {
        while length > 0 {
            let flags = SpliceFFlags::SPLICE_F_NONBLOCK;
            match splice(pipe.as_fd(), None, &scratch.null, None, length, flags)? {
                0 => break,
                taken => length -= taken,
            }
        }
        Ok(())
    })
}
