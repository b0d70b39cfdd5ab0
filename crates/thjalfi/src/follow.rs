//! Reads captured output back: the last lines over rotated files, and what is written from then on.

use std::{
    fs::File,
    io,
    os::unix::fs::{FileExt, MetadataExt},
    sync::Arc,
};

use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::{LogLine, LogQuery, LogStream, OutputStream, logfile::Log};

/// Lines that wait for a slow reader.
const QUEUE: usize = 256;
/// Bytes that are read at once.
const BLOCK: usize = 64 * 1024;

/// Starts the reading; the task ends with the stream.
pub(crate) fn read(log: Arc<Log>, query: LogQuery, tasks: &TaskTracker) -> LogStream {
    let (lines, stream) = mpsc::channel(QUEUE);
    tasks.spawn(async move {
        let service = log.service_name.clone();
        if let Err(error) = run(log, query, &lines).await {
            tracing::warn!(service, %error, "its log cannot be read");
        }
    });
    stream
}

async fn run(log: Arc<Log>, query: LogQuery, lines: &mpsc::Sender<LogLine>) -> io::Result<()> {
    // Subscribed first, so that nothing is written unnoticed between the two.
    let mut written = log.subscribe();
    let mut reader = Reader {
        log,
        file: None,
        offset: 0,
    };
    let mut batch;
    (reader, batch) = blocking(reader, move |reader| reader.last(query.last)).await?;
    loop {
        for line in batch {
            if lines.send(line).await.is_err() {
                return Ok(());
            }
        }
        if !query.follow {
            return Ok(());
        }
        tokio::select! {
            () = lines.closed() => return Ok(()),
            changed = written.changed() => if changed.is_err() { return Ok(()) },
        }
        (reader, batch) = blocking(reader, Reader::next).await?;
    }
}

async fn blocking(
    mut reader: Reader,
    read: impl FnOnce(&mut Reader) -> io::Result<Vec<LogLine>> + Send + 'static,
) -> io::Result<(Reader, Vec<LogLine>)> {
    tokio::task::spawn_blocking(move || {
        let lines = read(&mut reader)?;
        Ok((reader, lines))
    })
    .await?
}

struct Reader {
    log: Arc<Log>,
    /// The file that was read last, and up to where.
    file: Option<File>,
    offset: u64,
}

impl Reader {
    fn last(&mut self, count: usize) -> io::Result<Vec<LogLine>> {
        let mut newest_first = Vec::new();
        for file in self.log.files()? {
            let length = file.metadata()?.len();
            let (mut text, start) = tail(&file, length, count - newest_first.len())?;
            // What is being written right now comes later.
            text.truncate(memchr::memrchr(b'\n', &text).map_or(0, |end| end + 1));
            if self.file.is_none() {
                self.offset = start + text.len() as u64;
                self.file = Some(file);
            }
            let room = count - newest_first.len();
            newest_first.extend(parse(&self.log.service_name, &text).rev().take(room));
            if newest_first.len() == count {
                break;
            }
        }
        newest_first.reverse();
        Ok(newest_first)
    }

    /// All that was written since, over any rotation as long as the files are kept.
    fn next(&mut self) -> io::Result<Vec<LogLine>> {
        let mut lines = Vec::new();
        let mut newer = self.log.files()?;
        let known = self.file.as_ref().map(inode).transpose()?;
        if let Some(known) = known {
            let inodes: Vec<u64> = newer.iter().map(inode).collect::<Result<_, _>>()?;
            if let Some(index) = inodes.iter().position(|inode| *inode == known) {
                newer.truncate(index);
            }
        }
        self.read_on(&mut lines)?;
        for file in newer.into_iter().rev() {
            self.file = Some(file);
            self.offset = 0;
            self.read_on(&mut lines)?;
        }
        Ok(lines)
    }

    fn read_on(&mut self, lines: &mut Vec<LogLine>) -> io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let mut text = vec![
            0;
            usize::try_from(file.metadata()?.len().saturating_sub(self.offset))
                .unwrap_or(0)
        ];
        let read = read_up_to(file, &mut text, self.offset)?;
        let end = memchr::memrchr(b'\n', &text[..read]).map_or(0, |end| end + 1);
        lines.extend(parse(&self.log.service_name, &text[..end]));
        self.offset += end as u64;
        Ok(())
    }
}

fn inode(file: &File) -> io::Result<u64> {
    file.metadata().map(|metadata| metadata.ino())
}

/// The end of a file with at least `count` lines, read backwards, and where it starts.
fn tail(file: &File, length: u64, count: usize) -> io::Result<(Vec<u8>, u64)> {
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    let mut start = length;
    let mut newlines = 0;
    // One more: the end of the line before.
    while start > 0 && newlines <= count {
        let size = start.min(BLOCK as u64);
        start -= size;
        let mut block = vec![0; size as usize];
        let read = read_up_to(file, &mut block, start)?;
        block.truncate(read);
        newlines += memchr::memchr_iter(b'\n', &block).count();
        blocks.push(block);
    }
    blocks.reverse();
    let mut text = blocks.concat();
    if start > 0 {
        // It begins within a line.
        let first = memchr::memchr(b'\n', &text).map_or(text.len(), |end| end + 1);
        text.drain(..first);
        start += first as u64;
    }
    Ok((text, start))
}

fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn parse<'a>(
    service_name: &'a str,
    text: &'a [u8],
) -> impl DoubleEndedIterator<Item = LogLine> + 'a {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    // An empty text is no line, and `split` would make one of it.
    let lines = (!text.is_empty()).then(|| text.split(|byte| *byte == b'\n'));
    lines
        .into_iter()
        .flatten()
        .filter_map(move |line| parse_line(service_name, line))
}

/// `None` for a line that no supervisor has written.
fn parse_line(service_name: &str, line: &[u8]) -> Option<LogLine> {
    let mut fields = line.splitn(3, |byte| *byte == b' ');
    let at = std::str::from_utf8(fields.next()?).ok()?;
    let stream = match fields.next()? {
        b"stdout" => OutputStream::Stdout,
        b"stderr" => OutputStream::Stderr,
        _ => return None,
    };
    Some(LogLine {
        service_name: service_name.to_owned(),
        at: humantime::parse_rfc3339(at).ok()?,
        stream,
        line: String::from_utf8_lossy(fields.next()?).into_owned(),
    })
}
