//! The log file of one service: appended to by its supervisor, read by anybody.
//!
//! Each line stands in the file as `2026-11-24T11:00:00.000Z stdout text`. The file is rotated before
//! a line would make it longer than allowed: `thor.log` becomes `thor.log.1`, and so on. It is
//! written to the page cache and never synced. Lines that cannot be written, to a full disk for
//! example, are dropped and counted: the service goes on. A deleted file is made anew.

use std::{
    cell::Cell,
    fs::{self, File},
    io::{self, ErrorKind, Write},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::watch;

use crate::{LogRotation, OutputStream, ProcessEvent, slots::Slots};

/// Bytes that are gathered before they are written.
const BATCH: usize = 128 * 1024;
/// Bytes at the end of a log that are looked at when it is resumed.
const TAIL: u64 = 256 * 1024;
/// How often dropped lines are reported at most.
const REPORT_EVERY: Duration = Duration::from_secs(1);

thread_local! {
    /// One buffer for all services that this thread serves.
    static PENDING: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) service_name: String,
    folder: PathBuf,
    path: PathBuf,
    current: Mutex<Current>,
    /// Changes after each write: wakes those who follow.
    written: watch::Sender<()>,
    slots: Arc<Slots>,
}

#[derive(Debug, Default)]
struct Current {
    file: Option<File>,
    size: u64,
    rotation: LogRotation,
    dropped: u64,
    reported: Option<Instant>,
}

impl Log {
    /// Nothing is opened before the first line.
    pub(crate) fn new(folder: &Path, service_name: &str, slots: Arc<Slots>) -> Self {
        Self {
            service_name: service_name.to_owned(),
            folder: folder.to_owned(),
            path: folder.join(format!("{service_name}.log")),
            current: Mutex::default(),
            written: watch::Sender::new(()),
            slots,
        }
    }

    /// Where a stream's FIFO lies.
    pub(crate) fn fifo(&self, stream: OutputStream) -> PathBuf {
        let name = format!("{}.{}", self.service_name, stream.as_str());
        self.folder.join(name)
    }

    pub(crate) fn configure(&self, rotation: LogRotation) {
        self.lock().rotation = rotation;
    }

    /// Gives the descriptor back until the next line, and reports what was dropped up to now.
    pub(crate) fn close(&self) {
        let mut current = self.lock();
        current.file = None;
        current.reported = None;
        self.report(&mut current);
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        self.written.subscribe()
    }

    /// The files that exist, newest first; the first one is being written to.
    pub(crate) fn files(&self) -> io::Result<Vec<File>> {
        // Nothing is rotated meanwhile.
        let _current = self.lock();
        let mut files = Vec::new();
        for index in 0.. {
            match File::open(self.rotated(index)) {
                Ok(file) => files.push(file),
                // Of those that there should be, only the first may have been deleted by somebody.
                Err(error) if error.kind() == ErrorKind::NotFound && index == 0 => {}
                Err(error) if error.kind() == ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            }
        }
        Ok(files)
    }

    /// Lines of one stream that are written down together, with the time of now.
    pub(crate) fn batch(&self, stream: OutputStream) -> Batch<'_> {
        let now = humantime::format_rfc3339_millis(SystemTime::now());
        let mut pending = PENDING.take();
        pending.clear();
        Batch {
            log: self,
            prefix: format!("{now} {} ", stream.as_str()),
            current: self.lock(),
            pending,
            lines: 0,
        }
    }

    /// What was written last of a stream, after half a line that a killed daemon may have left at the end
    /// was removed.
    pub(crate) fn last_batch(&self, stream: OutputStream) -> io::Result<LastBatch> {
        let _current = self.lock();
        let file = File::options().read(true).write(true).open(&self.path)?;
        let size = file.metadata()?.len();
        let start = size.saturating_sub(TAIL);
        let mut tail = vec![0; usize::try_from(size - start).map_err(io::Error::other)?];
        file.read_exact_at(&mut tail, start)?;
        if let Some(whole) = memchr::memrchr(b'\n', &tail).map(|end| end + 1)
            && whole < tail.len()
        {
            file.set_len(start + whole as u64)?;
            tail.truncate(whole);
        }
        let name = format!(" {} ", stream.as_str());
        let parts = |line: &[u8]| {
            let at = memchr::memmem::find(line, name.as_bytes())?;
            Some((line[..at].to_vec(), line[at + name.len()..].to_vec()))
        };
        let lines = tail.split(|byte| *byte == b'\n').filter_map(parts);
        let mut lines: Vec<_> = lines.collect();
        let Some((last, _)) = lines.last().cloned() else {
            return Ok(LastBatch::default());
        };
        let begin = lines
            .iter()
            .rposition(|(at, _)| *at != last)
            .map_or(0, |at| at + 1);
        let texts = |lines: Vec<(_, Vec<u8>)>| lines.into_iter().map(|(_, text)| text).collect();
        let batch = lines.split_off(begin);
        Ok(LastBatch {
            before: texts(lines),
            lines: texts(batch),
        })
    }

    fn rotated(&self, index: u32) -> PathBuf {
        if index == 0 {
            return self.path.clone();
        }
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{index}"));
        name.into()
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The open file; made if it is missing.
    fn open<'a>(&self, current: &'a mut Current) -> io::Result<&'a mut File> {
        if current.file.as_ref().is_some_and(is_deleted) {
            current.file = None;
        }
        match &mut current.file {
            Some(file) => Ok(file),
            none => {
                let file = File::options()
                    .append(true)
                    .create(true)
                    .mode(0o640)
                    .open(&self.path)?;
                current.size = file.metadata()?.len();
                Ok(none.insert(file))
            }
        }
    }

    fn rotate(&self, current: &mut Current) -> io::Result<()> {
        current.file = None;
        for index in (1..current.rotation.max_files.max(1)).rev() {
            match fs::rename(self.rotated(index - 1), self.rotated(index)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        if current.rotation.max_files <= 1 {
            fs::remove_file(&self.path)?;
        }
        Ok(())
    }

    fn report(&self, current: &mut Current) {
        let due = current
            .reported
            .is_none_or(|last| last.elapsed() >= REPORT_EVERY);
        if current.dropped > 0 && due {
            current.reported = Some(Instant::now());
            self.slots.tell(ProcessEvent::OutputDropped {
                service_name: self.service_name.clone(),
                lines: std::mem::take(&mut current.dropped),
            });
        }
    }
}

fn is_deleted(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
}

/// The end of a log, of one stream.
#[derive(Debug, Default)]
pub(crate) struct LastBatch {
    /// Some of the lines before.
    pub(crate) before: Vec<Vec<u8>>,
    /// The last lines that carry the same time.
    pub(crate) lines: Vec<Vec<u8>>,
}

/// Lines on their way into the file; to be ended by [`write`](Self::write).
pub(crate) struct Batch<'a> {
    log: &'a Log,
    prefix: String,
    current: MutexGuard<'a, Current>,
    pending: Vec<u8>,
    lines: u64,
}

impl Batch<'_> {
    pub(crate) fn line(&mut self, line: &[u8]) {
        let length = (self.prefix.len() + line.len() + 1) as u64;
        let after = self.current.size + self.pending.len() as u64 + length;
        let full = after > self.current.rotation.max_size;
        if full || self.pending.len() > BATCH {
            self.flush();
        }
        if full && self.current.size > 0 {
            let result = self.log.rotate(&mut self.current);
            self.current.size = 0;
            if let Err(error) = result {
                tracing::warn!(service = self.log.service_name, %error, "log not rotated");
            }
        }
        self.pending.extend_from_slice(self.prefix.as_bytes());
        self.pending.extend_from_slice(line);
        self.pending.push(b'\n');
        self.lines += 1;
    }

    /// Writes the lines and wakes those who follow.
    pub(crate) fn write(mut self) {
        self.flush();
        self.log.report(&mut self.current);
        PENDING.set(self.pending);
        drop(self.current);
        self.log.written.send_replace(());
    }

    fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let result = match self.log.open(&mut self.current) {
            Ok(file) => file.write_all(&self.pending),
            Err(error) => Err(error),
        };
        match result {
            Ok(()) => self.current.size += self.pending.len() as u64,
            Err(_) => {
                self.current.dropped += self.lines;
                if let Some(file) = &self.current.file {
                    // No half line stays, unless the file cannot be shortened either.
                    let _ = file.set_len(self.current.size);
                }
            }
        }
        self.pending.clear();
        self.lines = 0;
    }
}
