//! Where a daemon writes its log whose standard error is not for it to write to.

use std::{
    fs::{DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::PathBuf,
};

use crate::{
    daemon::telemetry::{self, LogOptions},
    hall::Hall,
};

/// `daemon.log` in the state folder.
pub(super) fn path(hall: &Hall) -> PathBuf {
    hall.state_dir.join("daemon.log")
}

/// Opens it for appending: two daemons may quarrel over one state folder, and both are heard. A folder
/// that is made for it is as private as the daemon would make it.
pub(super) fn open(hall: &Hall) -> io::Result<File> {
    let mut private = DirBuilder::new();
    private
        .recursive(true)
        .mode(0o700)
        .create(&hall.state_dir)?;
    File::options().append(true).create(true).open(path(hall))
}

/// Sends the log of this process there: the terminal belongs to the window.
pub(super) fn take(hall: &Hall, options: LogOptions) {
    let Ok(file) = open(hall) else {
        // The daemon is about to fail for the same reason, and says so better.
        return;
    };
    telemetry::init_into(file, options);
}
