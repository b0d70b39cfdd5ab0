//! The journal: what must outlive the daemon, however that ends.
//!
//! One file, `journal`, in the state folder. Each change of a service is appended as one line, without
//! waiting for the disk: a killed daemon loses nothing, since the kernel has it; a machine that loses its power
//! loses at most the last changes, and has no process left either. When the file has grown much
//! larger than what it says, it is written anew beside itself and renamed.
//!
//! The actors are the only ones that write; the last record of a service counts. Where writing fails, the
//! daemon goes on, says so, and tries again until the journal says what is true.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

use self::{
    format::{Memory, Record},
    record::ServiceRecord,
};

pub(crate) mod format;
pub(crate) mod record;

/// Size in bytes below which a journal is never written anew.
const SMALL: u64 = 256 * 1024;
/// How often a journal that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// A handle of the journal. Until that is opened, and where it never is, nothing is kept. A cheap clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Journal(Arc<OnceLock<Shared>>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    writer: Mutex<Writer>,
    failed: Notify,
}

#[derive(Debug)]
struct Writer {
    file: File,
    /// What the file says, or should say.
    memory: Memory,
    size: u64,
    /// Size when it was last written anew.
    compact: u64,
    /// What was wrong with the journal that was found.
    damage: Option<String>,
    /// Why the file does not say what it should.
    failure: Option<String>,
}

impl Journal {
    /// Reads the journal of a folder, and goes on with it. What cannot be read is set aside.
    ///
    /// # Errors
    ///
    /// If it cannot be read or written at all.
    pub(crate) fn open(&self, folder: &Path) -> io::Result<Memory> {
        let path = folder.join("journal");
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            text => text?,
        };
        let (mut memory, damage) = Memory::decode(&text);
        if std::mem::take(&mut memory.closed) {
            memory.services.values_mut().for_each(ServiceRecord::settle);
        }
        let damage = match damage {
            Some(damage) if damage.is_total() => {
                let aside = path.with_extension("unreadable");
                fs::rename(&path, &aside)?;
                let aside = aside.display();
                Some(format!(
                    "the journal was not used: {damage}; it lies in {aside} now"
                ))
            }
            damage => damage.map(|damage| format!("the journal: {damage}")),
        };
        if let Some(damage) = &damage {
            tracing::warn!("{damage}");
        }
        let (file, size) = rewrite(&path, &memory, true)?;
        let writer = Mutex::new(Writer {
            file,
            memory: memory.clone(),
            size,
            compact: size,
            damage,
            failure: None,
        });
        let failed = Notify::new();
        self.0.get_or_init(|| Shared {
            path,
            writer,
            failed,
        });
        Ok(memory)
    }

    pub(crate) fn is_kept(&self) -> bool {
        self.0.get().is_some()
    }

    /// Keeps a record. A failure is kept as well, and made good later.
    pub(crate) fn write(&self, record: Record) {
        let Some(shared) = self.0.get() else { return };
        let mut writer = shared.lock();
        let line = format::encode(&record);
        writer.memory.apply(record);
        if writer.failure.is_some() {
            return;
        }
        if let Err(error) = writer.append(&line, &shared.path) {
            let failure = format!("{} cannot be written: {error}", shared.path.display());
            tracing::error!("{failure}; a later daemon would not know what happens from now on");
            writer.failure = Some(failure);
            shared.failed.notify_one();
        }
    }

    /// Writes down that the hall ended in good order, down to the disk.
    pub(crate) fn close(&self) {
        self.write(Record::Closed);
        if let Some(shared) = self.0.get()
            && let Err(error) = shared.lock().file.sync_data()
        {
            tracing::warn!(%error, "the journal is not surely on the disk");
        }
    }

    /// Pid of the run that a later daemon would take over; `None` if nothing could be written.
    pub(crate) fn run_of(&self, service_name: &str) -> Option<Option<u32>> {
        let writer = self.0.get()?.lock();
        let record = writer.memory.services.get(service_name);
        let run = record.and_then(|record| record.run.as_ref());
        writer.failure.is_none().then(|| run.map(|run| run.pid))
    }

    /// What is wrong with the journal, for a person.
    pub(crate) fn problem(&self) -> Option<String> {
        let shared = self.0.get()?;
        let writer = shared.lock();
        writer.failure.as_ref().or(writer.damage.as_ref()).cloned()
    }

    /// Makes failures good, until it is stopped.
    pub(crate) async fn mend(self, stop: CancellationToken) {
        let Some(shared) = self.0.get() else { return };
        let mending = async {
            loop {
                shared.failed.notified().await;
                while let Err(error) = shared.mend() {
                    tracing::debug!(%error, "the journal still cannot be written");
                    sleep(RETRY).await;
                }
                tracing::info!("the journal can be written again");
            }
        };
        stop.run_until_cancelled(mending).await;
    }
}

impl Shared {
    fn mend(&self) -> io::Result<()> {
        let mut writer = self.lock();
        writer.rewrite(&self.path)?;
        writer.failure = None;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    fn append(&mut self, line: &[u8], path: &Path) -> io::Result<()> {
        if self.size + line.len() as u64 > SMALL + 4 * self.compact {
            return self.rewrite(path);
        }
        // A part of a line that a full disk has taken is no harm: the file is written anew.
        self.file.write_all(line)?;
        self.size += line.len() as u64;
        Ok(())
    }

    fn rewrite(&mut self, path: &Path) -> io::Result<()> {
        (self.file, self.size) = rewrite(path, &self.memory, false)?;
        self.compact = self.size;
        Ok(())
    }
}

/// Writes the whole journal beside the old one, which it then replaces.
fn rewrite(path: &Path, memory: &Memory, sync: bool) -> io::Result<(File, u64)> {
    let text = memory.encode();
    let new = path.with_extension("new");
    let mut file = File::options()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(&text)?;
    if sync {
        file.sync_data()?;
    }
    fs::rename(&new, path)?;
    Ok((file, text.len() as u64))
}

#[cfg(test)]
mod tests {
    use tokio_util::task::TaskTracker;

    use super::*;

    fn open(folder: &Path) -> (Journal, Memory) {
        let journal = Journal::default();
        let memory = journal.open(folder).unwrap();
        (journal, memory)
    }

    fn thor(generation: u64) -> Record {
        Record::Service(Box::new(ServiceRecord {
            service: "thor".to_owned(),
            generation,
            ..ServiceRecord::default()
        }))
    }

    #[test]
    fn what_was_written_is_there_for_the_next_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, memory) = open(folder.path());
        assert_eq!(memory, Memory::default());
        journal.write(thor(1));
        journal.write(thor(2));

        let (journal, memory) = open(folder.path());
        assert_eq!(memory.services["thor"].generation, 2);
        journal.close();
        let text = fs::read(folder.path().join("journal")).unwrap();
        assert!(Memory::decode(&text).0.closed);
    }

    #[test]
    fn the_file_stays_small() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _) = open(folder.path());
        for generation in 0..10_000 {
            journal.write(thor(generation));
        }
        let size = fs::metadata(folder.path().join("journal")).unwrap().len();
        assert!(size < 2 * SMALL, "{size}");
        let (_, memory) = open(folder.path());
        assert_eq!(memory.services["thor"].generation, 9_999);
    }

    #[test]
    fn a_newer_journal_is_set_aside_and_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let text = "gladsheim-journal 7\nwisdom\n";
        fs::write(folder.path().join("journal"), text).unwrap();

        let (journal, memory) = open(folder.path());

        assert_eq!(memory, Memory::default());
        assert!(journal.problem().unwrap().contains("newer version: 7"));
        let aside = fs::read_to_string(folder.path().join("journal.unreadable")).unwrap();
        assert_eq!(aside, text);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_disk_is_told_of_and_made_good() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _) = open(folder.path());
        // Every write fails, as on a full disk; and so does the first attempt to write it anew.
        let full = File::options().write(true).open("/dev/full").unwrap();
        journal.0.get().unwrap().lock().file = full;
        let blocker = folder.path().join("journal.new");
        fs::create_dir(&blocker).unwrap();

        journal.write(thor(1));
        journal.write(thor(2));

        assert!(journal.problem().unwrap().contains("No space left"));
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        tasks.spawn(journal.clone().mend(stop.clone()));
        sleep(3 * RETRY).await;
        assert!(journal.problem().is_some());
        fs::remove_dir(&blocker).unwrap();
        sleep(3 * RETRY).await;
        assert_eq!(journal.problem(), None);
        journal.write(thor(3));
        let (_, memory) = open(folder.path());
        assert_eq!(memory.services["thor"].generation, 3);
        stop.cancel();
        tasks.close();
        tasks.wait().await;
    }
}
