//! Captured output: two FIFOs per service, read into lines.
//!
//! The service's side holds each FIFO open for reading and writing, so it never meets a SIGPIPE,
//! even if the daemon dies; the next daemon finds the FIFO by its name. The supervisor looks at what is
//! there, writes whole lines down, and only then takes them out: a daemon that is killed has lost
//! none, and the next one recognises what was written and not yet taken out. Where there is no log, output
//! is read only if readiness shows in it, through pipes without a name, and then dropped. A line longer than
//! [`MAX_LINE`] is cut there, so memory is bounded, and an idle service holds no buffer: all that read
//! share one for each thread.

use std::{
    cell::RefCell,
    future,
    io::{self, ErrorKind},
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use nix::fcntl::{FcntlArg, fcntl};
use regex_lite::Regex;
use tokio::net::unix::pipe;

use crate::{
    Descriptor, OutputStream, Readiness, StartOptions,
    error::{SpawnError, Stage},
    identity::Identity,
    logfile::{LastBatch, Log},
    peek::{consume, peek},
    pipes::{open_fifo, open_nameless},
};

/// Longest line in bytes; what is longer continues as the next line.
pub(crate) const MAX_LINE: usize = 64 * 1024;
/// What is read at once.
const CHUNK: usize = 64 * 1024;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK]);
}

/// The reading side of one run's output.
#[derive(Debug)]
pub(crate) struct Output {
    /// Without one, lines are looked at and dropped.
    log: Option<Arc<Log>>,
    stdout: Source,
    stderr: Source,
    /// Readiness shows in a line that matches.
    pattern: Option<Regex>,
}

/// One stream and the start of a line whose end has not come yet.
#[derive(Debug)]
struct Source {
    stream: OutputStream,
    pipe: Option<Arc<pipe::Receiver>>,
    /// Bytes of an unfinished line that were looked at and left where they are.
    held: usize,
    /// Nothing was added to them when they were looked at again.
    stale: bool,
    /// How many may be held: a pipe must not fill up with a line that has no end.
    hold: usize,
    /// An unfinished line that was too long to be held.
    partial: Vec<u8>,
}

/// The service's ends of both streams.
type Ends = (OwnedFd, OwnedFd);

impl Output {
    /// Makes or finds the pipes; returns the service's ends as well. What an earlier daemon has left in them comes
    /// first. `None` where nobody would read them.
    pub(crate) fn open(
        log: Option<&Arc<Log>>,
        options: &StartOptions,
        owner: Option<&Identity>,
    ) -> Result<Option<(Self, Ends)>, SpawnError> {
        let pattern = pattern(options)?;
        let (mut output, ends) = match log {
            Some(log) => Self::find(log, options, owner, pattern)?,
            None if pattern.is_some() => {
                let open = || {
                    open_nameless(owner)
                        .map_err(|error| SpawnError::new(Stage::Output, None, error))
                };
                let ((stdout, stdout_end), (stderr, stderr_end)) = (open()?, open()?);
                let output = Self::new(None, stdout, stderr, pattern);
                (output, (stdout_end, stderr_end))
            }
            None => return Ok(None),
        };
        if output.stdout.holds_something() || output.stderr.holds_something() {
            output.skip_written();
        }
        Ok(Some((output, ends)))
    }

    /// Goes on after an earlier daemon, whose service runs on; `kept` are its reading ends, if somebody kept them.
    pub(crate) fn resume(
        log: Option<&Arc<Log>>,
        options: &StartOptions,
        owner: Option<&Identity>,
        kept: Vec<OwnedFd>,
    ) -> Result<Option<Self>, SpawnError> {
        let pattern = pattern(options)?;
        if let Some(log) = log {
            let (mut output, _) = Self::find(log, options, owner, pattern)?;
            output.skip_written();
            return Ok(Some(output));
        }
        let mut kept = kept.into_iter();
        let (Some(stdout), Some(stderr)) = (kept.next(), kept.next()) else {
            return Ok(None);
        };
        let receiver = |end| {
            pipe::Receiver::from_owned_fd(end)
                .map_err(|error| SpawnError::new(Stage::Output, None, error))
        };
        let (stdout, stderr) = (receiver(stdout)?, receiver(stderr)?);
        Ok(Some(Self::new(None, stdout, stderr, pattern)))
    }

    fn find(
        log: &Arc<Log>,
        options: &StartOptions,
        owner: Option<&Identity>,
        pattern: Option<Regex>,
    ) -> Result<(Self, Ends), SpawnError> {
        let open = |stream: OutputStream| {
            let path = log.fifo(stream);
            open_fifo(&path, owner)
                .map_err(|error| SpawnError::new(Stage::Output, path.display().to_string(), error))
        };
        let (stdout, stdout_end) = open(OutputStream::Stdout)?;
        let (stderr, stderr_end) = open(OutputStream::Stderr)?;
        log.configure(options.log_rotation);
        let output = Self::new(Some(Arc::clone(log)), stdout, stderr, pattern);
        Ok((output, (stdout_end, stderr_end)))
    }

    fn new(
        log: Option<Arc<Log>>,
        stdout: pipe::Receiver,
        stderr: pipe::Receiver,
        pattern: Option<Regex>,
    ) -> Self {
        Self {
            log,
            stdout: Source::new(OutputStream::Stdout, stdout),
            stderr: Source::new(OutputStream::Stderr, stderr),
            pattern,
        }
    }

    fn skip_written(&mut self) {
        let Some(log) = &self.log else { return };
        for source in [&mut self.stdout, &mut self.stderr] {
            source.skip_written(log);
        }
    }

    /// What keeps unread output from being lost, for somebody else to keep.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = Descriptor> {
        let pipes = [&self.stdout, &self.stderr].map(|source| source.pipe.clone());
        pipes.into_iter().flatten().map(|pipe| pipe as Descriptor)
    }

    /// Waits for output and writes it down; returns whether a line matched the pattern. Never ends
    /// once both streams have. Cancel safe.
    pub(crate) async fn pump(&mut self) -> bool {
        let source = tokio::select! {
            () = self.stdout.readable() => &mut self.stdout,
            () = self.stderr.readable() => &mut self.stderr,
        };
        source
            .read(How::WhenReady, self.log.as_deref(), &mut self.pattern)
            .matched
    }

    /// Reads what is in the pipes, after the end of all that wrote to them.
    pub(crate) fn drain(&mut self) {
        let log = self.log.as_deref();
        for source in [&mut self.stdout, &mut self.stderr] {
            while source.read(How::AtOnce, log, &mut self.pattern).more {}
            source.finish(log);
        }
        if let Some(log) = log {
            log.close();
        }
    }
}

fn pattern(options: &StartOptions) -> Result<Option<Regex>, SpawnError> {
    match &options.readiness {
        Readiness::Log(pattern) => Regex::new(pattern).map(Some).map_err(|error| {
            SpawnError::invalid(Stage::Options, format!("log:{pattern}"), &error.to_string())
        }),
        Readiness::Exec | Readiness::Delay(_) | Readiness::Notify => Ok(None),
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
        let size = fcntl(pipe.as_fd(), FcntlArg::F_GETPIPE_SZ).unwrap_or(0);
        Self {
            stream,
            // Small writes may take twice their room, and a quarter of the rest is for the next ones.
            hold: usize::try_from(size / 4).map_or(0, |hold| hold.min(CHUNK / 4)),
            pipe: Some(Arc::new(pipe)),
            held: 0,
            stale: false,
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
    fn read(&mut self, how: How, log: Option<&Log>, pattern: &mut Option<Regex>) -> Read {
        BUFFER.with_borrow_mut(|buffer| {
            let result = match (&self.pipe, how) {
                (None, _) => Ok(0),
                (Some(pipe), How::WhenReady) => pipe.try_io(|| self.news(pipe, buffer)),
                (Some(pipe), How::AtOnce) => self.news(pipe, buffer),
            };
            self.stale = result
                .as_ref()
                .is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
            let mut read = Read {
                matched: false,
                more: true,
            };
            match result.map_err(|error| error.kind()) {
                Ok(length) if length > 0 => {
                    read.matched = self.take_lines(&buffer[..length], log, pattern);
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

    /// What is in the pipe, if there is more than before.
    fn news(&self, pipe: &pipe::Receiver, buffer: &mut [u8]) -> io::Result<usize> {
        match peek(pipe, buffer)? {
            length if length > 0 && length == self.held && !self.stale => {
                Err(ErrorKind::WouldBlock.into())
            }
            length => Ok(length),
        }
    }

    /// Writes the whole lines of what is in the pipe, and then takes them out.
    fn take_lines(&mut self, chunk: &[u8], log: Option<&Log>, pattern: &mut Option<Regex>) -> bool {
        let whole = memchr::memrchr(b'\n', chunk).map_or(0, |end| end + 1);
        let rest = chunk.len() - whole;
        // What does not grow although the pipe has something new is all that can be looked at.
        let stuck = whole == 0 && rest == self.held;
        let taken = if rest > self.hold || stuck {
            chunk.len()
        } else {
            whole
        };
        self.held = chunk.len() - taken;
        let matched = taken > 0 && self.take(&chunk[..taken], log, pattern);
        self.consume(taken);
        matched
    }

    fn consume(&self, length: usize) {
        if let Some(pipe) = &self.pipe
            && let Err(error) = consume(pipe, length)
        {
            tracing::warn!(%error, "output was read and cannot be taken out: it will come twice");
        }
    }

    fn holds_something(&self) -> bool {
        let peeked = self.pipe.as_ref().map(|pipe| peek(pipe, &mut [0]));
        matches!(peeked, Some(Ok(1)))
    }

    /// Takes out what an earlier daemon has written down before it was killed.
    fn skip_written(&mut self, log: &Log) {
        BUFFER.with_borrow_mut(|buffer| {
            let Some(pipe) = &self.pipe else { return };
            let length = peek(pipe, buffer).unwrap_or(0);
            let lines: Vec<&[u8]> = buffer[..length]
                .split_inclusive(|byte| *byte == b'\n')
                .collect();
            let written = log.last_batch(self.stream).unwrap_or_default();
            let count = repeated(&lines, &written);
            self.consume(lines[..count].iter().map(|line| line.len()).sum());
        });
    }

    /// Cuts a chunk into lines; returns whether one matched, after which none is looked at.
    fn take(&mut self, mut chunk: &[u8], log: Option<&Log>, pattern: &mut Option<Regex>) -> bool {
        let mut matched = false;
        let mut batch = log.map(|log| log.batch(self.stream));
        let mut line = |line: &[u8]| {
            if let Some(batch) = &mut batch {
                batch.line(line);
            }
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
        if let Some(batch) = batch {
            batch.write();
        }
        matched
    }

    fn finish(&mut self, log: Option<&Log>) {
        if let Some(pipe) = self.pipe.take() {
            let mut rest = vec![0; std::mem::take(&mut self.held)];
            let read = nix::unistd::read(pipe.as_fd(), &mut rest).unwrap_or(0);
            self.partial.extend_from_slice(&rest[..read]);
        }
        let partial = std::mem::take(&mut self.partial);
        if let Some(log) = log
            && !partial.is_empty()
        {
            let mut batch = log.batch(self.stream);
            batch.line(&partial);
            batch.write();
        }
    }
}

/// How many of the lines in a pipe are the last ones that were written down together. Where the same was
/// written before as well, there is no telling, and better twice than never.
fn repeated(lines: &[&[u8]], written: &LastBatch) -> usize {
    let same = |line: &&[u8], written: &Vec<u8>| line.strip_suffix(b"\n") == Some(written);
    let longest = lines.len().min(written.lines.len());
    (1..=longest)
        .rev()
        .find(|count| {
            let last = &written.lines[written.lines.len() - count..];
            let ambiguous = written.before.contains(&last[0]);
            lines
                .iter()
                .zip(last)
                .all(|(line, written)| same(line, written))
                && !ambiguous
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{LastBatch, repeated};

    #[test]
    fn what_was_written_and_not_taken_out_is_recognised() {
        let lines: [&[u8]; 3] = [b"line 4\n", b"line 5\n", b"li"];
        let batch = |before: &[&str], lines: &[&str]| LastBatch {
            before: before.iter().map(|line| line.as_bytes().to_vec()).collect(),
            lines: lines.iter().map(|line| line.as_bytes().to_vec()).collect(),
        };
        for (before, written, expected) in [
            (&["line 3"][..], &["line 4", "line 5"][..], 2),
            (&[], &["line 3", "line 4"], 1),
            (&[], &["line 2", "line 3"], 0),
            (&[], &[], 0),
            // It may say the same again and again.
            (&["line 4"], &["line 4"], 0),
        ] {
            assert_eq!(
                repeated(&lines, &batch(before, written)),
                expected,
                "{written:?}"
            );
        }
    }
}
