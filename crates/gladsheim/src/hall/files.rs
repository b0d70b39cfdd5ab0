//! What the files that services rely on are like at present, so that a reload notices when they change.

use std::{
    env, fs,
    hash::{DefaultHasher, Hasher as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use gladsheim_core::{FileMark, FileMarks, ServiceDefinition};

use super::Environment;

/// Looks at a service's files. What cannot be read is left to the start, which says so.
pub(super) fn look(service: &ServiceDefinition, environment: &Environment) -> FileMarks {
    FileMarks {
        env_file: service.start.env_file.as_deref().and_then(mark),
        program_changed: find(&service.path, environment).and_then(|path| changed(&path)),
    }
}

fn mark(path: &Path) -> Option<FileMark> {
    // Before the content: a change in between is then found at the next look.
    let changed = changed(path)?;
    let mut hasher = DefaultHasher::new();
    hasher.write(&fs::read(path).ok()?);
    Some(FileMark {
        digest: hasher.finish(),
        changed,
    })
}

/// When a regular file last changed, by its content or by being moved here.
fn changed(path: &Path) -> Option<SystemTime> {
    let metadata = fs::metadata(path).ok()?;
    let seconds = u64::try_from(metadata.ctime()).ok()?;
    let nanoseconds = u32::try_from(metadata.ctime_nsec()).ok()?;
    metadata
        .is_file()
        .then(|| SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds))
}

fn find(program: &Path, environment: &Environment) -> Option<PathBuf> {
    if program.components().count() > 1 || program.is_absolute() {
        return Some(program.to_owned());
    }
    let folders = environment.path.as_deref()?;
    env::split_paths(folders)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}
