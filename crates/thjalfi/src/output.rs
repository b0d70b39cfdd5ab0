//! Captured output: two FIFOs per service, read into lines.
//!
//! The service's side holds each FIFO open for reading and writing, so it never meets a SIGPIPE,
//! even if the daemon dies; the next daemon finds the FIFO by its name. The supervisor reads
//! what is there and cuts it into lines. A line longer than [`MAX_LINE`] is cut there, so memory is
//! bounded, and an idle service holds no buffer: all that read share one for each thread.

use std::{
    cell::RefCell,
    fs, future,
    io::{self, ErrorKind},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt},
    },
    path::Path,
    sync::Arc,
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::stat::Mode,
    unistd::{Gid, Uid, chown, mkfifo},
};
use regex_lite::Regex;
use tokio::net::unix::pipe;

use crate::{
    OutputStream, Readiness, StartOptions,
    error::{SpawnError, Stage},
    identity::Identity,
    logfile::Log,
};

/// Longest line in bytes; what is longer continues as the next line.
pub(crate) const MAX_LINE: usize = 64 * 1024;
/// What is read at once.
const CHUNK: usize = 64 * 1024;
/// Size of the pipes in bytes, where allowed.
const PIPE_SIZE: i32 = 1024 * 1024;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK]);
}

/// The reading side of one run's output.
#[derive(Debug)]
pub(crate) struct Output {
    log: Arc<Log>,
    stdout: Source,
    stderr: Source,
    /// Readiness shows in a line that matches.
    pattern: Option<Regex>,
}

/// One stream and the start of a line whose end has not come yet.
#[derive(Debug)]
struct Source {
    stream: OutputStream,
    pipe: Option<pipe::Receiver>,
    partial: Vec<u8>,
}

impl Output {
    /// Makes or finds the FIFOs; returns the service's ends as well.
    pub(crate) fn open(
        log: &Arc<Log>,
        options: &StartOptions,
        owner: Option<&Identity>,
    ) -> Result<(Self, (OwnedFd, OwnedFd)), SpawnError> {
        let pattern = match &options.readiness {
            Readiness::Log(pattern) => Some(Regex::new(pattern).map_err(|error| {
                SpawnError::invalid(Stage::Options, format!("log:{pattern}"), &error.to_string())
            })?),
            Readiness::Exec | Readiness::Delay(_) | Readiness::Notify => None,
        };
        let open = |stream: OutputStream| {
            let path = log.fifo(stream);
            open_fifo(&path, owner)
                .map_err(|error| SpawnError::new(Stage::Output, path.display().to_string(), error))
        };
        let (stdout, stdout_end) = open(OutputStream::Stdout)?;
        let (stderr, stderr_end) = open(OutputStream::Stderr)?;
        log.configure(options.log_rotation);
        let output = Self {
            log: Arc::clone(log),
            stdout: Source::new(OutputStream::Stdout, stdout),
            stderr: Source::new(OutputStream::Stderr, stderr),
            pattern,
        };
        Ok((output, (stdout_end, stderr_end)))
    }

    /// Waits for output and writes it down; returns whether a line matched the pattern. Never ends
    /// once both streams have. Cancel safe.
    pub(crate) async fn pump(&mut self) -> bool {
        let source = tokio::select! {
            () = self.stdout.readable() => &mut self.stdout,
            () = self.stderr.readable() => &mut self.stderr,
        };
        source
            .read(How::WhenReady, &self.log, &mut self.pattern)
            .matched
    }

    /// Reads what is in the pipes, after the end of all that wrote to them.
    pub(crate) fn drain(&mut self) {
        for source in [&mut self.stdout, &mut self.stderr] {
            while source.read(How::AtOnce, &self.log, &mut self.pattern).more {}
            source.finish(&self.log);
        }
        self.log.close();
    }
}

/// The next output of a service whose output may not be captured at all.
pub(crate) async fn pumped(output: &mut Option<Output>) -> bool {
    match output {
        Some(output) => output.pump().await,
        None => future::pending().await,
    }
}

#[derive(Clone, Copy)]
enum How {
    WhenReady,
    /// At the end of a run, tokio may not have heard yet of the last bytes.
    AtOnce,
}

struct Read {
    matched: bool,
    more: bool,
}

impl Source {
    fn new(stream: OutputStream, pipe: pipe::Receiver) -> Self {
        Self {
            stream,
            pipe: Some(pipe),
            partial: Vec::new(),
        }
    }

    async fn readable(&self) {
        match &self.pipe {
            // An error shows again in the reading that follows.
            Some(pipe) => drop(pipe.readable().await),
            None => future::pending().await,
        }
    }

    /// Reads what is there, at most one chunk.
    fn read(&mut self, how: How, log: &Log, pattern: &mut Option<Regex>) -> Read {
        BUFFER.with_borrow_mut(|buffer| {
            let result = match (&self.pipe, how) {
                (None, _) => Ok(0),
                (Some(pipe), How::WhenReady) => pipe.try_read(buffer),
                (Some(pipe), How::AtOnce) => {
                    nix::unistd::read(pipe.as_fd(), buffer).map_err(io::Error::from)
                }
            };
            let mut read = Read {
                matched: false,
                more: true,
            };
            match result.map_err(|error| error.kind()) {
                Ok(length) if length > 0 => {
                    read.matched = self.take(&buffer[..length], log, pattern);
                }
                Err(ErrorKind::Interrupted) => {}
                Err(ErrorKind::WouldBlock) => read.more = false,
                // An error of a pipe is its end as well.
                Ok(_) | Err(_) => {
                    self.finish(log);
                    read.more = false;
                }
            }
            read
        })
    }

    /// Cuts a chunk into lines; returns whether one matched, after which none is looked at.
    fn take(&mut self, mut chunk: &[u8], log: &Log, pattern: &mut Option<Regex>) -> bool {
        let mut matched = false;
        let mut batch = log.batch(self.stream);
        let mut line = |line: &[u8]| {
            batch.line(line);
            if let Some(regex) = pattern
                && regex.is_match(&String::from_utf8_lossy(line))
            {
                *pattern = None;
                matched = true;
            }
        };
        while !chunk.is_empty() {
            let room = MAX_LINE - self.partial.len();
            let within = &chunk[..chunk.len().min(room)];
            match memchr::memchr(b'\n', within) {
                Some(end) if self.partial.is_empty() => {
                    line(&chunk[..end]);
                    chunk = &chunk[end + 1..];
                }
                Some(end) => {
                    self.partial.extend_from_slice(&chunk[..end]);
                    line(&std::mem::take(&mut self.partial));
                    chunk = &chunk[end + 1..];
                }
                None => {
                    self.partial.extend_from_slice(within);
                    chunk = &chunk[within.len()..];
                    if self.partial.len() == MAX_LINE {
                        line(&std::mem::take(&mut self.partial));
                        // A line of just this length has its end here.
                        chunk = chunk.strip_prefix(b"\n").unwrap_or(chunk);
                    }
                }
            }
        }
        batch.write();
        matched
    }

    fn finish(&mut self, log: &Log) {
        self.pipe = None;
        let partial = std::mem::take(&mut self.partial);
        if !partial.is_empty() {
            let mut batch = log.batch(self.stream);
            batch.line(&partial);
            batch.write();
        }
    }
}

/// The reading end for us and the end for the service.
fn open_fifo(path: &Path, owner: Option<&Identity>) -> io::Result<(pipe::Receiver, OwnedFd)> {
    let make = || mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR);
    let made = match (make(), path.parent()) {
        (Err(Errno::ENOENT), Some(folder)) => {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o750)
                .create(folder)?;
            make()
        }
        (made, _) => made,
    };
    match made {
        Ok(()) => {}
        Err(Errno::EEXIST) if fs::symlink_metadata(path)?.file_type().is_fifo() => {}
        Err(errno) => return Err(errno.into()),
    }
    let options = |write| {
        let mut options = fs::File::options();
        options
            .read(true)
            .write(write)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW);
        options
    };
    // With a writer of its own, this opening does not wait for another one.
    let service: OwnedFd = options(true).open(path)?.into();
    let ours: OwnedFd = options(false).open(path)?.into();
    if let Some(owner) = owner
        && fs::metadata(path)?.uid() != owner.uid
    {
        let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
        chown(path, Some(uid), Some(gid))?;
    }
    // Its writes have to wait, as programs expect of their standard output.
    fcntl(service.as_fd(), FcntlArg::F_SETFL(OFlag::O_RDWR))?;
    // Beyond the limit of an unprivileged user it keeps its size.
    let _ = fcntl(ours.as_fd(), FcntlArg::F_SETPIPE_SZ(PIPE_SIZE));
    Ok((pipe::Receiver::from_owned_fd(ours)?, service))
}
